package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// demoResult is what the demo found, as --json prints it.
type demoResult struct {
	Campaign  string   `json:"campaign"`
	RunDir    string   `json:"run_dir"`
	Report    string   `json:"report"`
	Bundle    string   `json:"bundle"`
	Verdict   string   `json:"verdict"`
	Refusals  []string `json:"refusals"`
	Branch    string   `json:"branch"`
	Predicted float64  `json:"predicted"`
	Measured  float64  `json:"measured"`
}

// agent is the scripted agent: it knows the tools and what answers and refusals tell it, nothing else.
type agent struct {
	client   *server.Client
	show     *stage
	campaign string
	result   demoResult
}

// answer is an answer as the agent reads it.
type answer map[string]any

func (a answer) text(key string) string { s, _ := a[key].(string); return s }

func (a answer) number(key string) float64 { n, _ := a[key].(float64); return n }

func (a answer) list(key string) []answer {
	var out []answer
	items, _ := a[key].([]any)
	for _, x := range items {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// play runs the whole campaign.
func (w *demoWorld) play(ctx context.Context, show *stage, era string) (demoResult, error) {
	self, err := os.Executable()
	if err != nil {
		return demoResult{}, err
	}
	client, err := server.DialStdio(ctx, []string{self, "serve", "--home", w.home}, []string{"SOTALOOP_HOME=" + w.home}, server.DialOptions{Era: era, Name: "sotaloop-demo", Version: version})
	if err != nil {
		return demoResult{}, err
	}
	defer client.Close()
	a := &agent{client: client, show: show}
	show.note("agent: scripted, over stdio, protocol %s", era)
	for _, step := range []func(context.Context, *demoWorld) error{a.open, a.search, a.measure, a.profile, a.patch, a.finish} {
		if err := step(ctx, w); err != nil {
			return a.result, err
		}
	}
	return a.result, nil
}

// call makes one tool call and fails on a refusal.
func (a *agent) call(ctx context.Context, tool string, args map[string]any) (answer, error) {
	out, refusal, err := a.try(ctx, tool, args)
	if err == nil && refusal != nil {
		err = fmt.Errorf("%s refused: %s %s %v", tool, refusal.text("rule"), refusal.text("message"), refusal["hints"])
	}
	return out, err
}

// try makes one tool call; a refusal is an answer too.
func (a *agent) try(ctx context.Context, tool string, args map[string]any) (out, refusal answer, err error) {
	if a.campaign != "" {
		args["campaign"] = a.campaign
	}
	res, err := a.client.Call(ctx, tool, args)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", tool, err)
	}
	if res.IsError {
		err = json.Unmarshal([]byte(res.Text), &refusal)
		return nil, refusal, err
	}
	err = json.Unmarshal(res.Structured, &out)
	return out, nil, err
}

// job calls a tool, waits for its job and calls again for the result, as every answer says to do.
func (a *agent) job(ctx context.Context, tool string, args map[string]any) (answer, error) {
	for {
		out, err := a.call(ctx, tool, args)
		if err != nil || out.text("state") != "running" {
			return out, err
		}
		if _, err := a.wait(ctx, out.text("job")); err != nil {
			return nil, err
		}
	}
}

// wait waits for a job in slices, showing its progress.
func (a *agent) wait(ctx context.Context, job string) (answer, error) {
	cursor := ""
	for {
		args := map[string]any{"job": job, "timeout_s": 1}
		if cursor != "" {
			args["cursor"] = cursor
		}
		out, err := a.call(ctx, "wait_job", args)
		if err != nil {
			return nil, err
		}
		if out.text("state") != "running" && out.text("state") != "waiting_for_human" {
			a.show.end()
			return out, nil
		}
		cursor = out.text("cursor")
		a.show.progress(out.number("progress"), out.text("doing"))
	}
}

// cheat makes a call that must be refused, and keeps the rule.
func (a *agent) cheat(ctx context.Context, what, tool string, args map[string]any) error {
	out, refusal, err := a.try(ctx, tool, args)
	if err != nil {
		return err
	}
	if refusal == nil {
		return fmt.Errorf("the cheat %q was not refused: %v", what, out)
	}
	rule := refusal.text("rule")
	if rule == "" {
		rule = refusal.text("code")
	}
	a.show.refused(what, rule, refusal.text("message"))
	if !slices.Contains(a.result.Refusals, rule) {
		a.result.Refusals = append(a.result.Refusals, rule)
	}
	return nil
}

// open looks at the host and freezes the demo's contract.
func (a *agent) open(ctx context.Context, w *demoWorld) error {
	a.show.call("list_hosts refresh")
	hosts, err := a.call(ctx, "list_hosts", map[string]any{"refresh": true})
	if err != nil {
		return err
	}
	for _, h := range hosts.list("hosts") {
		for _, g := range h.list("gpus") {
			a.show.note("%s: GPU %v %s, driver %s, busy %v", h.text("host"), g["index"], g.text("name"), g.text("driver"), g["busy"])
		}
	}
	terms := map[string]any{
		"model": modelName(w), "host": "simhost", "target": "sglang", "against": []string{"vllm"}, "gpus": []int{0}, "max_blocks": 6, "budget_launches": 3,
		"scenarios": []map[string]any{{"name": "chat", "input_len": 64, "output_len": 16, "max_concurrency": 8, "num_prompts": 40, "warmup_waves": 2}},
		"sla":       map[string]any{"max_p50_ttft_ms": 500, "max_p50_tpot_ms": 100, "min_success_rate": 0.99},
	}
	a.show.call("open_campaign plan: true")
	plan, err := a.call(ctx, "open_campaign", withTerm(terms, "plan", true))
	if err != nil {
		return err
	}
	for _, c := range plan.list("cost") {
		a.show.note("projected: %-10s %3.0f launches, %.4f GPU-hours (%s)", c.text("phase"), c.number("launches"), c.number("gpu_hours"), c.text("source"))
	}
	a.show.note("demo contract: one scenario, one comparison framework, 3 launches a framework, 6 blocks, no race")
	opened, err := a.call(ctx, "open_campaign", terms)
	if err != nil {
		return err
	}
	a.campaign = opened.text("campaign")
	a.result.Campaign, a.result.RunDir = a.campaign, opened.text("run_dir")
	a.show.title("campaign %s, contract %s frozen", a.campaign, opened.text("contract_digest")[:16])
	return nil
}

func modelName(w *demoWorld) string {
	parts := strings.Split(strings.TrimRight(w.layout.ModelPath, "/"), "/")
	return parts[len(parts)-1]
}

func withTerm(terms map[string]any, key string, value any) map[string]any {
	out := map[string]any{key: value}
	for k, v := range terms {
		out[k] = v
	}
	return out
}

// search captures flags and searches both frameworks with the same budget.
func (a *agent) search(ctx context.Context, _ *demoWorld) error {
	for _, fw := range []string{"sglang", "vllm"} {
		a.show.call("list_flags %s", fw)
		flags, err := a.job(ctx, "list_flags", map[string]any{"framework": fw, "match": "attention"})
		if err != nil {
			return err
		}
		a.show.note("%s %s: %.0f flags match, help %s", fw, flags.text("version"), flags.number("total"), clipLine(flags.text("help_digest"), 17))
	}
	if err := a.cheat(ctx, "speculative decoding for SGLang only", "search_deployments", map[string]any{"framework": "sglang", "base_flags": map[string]any{"speculative-algorithm": "EAGLE"}}); err != nil {
		return err
	}
	spaces := map[string]map[string]any{
		"sglang": {"max-running-requests": []any{4, 64}},
		"vllm":   {"max-num-batched-tokens": []any{4096, 2097152}}, // the second does not fit: an OOM, kept with its reason
	}
	for _, fw := range []string{"sglang", "vllm"} {
		a.show.call("search_deployments %s", fw)
		found, err := a.job(ctx, "search_deployments", map[string]any{"framework": fw, "space": spaces[fw], "strategy": "auto"})
		if err != nil {
			return err
		}
		for _, c := range found.list("candidates") {
			flags, err := json.Marshal(c["flags"])
			if err != nil {
				return err
			}
			line := fmt.Sprintf("%s %-7s %s", c.text("candidate"), c.text("status"), flags)
			if r := c.text("reason"); r != "" {
				line += "  (kept: " + clipLine(r, 90) + ")"
			}
			a.show.note("%s", line)
		}
		a.show.note("best of %s: %s", fw, found.text("best"))
		if fw == "sglang" {
			if err := a.cheat(ctx, "tuned SGLang against an untuned vLLM", "run_benchmark", map[string]any{"candidates": []string{found.text("best"), "vllm-00"}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// best asks the campaign for a side's best candidate.
func (a *agent) best(ctx context.Context, fw string) (string, error) {
	out, err := a.call(ctx, "search_deployments", map[string]any{"framework": fw})
	return out.text("best"), err
}

// measure runs the blocks and takes the verdict.
func (a *agent) measure(ctx context.Context, _ *demoWorld) error {
	var candidates []string
	for _, fw := range []string{"sglang", "vllm"} {
		best, err := a.best(ctx, fw)
		if err != nil {
			return err
		}
		candidates = append(candidates, best)
	}
	a.show.call("run_benchmark %v, 6 interleaved blocks", candidates)
	bench, err := a.job(ctx, "run_benchmark", map[string]any{"candidates": candidates, "blocks": 6})
	if err != nil {
		return err
	}
	a.show.note("%.0f blocks, %d rows", bench.number("blocks"), len(bench.list("rows")))
	if err := a.cheat(ctx, "a patch on made-up evidence", "propose_patch", madeUp()); err != nil {
		return err
	}
	a.show.call("compare_results")
	cmp, err := a.call(ctx, "compare_results", map[string]any{})
	if err != nil {
		return err
	}
	for _, v := range cmp.list("verdicts") {
		a.show.title("verdict: %s on %s, %s against %s: ratio %.3f, interval %v", v.text("verdict"), v.text("metric"), v.text("candidate"), v.text("against"), v.number("ratio"), v["interval"])
		a.result.Verdict = v.text("verdict")
	}
	return nil
}

func madeUp() map[string]any {
	return map[string]any{
		"diff": string(sim.DemoPatch()), "rows": []string{"kernel:decode:1@0000000000000000"}, "stage": "decode", "location": "python/sglang/srt/layers/fused_norm_rope.py:17",
		"symptom": map[string]any{"scenario": "chat", "metric": "tpot_ms"}, "predicted_gain": 0.2, "rationale": "trust me",
	}
}

// finish revalidates and writes the report.
func (a *agent) finish(ctx context.Context, _ *demoWorld) error {
	a.show.call("revalidate patch-1: base, patched and leader in three-way blocks")
	reval, err := a.job(ctx, "revalidate", map[string]any{"proposal": "patch-1"})
	if err != nil {
		return err
	}
	a.result.Predicted, a.result.Measured = reval.number("predicted"), reval.number("measured")
	a.show.note("predicted %.1f %%, measured %.1f %%, verdict patched against base: %s, outputs %s", 100*a.result.Predicted, 100*a.result.Measured, reval.text("verdict"), reval.text("outputs_equal"))
	for _, v := range reval.list("verdicts") {
		a.show.note("%-9s %s against %s: %s, ratio %.3f", v.text("family"), v.text("candidate"), v.text("against"), v.text("verdict"), v.number("ratio"))
	}
	a.show.call("write_report")
	report, err := a.call(ctx, "write_report", map[string]any{})
	if err != nil {
		return err
	}
	a.result.Report, a.result.Bundle, a.result.Verdict = report.text("report"), report.text("bundle"), report.text("verdict")
	return nil
}

// sign approves the demo's own proposal with its throwaway key, in this process: no tool can.
func (w *demoWorld) sign(ctx context.Context, show *stage, campaign, proposal string) error {
	p, err := compose(ctx, home{state: w.home, config: w.home + "/config", user: w.layout.Home}, "", os.Stderr)
	if err != nil {
		return err
	}
	defer p.close()
	ask := loop.Ask{Campaign: campaign, Proposal: proposal, Principal: "demo-approver", Decision: gitops.Approve}
	statement, err := p.loop.StatementFor(ask)
	if err != nil {
		return err
	}
	if err := showStatement(indented{show}, statement); err != nil {
		return err
	}
	return signAndRecord(ctx, indented{show}, p.loop, keyOf(w.signer, func() {}), signing{ask: ask, statement: statement, origin: loop.OriginDemo})
}

// indented prints what a human would see as notes of the stage.
type indented struct{ s *stage }

func (i indented) Write(p []byte) (int, error) {
	for _, line := range strings.Split(strings.TrimRight(string(p), "\n"), "\n") {
		i.s.note("│ %s", line)
	}
	return len(p), nil
}
