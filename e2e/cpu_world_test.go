//go:build linux

package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sotaloop/sotaloop/hosts/hoststest"
)

// enginesVariable names the folder that e2e/cpu/setup.py filled; without it the tests on real engines are skipped.
const enginesVariable = "SOTALOOP_CPU"

// cpuModel is the tiny model's id on the host.
const cpuModel = "tiny-qwen3"

// newCPUWorld is a home whose host is this machine behind a real SSH server, with the real engines of dir. The home stays
// between runs, so that an interrupted campaign goes on: every call of it is answered from the ledger where it was made.
func newCPUWorld(t *testing.T, name string) (w *world, dir string) {
	t.Helper()
	dir = os.Getenv(enginesVariable)
	if dir == "" {
		t.Skip("real engines: set " + enginesVariable + " to the folder of e2e/cpu/setup.py (make e2e-cpu)")
	}
	w = &world{t: t, programs: needPrograms(t), home: filepath.Join(dir, "home", name)}
	t.Cleanup(w.ended)
	w.checkout, w.key = filepath.Join(dir, "src", "sglang"), filepath.Join(w.home, "engineer_ed25519")
	for _, sub := range []string{"config", "user", "race", "leases"} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.home, sub), 0o700))
	}
	if _, err := os.Stat(w.key); err != nil {
		w.writeKey()
	}
	w.writeOpenSSH()
	w.write("hosts.yaml", fmt.Sprintf(`hosts:
  cpu:
    ssh: cpu
    device: cpu
    cores: [0]
    workdir: %q
    lease_dir: %q
    models:
      %s: %q
    engines:
      sglang: {type: sglang, venv: %q, checkout: %q, package_root: python/sglang, import_name: sglang}
      sglang-again: {type: sglang, venv: %q, checkout: %q, package_root: python/sglang, import_name: sglang}
      vllm: {type: vllm, venv: %q}
`, filepath.Join(w.home, "work"), filepath.Join(w.home, "leases"), cpuModel, filepath.Join(dir, "model"),
		filepath.Join(dir, "sglang"), w.checkout, filepath.Join(dir, "sglang"), w.checkout, filepath.Join(dir, "vllm")))
	return w, dir
}

// writeOpenSSH starts an SSH server for this run and points the client's configuration at it.
func (w *world) writeOpenSSH() {
	w.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(w.t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(w.config("login_key"), pem.EncodeToMemory(block), 0o600))
	accept, err := ssh.NewPublicKey(public)
	require.NoError(w.t, err)
	sshd := hoststest.NewOpenSSH(w.t, accept)
	name, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(w.t, err)
	w.write("ssh_config", fmt.Sprintf("Host cpu\n  HostName %s\n  Port %s\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n",
		name, port, login(), w.config("login_key"), w.config("known_hosts")))
	w.write("known_hosts", knownhosts.Line([]string{sshd.Addr}, sshd.Key)+"\n")
}

func login() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "root"
}

// keep writes what a test found beside the engines, for the field report.
func keep(t *testing.T, dir, name string, v any) {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "results"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "results", name+".json"), append(raw, '\n'), 0o644))
}
