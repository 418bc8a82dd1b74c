//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// An A/A on request: sixteen launches of candidate 0, which a later contract of the same host plans with.
func TestAnAAOfTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{GPUs: 1})
	a, _ := w.stdioAgent(server.Era2026)
	serve := "python -m sglang.launch_server --model-path " + w.layout.ModelPath + " --port 30000"
	terms := w.terms()
	terms["study"], terms["commands"] = "ab", map[string]any{"sglang": serve, "vllm": "vllm serve " + w.layout.ModelPath}
	delete(terms, "budget_launches")
	terms["plan"] = true
	require.Contains(t, fmt.Sprint(a.call("open_campaign", terms)["warnings"]), "no A/A of this host is known")
	delete(terms, "plan")
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	for _, side := range []string{"sglang", "vllm"} {
		a.job("list_flags", map[string]any{"framework": side})
	}
	found := a.job("run_benchmark", map[string]any{"aa": true}).list("aa")
	require.Len(t, found, 1)
	require.EqualValues(t, 8, found[0]["pairs"])
	require.Greater(t, found[0]["sd"], 0.0)
	led := readLedger(t, a.runDir)
	led.nothingTwice(t, w)
	require.Equal(t, 16, led.count("launch.ended", "phase")["aa"])
	a.call("write_report", nil)
	report, err := os.ReadFile(filepath.Join(a.runDir, "final_report.md"))
	require.NoError(t, err)
	require.Contains(t, string(report), "A/A of this campaign (chat, ")
	a.verified(w)

	measured := a.campaign
	terms["plan"], a.campaign = true, ""
	again := a.call("open_campaign", terms)
	require.Contains(t, fmt.Sprint(again["warnings"]), "A/A of 8 pairs in "+measured)
}
