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

// The highest request rate under the SLA, found anew in every launch: an engine that serves four requests at a time keeps
// up with a higher rate than one that serves them one by one, and the simulator's own step times say which that is.
func TestTheHighestRateUnderTheSLA(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{GPUs: 1, Speed: 5})
	a, _ := w.stdioAgent(server.Era2026)
	a.call("list_hosts", map[string]any{"refresh": true})
	const out = 16
	terms := w.terms()
	terms["study"], terms["commands"] = "look", map[string]any{
		"sglang": "python -m sglang.launch_server --model-path " + w.layout.ModelPath + " --max-running-requests 4",
		"vllm":   "vllm serve " + w.layout.ModelPath + " --max-num-seqs 1",
	}
	delete(terms, "budget_launches")
	delete(terms, "max_blocks")
	terms["sla"] = map[string]any{"max_p50_ttft_ms": 60}
	terms["scenarios"] = []map[string]any{{"name": "chat", "input_len": 64, "output_len": out, "warmup_waves": 1,
		"rate_search": map[string]any{"low": 20, "high": 160, "tolerance": 0.2}}}
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	a.measured(nil, 2, "sglang", "vllm-00")

	slots := map[string]float64{"sglang-00": 4, "vllm-00": 1}
	for _, row := range readLines[answer](t, filepath.Join(a.runDir, "benchmark", "candidates.jsonl")) {
		metrics := row["metrics"].(map[string]any)
		rate, found := metrics["max_rate_under_sla"].(float64)
		require.True(t, found, "%s", row)
		capacity := slots[row.text("candidate_id")] * 1000 / (out * metrics["p50_tpot_ms"].(float64))
		t.Logf("%s: %.1f requests/s, capacity %.1f", row.text("launch_id"), rate, capacity)
		require.Greater(t, rate/capacity, 0.35, "%s: %v requests/s of %v", row.text("launch_id"), rate, capacity)
		require.Less(t, rate/capacity, 1.35, "%s: %v requests/s of %v", row.text("launch_id"), rate, capacity)
	}
	verdicts := a.call("compare_results", nil).list("verdicts")
	require.Len(t, verdicts, 1)
	require.Greater(t, verdicts[0]["ratio"], 1.3, "%s", verdicts[0])
	require.Equal(t, "max_rate_under_sla", verdicts[0].text("metric"))
	a.call("write_report", nil)
	report, err := os.ReadFile(filepath.Join(a.runDir, "final_report.md"))
	require.NoError(t, err)
	require.Contains(t, string(report), "## Highest request rate under the SLA")
	a.verified(w)
	readLedger(t, a.runDir).nothingTwice(t, w)
}
