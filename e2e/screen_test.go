//go:build linux

package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// A search with launches to spare offers the full load only to candidates whose short probes promise something. What was
// screened out stays in the ledger with its probes, and the best is chosen by full rows alone.
func TestASearchIsScreenedByProbes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{GPUs: 1})
	a, _ := w.stdioAgent(server.Era2026)
	a.call("list_hosts", map[string]any{"refresh": true})
	terms := w.terms()
	terms["budget_launches"] = 6
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	require.NotEmpty(t, a.job("list_flags", map[string]any{"framework": "sglang"}).text("version"))
	found := a.job("search_deployments", map[string]any{"framework": "sglang", "space": map[string]any{"max-running-requests": []any{1, 2, 3, 64}}})

	full, screened := map[string]bool{}, map[string]bool{}
	for _, c := range found.list("candidates") {
		_, measured := c["chat"]
		switch c.text("status") {
		case "ok": // in the search, or screened there and raced
			require.True(t, measured, "%s", c)
			full[c.text("candidate")] = true
		case "screened":
			require.False(t, measured, "%s", c)
			require.Contains(t, c.text("reason"), "of the best candidate's")
			screened[c.text("candidate")] = true
		default:
			t.Errorf("%s", c)
		}
	}
	require.True(t, full["sglang-00"], "the shipped default carries the full load")
	require.NotEmpty(t, screened, "%s", found)
	require.True(t, full[found.text("best")])
	probed := map[string]bool{}
	for _, row := range readLines[answer](t, filepath.Join(a.runDir, "benchmark", "candidates.jsonl")) {
		candidate := row.text("candidate_id")
		if row.text("phase") == "race" {
			continue
		}
		switch row["workload"].(map[string]any)["scenario"] {
		case "chat":
			require.True(t, full[candidate], "%s", candidate)
		case "probe.1.chat":
			probed[candidate] = true
		}
	}
	for candidate := range screened {
		require.True(t, probed[candidate], "%s", candidate)
	}
	require.True(t, probed["sglang-00"], "what the others' probes are held against")
	race := found["effort"].(map[string]any)["race"].(map[string]any)
	require.NotEmpty(t, race["winner"])
	require.NotEmpty(t, race["ended"])
	a.verified(w)
	led := readLedger(t, a.runDir)
	led.nothingTwice(t, w)
	require.EqualValues(t, race["launches"], led.count("launch.ended", "phase")["race"], "%s", race)
	require.LessOrEqual(t, race["launches"], race["of"])
	for i, launch := range led["launch.ended"] { // the build's first launch here measured nothing
		require.Equal(t, i == 0, launch["cold"] != nil, "%s", launch)
	}
}
