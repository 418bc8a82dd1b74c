//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// The highest request rate under the SLA, found anew in every launch of six blocks, decides: an engine that serves four
// requests at a time wins against one that serves them one by one, and the simulator's own step times say which capacity
// that is.
func TestTheHighestRateUnderTheSLA(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		slots    map[string]int
		delta    float64
		verdicts []string
	}{
		{"four slots against one", map[string]int{"sglang-00": 4, "vllm-00": 1}, 0.03, []string{"win"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sim.Config{GPUs: 1, Speed: 5})
			a, _ := w.stdioAgent(server.Era2026)
			a.patience = 15 * time.Minute // a job of twelve launches, each of which searches
			a.call("list_hosts", map[string]any{"refresh": true})
			const out = 16
			terms := w.terms()
			terms["study"], terms["delta"], terms["commands"] = "ab", c.delta, map[string]any{
				"sglang": fmt.Sprintf("python -m sglang.launch_server --model-path %s --max-running-requests %d", w.layout.ModelPath, c.slots["sglang-00"]),
				"vllm":   fmt.Sprintf("vllm serve %s --max-num-seqs %d", w.layout.ModelPath, c.slots["vllm-00"]),
			}
			delete(terms, "budget_launches")
			terms["sla"] = map[string]any{"max_p50_ttft_ms": 60}
			terms["scenarios"] = []map[string]any{{"name": "chat", "input_len": 64, "output_len": out, "warmup_waves": 1,
				"rate_search": map[string]any{"low": 25, "high": 148, "tolerance": 0.25}}}
			opened := a.call("open_campaign", terms)
			a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
			a.measured(nil, 6, "sglang", "vllm-00")

			for _, row := range readLines[answer](t, filepath.Join(a.runDir, "benchmark", "candidates.jsonl")) {
				metrics := row["metrics"].(map[string]any)
				rate, found := metrics["max_rate_under_sla"].(float64)
				require.True(t, found, "%s", row)
				capacity := float64(c.slots[row.text("candidate_id")]) * 1000 / (out * metrics["p50_tpot_ms"].(float64))
				t.Logf("%s: %.1f requests/s, capacity %.1f", row.text("launch_id"), rate, capacity)
				require.Greater(t, rate/capacity, 0.35, "%s: %v requests/s of %v", row.text("launch_id"), rate, capacity)
				require.Less(t, rate/capacity, 1.5, "%s: %v requests/s of %v", row.text("launch_id"), rate, capacity)
			}
			verdicts := a.call("compare_results", nil).list("verdicts")
			require.Len(t, verdicts, 1)
			t.Logf("%s", verdicts[0])
			require.Contains(t, c.verdicts, verdicts[0].text("verdict"), "%s", verdicts[0])
			require.Equal(t, "max_rate_under_sla", verdicts[0].text("metric"))
			a.call("write_report", nil)
			report, err := os.ReadFile(filepath.Join(a.runDir, "final_report.md"))
			require.NoError(t, err)
			require.Contains(t, string(report), "## Highest request rate under the SLA")
			a.verified(w)
			readLedger(t, a.runDir).nothingTwice(t, w)
		})
	}
}
