//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// protect puts a real sshd with the gate as its forced command before the world's host, and gives the public key of its
// receipts. The keys lie where the test can read them; that they are another account's is what no test here can show.
func (w *world) protect(gate ...string) (receiptKey string) {
	w.t.Helper()
	client := hoststest.NewClient(w.t)
	key := filepath.Join(w.t.TempDir(), "receipts")
	receiptKey = privateKey(w.t, key)
	workdir := filepath.Join(w.layout.Home, "sotaloop")
	line := append([]string{w.programs.plain, "worker", "gate", "--workdir", workdir, "--lease-dir", filepath.Join(w.layout.Home, "leases"), "--models", w.layout.ModelsDir,
		"--engine", "sglang=" + w.layout.Engines["sglang"].Venv, "--engine", "vllm=" + w.layout.Engines["vllm"].Venv, "--receipt-key", key}, gate...)
	sshd := hoststest.NewOpenSSH(w.t, client.Public, "SetEnv HOME="+w.layout.Home+" PATH="+w.layout.Bin+":"+os.Getenv("PATH"), "ForceCommand "+strings.Join(line, " "))
	client.Know(sshd.Addr, sshd.Key)
	host, port, err := net.SplitHostPort(sshd.Addr)
	require.NoError(w.t, err)
	me, err := user.Current()
	require.NoError(w.t, err)
	w.write("ssh_config", fmt.Sprintf("Host gated\n  HostName %s\n  Port %s\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n",
		host, port, me.Username, client.File("id_ed25519")))
	known, err := os.ReadFile(client.File("known_hosts"))
	require.NoError(w.t, err)
	w.write("known_hosts", string(known))
	raw, err := os.ReadFile(w.config("hosts.yaml"))
	require.NoError(w.t, err)
	text := strings.Replace(string(raw), "ssh: "+w.layout.Alias, "ssh: gated", 1)
	w.write("hosts.yaml", strings.Replace(text, "workdir: ~/sotaloop", "workdir: "+workdir+"\n    receipt_key: "+receiptKey, 1))
	return receiptKey
}

// verifyHost is `sotaloop verify --require host` with a hosts file.
func (w *world) verifyHost(path, file string) (string, error) {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "hosts")
	require.NoError(w.t, os.WriteFile(name, []byte(file), 0o600))
	out, err := exec.Command(w.programs.plain, "verify", path, "--hosts", name, "--require", "host").CombinedOutput() //nolint:noctx // the test's time limit ends it
	return string(out), err
}

// TestAProtectedHostSignsForACampaign plays a look on a simulated host behind a real sshd whose key reaches the gate alone.
func TestAProtectedHostSignsForACampaign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	key := w.protect()
	a, _ := w.stdioAgent(server.Era2026)
	terms := w.terms()
	terms["study"] = "look"
	delete(terms, "max_blocks")
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	a.measured(nil, 2, "sglang", "vllm-00")
	require.Contains(t, a.call("get_campaign", nil).at("summary").text("host_level"), "host: protected (every measured row")
	a.call("write_report", nil)
	text, err := os.ReadFile(filepath.Join(a.runDir, "final_report.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "host: protected (every measured row has a receipt by SHA256:")

	out, err := w.verifyHost(a.runDir, "gpu-host namespaces=\"sotaloop-receipt\" "+key+"\n")
	require.NoError(t, err, out)
	require.Contains(t, out, "a key of gpu-host")
	out, err = w.verifyHost(a.runDir, "gpu-host namespaces=\"sotaloop-receipt\" "+privateKey(t, filepath.Join(t.TempDir(), "other"))+"\n")
	require.Error(t, err)
	require.Contains(t, out, "which nobody vouches for")

	// The attacker has the run directory, the server's account and its key, and not the host's.
	names, err := filepath.Glob(filepath.Join(a.runDir, "benchmark", "receipts", "*.events.jsonl"))
	require.NoError(t, err)
	require.Len(t, names, 1)
	raw, err := os.ReadFile(names[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(names[0], []byte(strings.Replace(string(raw), `"kind":"point.done"`, `"kind":"point.gone"`, 1)), 0o600))
	out, err = w.verifyHost(a.runDir, "gpu-host "+key+"\n")
	require.Error(t, err)
	require.Contains(t, out, "was changed")
	require.NoError(t, os.WriteFile(names[0], raw, 0o600))

	// A campaign under a key of the attacker's own gets no receipt that counts.
	hosts, err := os.ReadFile(w.config("hosts.yaml"))
	require.NoError(t, err)
	w.write("hosts.yaml", strings.Replace(string(hosts), key, privateKey(t, filepath.Join(t.TempDir(), "mine")), 1))
	a.campaign = ""
	opened = a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	a.measured(nil, 2, "sglang", "vllm-00")
	require.Contains(t, fmt.Sprint(a.call("get_campaign", nil).at("summary")), "host: unprotected (its account signed no receipt)")
	a.call("write_report", nil)
	out, err = w.verifyHost(a.runDir, "gpu-host "+key+"\n")
	require.Error(t, err)
	require.Contains(t, out, "lacks what was required: host: its account signed for nothing")
}
