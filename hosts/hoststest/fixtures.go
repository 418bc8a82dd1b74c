//go:build unix

package hoststest

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

// disk is df as an account sees it: everything lies on one large disk.
const disk = `for d do :; done
printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/nvme0n1p2 1000000000 100000000 900000000 10%% /\n'
`

// BareHost is a machine with GPUs, engines in virtual environments, a checkout, a Hugging Face cache and a folder of models.
func (c *Client) BareHost(alias string) *Account {
	c.t.Helper()
	a := c.NewAccount(alias)
	a.Program("df", disk)
	a.Program("stat", "echo xfs\n")
	a.Driver(2, "NVIDIA H100 80GB HBM3", "")
	a.Engine("venvs/sglang", "sglang", "0.5.15.post1", "")
	a.Engine("venvs/vllm", "vllm", "0.26.0", "")
	a.Engine("src/project/.venv", "sglang", "0.5.16.dev7", `{"url":"file://`+a.Home+`/src/sglang/python","dir_info":{"editable":true}}`)
	a.File("src/sglang/.git/HEAD", "ref: refs/heads/main\n", 0o644)
	a.File("src/sglang/.git/refs/heads/main", "0123456789abcdef0123456789abcdef01234567\n", 0o644)
	a.File("src/sglang/python/sglang/__init__.py", "", 0o644)
	a.Engine("venvs/broken", "vllm", "0.25.0", "")
	require.NoError(a.t, os.Remove(filepath.Join(a.Home, "venvs/broken/bin/vllm")))
	a.File(".local/lib/python3.12/site-packages/tokenspeed-0.1.1.dist-info/METADATA", "", 0o644) // of the account, in no environment
	a.File("venvs/plain/pyvenv.cfg", "home = /usr/bin\n", 0o644)                                 // an environment without an engine
	for _, dir := range []string{".cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/abc", "models/Qwen/Qwen3-0.6B", "models/half"} {
		a.File(dir+"/config.json", `{"architectures": ["Qwen3ForCausalLM"]}`, 0o644)
		a.File(dir+"/model-00001-of-00002.safetensors", strings.Repeat("w", 3<<20), 0o644)
	}
	a.File("models/no-model/config.json", `{"dataset": "some"}`, 0o644)
	a.File("models/no-model/rows.safetensors", "w", 0o644)
	index := `{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`
	a.File("models/half/model.safetensors.index.json", index, 0o644)
	return a
}

// DockerHost is a machine with GPUs and nothing but a container engine, which has images of three engines and others.
func (c *Client) DockerHost(alias string) *Account {
	c.t.Helper()
	a := c.NewAccount(alias)
	a.Program("df", disk)
	a.Program("stat", "echo ext2/ext3\n")
	a.Driver(8, "NVIDIA B200", "GPU-0003, 4242, python3, 40960\n")
	id := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	row := func(cells ...string) string { return strings.Join(cells, "\t") + "\n" }
	a.File("docker/images", row("lmsysorg/sglang", "v0.5.16-cu130", id("a"), id("1"), "38.1GB")+
		row("lmsysorg/sglang", "latest", id("a"), id("1"), "38.1GB")+
		row("vllm/vllm-openai", "v0.26.0", id("b"), id("2"), "27GB")+
		row("nvcr.io/nvidia/tensorrt-llm/release", "1.2.1", id("c"), id("3"), "31GB")+
		row("vllm-patched", "dev", "<none>", id("4"), "27GB")+
		row("postgres", "17", id("d"), id("5"), "400MB"), 0o644)
	a.File("docker/labels", row(id("1"), `{"org.opencontainers.image.revision":"fedcba9876543210fedcba9876543210fedcba98","maintainer":"x"}`)+row(id("2"), "null")+
		row(id("3"), `{"org.opencontainers.image.revision":"main; rm -rf /"}`)+row(id("4"), "null"), 0o644)
	a.File("docker/ps", row("serving", "lmsysorg/sglang:latest")+row("db", "postgres:17"), 0o644)
	a.Program("docker", `case "$1 $2" in
"images --digests") cat "$HOME/docker/images" ;;
"image inspect") cat "$HOME/docker/labels" ;;
"ps --format") cat "$HOME/docker/ps" ;;
*) echo "unexpected: $*" >&2; : >"$HOME/docker-was-asked-for-more"; exit 2 ;;
esac
`)
	return a
}

// LoginNode is the machine of a cluster that people log in to: a scheduler, a shared home with an engine, no GPU.
func (c *Client) LoginNode(alias string) *Account {
	c.t.Helper()
	a := c.NewAccount(alias)
	a.Program("df", strings.ReplaceAll(disk, "/dev/nvme0n1p2", "filer:/home"))
	a.Program("stat", "echo nfs\n")
	a.Engine("venvs/vllm", "vllm", "0.26.0", "")
	a.Program("sinfo", `[ "$1" = --noheader ] || exit 2
printf 'gpu*\tup\t2-00:00:00\t16\tgpu:h100:8\ncpu\tup\tinfinite\t4\t(null)\n'
`)
	a.Program("squeue", "exit 2\n")
	return a
}
