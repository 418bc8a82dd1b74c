//go:build linux

package e2e_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// open looks at the host and freezes the terms.
func (a *agent) open(w *world, terms map[string]any) {
	a.t.Helper()
	hosts := a.call("list_hosts", map[string]any{"refresh": true}).list("hosts")
	require.Len(a.t, hosts, 1)
	require.Equal(a.t, "ok", hosts[0].text("state"), "%s", hosts[0])
	require.Contains(a.t, hosts[0].list("gpus")[0].text("name"), "simulated")
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	require.NotEmpty(a.t, a.campaign)
}

// spaces are what each side's search may try: a knob that costs SGLang nothing, and one that does not fit into memory.
func spaces(entry string) map[string]any {
	if entry == "vllm" {
		return map[string]any{"framework": entry, "space": map[string]any{"max-num-batched-tokens": []any{2097152}}}
	}
	return map[string]any{"framework": entry, "space": map[string]any{"max-running-requests": []any{64}}}
}

// play is how an agent gets a job's result: straight, or with a server that dies at events on the host.
type play func(a *agent, tool string, args map[string]any, events ...string) answer

func straight(a *agent, tool string, args map[string]any, _ ...string) answer {
	a.t.Helper()
	return a.job(tool, args)
}

func dying(a *agent, tool string, args map[string]any, events ...string) answer {
	a.t.Helper()
	if tool == "list_flags" { // usually answers at once
		return a.killedAsking(tool, args, events[0])
	}
	return a.killed(tool, args, events...)
}

// search captures flags, searches both sides and gives the best candidate of each.
func (a *agent) search(do play) (best map[string]string) {
	a.t.Helper()
	best = map[string]string{}
	for _, entry := range []string{"sglang", "vllm"} {
		flags := do(a, "list_flags", map[string]any{"framework": entry, "match": "attention"}, `"args":{"entry":"`+entry+`"`)
		require.NotEmpty(a.t, flags.list("flags"))
		require.NotEmpty(a.t, flags.text("version"))
	}
	for _, entry := range []string{"sglang", "vllm"} {
		found := do(a, "search_deployments", spaces(entry), "launch.started "+entry+"-00.search")
		require.Len(a.t, found.list("candidates"), 2, "%s", found)
		best[entry] = found.text("best")
		require.NotEmpty(a.t, best[entry])
	}
	kept := a.call("search_deployments", spaces("vllm")).list("candidates")[1]
	require.Equal(a.t, "oom", kept.text("status"))
	require.Contains(a.t, kept.text("reason"), "exited")
	return best
}

// measure runs the blocks and takes the verdict.
func (a *agent) measure(do play, best map[string]string) answer {
	a.t.Helper()
	args := map[string]any{"candidates": []string{best["sglang"], best["vllm"]}, "blocks": 6}
	bench := do(a, "run_benchmark", args, "launch.started .block-0", "launch.ready .block-2", "point.done .block-5")
	require.Len(a.t, bench.list("rows"), 12)
	verdicts := a.call("compare_results", nil).list("verdicts")
	require.Len(a.t, verdicts, 1)
	require.Equal(a.t, "loss", verdicts[0].text("verdict"), "%s", verdicts[0])
	require.InDelta(a.t, 1.4, verdicts[0].number("ratio"), 0.15)
	return verdicts[0]
}

// profile captures both sides and the target's mapping.
func (a *agent) profile(do play, best map[string]string) {
	a.t.Helper()
	require.Len(a.t, do(a, "capture_profile", map[string]any{"candidate": best["sglang"], "scenario": "chat"}, "launch.started .profile", "capture.done /prefill").list("traces"), 2)
	require.Len(a.t, a.job("capture_profile", map[string]any{"candidate": best["sglang"], "scenario": "chat", "mapping": true}).list("traces"), 2)
	require.Len(a.t, do(a, "capture_profile", map[string]any{"candidate": best["vllm"], "scenario": "chat"}, "launch.started vllm-00.profile").list("traces"), 2)
}

// trace finds a side's trace of a stage.
func (a *agent) trace(candidate, stage string) string {
	a.t.Helper()
	for _, t := range a.call("get_campaign", map[string]any{"section": "traces"}).list("items") {
		if t.text("candidate") == candidate && t.text("stage") == stage && t["mapping"] != true {
			return t.text("trace")
		}
	}
	a.t.Fatalf("no %s trace of %s", stage, candidate)
	return ""
}

// evidence reads the decode tables and makes a proposal that cites the rows launched from the file with the switch.
func (a *agent) evidence(best map[string]string) map[string]any {
	a.t.Helper()
	mine, theirs := a.trace(best["sglang"], "decode"), a.trace(best["vllm"], "decode")
	table := a.job("analyze_trace", map[string]any{"trace": mine, "stage": "decode"})
	require.NotEmpty(a.t, a.job("analyze_trace", map[string]any{"trace": mine, "against": theirs, "stage": "decode"}).list("rows"))
	var rows []string
	location, share := "", 0.0
	for _, r := range table.list("rows") {
		places, _ := r["locations"].([]any)
		if len(places) == 0 {
			continue
		}
		place, _ := places[0].(string)
		path, _, _ := strings.Cut(place, " ")
		if file, _, _ := strings.Cut(path, ":"); strings.HasSuffix(sim.SwitchFile, file) {
			rows, location, share = append(rows, r.text("id")), path, share+r.number("share")
		}
	}
	require.NotEmpty(a.t, rows, "no decode row was launched from %s: %s", sim.SwitchFile, table)
	return map[string]any{
		"diff": string(sim.DemoPatch()), "rows": rows, "stage": "decode", "location": location, "symptom": map[string]any{"scenario": "chat", "metric": "tpot_ms"},
		"predicted_gain": 1/(1-0.8*share) - 1, "tests": []string{"test/srt/test_fused_norm_rope.py"}, "rationale": "Fuse the query/key norms with the rotary embedding.",
	}
}

// finish revalidates, reports and has the run directory verified by the program a stranger would use.
func (a *agent) finish(do play, w *world) {
	a.t.Helper()
	reval := do(a, "revalidate", map[string]any{"proposal": "patch-1"}, "launch.started .patched-0", "launch.stopped .base-2", "point.done .patched-5")
	require.Equal(a.t, "win", reval.text("verdict"), "%s", reval)
	require.Equal(a.t, "equal", reval.text("outputs_equal"), "%s", reval)
	require.Greater(a.t, reval.number("measured"), 0.2)
	require.Equal(a.t, "3 passed, 0 failed, 0 skipped with the patch, by a simulated interpreter", reval.text("tests"))
	report := a.call("write_report", nil)
	require.NotEqual(a.t, "loss", report.text("verdict"), "the patch closes the gap; whether it also wins is within a busy machine's noise")
	require.Contains(a.t, report.text("claim"), "simulated")
	a.verified(w)
}

// verified checks the run directory offline.
func (a *agent) verified(w *world) {
	a.t.Helper()
	out, code := w.cli("verify", a.runDir, "--approvers", w.config("allowed_signers"))
	require.Zero(a.t, code, "%s", out)
}

// checkLedger checks that the whole campaign is in the ledger, once.
func (a *agent) checkLedger(w *world) {
	a.t.Helper()
	led := readLedger(a.t, a.runDir)
	led.nothingTwice(a.t, w)
	require.Equal(a.t, map[string]int{"search": 4, "block": 12, "profile": 4, "revalidate": 18}, led.count("launch.ended", "phase"))
	require.Equal(a.t, map[string]int{"preflight search": 2, "main search": 4, "main block": 12, "main revalidate": 18, "unseen revalidate": 12, "equality revalidate": 4}, led.rows())
	require.Len(a.t, led["trace.captured"], 8)
	require.Len(a.t, led["verdict.taken"], 4)
	require.Len(a.t, led["approval.recorded"], 1)
	require.Len(a.t, led["branch.created"], 1)
	require.Len(a.t, led["report.written"], 1)
}

// cheat makes calls that must be refused before a patch is proposed; none of them leaves anything but its refusal.
func (a *agent) cheat(args map[string]any) {
	a.t.Helper()
	with := func(key string, value any) map[string]any {
		out := maps.Clone(args)
		out[key] = value
		return out
	}
	a.refused("analyze_trace", map[string]any{"trace": "trace-99"}, "trace-99", "trace-1")
	a.refused("analyze_trace", map[string]any{"trace": "trace-1", "against": "trace-98"}, "trace-98", "trace-1")
	a.refused("analyze_trace", map[string]any{"trace": "trace-1", "table": "stack"}, "stack", "kernel")
	a.refused("propose_patch", with("diff", "this is no diff\n"), "diff")
	a.refused("propose_patch", with("diff", strings.Replace(string(sim.DemoPatch()), "@@ -", "@@ -9", 1)), "diff")
	a.refused("propose_patch", with("diff", strings.ReplaceAll(string(sim.DemoPatch()), "fused_norm_rope.py", "no_such_file.py")), "no_such_file.py")
	a.refused("propose_patch", with("rows", []string{"kernel:decode:1@0000000000000000"}), "evid.row-known", "kernel:decode:1@0000000000000000")
	a.refused("propose_patch", with("diff", string(sim.DemoPatch())+"--- /dev/null\n+++ b/python/sglang/bench_serving.py\n@@ -0,0 +1,1 @@\n+REQUESTS = 8\n"), "patch.harness-untouched")
	a.refused("apply_patch_branch", map[string]any{"proposal": "patch-1"}, "patch-1")
	a.refused("revalidate", map[string]any{"proposal": "patch-1"}, "patch-1")
	require.Empty(a.t, a.call("get_campaign", nil).list("proposals"))
}

func TestCampaignWithHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	w.keepTraces()
	a, _ := w.stdioAgent(server.Era2025)
	a.open(w, w.terms())
	best := a.search(straight)
	a.measure(straight, best)
	a.profile(straight, best)
	args := a.evidence(best)
	a.cheat(args)
	proposal := a.call("propose_patch", args)
	require.Equal(t, "patch-1", proposal.text("proposal"))
	shown := w.approve(a.campaign, "patch-1")
	require.Contains(t, shown, "ENABLE_FUSED_QK_NORM_ROPE")
	require.Contains(t, shown, "loss against vllm")
	require.Equal(t, "done", a.until(proposal.text("job"), func(out answer) bool { return out.text("state") != "waiting_for_human" }).text("state"))
	require.NotEmpty(t, a.call("apply_patch_branch", map[string]any{"proposal": "patch-1"}).text("commit"))
	a.finish(straight, w)
	a.checkLedger(w)
	a.tracesStayed(w)
}

// tracesStayed checks that traces were analysed where they lie, and that their tables are said not to be recomputed.
func (a *agent) tracesStayed(w *world) {
	a.t.Helper()
	fetched, err := filepath.Glob(filepath.Join(a.runDir, "profiles", "*", "*", "*"))
	require.NoError(a.t, err)
	require.Empty(a.t, fetched)
	for _, c := range a.call("get_campaign", map[string]any{"section": "traces"}).list("items") {
		require.Equal(a.t, true, c["on_host"], "%s", c)
	}
	out, _ := w.cli("verify", a.runDir, "--approvers", w.config("allowed_signers"))
	require.Contains(a.t, out, "kept on its host, sha256 ")
	for _, t := range readLedger(a.t, a.runDir)["trace.captured"] {
		tables, err := os.ReadFile(filepath.Join(a.runDir, "analysis", t.text("id")+".json"))
		if err == nil { // those that nobody asked for have none
			require.NotContains(a.t, string(tables), w.layout.Home)
		}
	}
}

func TestCampaignWhoseServerIsKilledInEveryPhase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	a, p := w.stdioAgent(server.Era2026)
	a.open(w, w.terms())
	best := a.search(dying)
	a.measure(dying, best)
	a.profile(dying, best)
	args := a.evidence(best)
	proposal := a.call("propose_patch", args)
	// The person decides while no server runs; the proposal does not need one to wait.
	p.kill()
	w.approve(a.campaign, "patch-1")
	a.client = a.restart()
	require.Equal(t, proposal.text("job"), a.call("propose_patch", args).text("job"))
	require.Equal(t, "done", a.until(proposal.text("job"), func(out answer) bool { return out.text("state") != "waiting_for_human" }).text("state"))
	commit := a.call("apply_patch_branch", map[string]any{"proposal": "patch-1"}).text("commit")
	a.client = a.restart()
	require.Equal(t, commit, a.call("apply_patch_branch", map[string]any{"proposal": "patch-1"}).text("commit"), "applied once")
	a.finish(dying, w)
	a.checkLedger(w)
}
