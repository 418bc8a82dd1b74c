package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/sim"
)

// profile captures both sides and reads the tables.
func (a *agent) profile(ctx context.Context, _ *demoWorld) error {
	for _, fw := range []string{"sglang", "vllm"} {
		best, err := a.best(ctx, fw)
		if err != nil {
			return err
		}
		a.show.call("capture_profile %s", best)
		traces, err := a.job(ctx, "capture_profile", map[string]any{"candidate": best, "scenario": "chat"})
		if err != nil {
			return err
		}
		for _, t := range traces.list("traces") {
			a.show.note("%s: %s of %s, rank %.0f, %s", t.text("trace"), t.text("stage"), t.text("candidate"), t.number("rank"), clipLine(t.text("digest"), 17))
		}
		if fw == "sglang" {
			a.show.call("capture_profile %s mapping: true (CUDA graphs off, for source locations only)", best)
			if _, err := a.job(ctx, "capture_profile", map[string]any{"candidate": best, "scenario": "chat", "mapping": true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// traceOf finds a side's trace of a stage.
func (a *agent) traceOf(ctx context.Context, fw, stage string) (string, error) {
	out, err := a.call(ctx, "get_campaign", map[string]any{"section": "traces"})
	if err != nil {
		return "", err
	}
	for _, t := range out.list("items") {
		if strings.HasPrefix(t.text("candidate"), fw+"-") && t.text("stage") == stage && t["mapping"] != true {
			return t.text("trace"), nil
		}
	}
	return "", fmt.Errorf("no %s trace of %s", stage, fw)
}

// patch reads the decode tables, proposes the patch on their rows, has it approved and applies it.
func (a *agent) patch(ctx context.Context, w *demoWorld) error {
	mine, err := a.traceOf(ctx, "sglang", "decode")
	if err != nil {
		return err
	}
	theirs, err := a.traceOf(ctx, "vllm", "decode")
	if err != nil {
		return err
	}
	a.show.call("analyze_trace %s, and its diff against %s", mine, theirs)
	table, err := a.job(ctx, "analyze_trace", map[string]any{"trace": mine, "stage": "decode"})
	if err != nil {
		return err
	}
	if _, err := a.job(ctx, "analyze_trace", map[string]any{"trace": mine, "against": theirs, "stage": "decode"}); err != nil {
		return err
	}
	rows, location, share := a.evidence(table)
	if len(rows) == 0 {
		return fmt.Errorf("no decode row was launched from %s: %v", sim.SwitchFile, table["rows"])
	}
	gain := 1/(1-0.8*share) - 1
	a.show.note("%d rows, %.1f %% of decode, come from %s; vLLM runs one fused kernel there", len(rows), 100*share, location)
	args := map[string]any{
		"diff": string(sim.DemoPatch()), "rows": rows, "stage": "decode", "location": location, "symptom": map[string]any{"scenario": "chat", "metric": "tpot_ms"},
		"predicted_gain": gain, "tests": []string{"test/srt/test_fused_norm_rope.py"}, "rationale": "Fuse the query/key norms with the rotary embedding: five small launches a layer become one.",
	}
	if err := a.cheat(ctx, "a patch that edits the benchmark client", "propose_patch", withTerm(without(args, "diff"), "diff", harnessPatch())); err != nil {
		return err
	}
	a.show.call("propose_patch: predicted gain %.1f %%", 100*gain)
	proposal, err := a.call(ctx, "propose_patch", args)
	if err != nil {
		return err
	}
	id := proposal.text("proposal")
	if err := a.cheat(ctx, "applying it before a human approved", "apply_patch_branch", map[string]any{"proposal": id}); err != nil {
		return err
	}
	a.show.title("a human decides (here: the demo's throwaway key)")
	if err := w.sign(ctx, a.show, a.campaign, id); err != nil {
		return err
	}
	if _, err := a.wait(ctx, proposal.text("job")); err != nil {
		return err
	}
	a.show.call("apply_patch_branch %s", id)
	branch, err := a.call(ctx, "apply_patch_branch", map[string]any{"proposal": id})
	if err != nil {
		return err
	}
	a.result.Branch = branch.text("branch")
	a.show.note("branch %s, commit %s", branch.text("branch"), clipLine(branch.text("commit"), 13))
	return nil
}

// evidence picks the rows of the table that were launched from the file with the switch.
func (a *agent) evidence(table answer) (rows []string, location string, share float64) {
	for _, r := range table.list("rows") {
		places, _ := r["locations"].([]any)
		if len(places) == 0 {
			continue
		}
		place, _ := places[0].(string)
		path, _, _ := strings.Cut(place, " ")
		if file, _, _ := strings.Cut(path, ":"); strings.HasSuffix(sim.SwitchFile, file) {
			rows, share = append(rows, r.text("id")), share+r.number("share")
			if location == "" {
				location = path
			}
		}
	}
	return rows, location, share
}

func without(args map[string]any, key string) map[string]any {
	out := map[string]any{}
	for k, v := range args {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// harnessPatch adds a benchmark client of its own beside the real change.
func harnessPatch() string {
	return string(sim.DemoPatch()) + `--- /dev/null
+++ b/python/sglang/bench_serving.py
@@ -0,0 +1,1 @@
+REQUESTS = 8
`
}
