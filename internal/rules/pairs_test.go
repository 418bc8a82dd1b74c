package rules_test

import (
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// pair is a rule's honest facts and edits of them, each of which breaks that rule and no other that is checked before.
type pair struct {
	honest      func() *rules.Facts
	cheats      map[string]func(*rules.Facts)
	honestTwins map[string]func(*rules.Facts) // near the line, and allowed
}

func terms() *contract.Contract {
	slots := 4
	return &contract.Contract{
		Study: contract.StudySOTA, Host: contract.Host{GPUs: []int{0, 1}, Device: "cuda"},
		Target:    contract.Side{Entry: "sglang", Framework: contract.SGLang},
		Against:   []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", InputLen: 1000, OutputLen: 1000, MaxConcurrency: &slots}},
		Blocks:    contract.Blocks{Max: 12, Looks: []int{8, 12}, Comparisons: 1},
	}
}

func atOpen() *rules.Facts {
	return &rules.Facts{Contract: terms(), Decide: &rules.DecideFacts{Need: 6}}
}

func atOpenOnCPU() *rules.Facts {
	f := atOpen()
	f.Contract.Host = contract.Host{GPUs: []int{}, Device: "cpu", Cores: []int{0, 1}}
	f.Threads = map[string]map[string]int{}
	for _, s := range f.Contract.Sides() {
		f.Threads[s.Entry] = map[string]int{"OMP_NUM_THREADS": 2, "MKL_NUM_THREADS": 2}
	}
	return f
}

func atPolicy() *rules.Facts {
	return &rules.Facts{Contract: terms(), Policy: []rules.PolicyFact{
		{Field: "model", Got: "Qwen/Qwen3-8B", Line: "policy.yaml:2 `models: [Qwen/*]`", Change: "ask the engineer to add it"},
		{Field: "host", Got: "h100a", Line: "policy.yaml:1 `hosts: [h100b]`", Valid: []string{"h100b"}, Change: "ask the engineer to add it"},
	}, Entry: []rules.EntryFact{{Key: "device", Then: "cuda", Now: "cuda"}, {Key: "engines.vllm.env.VLLM_X", Then: "0", Now: "0"}}, Budgets: []rules.BudgetFact{
		{Key: "budgets.launches_per_day", Unit: "launches", Limit: 10, Spent: 8, Asked: 1, Of: "all campaigns of this home today", Line: "policy.yaml:5", Change: "ask the engineer to raise it"},
		{Key: "budgets.gpu_hours_per_campaign", Unit: "GPU-hours", Limit: 4, Spent: 1, Asked: 0.5, Of: "this campaign", Line: "policy.yaml:6", Change: "ask the engineer to raise it"},
	}}
}

func atSearch() *rules.Facts {
	f := &rules.Facts{Contract: terms()}
	f.Search = &rules.SearchFacts{Side: f.Contract.Target, Captured: true, Flags: []rules.FlagUse{
		{Name: "tp-size", Values: []any{1.0, 2.0}, Known: true, Class: framework.ClassSearch, Role: "tp"},
		{Name: "chunked-prefill-size", Values: []any{2048.0, 8192.0}, Known: true, Class: framework.ClassSearch},
	}}
	return f
}

// flag gives the search's facts one more flag.
func flag(u rules.FlagUse) func(*rules.Facts) {
	return func(f *rules.Facts) {
		u.Known = true
		f.Search.Flags = append(f.Search.Flags, u)
	}
}

func atBlocks() *rules.Facts {
	return &rules.Facts{Contract: terms(), Blocks: &rules.BlockFacts{
		Scenarios: []string{"chat"}, Blocks: 8, Searched: map[string]bool{"sglang": true, "vllm": true}, Measured: 8,
		Candidates: []rules.CandidateFact{{ID: "sglang-03", Entry: "sglang", Status: "ok"}, {ID: "vllm-01", Entry: "vllm", Status: "ok"}},
	}}
}

func atProfile() *rules.Facts {
	f := atBlocks()
	f.Verdicts = []rules.VerdictFact{{Scenario: "chat", Metric: "output_token_throughput", Verdict: "loss", Against: "vllm-01"}}
	return f
}

func atPropose() *rules.Facts {
	row := rules.RowFact{ID: "kernel:decode:3@0123456789abcdef", Found: true, Stage: "decode", Scenario: "chat", Mapped: 0.9, Share: 0.2, Candidate: "sglang-03", Entry: "sglang", Target: true,
		Commit: "c0ffee", Locations: []string{"sglang/srt/layers/activation.py:40 silu"}, Paths: []string{"sglang/srt/layers/activation.py"}}
	return &rules.Facts{Contract: terms(), Verdicts: atProfile().Verdicts,
		Evidence: &rules.EvidenceFacts{Rows: []rules.RowFact{row}, Stage: "decode", Location: "python/sglang/srt/layers/activation.py:40", LocationExists: true,
			Scenario: "chat", Metric: "output_token_throughput", Measured: []string{"output_token_throughput", "tpot_ms", "ttft_ms"}, RequestMS: map[string]float64{"prefill": 40, "decode": 4000}, TTFTMS: 60,
			BaseCommit: "c0ffee", Was: map[string]string{"boot": "b1", "driver": "570", "GPU": "H100"}, Now: map[string]string{"boot": "b1", "driver": "570", "GPU": "H100"}},
		Patch: &rules.PatchFacts{Paths: []string{"python/sglang/srt/layers/activation.py"}, TouchesCited: true, Gain: 0.05},
		Words: words("rationale", "Fuse the activation with the gate: one pass over global memory instead of two, the fastest path of this kernel.").Words,
	}
}

func words(field, text string) *rules.Facts {
	return &rules.Facts{Contract: terms(), Words: []rules.Words{{Field: field, Text: text}}}
}

func atCapture() *rules.Facts {
	f := &rules.Facts{Contract: terms()}
	f.Capture = &rules.CaptureFacts{Entry: "sglang", Endpoint: true, Scenario: f.Contract.Scenarios[0],
		Stages:  []rules.StageFact{{"prefill", 1000, 1, 10, 5}, {"decode", 1, 1000, 1, 5}},
		Windows: map[string]rules.WindowFact{"prefill": {Warmup: 10, Steps: 5}, "decode": {Warmup: 1, Steps: 5}}}
	return f
}

// stage changes one planned capture.
func stage(i int, edit func(*rules.StageFact)) func(*rules.Facts) {
	return func(f *rules.Facts) { edit(&f.Capture.Stages[i]) }
}

func tests(ids ...string) func(*rules.Facts) {
	return func(f *rules.Facts) { f.Patch.Tests = ids }
}

func atApply() *rules.Facts {
	return &rules.Facts{Contract: terms(), Approval: &rules.ApprovalFacts{Proposal: "patch-1", Decision: "approve", Command: "sotaloop approve c patch-1"}}
}

func atRevalidate() *rules.Facts {
	return &rules.Facts{Contract: terms(), Blocks: &rules.BlockFacts{Blocks: 8}, Branch: "sotaloop/c/patch-1"}
}

func atReport() *rules.Facts { return &rules.Facts{Contract: terms(), Rows: 3} }

// pairs has an entry for every rule over facts, by its id, or id@moment where another moment has other facts; a test
// demands it.
func pairs() map[string]pair {
	out := map[string]pair{}
	for _, part := range []map[string]pair{openPairs(), searchPairs(), blockPairs(), capturePairs(), evidencePairs(), patchPairs(), claimPairs()} {
		for id, p := range part {
			out[id] = p
		}
	}
	return out
}

func openPairs() map[string]pair {
	return map[string]pair{
		"fair.one-target": {honest: atOpen, cheats: map[string]func(*rules.Facts){
			"the target against itself": func(f *rules.Facts) { f.Contract.Against = append(f.Contract.Against, f.Contract.Target) },
			"a competitor twice":        func(f *rules.Facts) { f.Contract.Against = append(f.Contract.Against, f.Contract.Against[0]) },
		}, honestTwins: map[string]func(*rules.Facts){
			"two builds of one framework": func(f *rules.Facts) {
				f.Contract.Against = append(f.Contract.Against, contract.Side{Entry: "sglang-main", Framework: contract.SGLang})
			},
		}},
		"fair.sequence-limit": {honest: atOpen, cheats: map[string]func(*rules.Facts){
			"a context below the longest scenario": func(f *rules.Facts) { f.Contract.MaxContext = 1999 },
		}, honestTwins: map[string]func(*rules.Facts){
			"a context that just holds it": func(f *rules.Facts) { f.Contract.MaxContext = 2000 },
		}},
		"fair.sequence-limit@search": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"a limit below the longest scenario": flag(rules.FlagUse{Name: "context-length", Role: "context", Class: framework.ClassSearch, Values: []any{1999.0}}),
		}},
		"claim.scope@cancel": {honest: func() *rules.Facts { return words("reason", "the base flags were wrong") }, cheats: map[string]func(*rules.Facts){
			"a claim in passing": said("cancelled: we are the global SOTA already"),
		}},
		"fair.decidable": {honest: atOpen, cheats: map[string]func(*rules.Facts){
			"fewer blocks than any test needs": func(f *rules.Facts) { f.Contract.Blocks.Max = 5 },
		}, honestTwins: map[string]func(*rules.Facts){
			"exactly enough blocks": func(f *rules.Facts) { f.Contract.Blocks.Max = 6 },
			"a look, which gives no verdict": func(f *rules.Facts) {
				f.Contract.Study, f.Contract.Blocks = contract.StudyLook, contract.Blocks{Max: 2, Looks: []int{2}}
			},
		}},
		"fair.same-threads": {honest: atOpenOnCPU, cheats: map[string]func(*rules.Facts){
			"a comparison side with fewer threads": func(f *rules.Facts) { f.Threads["vllm"]["OMP_NUM_THREADS"] = 1 },
			"a comparison side whose MKL says nothing": func(f *rules.Facts) {
				delete(f.Threads["vllm"], "MKL_NUM_THREADS")
			},
		}, honestTwins: map[string]func(*rules.Facts){
			"the same other number for every side": func(f *rules.Facts) {
				for _, t := range f.Threads {
					t["OMP_NUM_THREADS"] = 7
				}
			},
			"a host with GPUs": func(f *rules.Facts) { f.Threads = nil },
		}},
		"fair.speculation": {honest: atOpen, cheats: map[string]func(*rules.Facts){
			"speculation on paper": func(f *rules.Facts) { f.Contract.Speculation = "EAGLE" },
		}},
		"flow.sla-keys": {honest: atOpen, cheats: map[string]func(*rules.Facts){
			"a limit of no statistic":     func(f *rules.Facts) { f.Contract.SLA = contract.SLA{"max_ttft_ms": 500} },
			"a statistic nobody has":      func(f *rules.Facts) { f.Contract.SLA = contract.SLA{"max_p42_ttft_ms": 500} },
			"a limit that is kept by all": func(f *rules.Facts) { f.Contract.SLA = contract.SLA{"min_success_rate": 0} },
		}, honestTwins: map[string]func(*rules.Facts){
			"the seed's own keys": func(f *rules.Facts) {
				f.Contract.SLA = contract.SLA{"max_p50_ttft_ms": 500, "max_p50_tpot_ms": 50, "max_p50_e2e_ms": 5000, "min_success_rate": 0.99}
			},
			"a tail":        func(f *rules.Facts) { f.Contract.SLA = contract.SLA{"max_p99_ttft_ms": 500} },
			"none was said": func(f *rules.Facts) { f.Contract.SLA = contract.SLA{} },
		}},
		"flow.rows-first": {honest: atReport, cheats: map[string]func(*rules.Facts){
			"a report of nothing": func(f *rules.Facts) { f.Rows = 0 },
		}, honestTwins: map[string]func(*rules.Facts){
			"a blocked campaign with its reason": func(f *rules.Facts) { f.Rows, f.Reason = 0, "the engine does not serve the model" },
		}},
	}
}

func searchPairs() map[string]pair {
	trt := func(backend string) func(*rules.Facts) {
		return func(f *rules.Facts) {
			f.Search.Side = contract.Side{Entry: "trt", Framework: contract.TensorRTLLM}
			f.Search.Flags = []rules.FlagUse{{Name: "backend", Values: []any{backend}, Known: true, Role: "backend", Class: framework.ClassSearch}}
		}
	}
	return map[string]pair{
		"flow.help-first": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"a search before the help": func(f *rules.Facts) { f.Search.Captured = false },
		}},
		"fair.trt-backend": {honest: atSearch, cheats: map[string]func(*rules.Facts){"a TensorRT engine": trt("tensorrt")},
			honestTwins: map[string]func(*rules.Facts){"PyTorch": trt("pytorch")}},
		"flow.unknown-flag": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"a flag of another build": func(f *rules.Facts) {
				f.Search.Flags = append(f.Search.Flags, rules.FlagUse{Name: "enable-warp-speed", Nearest: []string{"enable-mixed-chunk"}})
			},
		}},
		"flow.flag-value": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"a value of another type": flag(rules.FlagUse{Name: "max-running-requests", Class: framework.ClassSearch, Problem: "not a number", Value: "many"}),
			"a launch for nothing":    flag(rules.FlagUse{Name: "max-num-seqs", Class: framework.ClassSearch, Values: []any{256.0, -5.0}}),
			"a path for a name":       flag(rules.FlagUse{Name: "attention-backend", Kind: framework.KindString, Class: framework.ClassSearch, Values: []any{"../../x.so"}}),
			"a command for a name":    flag(rules.FlagUse{Name: "attention-backend", Kind: framework.KindString, Class: framework.ClassSearch, Values: []any{"X; id"}}),
			"beyond every range":      flag(rules.FlagUse{Name: "max-num-seqs", Class: framework.ClassSearch, Values: []any{1e308}}),
		}, honestTwins: map[string]func(*rules.Facts){
			"a backend's name":           flag(rules.FlagUse{Name: "attention-backend", Kind: framework.KindString, Class: framework.ClassSearch, Values: []any{"FLASH_ATTN"}}),
			"an object for a JSON flag":  flag(rules.FlagUse{Name: "compilation-config", Kind: framework.KindJSON, Class: framework.ClassSearch, Values: []any{`{"level": 3}`}}),
			"minus one, which turns off": flag(rules.FlagUse{Name: "chunked-prefill-size", Class: framework.ClassSearch, Values: []any{-1.0, 0.0}}),
		}},
		"flow.flag-class": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"a contract term":     flag(rules.FlagUse{Name: "dtype", Class: framework.ClassContract}),
			"the worker's port":   flag(rules.FlagUse{Name: "port", Class: framework.ClassHost}),
			"code loading":        flag(rules.FlagUse{Name: "middleware", Class: framework.ClassForbidden}),
			"code, policy or not": flag(rules.FlagUse{Name: "middleware", Class: framework.ClassForbidden, Allowed: true}),
			"unlisted free text":  flag(rules.FlagUse{Name: "extra-config", Class: framework.ClassUnlisted}),
		}, honestTwins: map[string]func(*rules.Facts){
			"free text that the policy lists": flag(rules.FlagUse{Name: "extra-config", Class: framework.ClassUnlisted, Allowed: true}),
		}},
		"flow.preflight-knob": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"partial prefills in the base": flag(rules.FlagUse{Name: "max-num-partial-prefills", Class: framework.ClassSearch, Base: 2.0, Values: []any{2.0}}),
		}, honestTwins: map[string]func(*rules.Facts){
			"partial prefills in the space": flag(rules.FlagUse{Name: "max-num-partial-prefills", Class: framework.ClassSearch, Varied: true, Values: []any{1.0, 2.0}}),
			"one, which is the default":     flag(rules.FlagUse{Name: "max_num_partial_prefills", Class: framework.ClassSearch, Base: 1.0, Values: []any{1.0}}),
		}},
		"fair.attention-backend": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"fa3 on an A100":              onGPU("NVIDIA A100-SXM4-80GB", "attention-backend", "fa3"),
			"fa3 for decode on an L40S":   onGPU("NVIDIA L40S", "decode-attention-backend", "triton", "fa3"),
			"fa3 on a consumer Blackwell": onGPU("NVIDIA GeForce RTX 5090", "attention-backend", "fa3"),
		}, honestTwins: map[string]func(*rules.Facts){
			"fa3 on an H100":         onGPU("NVIDIA H100 80GB HBM3", "attention-backend", "fa3"),
			"fa3 on a B200":          onGPU("NVIDIA B200", "attention-backend", "fa3"),
			"another one on an A100": onGPU("NVIDIA A100-SXM4-80GB", "attention-backend", "flashinfer"),
			"another framework's": func(f *rules.Facts) {
				onGPU("NVIDIA A100-SXM4-80GB", "attention-backend", "fa3")(f)
				f.Search.Side = f.Contract.Against[0]
			},
		}},
		"fair.pinned-knob": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"one value beside the default": flag(rules.FlagUse{Name: "mem-fraction-static", Class: framework.ClassPinned, Values: []any{0.9}, Varied: true}),
			"a searched memory fraction":   flag(rules.FlagUse{Name: "mem-fraction-static", Class: framework.ClassPinned, Values: []any{0.8, 0.9}}),
		}, honestTwins: map[string]func(*rules.Facts){
			"one value in the base": flag(rules.FlagUse{Name: "mem-fraction-static", Class: framework.ClassPinned, Values: []any{0.9}}),
			"a capacity study": func(f *rules.Facts) {
				f.Contract.CapacityStudy = true
				flag(rules.FlagUse{Name: "mem-fraction-static", Class: framework.ClassPinned, Values: []any{0.8, 0.9}})(f)
			},
		}},
		"fair.legal-layout": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"more GPUs by a product":    flag(rules.FlagUse{Name: "dp-size", Role: "dp", Class: framework.ClassSearch, Values: []any{2.0}}),
			"experts over more GPUs":    flag(rules.FlagUse{Name: "ep-size", Role: "ep", Class: framework.ClassSearch, Values: []any{4.0}}),
			"one of several is too big": func(f *rules.Facts) { f.Search.Flags[0].Values = []any{1.0, 4.0} },
		}, honestTwins: map[string]func(*rules.Facts){
			"experts on the same GPUs": flag(rules.FlagUse{Name: "ep-size", Role: "ep", Class: framework.ClassSearch, Values: []any{2.0}}),
			"layouts of which some fit": func(f *rules.Facts) {
				f.Search.Flags[0].Values, f.Search.Flags[0].Varied = []any{1.0, 2.0}, true
				flag(rules.FlagUse{Name: "dp-size", Role: "dp", Class: framework.ClassSearch, Values: []any{1.0, 2.0}, Varied: true})(f)
			},
		}},
	}
}

// onGPU searches a backend on a host with that GPU.
func onGPU(gpu, name string, values ...any) func(*rules.Facts) {
	return func(f *rules.Facts) {
		f.Contract.Host.GPUModel = gpu
		flag(rules.FlagUse{Name: name, Class: framework.ClassSearch, Varied: true, Values: values})(f)
	}
}

func capturePairs() map[string]pair {
	return map[string]pair{
		"evid.profiler-api": {honest: atCapture, cheats: map[string]func(*rules.Facts){
			"an endpoint that is not there": func(f *rules.Facts) { f.Capture.Endpoint = false },
		}},
		"evid.separate-stages": {honest: atCapture, cheats: map[string]func(*rules.Facts){
			"a request of both stages": stage(0, func(s *rules.StageFact) { s.OutputLen = 1000 }),
			"decode after a prefill":   stage(1, func(s *rules.StageFact) { s.InputLen = 1000 }),
			"no stage":                 stage(0, func(s *rules.StageFact) { s.Stage = "mixed" }),
		}},
		"evid.profile-lengths": {honest: atCapture, cheats: map[string]func(*rules.Facts){
			"another input":    stage(0, func(s *rules.StageFact) { s.InputLen = 4090 }),
			"a shorter answer": stage(1, func(s *rules.StageFact) { s.OutputLen = 100 }),
		}, honestTwins: map[string]func(*rules.Facts){
			"a short answer, lengthened for its steps": func(f *rules.Facts) { f.Capture.Scenario.OutputLen, f.Capture.Stages[1].OutputLen = 4, 20 },
		}},
		"evid.same-window": {honest: atCapture, cheats: map[string]func(*rules.Facts){
			"more steps":             stage(0, func(s *rules.StageFact) { s.Steps = 50 }),
			"a longer warm-up":       stage(1, func(s *rules.StageFact) { s.Warmup = 10 }),
			"a stage without window": func(f *rules.Facts) { f.Capture.Windows = nil },
		}},
	}
}

func blockPairs() map[string]pair {
	return map[string]pair{
		"flow.contract-frozen": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"a scenario that is not frozen": func(f *rules.Facts) { f.Blocks.Scenarios = []string{"easy"} },
			"peeking between the looks":     func(f *rules.Facts) { f.Blocks.Blocks = 9 },
		}, honestTwins: map[string]func(*rules.Facts){
			"the second look":        func(f *rules.Facts) { f.Blocks.Blocks = 12 },
			"nothing said of either": func(f *rules.Facts) { f.Blocks.Blocks, f.Blocks.Scenarios = 0, nil },
		}},
		"fair.tuned-competitor": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"tuned against default": func(f *rules.Facts) { delete(f.Blocks.Searched, "vllm") },
		}, honestTwins: map[string]func(*rules.Facts){
			"fixed commands on both sides": func(f *rules.Facts) { f.Contract.Study, f.Blocks.Searched = contract.StudyAB, nil },
			"an incumbent needs no search": func(f *rules.Facts) {
				f.Contract.Study = contract.StudyTune
				f.Contract.Against[0].Incumbent = true
				delete(f.Blocks.Searched, "vllm")
			},
		}},
		"fair.known-candidate": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"an invented candidate": func(f *rules.Facts) { f.Blocks.Candidates[0] = rules.CandidateFact{ID: "sglang-99"} },
			"one that ran out of memory": func(f *rules.Facts) {
				f.Blocks.Candidates[0].Status, f.Blocks.Candidates[0].Reason = "oom", "CUDA out of memory"
			},
			"one whose launch has not ended": func(f *rules.Facts) { f.Blocks.Candidates[1].Status = "" },
		}},
		"fair.every-side": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"the target alone":    func(f *rules.Facts) { f.Blocks.Candidates = f.Blocks.Candidates[:1] },
			"two of one side":     func(f *rules.Facts) { f.Blocks.Candidates = append(f.Blocks.Candidates, f.Blocks.Candidates[0]) },
			"no candidate at all": func(f *rules.Facts) { f.Blocks.Candidates = nil },
		}},
		"flow.one-search": {honest: atSearch, cheats: map[string]func(*rules.Facts){
			"another space while the first is tried": func(f *rules.Facts) { f.Search.Running = "job-3" },
		}},
		"fair.best-candidate": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"a weak competitor": func(f *rules.Facts) { f.Blocks.Candidates[1].Best = []string{"vllm-04"} },
			"a weak target":     func(f *rules.Facts) { f.Blocks.Candidates[0].Best = []string{"sglang-01", "sglang-02"} },
		}, honestTwins: map[string]func(*rules.Facts){
			"best in one of two scenarios": func(f *rules.Facts) { f.Blocks.Candidates[1].Best = []string{"vllm-00", "vllm-01"} },
		}},
		"fair.one-pairing": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"another competitor after the first block": func(f *rules.Facts) { f.Blocks.Finalists = map[string]string{"sglang": "sglang-03", "vllm": "vllm-02"} },
		}, honestTwins: map[string]func(*rules.Facts){
			"up to the next look":            func(f *rules.Facts) { f.Blocks.Finalists = map[string]string{"sglang": "sglang-03", "vllm": "vllm-01"} },
			"in place of one that fell over": func(f *rules.Facts) { f.Blocks.Finalists = map[string]string{"sglang": "sglang-03"} },
		}},
		"flow.blocks-first": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"one block short":    func(f *rules.Facts) { f.Blocks.Measured = 7 },
			"search scores only": func(f *rules.Facts) { f.Blocks.Measured = 0 },
		}},
		"evid.gap-decided": {honest: atProfile, cheats: map[string]func(*rules.Facts){
			"before any verdict": func(f *rules.Facts) { f.Verdicts = nil },
			"an undecided gap":   func(f *rules.Facts) { f.Verdicts[0].Verdict = "inconclusive" },
			"a win explained":    func(f *rules.Facts) { f.Verdicts[0].Verdict = "win" },
		}, honestTwins: map[string]func(*rules.Facts){
			"lost in one scenario of two": func(f *rules.Facts) {
				f.Verdicts = append([]rules.VerdictFact{{Scenario: "long", Verdict: "win"}}, f.Verdicts...)
			},
		}},
		"flow.contract-frozen@profile": {honest: atProfile, cheats: map[string]func(*rules.Facts){
			"a profile of other lengths": func(f *rules.Facts) { f.Blocks.Scenarios = []string{"easy"} },
		}},
		"flow.contract-frozen@revalidate": {honest: atRevalidate, cheats: map[string]func(*rules.Facts){
			"fewer blocks for the patch": func(f *rules.Facts) { f.Blocks.Blocks = 3 },
		}},
		"fair.known-candidate@profile": {honest: atProfile, cheats: map[string]func(*rules.Facts){
			"a profile of one that failed": func(f *rules.Facts) { f.Blocks.Candidates[0].Status = "oom" },
		}},
		"flow.help-first@benchmark": {honest: atBlocks, cheats: map[string]func(*rules.Facts){
			"a fixed command nobody checked": func(f *rules.Facts) { f.Blocks.Uncaptured = []string{"vllm"} },
		}},
		"flow.branch-first": {honest: atRevalidate, cheats: map[string]func(*rules.Facts){
			"nothing applied": func(f *rules.Facts) { f.Branch = "" },
		}},
	}
}
