package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/tools"
)

const (
	fuzzCampaign = "20261123_tiny_sota_loop"
	binaryDigest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	inventory    = `hosts:
  gpu:
    ssh: gpu
    device: cuda
    gpus: [0]
    workdir: ~/sotaloop
    lease_dir: /var/lock/sotaloop
    models: {tiny: /models/tiny}
    engines:
      sglang: {type: sglang, venv: ~/venvs/sglang}
      vllm: {type: vllm, venv: ~/venvs/vllm}
`
)

// watched is a host that records what it is asked to run and which paths it is asked for.
type watched struct {
	mu   sync.Mutex
	argv []string
}

func (w *watched) saw(words ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.argv = append(w.argv, words...)
}

// Run implements hosts.Conn.
func (w *watched) Run(_ context.Context, c hosts.Cmd) (hosts.Result, error) {
	w.saw(append([]string{c.Dir, fmt.Sprint(c.Env)}, c.Argv...)...)
	var answer any
	switch {
	case c.Argv[0] == "nvidia-smi" && strings.HasPrefix(c.Argv[1], "--query-gpu"):
		return hosts.Result{Stdout: []byte("0, GPU-0, NVIDIA H100 80GB HBM3, 570.1, 0, 4, 81559, 1980\n")}, nil
	case c.Argv[0] == "uname":
		return hosts.Result{Stdout: []byte("x86_64\n")}, nil
	case c.Argv[0] == "nvidia-smi":
		return hosts.Result{}, nil
	case len(c.Argv) == 3 && c.Argv[2] == worker.VerbProbe:
		answer = worker.Facts{BootID: "b007", Now: time.Now(), Engines: map[string]string{"sglang": "", "vllm": ""}, Models: map[string]worker.Model{
			"tiny": {Path: "/models/tiny", Identity: "1d", Config: `{"vocab_size": 32000, "max_position_embeddings": 40960}`}}}
	case len(c.Argv) == 3 && c.Argv[2] == worker.VerbQuery:
		answer = map[string]any{"out": "0.5.1\n  --tp-size N  parallel size\n", "err": "", "exit": 0, "timed_out": false}
	case len(c.Argv) == 3 && c.Argv[1] == "worker":
		raw, err := json.Marshal(map[string]any{"v": 1, "fault": worker.Refusal{Code: fault.HostUnreachable, Message: "nothing runs here"}})
		return hosts.Result{Stdout: raw}, err
	default:
		return hosts.Result{Stdout: []byte("/home/me/sotaloop/bin\n" + binaryDigest + "  -\n")}, nil
	}
	raw, err := json.Marshal(map[string]any{"v": 1, "answer": answer})
	return hosts.Result{Stdout: raw}, err
}

// Start implements hosts.Conn.
func (w *watched) Start(_ context.Context, c hosts.Cmd) (int, error) {
	w.saw(c.Argv...)
	return 0, fs.ErrInvalid
}

// Upload implements hosts.Conn.
func (w *watched) Upload(_ context.Context, _ io.Reader, dst string, _ fs.FileMode) error {
	w.saw(dst)
	return fs.ErrInvalid
}

// Download implements hosts.Conn.
func (w *watched) Download(_ context.Context, path string, _ io.Writer) error {
	w.saw(path)
	return fs.ErrNotExist
}

// Close implements hosts.Conn.
func (w *watched) Close() error { return nil }

// fuzzed is a server with one campaign, open and with a failed and a working candidate, on a watched host.
type fuzzed struct {
	server *server.Server
	host   *watched
	root   string // what lies outside of root/home must never appear
}

func newFuzzed(t testing.TB) *fuzzed {
	t.Helper()
	f := &fuzzed{host: &watched{}, root: t.TempDir()}
	home := filepath.Join(f.root, "home")
	slots := 2
	c := &contract.Contract{
		Kind: contract.Kind, V: contract.Version, Campaign: fuzzCampaign, Study: contract.StudySOTA, Created: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		Model: contract.Model{ID: "tiny", Path: "/models/tiny", Vocabulary: 32000}, Precision: "auto", KVDtype: "auto", Endpoint: "/v1/completions", Delta: 0.03, Seed: 42,
		Host:   contract.Host{Name: "gpu", Device: "cuda", GPUs: []int{0}, GPUModel: "H100"},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 20, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalClosed,
			MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "output_token_throughput"}},
		Blocks: contract.Blocks{Max: 12, Looks: []int{8, 12}, Comparisons: 1}, Budget: contract.Budget{Launches: 10}, Assumed: []string{}, Cost: []contract.Cost{},
	}
	frozen, digest, err := c.Freeze()
	require.NoError(t, err)
	pending := func(kind string, payload any) chain.Pending {
		raw, err := json.Marshal(payload)
		require.NoError(t, err)
		return chain.Pending{Kind: kind, Payload: raw}
	}
	dir := filepath.Join(home, "runs", fuzzCampaign)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	file, err := os.Create(filepath.Join(dir, ledger.ChainFile))
	require.NoError(t, err)
	_, err = chain.Write(file, c.Created, pending("contract.frozen", loop.ContractFrozen{Contract: frozen, Digest: digest}),
		pending("candidate.added", loop.CandidateAdded{ID: "vllm-00", Entry: "vllm", Flags: map[string]any{}, Knobs: map[string]any{}}),
		pending("candidate.added", loop.CandidateAdded{ID: "sglang-00", Entry: "sglang", Flags: map[string]any{}, Knobs: map[string]any{}}))
	require.NoError(t, err)
	require.NoError(t, file.Close())

	ctx, cancel := context.WithCancel(context.Background())
	l := loop.New(ctx, loop.Options{
		Home:      home,
		Inventory: func() (*hosts.Inventory, error) { return hosts.ParseInventory([]byte(inventory), "hosts.yaml") },
		Dial:      func(context.Context, string, hosts.HostEntry) (hosts.Conn, error) { return f.host, nil },
		Binary:    loop.WorkerBinary{Digest: func(string) (string, error) { return binaryDigest, nil }},
		Approvers: func() ([]byte, error) { return nil, nil }, ApproveCommand: "sotaloop approve %s %s", Version: "0.0.0-test", Log: slog.New(slog.DiscardHandler),
		Report: func(loop.ReportInput) (map[string][]byte, error) { return map[string][]byte{}, nil },
	})
	t.Cleanup(func() { cancel(); l.Close() })
	f.server = server.New(server.Options{Name: "sotaloop", Version: "1", Tools: tools.All(l), ValidateOutput: true})
	return f
}

// call gives the line that answers a call.
func (f *fuzzed) call(t testing.TB, tool string, raw []byte) string {
	t.Helper()
	in := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`+"\n", tool, raw)
	var out bytes.Buffer
	require.NoError(t, f.server.ServeStdio(t.Context(), bytes.NewReader(in), &out))
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "one answer")
	require.NotContains(t, out.String(), `\"code\":\"internal\"`, "%s %s", tool, raw)
	return out.String()
}

// untouched wants no word of the caller on a command line or as a path on the host, and no file outside the home.
func (f *fuzzed) untouched(t testing.TB, mark string) {
	t.Helper()
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	for _, word := range f.host.argv {
		require.NotContains(t, word, mark)
	}
	entries, err := os.ReadDir(f.root)
	require.NoError(t, err)
	require.Len(t, entries, 1, "something was written outside the home")
}

const nastyMark = "zzq"

// nasties are texts that some parser on the way might take for more than a text.
func nasties(root string) []string {
	out := []string{
		"zzq; touch " + root + "/owned #", "$(touch " + root + "/owned)zzq", "`touch " + root + "/owned`zzq", "zzq\ntouch " + root + "/owned\n", "zzq' && touch " + root + "/owned '",
		"--zzq", "-oProxyCommand=touch " + root + "/owned;zzq", "-zzq", "../../../../zzq", "/zzq/../etc/passwd", root + "/zzq", "~root/zzq", "..\\..\\zzq", "%2e%2e%2fzzq", "zzq%s%n%d",
		"\x00zzq", "zzq\x1b[2J", "\u202ezzq", "zzq\u2028", "\U000e0041zzq", "zzq/.git/hooks/post-checkout", "refs/heads/zzq..lock", "zzq@{upstream}", "HEAD^{zzq}", "file:///zzq", "http://169.254.169.254/zzq",
		"${zzq}", "{{.zzq}}", "zzq*?[a]", "zzq|cat", "zzq>x", "CON.zzq", strings.Repeat("zzq", 30_000),
	}
	return out
}

// TestNastyTextsInEveryField puts each of them in every text of every tool, all other fields honest.
func TestNastyTextsInEveryField(t *testing.T) {
	t.Parallel()
	f := newFuzzed(t)
	calls := 0
	for _, tool := range tools.All(nil) {
		honest := map[string]any{}
		fields := reflect.VisibleFields(tool.In)
		for _, field := range fields {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch name {
			case "campaign":
				honest[name] = fuzzCampaign
			case "framework":
				honest[name] = "vllm"
			case "model":
				honest[name] = "tiny"
			case "host":
				honest[name] = "gpu"
			case "sla":
				honest[name] = "none"
			}
		}
		for _, field := range fields {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			for i, text := range nasties(f.root) {
				args := map[string]any{}
				for k, v := range honest {
					args[k] = v
				}
				switch field.Type.Kind() {
				case reflect.String:
					args[name] = text
				case reflect.Slice:
					args[name] = []any{text}
				case reflect.Map:
					args[name] = map[string]any{text: text}
					if i%2 == 1 {
						args[name] = map[string]any{"vllm": []any{text}}
					}
				case reflect.Struct:
					args[name] = map[string]any{"scenario": text, "metric": text, "name": text}
				default:
					continue
				}
				raw, err := json.Marshal(args)
				require.NoError(t, err)
				f.call(t, tool.Name, raw)
				calls++
			}
		}
	}
	f.untouched(t, nastyMark)
	t.Logf("%d calls of %d tools, no word of theirs on a command line", calls, len(tools.All(nil)))
	require.Greater(t, calls, 1000)
}

func FuzzToolArguments(f *testing.F) {
	all := tools.Names(tools.All(nil))
	for i := range all {
		f.Add(i, []byte(`{"campaign":"`+fuzzCampaign+`","framework":"vllm","base_flags":{"--x":"$(touch zzq)"},"space":{"tp-size":[1,"--zzq"]},"diff":"--- a/zzq\n+++ b/../zzq\n","candidates":["../zzq"]}`))
		f.Add(i, []byte(`{"model":"tiny","host":"gpu","sla":"none","plan":true,"scenarios":[{"name":"../zzq","input_len":1e9}],"commands":{"vllm":"vllm serve; zzq"}}`))
	}
	for i := range all { // slips that are coerced carry no word past what checks it
		f.Add(i, []byte(`{"campaign":["`+fuzzCampaign+`"],"framework":"vllm ","base_flags":"{\"--x\":\"$(touch zzq)\"}","space":"{\"tp-size\":[\"--zzq\"]}","rows":"[\"zzq; touch /x\"]","symptom":"{\"scenario\":\"../zzq\",\"metric\":\"zzq\"}"}`))
	}
	w := newFuzzed(f)
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		if !json.Valid(raw) || bytes.ContainsAny(raw, "\r\n") {
			return
		}
		w.call(t, all[uint(which)%uint(len(all))], raw)
		w.untouched(t, nastyMark)
	})
}
