//go:build linux

package e2e_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/sim"
)

// approver is the engineer's name in allowed_signers.
const approver = "engineer"

// world is one home with its simulated host behind SSH, a checkout, and an engineer with a throwaway key.
type world struct {
	t        *testing.T
	programs programs
	home     string
	checkout string
	key      string // the engineer's private key file
	host     *sim.Host
	layout   sim.Layout
	door     *door // between the client and the host's SSH server
}

// newWorld lays a world out; at its end nothing of it may run any more.
func newWorld(t *testing.T, config sim.Config) *world {
	t.Helper()
	w := &world{t: t, programs: needPrograms(t), home: t.TempDir()}
	t.Cleanup(w.ended)
	w.checkout, w.key = filepath.Join(w.home, "checkout", "sglang"), filepath.Join(w.home, "engineer_ed25519")
	for _, dir := range []string{"config", "checkout", "user", "race"} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.home, dir), 0o700))
	}
	commit, err := gitops.Create(w.checkout, sim.SourceFiles(), "Import the simulated SGLang source", time.Now())
	require.NoError(t, err)
	w.host, err = sim.New(filepath.Join(w.home, "simhost"), sim.Options{
		Binary: w.programs.plain, Engines: []string{"sglang", "vllm"}, Commit: commit, Source: w.checkout, Config: config})
	require.NoError(t, err)
	w.layout = w.host.Layout()
	addr, err := w.host.ServeSSH(context.Background())
	require.NoError(t, err)
	w.door = newDoor(t, addr)
	w.writeSSH()
	w.writeKey()
	w.writeHosts("")
	return w
}

// config gives the path of a file of the home's configuration.
func (w *world) config(name string) string { return filepath.Join(w.home, "config", name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(w.config(name), []byte(text), 0o600))
}

// writeSSH points the client at the door instead of the host's own port.
func (w *world) writeSSH() {
	w.t.Helper()
	for name, from := range map[string]string{"ssh_config": w.layout.SSHConfig, "known_hosts": w.layout.KnownHosts} {
		raw, err := os.ReadFile(from)
		require.NoError(w.t, err)
		text := strings.ReplaceAll(string(raw), w.layout.KnownHosts, w.config("known_hosts"))
		text = strings.ReplaceAll(text, "Port "+w.door.backPort(), "Port "+w.door.port())
		w.write(name, strings.ReplaceAll(text, "]:"+w.door.backPort()+" ", "]:"+w.door.port()+" "))
	}
}

// writeKey makes the engineer's key and allows it to approve.
func (w *world) writeKey() {
	w.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(w.t, err)
	block, err := ssh.MarshalPrivateKey(key, approver)
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(w.key, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(w.t, err)
	w.write("allowed_signers", fmt.Sprintf("%s namespaces=%q %s", approver, gitops.NamespaceApproval, ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// writeHosts writes hosts.yaml; more is put below the engines.
func (w *world) writeHosts(more string) {
	w.t.Helper()
	c, err := w.host.Config()
	require.NoError(w.t, err)
	var gpus []string
	for i := range c.GPUs {
		gpus = append(gpus, fmt.Sprint(i))
	}
	w.write("hosts.yaml", fmt.Sprintf(`hosts:
  simhost:
    ssh: %s
    device: cuda
    gpus: [%s]
    workdir: ~/sotaloop
    lease_dir: %q
    models:
      %s: %q
    engines:
      sglang: {type: sglang, venv: %q, checkout: %q, package_root: python/sglang, import_name: sglang}
      vllm: {type: vllm, venv: %q}
%s`, w.layout.Alias, strings.Join(gpus, ", "), filepath.Join(w.layout.Home, "leases"), w.model(), w.layout.ModelPath,
		w.layout.Engines["sglang"].Venv, w.checkout, w.layout.Engines["vllm"].Venv, more))
}

// keepTraces makes the host keep every trace, however small.
func (w *world) keepTraces() {
	w.t.Helper()
	raw, err := os.ReadFile(w.config("hosts.yaml"))
	require.NoError(w.t, err)
	w.write("hosts.yaml", strings.Replace(string(raw), "    device: cuda\n", "    device: cuda\n    trace_mib: 0\n", 1))
}

func (w *world) model() string { return filepath.Base(w.layout.ModelPath) }

// terms are a small contract: one scenario, one comparison framework, the fewest blocks that can decide. The verdict is
// about a median, which a busy machine's stalls do not move.
func (w *world) terms() map[string]any {
	return map[string]any{
		"model": w.model(), "host": "simhost", "target": "sglang", "against": []string{"vllm"}, "gpus": []int{0}, "max_blocks": 6, "budget_launches": 2,
		"scenarios": []map[string]any{{"name": "chat", "input_len": 64, "output_len": 12, "max_concurrency": 4, "num_prompts": 32, "warmup_waves": 1, "primary": "p50_tpot_ms"}},
		"sla":       map[string]any{"max_p50_ttft_ms": 500, "max_p50_tpot_ms": 100, "min_success_rate": 0.99},
	}
}

// ended checks what a world leaves behind: no process, no data race. What is left is ended by its process id.
func (w *world) ended() {
	left := w.strays(time.Minute)
	for _, p := range left {
		p.end()
	}
	if w.host != nil {
		require.NoError(w.t, w.host.Close())
	}
	races, err := filepath.Glob(filepath.Join(w.home, "race", "*"))
	require.NoError(w.t, err)
	for _, r := range races {
		raw, err := os.ReadFile(r)
		require.NoError(w.t, err)
		w.t.Errorf("a server raced:\n%s", raw)
	}
	require.Empty(w.t, left, "processes of the home or its host still run")
}

// strangersKey is a known_hosts file in which the host has another key.
func (w *world) strangersKey(known string) string {
	w.t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(w.t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(w.t, err)
	return strings.Fields(known)[0] + " " + string(ssh.MarshalAuthorizedKey(key))
}
