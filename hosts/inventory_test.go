package hosts_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestParseInventory(t *testing.T) {
	t.Parallel()
	inv, err := hosts.ReadInventory(filepath.Join("testdata", "hosts.yaml"))
	require.NoError(t, err)
	require.Equal(t, []string{"h100a", "h100b", "here"}, inv.Names())

	a := inv.Hosts["h100a"]
	require.Equal(t, "ssh", a.Transport())
	require.Equal(t, []int{0, 1}, a.GPUs)
	require.Equal(t, map[string]string{"Qwen/Qwen3-8B": "/data/models/qwen3-8b"}, a.Models)
	require.Equal(t, map[string]string{"NCCL_SOCKET_IFNAME": "eth0", "NCCL_DEBUG": "1"}, a.Env)
	require.Equal(t, []string{"HF_TOKEN"}, a.Secrets)
	require.Equal(t, hosts.EngineEntry{
		Type: "sglang", Venv: "~/venvs/sglang", Checkout: "~/src/sglang", PackageRoot: "python/sglang", ImportName: "sglang",
		TestRunner: []string{"python", "-m", "pytest", "-q"}, Env: map[string]string{"SGLANG_LOG_LEVEL": "warning"},
	}, a.Engines["sglang-main"])
	require.Equal(t, a.Engines, inv.Hosts["h100b"].Engines, "by alias")

	here := inv.Hosts["here"]
	require.Equal(t, hosts.HostEntry{
		Local: true, Device: hosts.DeviceCPU, GPUs: []int{}, Workdir: "~/sotaloop", LeaseDir: "/var/lock/sotaloop",
		HFCache: "~/.cache/huggingface", Models: map[string]string{}, Env: map[string]string{}, Secrets: []string{},
		Engines: map[string]hosts.EngineEntry{
			"fake": {Type: "tokenspeed", Command: "/opt/engines/bin", TestRunner: []string{}, Env: map[string]string{}},
		},
	}, here)
	require.Equal(t, "local", here.Transport())
}

func TestInventoryWithoutHosts(t *testing.T) {
	t.Parallel()
	inv, err := hosts.ReadInventory(filepath.Join(t.TempDir(), "missing.yaml"))
	require.NoError(t, err)
	require.Empty(t, inv.Names())
	for _, text := range []string{"", "# nothing yet\n", "hosts:\n", "hosts: {}\n", "---\n", "null\n"} {
		inv, err := hosts.ParseInventory([]byte(text), "hosts.yaml")
		require.NoError(t, err, "%q", text)
		require.Empty(t, inv.Names())
	}
	_, err = hosts.ReadInventory(t.TempDir())
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
}

func TestTraceMiB(t *testing.T) {
	t.Parallel()
	inv, err := hosts.ParseInventory([]byte("hosts: {a: {local: true}, b: {local: true, trace_mib: 0}, c: {local: true, trace_mib: 2}}"), "hosts.yaml")
	require.NoError(t, err)
	for name, want := range map[string]int64{"a": 64 << 20, "b": 0, "c": 2 << 20} {
		e, err := inv.Host(name)
		require.NoError(t, err)
		require.Equal(t, want, e.MaxTrace())
	}
}

func TestInventoryMergeKeys(t *testing.T) {
	t.Parallel()
	const text = "hosts:\n  a: &base\n    ssh: x\n    device: cpu\n  b:\n    <<: *base\n    ssh: y\n"
	inv, err := hosts.ParseInventory([]byte(text), "hosts.yaml")
	require.NoError(t, err)
	require.Equal(t, "y", inv.Hosts["b"].SSH)
	require.Equal(t, hosts.DeviceCPU, inv.Hosts["b"].Device)
}

func TestInventoryHost(t *testing.T) {
	t.Parallel()
	inv, err := hosts.ReadInventory(filepath.Join("testdata", "hosts.yaml"))
	require.NoError(t, err)
	e, err := inv.Host("h100b")
	require.NoError(t, err)
	require.Equal(t, "ops@h100b.example.org:2222", e.SSH)
	_, err = inv.Host("h10a")
	f, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, fault.NotFound, f.Code)
	require.Equal(t, []string{"h100a", "h100b", "here"}, f.Want)
	require.Equal(t, []string{`did you mean "h100a"?`}, f.Hints)
}

func TestCores(t *testing.T) {
	t.Parallel()
	inv, err := hosts.ParseInventory([]byte("hosts: {a: {local: true, device: cpu, cores: [2, 0]}, b: {local: true, device: cpu, cores: []}}"), "hosts.yaml")
	require.NoError(t, err)
	require.Equal(t, []int{2, 0}, inv.Hosts["a"].Cores)
	require.Empty(t, inv.Hosts["b"].Cores)
	raw, err := json.Marshal(inv.Hosts["b"])
	require.NoError(t, err)
	require.NotContains(t, string(raw), "cores", "the digest of an entry that names none is what it was")
}

func TestTheDocumentedCPUHost(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "docs", "HOSTS.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(raw), "```yaml\n")
	require.True(t, found)
	example, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	inv, err := hosts.ParseInventory([]byte(example), "docs/HOSTS.md")
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3}, inv.Hosts["epyc"].Cores)
}

func TestHostDigest(t *testing.T) {
	t.Parallel()
	parse := func(text string) hosts.HostEntry {
		inv, err := hosts.ParseInventory([]byte(text), "hosts.yaml")
		require.NoError(t, err)
		return inv.Hosts["a"]
	}
	plain := parse("hosts: {a: {ssh: x, env: {A: b, C: d}}}")
	require.Regexp(t, "^[0-9a-f]{64}$", plain.Digest())
	same := parse("hosts:\n  a: # the same\n    env: {C: d, A: b}\n    device: cuda\n    ssh: x\n")
	require.Equal(t, plain.Digest(), same.Digest())
	for _, other := range []string{
		"hosts: {a: {ssh: y, env: {A: b, C: d}}}", "hosts: {a: {ssh: x, env: {A: b, C: e}}}", "hosts: {a: {ssh: x, gpus: [0], env: {A: b, C: d}}}",
	} {
		require.NotEqual(t, plain.Digest(), parse(other).Digest(), other)
	}
}

// badInventories are defects with the place and the words of their message. Those that are marked are beyond a schema.
var badInventories = []struct {
	name, text, place, message string
	hint                       string
	want                       []string
	beyondSchema               bool
}{
	{name: "unknown top key", text: "host: {}\n", place: "1:1", message: `unknown key "host" in the hosts file`, hint: `did you mean "hosts"?`, want: []string{"hosts"}},
	{name: "unknown host key", text: "hosts:\n  a:\n    ssh: x\n    wrkdir: ~/y\n", place: "4:5", message: `unknown key "wrkdir" in host a`, hint: `did you mean "workdir"?`},
	{name: "unknown engine key", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, vnev: ~/v}\n", place: "5:23", message: `unknown key "vnev" in engine e`, hint: `did you mean "venv"?`},
	{name: "unknown engine type", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: sglng, venv: ~/v}\n", place: "5:17", message: `unknown engine type "sglng"`, hint: `did you mean "sglang"?`, want: []string{"sglang", "vllm", "tensorrt_llm", "tokenspeed"}},
	{name: "no engine type", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {venv: ~/v}\n", place: "5:7", message: `engine "e" has no type`},
	{name: "unknown device", text: "hosts:\n  a:\n    ssh: x\n    device: cudo\n", place: "4:13", message: `unknown device "cudo"`, hint: `did you mean "cuda"?`, want: []string{"cuda", "cpu"}},
	{name: "hosts is a list", text: "hosts:\n  - a\n", place: "2:3", message: "hosts must be a mapping, not a list"},
	{name: "root is text", text: "hosts\n", place: "1:1", message: "the hosts file must be a mapping, not a text"},
	{name: "host is text", text: "hosts:\n  a: x\n", place: "2:6", message: "host a must be a mapping, not a text"},
	{name: "host is nothing", text: "hosts:\n  a:\n", place: "2:6", message: "host a must be a mapping, not nothing"},
	{name: "ssh is a number", text: "hosts:\n  a:\n    ssh: 10\n", place: "3:10", message: "ssh must be text, not a number"},
	{name: "local is text", text: "hosts:\n  a:\n    local: yes please\n", place: "3:12", message: "local must be true or false, not a text"},
	{name: "gpus is a number", text: "hosts:\n  a:\n    ssh: x\n    gpus: 0\n", place: "4:11", message: "gpus must be a list, not a number"},
	{name: "gpu is text", text: "hosts:\n  a:\n    ssh: x\n    gpus: [0, one]\n", place: "4:15", message: "gpus must be a list of numbers, not a text"},
	{name: "gpu is negative", text: "hosts:\n  a:\n    ssh: x\n    gpus: [-1]\n", place: "4:12", message: `gpus "-1" is not a number from 0 to 1023`},
	{name: "gpu twice", text: "hosts:\n  a:\n    ssh: x\n    gpus: [0, 1, 0]\n", place: "4:18", message: "gpus 0 is listed twice"},
	{name: "gpus without cuda", text: "hosts:\n  a:\n    ssh: x\n    device: cpu\n    gpus: [0]\n", place: "2:3", message: `host "a" lists gpus but its device is "cpu"`},
	{name: "cores without cpu", text: "hosts:\n  a:\n    ssh: x\n    cores: [0]\n", place: "2:3", message: `host "a" lists cores but its device is "cuda"`, hint: "name gpus instead, or set device: cpu"},
	{name: "cores is a number", text: "hosts:\n  a:\n    ssh: x\n    device: cpu\n    cores: 2\n", place: "5:12", message: "cores must be a list, not a number"},
	{name: "core is text", text: "hosts:\n  a:\n    ssh: x\n    device: cpu\n    cores: [0-3]\n", place: "5:13", message: "cores must be a list of numbers, not a text"},
	{name: "core twice", text: "hosts:\n  a:\n    ssh: x\n    device: cpu\n    cores: [1, 1]\n", place: "5:16", message: "cores 1 is listed twice"},
	{name: "trace_mib is text", text: "hosts:\n  a:\n    ssh: x\n    trace_mib: much\n", place: "4:16", message: "trace_mib must be a number, not a text"},
	{name: "trace_mib below", text: "hosts:\n  a:\n    ssh: x\n    trace_mib: -1\n", place: "4:16", message: `trace_mib "-1" is not a number from 0 to 1048576`},
	{name: "receipt key is a file", text: "hosts:\n  a:\n    ssh: x\n    receipt_key: ~/.ssh/id.pub\n", place: "4:18", message: `receipt_key "~/.ssh/id.pub" is not a public key`},
	{name: "receipt key with options", text: "hosts:\n  a:\n    ssh: x\n    receipt_key: restrict ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n", place: "4:18", message: "is not a public key"},
	{name: "receipt key of rubbish", text: "hosts:\n  a:\n    ssh: x\n    receipt_key: ssh-ed25519 AAAA\n", place: "4:18", message: "is not a public key", beyondSchema: true},
	{name: "core beyond", text: "hosts:\n  a:\n    ssh: x\n    device: cpu\n    cores: [1024]\n", place: "5:13", message: `cores "1024" is not a number from 0 to 1023`},
	{name: "neither ssh nor local", text: "hosts:\n  a:\n    device: cpu\n", place: "2:3", message: `host "a" says neither`},
	{name: "both ssh and local", text: "hosts:\n  a:\n    ssh: x\n    local: true\n", place: "2:3", message: `host "a" has both`},
	{name: "option as destination", text: "hosts:\n  a:\n    ssh: -oProxyCommand=id\n", place: "3:10", message: `ssh "-oProxyCommand=id" begins with a dash`},
	{name: "shell as destination", text: "hosts:\n  a:\n    ssh: x$(id)\n", place: "3:10", message: "has a character that no user or host has", beyondSchema: true},
	{name: "port of destination", text: "hosts:\n  a:\n    ssh: x:99999\n", place: "3:10", message: "has a port that is not a number from 1 to 65535", beyondSchema: true},
	{name: "name of host", text: "hosts:\n  a b:\n    ssh: x\n", place: "2:3", message: `"a b" in hosts is not a name`},
	{name: "name of engine", text: "hosts:\n  a:\n    ssh: x\n    engines: {../e: {type: vllm, venv: ~/v}}\n", place: "4:15", message: `"../e" in engines is not a name`},
	{name: "relative path", text: "hosts:\n  a:\n    ssh: x\n    workdir: sotaloop\n", place: "4:14", message: `workdir "sotaloop" is not a path`},
	{name: "another's home", text: "hosts:\n  a:\n    ssh: x\n    workdir: ~bob/x\n", place: "4:14", message: `workdir "~bob/x" is not a path`},
	{name: "control character", text: "hosts:\n  a:\n    ssh: x\n    workdir: \"/a\\nb\"\n", place: "4:14", message: "has a control character"},
	{name: "model path", text: "hosts:\n  a:\n    ssh: x\n    models: {m: m}\n", place: "4:17", message: `m of models "m" is not a path`},
	{name: "variable name", text: "hosts:\n  a:\n    ssh: x\n    env: {A-B: c}\n", place: "4:11", message: `"A-B" in env is not the name`},
	{name: "variable value", text: "hosts:\n  a:\n    ssh: x\n    env: {A: [c]}\n", place: "4:14", message: "A must be text, not a list"},
	{name: "secret value", text: "hosts:\n  a:\n    ssh: x\n    env: {HF_TOKEN: hf_abc}\n", place: "4:11", message: `"HF_TOKEN" in env looks like a secret`},
	{name: "secret assignment", text: "hosts:\n  a:\n    ssh: x\n    secrets: [HF_TOKEN=hf_abc]\n", place: "4:15", message: "is not the name of an environment variable"},
	{name: "secret and public", text: "hosts:\n  a:\n    ssh: x\n    env: {A: b}\n    secrets: [A]\n", place: "2:3", message: "is both a secret and in env", beyondSchema: true},
	{name: "image by tag", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, image: vllm:latest}\n", place: "5:30", message: `image "vllm:latest" is not pinned`},
	{name: "two places", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, venv: ~/v, command: /c}\n", place: "5:7", message: "needs exactly one of venv, image and command, not 2"},
	{name: "no place", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm}\n", place: "5:7", message: "needs exactly one of venv, image and command, not 0"},
	{name: "package outside", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, venv: ~/v, checkout: ~/c, package_root: ../p}\n", place: "5:63", message: "is not a folder inside the checkout", beyondSchema: true},
	{name: "package without checkout", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, venv: ~/v, package_root: p}\n", place: "5:7", message: "has a package_root but no checkout"},
	{name: "import name", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, venv: ~/v, import_name: \"a;b\"}\n", place: "5:47", message: "is not the name of a Python package"},
	{name: "another test runner", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, venv: ~/v, test_runner: [make, test]}\n", place: "5:7", message: `has test_runner ["make" "test"]`, beyondSchema: true},
	{name: "test runner is text", text: "hosts:\n  a:\n    ssh: x\n    engines:\n      e: {type: vllm, venv: ~/v, test_runner: pytest -q}\n", place: "5:47", message: "test_runner must be a list, not a text"},
	{name: "duplicate key", text: "hosts:\n  a:\n    ssh: x\n    ssh: y\n", place: "4:5", message: "not YAML: mapping key \"ssh\" already defined", beyondSchema: true},
	{name: "not closed", text: "hosts:\n  a: {ssh: x\n", place: "2:6", message: "not YAML", beyondSchema: true},
	{name: "tab", text: "hosts:\n\ta: {ssh: x}\n", place: "2:1", message: "not YAML", beyondSchema: true},
	{name: "two documents", text: "hosts: {}\n---\nhosts: {}\n", place: "3:1", message: "a second document begins here", beyondSchema: true},
	{name: "alias of nothing", text: "hosts:\n  a: *b\n", place: "2:6", message: "host a must be a mapping, not nothing", beyondSchema: true},
	{name: "merge of itself", text: "hosts: &h\n  <<: *h\n", place: "2:7", message: "a merge key needs a mapping, and at most 3", beyondSchema: true},
	{name: "the first of two", text: "hosts:\n  a:\n    shs: x\n  b:\n    device: y\n", place: "3:5", message: `unknown key "shs"`, hint: "fix this one first; 1 more found"},
}

func TestParseInventoryRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range badInventories {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := hosts.ParseInventory([]byte(c.text), "conf/hosts.yaml")
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, fault.InvalidInput, f.Code)
			require.Equal(t, "conf/hosts.yaml:"+c.place, f.Field, f.Message)
			require.Contains(t, f.Message, c.message)
			require.True(t, strings.HasPrefix(f.Message, f.Field+": "))
			if c.hint != "" {
				require.Contains(t, f.Hints, c.hint)
			}
			if c.want != nil {
				require.Equal(t, c.want, f.Want)
			}
		})
	}
}

func FuzzParseInventory(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("testdata", "hosts.yaml"))
	require.NoError(f, err)
	f.Add(example)
	for _, c := range badInventories {
		f.Add([]byte(c.text))
	}
	f.Add([]byte("a: &a {b: *a}\nhosts: *a\n"))
	f.Add([]byte("hosts: &h\n  <<: *h\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := hosts.ParseInventory(data, "f")
		if err == nil {
			for _, name := range inv.Names() {
				_ = inv.Hosts[name].Digest()
			}
			return
		}
		ft, ok := fault.As(err)
		require.True(t, ok)
		require.Regexp(t, `^f:\d+:\d+$`, ft.Field)
	})
}
