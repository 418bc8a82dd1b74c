//go:build linux

package e2e_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// Where the slowdown of e2e/cpu/plant.py shows: the agent is not told, the test checks that the evidence led there.
const (
	plantedFile = "python/sglang/srt/layers/attention/torch_native_backend.py"
	plantedFunc = "_run_sdpa_forward_decode"
)

// cpuTerms are the terms of every campaign on real engines: prompts and outputs short enough for a CPU, four at a time.
func cpuTerms() map[string]any {
	return map[string]any{
		"model": cpuModel, "host": "cpu", "target": "sglang", "against": []string{"vllm"}, "max_blocks": 8, "budget_launches": 4, "max_context": 2048,
		"scenarios": []map[string]any{{"name": "chat", "input_len": 128, "output_len": 32, "max_concurrency": 4, "num_prompts": 64, "warmup_waves": 20}},
		"sla":       map[string]any{"max_p50_ttft_ms": 2000, "max_p50_tpot_ms": 500, "min_success_rate": 0.99},
	}
}

// cpuSpaces are knobs that a CPU host has a use for.
func cpuSpaces(entry string) map[string]any {
	if entry == "vllm" {
		return map[string]any{"max-num-seqs": []any{2, 16}, "max-num-batched-tokens": []any{128, 512}, "async-scheduling": []any{true}}
	}
	return map[string]any{"max-running-requests": []any{2, 16}, "chunked-prefill-size": []any{64, 512}, "num-continuous-decode-steps": []any{4}}
}

// A whole campaign on two real engines by tool calls only: what it measured is the field report.
func TestCPUCampaign(t *testing.T) {
	w, dir := newCPUWorld(t, "campaign")
	a, _ := w.stdioAgent(server.Era2026)
	a.patience = time.Hour
	seen := a.call("list_hosts", map[string]any{"refresh": true}).list("hosts")
	require.Equal(t, "ok", seen[0].text("state"), "%s", seen[0])
	terms := cpuTerms()
	terms["key"] = "field"
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	best := map[string]string{}
	for _, entry := range []string{"sglang", "vllm"} {
		require.NotEmpty(t, a.job("list_flags", map[string]any{"framework": entry}).text("version"))
	}
	for _, entry := range []string{"sglang", "vllm"} {
		found := a.job("search_deployments", map[string]any{"framework": entry, "space": cpuSpaces(entry)})
		require.Len(t, found.list("candidates"), 4, "%s", found)
		best[entry] = found.text("best")
		t.Logf("best of %s: %s", entry, found)
	}
	require.Len(t, a.job("run_benchmark", map[string]any{"candidates": []string{best["sglang"], best["vllm"]}, "blocks": 8}).list("rows"), 16)
	verdict := a.call("compare_results", nil).list("verdicts")[0]
	require.Equal(t, "loss", verdict.text("verdict"), "the slowdown was planted so that SGLang loses: %s", verdict)
	for _, entry := range []string{"sglang", "vllm"} {
		require.Len(t, a.job("capture_profile", map[string]any{"candidate": best[entry], "scenario": "chat"}).list("traces"), 2)
	}
	args, tables := a.cpuEvidence(w, best)
	proposal := a.call("propose_patch", args)
	if len(readLedger(t, a.runDir)["approval.recorded"]) == 0 {
		w.approve(a.campaign, "patch-1")
	}
	require.Equal(t, "done", a.until(proposal.text("job"), func(out answer) bool { return out.text("state") != "waiting_for_human" }).text("state"))
	require.NotEmpty(t, a.call("apply_patch_branch", map[string]any{"proposal": "patch-1"}).text("commit"))
	reval := a.job("revalidate", map[string]any{"proposal": "patch-1", "blocks": 8})
	require.Equal(t, "win", reval.text("verdict"), "%s", reval)
	require.Equal(t, "equal", reval.text("outputs_equal"), "%s", reval)
	report := a.call("write_report", nil)
	require.Contains(t, report.text("claim"), "CPU")
	verified, code := w.cli("verify", a.runDir, "--approvers", w.config("allowed_signers"))
	require.Zero(t, code, "%s", verified)
	keep(t, dir, "campaign", map[string]any{"run_dir": a.runDir, "best": best, "tables": tables, "verified": verified, "verdict": verdict, "proposal": args, "revalidation": reval, "report": report})
}

// cpuEvidence reads the decode tables of both sides, their diff, and makes a proposal on the row that stands out: the most
// expensive one beside the matrix products and attention kernels that every engine needs.
func (a *agent) cpuEvidence(w *world, best map[string]string) (proposal map[string]any, tables map[string][]answer) {
	a.t.Helper()
	mine, theirs := a.trace(best["sglang"], "decode"), a.trace(best["vllm"], "decode")
	table := a.job("analyze_trace", map[string]any{"trace": mine, "stage": "decode"})
	tables = map[string][]answer{
		"sglang": table.list("rows"), "vllm": a.job("analyze_trace", map[string]any{"trace": theirs, "stage": "decode"}).list("rows"),
		"diff": a.job("analyze_trace", map[string]any{"trace": mine, "against": theirs, "table": "diff", "stage": "decode"}).list("rows"),
	}
	require.NotEmpty(a.t, tables["diff"])
	var row answer
	for _, r := range table.list("rows") {
		if kind := r.text("category"); kind != "gemm" && kind != "attention" {
			row = r
			break
		}
	}
	require.NotEmpty(a.t, row, "%s", table)
	places, _ := row["locations"].([]any)
	require.NotEmpty(a.t, places, "%s", row)
	place, _ := places[0].(string)
	location, function, _ := strings.Cut(place, " ")
	file, _, _ := strings.Cut(location, ":")
	require.Equal(a.t, plantedFile, file, "the evidence leads elsewhere: %s", table)
	require.Contains(a.t, function, plantedFunc)
	// What remains of a step, as profiled, against a step as measured without the profiler: a cautious prediction, since
	// the profiler slows what remains. Of the gather the context stays that a request really has.
	remains := a.stepWithout(mine, row.number("total_us")*(1-float64(128+16)/2048))
	return map[string]any{
		"diff": undo(a.t, w.checkout), "rows": []string{row.text("id")}, "stage": "decode", "location": location,
		"symptom":        map[string]any{"scenario": "chat", "metric": "tpot_ms"},
		"predicted_gain": a.blockMedian("sglang", "p50_tpot_ms")/remains - 1,
		"rationale":      "The decode gathers the keys and values of the whole row of the token table and cuts out the request's own afterwards: gather those only.",
	}, tables
}

// stepWithout gives the wall time of a decode step in milliseconds without so many microseconds of the whole stage, from
// the trace's stored tables.
func (a *agent) stepWithout(trace string, us float64) float64 {
	a.t.Helper()
	tables := readJSON[struct {
		Stages []struct {
			Stage  string  `json:"stage"`
			Steps  int     `json:"steps"`
			WallUS float64 `json:"wall_us"`
		} `json:"stages"`
	}](a.t, filepath.Join(a.runDir, "analysis", trace+".json"))
	for _, s := range tables.Stages {
		if s.Stage == "decode" && s.Steps > 0 {
			return (s.WallUS - us) / 1000 / float64(s.Steps)
		}
	}
	a.t.Fatalf("%s counts no decode steps", trace)
	return 0
}

// blockMedian is the median of a metric over a side's blocks.
func (a *agent) blockMedian(side, metric string) float64 {
	a.t.Helper()
	values := a.blockFigures(side, metric)
	require.NotEmpty(a.t, values, "%s of %s", metric, side)
	return median(values)
}

// blockFigures gives a metric of each block of a side, in the blocks' order.
func (a *agent) blockFigures(side, metric string) (values []float64) {
	a.t.Helper()
	for _, r := range readLines[answer](a.t, filepath.Join(a.runDir, "benchmark", "candidates.jsonl")) {
		if r.text("side") == side && r.text("phase") == "block" {
			values = append(values, r.at("metrics").number(metric))
		}
	}
	return values
}

// undo is the diff that takes the checkout's last commit back.
func undo(t *testing.T, checkout string) string {
	t.Helper()
	raw, err := exec.CommandContext(t.Context(), "git", "-C", checkout, "diff", "main", "main~1").Output()
	require.NoError(t, err)
	return string(raw)
}

// median is the middle value, or the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
