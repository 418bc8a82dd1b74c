//go:build linux

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// Every client brings its own server. Two on one home, one over HTTP and one over stdio, in both eras, are one product:
// a call of either is the same job, one of them runs it, and the other takes over when that one is killed.
func TestTwoServersOnOneHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	runner, client := w.serveHTTP(server.Era2026)
	a := &agent{t: t, w: w, client: client}
	b, _ := w.stdioAgent(server.Era2025)
	a.open(w, w.terms())
	b.campaign, b.runDir = a.campaign, a.runDir

	flags := map[string]any{"framework": "sglang"}
	require.Equal(t, a.call("list_flags", flags).text("job"), b.call("list_flags", flags).text("job"))
	best := a.search(straight)
	require.Equal(t, best, b.search(straight), "the other server answers from the same ledger")

	blocks := map[string]any{"candidates": []string{best["sglang"], best["vllm"]}, "blocks": 6}
	job := a.call("run_benchmark", blocks).text("job")
	require.Equal(t, job, b.call("run_benchmark", blocks).text("job"))
	w.happens("launch.started .block-1")
	a.until(job, func(out answer) bool { return out.text("doing") != "" })
	require.Empty(t, b.call("wait_job", map[string]any{"job": job, "timeout_s": 1}).text("doing"), "only the runner knows what the job is doing")
	b.refused("cancel_job", map[string]any{"job": job, "reason": "I am impatient"}, "busy", "another server")

	runner.kill()
	b.until(job, func(out answer) bool { return out.text("doing") != "" || out.text("state") != "running" })

	_, a.client = w.serveHTTP(server.Era2025)
	require.Equal(t, job, a.call("run_benchmark", blocks).text("job"))
	require.Equal(t, b.measure(straight, best), a.measure(straight, best))
	require.Equal(t, "loss", a.call("write_report", nil).text("verdict"))
	a.verified(w)
	led := readLedger(t, a.runDir)
	led.nothingTwice(t, w)
	require.Equal(t, map[string]int{"search": 4, "block": 12}, led.count("launch.ended", "phase"))
	require.Len(t, led["verdict.taken"], 1)
}

// Two people's homes give their campaigns the same names and share an account on one host: neither meets the other.
func TestTwoHomesOnOneHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	other := *w
	other.home = t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(other.home, "config"), os.DirFS(filepath.Join(w.home, "config"))))
	var agents []*agent
	for gpu, home := range []*world{w, &other} {
		a, _ := home.stdioAgent(server.Era2026)
		terms := w.terms()
		terms["study"], terms["gpus"] = "look", []int{gpu}
		delete(terms, "max_blocks")
		a.open(home, terms)
		for _, entry := range []string{"sglang", "vllm"} {
			a.job("list_flags", map[string]any{"framework": entry})
		}
		agents = append(agents, a)
	}
	require.Equal(t, agents[0].campaign, agents[1].campaign)
	blocks := map[string]any{"candidates": []string{"sglang-00", "vllm-00"}}
	for _, a := range agents {
		a.call("run_benchmark", blocks)
	}
	for _, a := range agents {
		require.Len(t, a.job("run_benchmark", blocks).list("rows"), 4)
		led := readLedger(t, a.runDir)
		led.nothingTwice(t, w)
		require.Equal(t, map[string]int{"ok": 4}, led.count("launch.ended", "state"))
	}
}
