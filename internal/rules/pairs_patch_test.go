package rules_test

import (
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/rules"
)

func evidencePairs() map[string]pair {
	row := func(edit func(*rules.RowFact)) func(*rules.Facts) {
		return func(f *rules.Facts) { edit(&f.Evidence.Rows[0]) }
	}
	return map[string]pair{
		"evid.row-known": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"an invented row": row(func(r *rules.RowFact) { *r = rules.RowFact{ID: "kernel:decode:1@0000000000000000"} }),
			"no row":          func(f *rules.Facts) { f.Evidence.Rows = nil },
			"one of two is invented": func(f *rules.Facts) {
				f.Evidence.Rows = append(f.Evidence.Rows, rules.RowFact{ID: "kernel:decode:9@ffffffffffffffff"})
			},
		}},
		"evid.formal-trace": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"times of a trace without graphs": row(func(r *rules.RowFact) { r.Mapping = true }),
		}},
		"evid.mapped": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a root cause in the dark": row(func(r *rules.RowFact) { r.Mapped = 0.69 }),
			"nothing mapped":           row(func(r *rules.RowFact) { r.Mapped = 0 }),
			"a competitor's trace has more": func(f *rules.Facts) {
				other := f.Evidence.Rows[0]
				other.Target, other.Entry = false, "vllm"
				f.Evidence.Rows[0].Mapped = 0.1
				f.Evidence.Rows = append(f.Evidence.Rows, other)
			},
		}, honestTwins: map[string]func(*rules.Facts){
			"exactly seventy":           row(func(r *rules.RowFact) { r.Mapped = 0.7 }),
			"a mapping trace was taken": row(func(r *rules.RowFact) { r.Mapped, r.Paired = 0.4, true }),
			"operators of a CPU":        row(func(r *rules.RowFact) { r.Mapped, r.OnCPU = 0, true }),
		}},
		"evid.real-host": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"simulated evidence on a real host": row(func(r *rules.RowFact) { r.Simulated = true }),
			"real evidence in a simulation":     func(f *rules.Facts) { f.Evidence.HostSimulated = true },
		}, honestTwins: map[string]func(*rules.Facts){
			"simulated throughout": func(f *rules.Facts) { f.Evidence.HostSimulated, f.Evidence.Rows[0].Simulated = true, true },
		}},
		"evid.target-trace": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"the competitor's trace": row(func(r *rules.RowFact) { r.Target, r.Entry, r.Candidate = false, "vllm", "vllm-01" }),
		}, honestTwins: map[string]func(*rules.Facts){
			"a competitor's row beside it": func(f *rules.Facts) {
				other := f.Evidence.Rows[0]
				other.Target, other.Entry, other.Commit = false, "vllm", ""
				f.Evidence.Rows = append(f.Evidence.Rows, other)
			},
		}},
		"evid.fresh": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a trace of an older commit": row(func(r *rules.RowFact) { r.Commit = "0ld" }),
			"a trace of no commit":       row(func(r *rules.RowFact) { r.Commit = "" }),
			"a reboot since":             func(f *rules.Facts) { f.Evidence.Now["boot"] = "b2" },
			"a driver since":             func(f *rules.Facts) { f.Evidence.Now["driver"] = "580" },
			"another GPU":                func(f *rules.Facts) { f.Evidence.Now["GPU"] = "A100" },
		}, honestTwins: map[string]func(*rules.Facts){
			"evidence of before the boot was told": func(f *rules.Facts) { f.Evidence.Was["boot"] = "" },
			"nobody has looked yet":                func(f *rules.Facts) { f.Evidence.Was, f.Evidence.Now = nil, nil },
		}},
		"evid.symptom": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a scenario that was not lost": func(f *rules.Facts) { f.Evidence.Scenario = "summarization" },
			"a metric nobody measured":     func(f *rules.Facts) { f.Evidence.Metric = "vibes" },
			"nothing was lost":             func(f *rules.Facts) { f.Verdicts[0].Verdict = "inconclusive" },
		}},
		"evid.same-scenario": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a trace of another scenario": row(func(r *rules.RowFact) { r.Scenario = "summarization" }),
		}, honestTwins: map[string]func(*rules.Facts){
			"a competitor's beside it": func(f *rules.Facts) {
				other := f.Evidence.Rows[0]
				other.Target, other.Entry, other.Scenario = false, "vllm", "summarization"
				f.Evidence.Rows = append(f.Evidence.Rows, other)
			},
		}},
		"evid.agrees": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a small stage of a throughput": func(f *rules.Facts) { f.Evidence.Stage, f.Evidence.Rows[0].Stage = "prefill", "prefill" },
			"prefill for a gap between tokens": func(f *rules.Facts) {
				f.Evidence.Metric, f.Evidence.Stage, f.Evidence.Rows[0].Stage = "tpot_ms", "prefill", "prefill"
			},
			"decode for a first token that does not wait": func(f *rules.Facts) { f.Evidence.Metric = "ttft_ms" },
			"decode for a first token, nothing measured":  func(f *rules.Facts) { f.Evidence.Metric, f.Evidence.RequestMS, f.Evidence.TTFTMS = "ttft_ms", nil, 500 },
			"a stage nobody has":                          func(f *rules.Facts) { f.Evidence.Stage = "warmup" },
			"rows of another stage":                       row(func(r *rules.RowFact) { r.Stage = "prefill" }),
			"a row too small to matter":                   row(func(r *rules.RowFact) { r.Share = 0.0099 }),
			"one small row cited ten times": func(f *rules.Facts) {
				f.Evidence.Rows[0].Share = 0.002
				for range 9 {
					f.Evidence.Rows = append(f.Evidence.Rows, f.Evidence.Rows[0])
				}
			},
			"one kernel by three of its views": func(f *rules.Facts) {
				for _, id := range []string{"kernel:decode:3@0123456789abcdef", "overlap:decode:1@0123456789abcdef", "fuse:decode:2@0123456789abcdef"} {
					r := f.Evidence.Rows[0]
					r.ID, r.Share = id, 0.005
					f.Evidence.Rows = append(f.Evidence.Rows, r)
				}
				f.Evidence.Rows = f.Evidence.Rows[1:]
			},
			"only a competitor's share": func(f *rules.Facts) {
				other := f.Evidence.Rows[0]
				other.Target = false
				f.Evidence.Rows[0].Share = 0.001
				f.Evidence.Rows = append(f.Evidence.Rows, other)
			},
		}, honestTwins: map[string]func(*rules.Facts){
			"decode for a first token that waits": func(f *rules.Facts) { f.Evidence.Metric, f.Evidence.TTFTMS = "ttft_ms", 80 },
			"a throughput of which only one stage was traced": func(f *rules.Facts) {
				f.Evidence.RequestMS = map[string]float64{"prefill": 1}
				f.Evidence.Stage, f.Evidence.Rows[0].Stage = "prefill", "prefill"
			},
			"a quarter of both":    func(f *rules.Facts) { f.Evidence.RequestMS = map[string]float64{"prefill": 75, "decode": 25} },
			"exactly one per cent": row(func(r *rules.RowFact) { r.Share = 0.01 }),
			"small rows that add up": func(f *rules.Facts) {
				r := f.Evidence.Rows[0]
				r.ID, r.Share = "idle:decode:1@0123456789abcdef", 0.006
				f.Evidence.Rows[0].Share = 0.005
				f.Evidence.Rows = append(f.Evidence.Rows, r)
			},
			"a row of mixed steps": row(func(r *rules.RowFact) { r.Stage = "mixed" }),
		}},
		"evid.location": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a place that is not in the commit": func(f *rules.Facts) { f.Evidence.LocationExists = false },
			"a place no cited row came from":    func(f *rules.Facts) { f.Evidence.Location = "python/sglang/srt/server.py:1" },
		}, honestTwins: map[string]func(*rules.Facts){
			"the path as the trace has it": func(f *rules.Facts) { f.Evidence.Location = "sglang/srt/layers/activation.py:40" },
		}},
	}
}

// said gives the agent's words.
func said(text string) func(*rules.Facts) {
	return func(f *rules.Facts) { f.Words[0].Text = text }
}

func patchPairs() map[string]pair {
	paths := func(p ...string) func(*rules.Facts) { return func(f *rules.Facts) { f.Patch.Paths = p } }
	return map[string]pair{
		"patch.harness-untouched": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"the benchmark client":  paths("python/sglang/bench_serving.py"),
			"a benchmark folder":    paths("benchmark/kernels/run.py"),
			"the profiler":          paths("python/sglang/srt/utils/profiler.py"),
			"a planted conftest":    paths("python/sglang/srt/layers/activation.py", "test/conftest.py"),
			"in another case":       paths("python/sglang/Bench_Serving.py"),
			"a profiler mixin":      paths("python/sglang/srt/managers/scheduler_profiler_mixin.py"),
			"a profile folder":      paths("python/sglang/profile/x.py"),
			"test settings":         paths("python/sglang/srt/layers/activation.py", "pytest.ini"),
			"build settings":        paths("python/pyproject.toml"),
			"bytecode":              paths("python/sglang/srt/layers/__pycache__/activation.cpython-312.pyc"),
			"a library":             paths("python/sglang/srt/fast.so"),
			"a module before torch": func(f *rules.Facts) { f.Patch.Beside = []string{"python/torch/__init__.py"} },
			"a changed expectation": func(f *rules.Facts) { f.Patch.ChangedTests = []string{"test/test_activation.py"} },
		}, honestTwins: map[string]func(*rules.Facts){
			"a word that only begins alike": paths("python/sglang/srt/layers/benchmarked.py"),
			"a word that holds one":         paths("python/sglang/srt/layers/profiles.py"),
		}},
		"patch.param-only": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"another default":          paths("python/sglang/srt/server_args.py"),
			"a default and its script": paths("python/sglang/srt/server_args.py", "scripts/launch.sh", "docs/server_arguments.md"),
		}, honestTwins: map[string]func(*rules.Facts){
			"a switch and what it switches": paths("python/sglang/srt/server_args.py", "python/sglang/srt/layers/activation.py"),
			"a tuned kernel configuration":  paths("python/sglang/srt/layers/moe/configs/E=8,N=14336,H100.json"),
		}},
		"patch.provenance": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a licence note taken away": func(f *rules.Facts) { f.Patch.Unlicensed = []string{"a.py: # Copyright 2024 Somebody"} },
			"a kernel without licence": func(f *rules.Facts) {
				f.Patch.Borrowed = []string{"a.py: # adapted from https://example.com/kernel.py"}
			},
		}},
		"claim.scope": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"global":        said("This makes SGLang the global SOTA."),
			"of the world":  said("With it the engine is the fastest in the world for this model."),
			"for ever":      said("the best decode throughput of all time"),
			"on everything": said("State-of-the-art throughput on all hardware!"),
			"overall":       said("an overall best result"),
			"for all":       said("it is now state of the art for every model"),
			"elsewhere": func(f *rules.Facts) {
				f.Words = append(f.Words, rules.Words{Field: "elsewhere", Text: "universally the fastest"})
			},
		}, honestTwins: map[string]func(*rules.Facts){
			"memory is global":       said("Keeps the state in global memory; best case one pass; the world size stays two."),
			"a comparative":          said("Faster than vLLM on this H100 in scenario chat, by the rows cited."),
			"what others say":        said("The state-of-the-art kernel of the catalog fuses both norms; this does the same."),
			"everywhere in the code": said("Every call site everywhere uses the optimal tile. It is measured on all ranks."),
		}},
		"patch.location": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a patch elsewhere, unexplained": func(f *rules.Facts) { f.Patch.TouchesCited = false },
			"explained by spaces":            func(f *rules.Facts) { f.Patch.TouchesCited, f.Patch.Elsewhere = false, "  " },
		}, honestTwins: map[string]func(*rules.Facts){
			"a patch elsewhere, explained": func(f *rules.Facts) { f.Patch.TouchesCited, f.Patch.Elsewhere = false, "the caller allocates" },
		}},
		"patch.tests": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"an option":          tests("--rootdir=/"),
			"a short option":     tests("test/test_x.py", "-pevil"),
			"a command":          tests("-c 'import os'"),
			"a way out":          tests("../../x.py"),
			"a way out, later":   tests("test/../../x.py"),
			"an absolute path":   tests("/etc/passwd"),
			"a shell's words":    tests("test/test_x.py;id"),
			"another line":       tests("test/test_x.py\n--rootdir=/"),
			"no name":            tests(""),
			"a name without end": tests(strings.Repeat("x", 400)),
			"a file that is not there": func(f *rules.Facts) {
				f.Patch.Tests, f.Patch.MissingTests = []string{"test/test_x.py"}, []string{"test/test_x.py"}
			},
		}, honestTwins: map[string]func(*rules.Facts){
			"paths and ids": tests("test/srt/test_x.py", "test/test_x.py::TestX::test_y[bf16-64]", "test"),
		}},
		"patch.predicted": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"no prediction":       func(f *rules.Facts) { f.Patch.Gain = 0 },
			"a loss predicted":    func(f *rules.Facts) { f.Patch.Gain = -0.1 },
			"percent for a ratio": func(f *rules.Facts) { f.Patch.Gain = 15 },
		}},
		"flow.one-proposal": {honest: atPropose, cheats: map[string]func(*rules.Facts){
			"a second while one is open": func(f *rules.Facts) { f.Patch.OpenProposals = []string{"patch-1"} },
		}},
		"flow.policy": {honest: atPolicy, cheats: map[string]func(*rules.Facts){
			"a host that is not listed": func(f *rules.Facts) { f.Policy[1].Refused = true },
		}, honestTwins: map[string]func(*rules.Facts){
			"a policy that says nothing": func(f *rules.Facts) { f.Policy = nil },
		}},
		"fair.same-entry": {honest: atPolicy, cheats: map[string]func(*rules.Facts){
			"another variable for a competitor": func(f *rules.Facts) { f.Entry[1].Now = "1" },
			"a variable taken away":             func(f *rules.Facts) { f.Entry[1].Now = "" },
			"a variable that was not there":     func(f *rules.Facts) { f.Entry[1].Then = "" },
		}, honestTwins: map[string]func(*rules.Facts){
			"a contract of before": func(f *rules.Facts) { f.Entry = nil },
		}},
		"flow.budget": {honest: atPolicy, cheats: map[string]func(*rules.Facts){
			"one launch too many":       func(f *rules.Facts) { f.Budgets[0].Asked = 3 },
			"nothing left":              func(f *rules.Facts) { f.Budgets[0].Spent, f.Budgets[0].Asked = 10, 0 },
			"the second budget is over": func(f *rules.Facts) { f.Budgets[1].Spent = 4.5 },
		}, honestTwins: map[string]func(*rules.Facts){
			"exactly to the limit":        func(f *rules.Facts) { f.Budgets[0].Asked = 2 },
			"nothing measured, some left": func(f *rules.Facts) { f.Budgets[1].Spent, f.Budgets[1].Asked = 3.9, 0 },
		}},
		"patch.approved": {honest: atApply, cheats: map[string]func(*rules.Facts){
			"nobody has decided":         func(f *rules.Facts) { f.Approval.Decision = "" },
			"rejected":                   func(f *rules.Facts) { f.Approval.Decision, f.Approval.Reason = "reject", "too broad" },
			"an approval of other bytes": func(f *rules.Facts) { f.Approval.Problem = "its diff is not the proposal's" },
			"another word for yes":       func(f *rules.Facts) { f.Approval.Decision = "Approve" },
		}},
	}
}

func atClaim() *rules.Facts {
	return &rules.Facts{Contract: terms(), Claim: &rules.ClaimFacts{Verdict: "win", Patched: true, Outputs: "equal", Unseen: []rules.VerdictFact{{Scenario: "unseen", Verdict: "win"}},
		Effort: []rules.EffortFact{{Side: "sglang", Launches: 10, Knobs: 3, Tried: 8}, {Side: "vllm", Launches: 10, Knobs: 3, Tried: 8}}}}
}

// theirs changes what the competitor's search got.
func theirs(edit func(*rules.EffortFact)) func(*rules.Facts) {
	return func(f *rules.Facts) { edit(&f.Claim.Effort[1]) }
}

func claimPairs() map[string]pair {
	return map[string]pair{
		"claim.decided": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"a look":           func(f *rules.Facts) { f.Contract.Study = contract.StudyLook },
			"nothing measured": func(f *rules.Facts) { f.Claim.Verdict = "none" },
		}, honestTwins: map[string]func(*rules.Facts){
			"a loss is a verdict": func(f *rules.Facts) { f.Claim.Verdict = "loss" },
		}},
		"evid.real-host@claim": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"a simulator":         func(f *rules.Facts) { f.Claim.Simulated = true },
			"a CPU says of a GPU": func(f *rules.Facts) { f.Claim.Mark = "measured on a CPU host" },
		}},
		"fair.genuine-engine": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"a shim for a competitor": func(f *rules.Facts) {
				f.Claim.Modified = map[string]string{"vllm": "bin/vllm of vllm differs from its RECORD"}
			},
		}},
		"fair.equal-effort": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"fewer launches":       theirs(func(e *rules.EffortFact) { e.Launches = 9 }),
			"fewer values, knobs":  theirs(func(e *rules.EffortFact) { e.Knobs, e.Tried = 1, 2 }),
			"a default in a shell": theirs(func(e *rules.EffortFact) { e.Launches, e.Knobs, e.Tried = 1, 0, 0 }),
		}, honestTwins: map[string]func(*rules.Facts){
			"nothing was left to try":    theirs(func(e *rules.EffortFact) { e.Launches, e.Exhausted = 4, true }),
			"our own space":              theirs(func(e *rules.EffortFact) { e.Knobs, e.Tried, e.Default = 2, 5, true }),
			"it does not serve at all":   theirs(func(e *rules.EffortFact) { e.Launches, e.Knobs, e.Tried, e.Exhausted, e.Failed = 1, 0, 0, true, true }),
			"more than the target's own": theirs(func(e *rules.EffortFact) { e.Launches, e.Knobs = 12, 5 }),
			"fixed commands on all":      func(f *rules.Facts) { f.Claim.Effort = nil },
		}},
		"claim.family": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"a campaign that lost is deleted": func(f *rules.Facts) { f.Claim.Gone = []string{"20261123_tiny_sota_loop"} },
		}},
		"patch.output-equal": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"other answers":       func(f *rules.Facts) { f.Claim.Outputs = "differ" },
			"nobody looked":       func(f *rules.Facts) { f.Claim.Outputs = "not_measured" },
			"a word for not sure": func(f *rules.Facts) { f.Claim.Outputs = "" },
		}, honestTwins: map[string]func(*rules.Facts){
			"no patch": func(f *rules.Facts) { f.Claim.Patched, f.Claim.Outputs, f.Claim.Unseen = false, "", nil },
		}},
		"patch.tested": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"tests that the patch breaks": func(f *rules.Facts) { f.Claim.Tests = "failed" },
			"tests that were not run":     func(f *rules.Facts) { f.Claim.Tests = "not_run" },
		}, honestTwins: map[string]func(*rules.Facts){
			"all pass":                       func(f *rules.Facts) { f.Claim.Tests = "passed" },
			"none named":                     func(f *rules.Facts) { f.Claim.Tests = "none" },
			"failing before it already":      func(f *rules.Facts) { f.Claim.Tests = "failed_without_it" },
			"a campaign of before":           func(f *rules.Facts) { f.Claim.Tests = "" },
			"no patch, whatever tests there": func(f *rules.Facts) { f.Claim.Patched, f.Claim.Tests = false, "failed" },
		}},
		"patch.unseen-shapes": {honest: atClaim, cheats: map[string]func(*rules.Facts){
			"made for the contract's shapes": func(f *rules.Facts) { f.Claim.Unseen[0].Verdict = "loss" },
			"lost on one of two": func(f *rules.Facts) {
				f.Claim.Unseen = append(f.Claim.Unseen, rules.VerdictFact{Scenario: "unseen-2", Verdict: "loss"})
			},
			"never drawn": func(f *rules.Facts) { f.Claim.Unseen = nil },
		}, honestTwins: map[string]func(*rules.Facts){
			"no worse elsewhere": func(f *rules.Facts) { f.Claim.Unseen[0].Verdict = "equivalent" },
			"undecided":          func(f *rules.Facts) { f.Claim.Unseen[0].Verdict = "inconclusive" },
		}},
	}
}
