//go:build linux

package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

// TestClients has clients by others play a whole campaign each: both lines of the official TypeScript SDK, one an era, and
// MCP Inspector's command line, which starts a server for each call. SOTALOOP_CLIENTS is the folder where make clients
// installed them.
func TestClients(t *testing.T) {
	dir := os.Getenv("SOTALOOP_CLIENTS")
	if dir == "" {
		t.Skip("SOTALOOP_CLIENTS does not name installed clients: run make clients")
	}
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen: the engineer could not sign")
	}
	node, err := filepath.Glob(filepath.Join(dir, "node_modules", "node-*", "bin", "node"))
	require.NoError(t, err)
	require.Len(t, node, 1, "the Node that comes with the clients")
	for _, script := range []string{"sdk.mjs", "client.mjs", "inspector.mjs"} {
		t.Run(script, func(t *testing.T) {
			w := newWorld(t, sim.Config{GPUs: 1})
			began := time.Now()
			cmd := exec.CommandContext(t.Context(), node[0], filepath.Join(dir, script), w.forClients())
			cmd.Env = w.environ()
			out, err := cmd.Output()
			require.NoError(t, err, "%s\n%s", out, stderrOf(err))
			t.Logf("%s: %.1f s\n%s", script, time.Since(began).Seconds(), out)
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			var got answer
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &got))
			require.Equal(t, "loss", got.text("before"))
			require.NotEqual(t, "loss", got.text("after"))
			require.Greater(t, got.number("measured"), 0.2)
			a := &agent{t: t, w: w, campaign: got.text("campaign"), runDir: got.text("run_dir")}
			a.verified(w)
			led := readLedger(t, a.runDir)
			led.nothingTwice(t, w)
			require.Len(t, led["approval.recorded"], 1)
			require.Len(t, led["report.written"], 1)
		})
	}
}

// stderrOf is what a program that failed said.
func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
		return string(e.Stderr)
	}
	return ""
}

// forClients writes what a script needs to know of the world, and gives the file.
func (w *world) forClients() string {
	w.t.Helper()
	folder := w.t.TempDir()
	raw, err := json.Marshal(map[string]any{
		"server":  []string{w.programs.server, "serve", "--home", w.home, "--worker-dir", w.programs.workers},
		"program": w.programs.plain, "home": w.home, "folder": folder, "key": w.key, "principal": approver,
		"terms": w.terms(), "spaces": map[string]any{"sglang": spaces("sglang"), "vllm": spaces("vllm")},
		"diff": string(sim.DemoPatch()), "file": sim.SwitchFile,
	})
	require.NoError(w.t, err)
	file := filepath.Join(folder, "world.json")
	require.NoError(w.t, os.WriteFile(file, raw, 0o600))
	return file
}
