package compare_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/stats"
)

func TestVerdictsOnForeignRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		rows []compare.Row
		want stats.Verdict
	}{
		{"+10 %", blocks(8, 0.1, 0.01), stats.Win},
		{"-10 %", blocks(8, -0.1, 0.01), stats.Loss},
		{"quiet and equal", blocks(12, 0, 0.002), stats.Equivalent},
		{"noisy", blocks(8, 0.01, 0.05), stats.Inconclusive},
		{"two blocks", blocks(2, 0.1, 0.01), stats.Inconclusive},
		{"more blocks than the test takes", blocks(20, 0.1, 0.01), stats.Win},
	} {
		require.Equal(t, c.want, verdictOf(t, foreign(c.rows), foreignTerms), c.name)
	}
}

func TestVerdictSaysWhatItRestsOn(t *testing.T) {
	t.Parallel()
	v := only(t, foreign(blocks(8, 0.1, 0.01)), foreignTerms)
	require.Equal(t, "output_token_throughput", v.Metric)
	require.Equal(t, "higher", v.Better)
	require.Equal(t, "sglang-03", v.Candidate)
	require.Equal(t, "vllm-03", v.Against)
	require.Equal(t, 8, v.Blocks)
	require.InDelta(t, 1.1, *v.Ratio, 0.02)
	require.Less(t, v.Interval[0], *v.Ratio)
	require.Greater(t, v.Interval[1], *v.Ratio)
	require.InDelta(t, 0.953125, *v.Level, 1e-12)
	require.Positive(t, *v.MDE)
	require.Equal(t, compare.Tally{Passed: 8, Why: []string{}}, v.SLA["candidate"])
	require.NotEmpty(t, v.Others)

	few := only(t, foreign(blocks(2, 0.1, 0.01)), foreignTerms)
	require.Nil(t, few.Interval)
	require.NotNil(t, few.MDE, "every inconclusive verdict says what could be detected")
	require.Equal(t, 4, *few.MoreBlocks)
}

func TestLowerIsBetterTurnsTheVerdictNotTheRatio(t *testing.T) {
	t.Parallel()
	rows := blocks(8, 0.1, 0.01) // latency falls as throughput rises
	for i := range rows {
		rows[i].Workload.MaxConcurrency, rows[i].Workload.RequestRate = nil, ptr(4.0)
	}
	v := only(t, foreign(rows), foreignTerms)
	require.Equal(t, "p50_e2e_user_ms", v.Metric)
	require.Equal(t, "lower", v.Better)
	require.Equal(t, stats.Win, v.Verdict)
	require.InDelta(t, 1/1.1, *v.Ratio, 0.02)
	require.Less(t, v.Interval[0], v.Interval[1])
}

func TestABurstIsJudgedByItsMakespan(t *testing.T) {
	t.Parallel()
	rows := blocks(8, 0.1, 0.01)
	for i := range rows {
		rows[i].Workload.MaxConcurrency = nil
	}
	v := only(t, foreign(rows), foreignTerms)
	require.Equal(t, "makespan_s", v.Metric)
	require.Equal(t, stats.Win, v.Verdict)
	require.Contains(t, strings.Join(v.Warnings, " "), "makespan_s is missing")
}

func TestTargetIsTheCallers(t *testing.T) {
	t.Parallel()
	terms := foreignTerms
	terms.Target.Side = "vllm"
	v := only(t, foreign(blocks(8, 0.1, 0.01)), terms)
	require.Equal(t, stats.Loss, v.Verdict)
	require.Equal(t, "vllm-03", v.Candidate)
}

func TestSLAComesFirst(t *testing.T) {
	t.Parallel()
	slow := func(r *compare.Row) { r.Metrics["p50_ttft_user_ms"] = 5000 }
	failing := func(side contract.Framework, n int) []compare.Row {
		rows := foreign(blocks(8, 0.3, 0.01))
		return edit(rows, side, func(r *compare.Row) {
			if *r.Block < n {
				slow(r)
			}
		})
	}
	both := edit(failing(contract.SGLang, 8), contract.VLLM, slow)
	for _, c := range []struct {
		name   string
		rows   []compare.Row
		want   stats.Verdict
		reason string
	}{
		{"the faster target fails", failing(contract.SGLang, 8), stats.Loss, "sla: sglang-03 fails: max_p50_ttft_ms"},
		{"the other side fails", failing(contract.VLLM, 7), stats.Win, "sla: vllm-03 fails"},
		{"one launch in eight may fail", failing(contract.SGLang, 1), stats.Win, "better"},
		{"launches disagree", failing(contract.SGLang, 4), stats.Inconclusive, "do not agree"},
		{"both fail", both, stats.Inconclusive, "both sides fail"},
		{"too few launches", edit(foreign(blocks(2, 0, 0.01)), contract.SGLang, slow), stats.Inconclusive, "too few"},
	} {
		v := only(t, c.rows, foreignTerms)
		require.Equal(t, c.want, v.Verdict, c.name)
		require.Contains(t, v.Reason, c.reason, c.name)
	}
}

func TestCrashedLaunchesFailTheSLA(t *testing.T) {
	t.Parallel()
	crash := func(n int) []compare.Row {
		return edit(foreign(blocks(8, 0.1, 0.01)), contract.VLLM, func(r *compare.Row) {
			if *r.Block < n {
				r.Status, r.FailureReason, r.Metrics = compare.StatusOOM, "CUDA out of memory", compare.Metrics{}
			}
		})
	}
	v := only(t, crash(8), foreignTerms)
	require.Equal(t, stats.Win, v.Verdict)
	require.Contains(t, v.Reason, "oom: CUDA out of memory")
	require.Nil(t, v.Ratio)
	one := only(t, crash(1), foreignTerms)
	require.Equal(t, 7, one.Blocks)
	require.Contains(t, strings.Join(one.Warnings, " "), "1 of 8 blocks have no output_token_throughput")
}

func TestPointsThatCanNeitherWinNorLose(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*compare.Row){
		"client":       func(r *compare.Row) { r.Audit = &compare.Audit{ClientLimited: true} },
		"unsettled":    func(r *compare.Row) { r.Audit = &compare.Audit{Unsettled: true} },
		"cold":         func(r *compare.Row) { r.Audit = &compare.Audit{Cold: true} },
		"untrusted":    func(r *compare.Row) { r.Audit = &compare.Audit{Untrusted: true} },
		"interference": func(r *compare.Row) { r.Interference = true },
		"skipped":      func(r *compare.Row) { r.Status = compare.StatusSkipped },
	} {
		v := only(t, edit(foreign(blocks(8, 0.1, 0.01)), contract.VLLM, spoil), foreignTerms)
		require.Equal(t, stats.Inconclusive, v.Verdict, name)
		require.Contains(t, v.Reason, "no usable blocks; at least 6 blocks are needed", name)
		require.Equal(t, 6, *v.MoreBlocks, name)
		require.Equal(t, "assumed", v.MDESource, name)
		require.Len(t, v.Warnings, 8, name)
	}
	overloaded := edit(foreign(blocks(8, 0.1, 0.01)), contract.SGLang, func(r *compare.Row) { r.Audit = &compare.Audit{Overloaded: true} })
	require.Equal(t, stats.Loss, verdictOf(t, overloaded, foreignTerms), "an overload is the engine's own failure")

	undecided := &compare.Audit{LoadTest: &bench.LoadTest{Method: contract.OverloadCapacity, State: bench.LoadUndecided, NeedsS: 240}}
	v := only(t, edit(foreign(blocks(8, 0.1, 0.01)), contract.SGLang, func(r *compare.Row) { r.Audit = undecided }), foreignTerms)
	require.Equal(t, stats.Inconclusive, v.Verdict, "neither kept nor broken")
	require.Contains(t, v.Reason, "one of 240 s would")
	slow := edit(foreign(blocks(8, 0.1, 0.01)), contract.SGLang, func(r *compare.Row) { r.Audit, r.Metrics["p50_ttft_user_ms"] = undecided, 5000 })
	require.Equal(t, stats.Loss, verdictOf(t, slow, foreignTerms), "a broken limit is broken")
}

func TestUnequalFactsAreRefusedByName(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*compare.Row){
		"workload.num_prompts":       func(r *compare.Row) { r.Workload.NumPrompts = ptr(20) },
		"workload.output_len":        func(r *compare.Row) { r.Workload.OutputLen = ptr(32) },
		"workload.endpoint":          func(r *compare.Row) { r.Workload.Endpoint = "/v1/chat/completions" },
		"workload.max_concurrency":   func(r *compare.Row) { r.Workload.MaxConcurrency = nil },
		"sla.max_p50_ttft_ms":        func(r *compare.Row) { r.SLA.Limits = contract.SLA{"max_p50_ttft_ms": 9000} },
		"sla.max_p99_ttft_ms":        func(r *compare.Row) { r.SLA.Limits = contract.SLA{"max_p50_ttft_ms": 1000, "max_p99_ttft_ms": 1} },
		"client":                     func(r *compare.Row) { r.Client = "vllm bench serve" },
		"simulated":                  func(r *compare.Row) { r.Simulated = true },
		"hardware.gpu_model":         func(r *compare.Row) { r.Hardware.GPUModel = "NVIDIA H200" },
		"hardware.gpu_count":         func(r *compare.Row) { r.Hardware.GPUCount = ptr(2) },
		"hardware.visible_devices":   func(r *compare.Row) { r.Hardware.VisibleDevices = "1" },
		"model":                      func(r *compare.Row) { r.Model = "acme/model-7b" },
		"contract_digest":            func(r *compare.Row) { r.ContractDigest = "d2" },
		"metrics.mean_output_tokens": func(r *compare.Row) { r.Metrics["mean_output_tokens"] = 60 },
	} {
		rows := blocks(8, 0.1, 0.01)
		if field == "metrics.mean_output_tokens" { // a latency under a rate means nothing at other lengths
			for i := range rows {
				rows[i].Workload.MaxConcurrency, rows[i].Workload.RequestRate, rows[i].Workload.Arrival = nil, ptr(4.0), contract.ArrivalPoisson
			}
		}
		res, err := compare.Verdicts(edit(rows, contract.VLLM, change), compare.Terms{Target: compare.Selector{Side: "sglang"}, Delta: 0.03})
		require.NoError(t, err, field)
		require.Empty(t, res.Verdicts, field)
		require.Equal(t, field, res.Refused[0].Field)
		require.ErrorContains(t, res.Err(), res.Refused[0].Rule)
		require.Contains(t, compare.Rules(), res.Refused[0].Rule)
		require.Contains(t, strings.Join(res.Warnings, " "), field)
	}
}

func TestFactsOneSideAloneStatesAreNotChecked(t *testing.T) {
	t.Parallel()
	rows := edit(foreign(blocks(8, 0.1, 0.01)), contract.VLLM, func(r *compare.Row) { r.Client, r.Workload.NumPrompts = "", nil })
	res, err := compare.Verdicts(rows, foreignTerms)
	require.NoError(t, err)
	require.Equal(t, stats.Win, res.Verdicts[0].Verdict)
	require.Equal(t, compare.ProvenanceUnverified, res.Provenance)
	for _, field := range []string{"client", "workload.num_prompts", "hardware.driver"} {
		require.Contains(t, res.Warnings[0], field)
	}
	require.NotContains(t, res.Warnings[0], "workload.endpoint")
}

func TestBlocksMayDifferButNotWithin(t *testing.T) {
	t.Parallel()
	rows := foreign(blocks(8, 0.1, 0.01))
	for i := range rows {
		rows[i].Hardware.Driver = []string{"570.1", "575.2"}[*rows[i].Block/4]
	}
	require.Equal(t, stats.Win, verdictOf(t, rows, foreignTerms))
	rows[0].Hardware.Driver = "575.2"
	res, err := compare.Verdicts(rows, foreignTerms)
	require.NoError(t, err)
	require.Equal(t, "hardware.driver", res.Refused[0].Field)
}

func TestDeclaredDifferencesAreShown(t *testing.T) {
	t.Parallel()
	terms := foreignTerms
	terms.Declared = []string{"memory.kv_cache_dtype"}
	rows := edit(foreign(blocks(8, 0.1, 0.01)), contract.VLLM, func(r *compare.Row) { r.Memory = &compare.Memory{KVCacheDtype: "auto"} })
	rows = edit(rows, contract.SGLang, func(r *compare.Row) { r.Memory = &compare.Memory{KVCacheDtype: "fp8_e4m3"} })
	v := only(t, rows, terms)
	require.Contains(t, strings.Join(v.Warnings, " "), "memory.kv_cache_dtype differs as declared")
	res, err := compare.Verdicts(rows, foreignTerms)
	require.NoError(t, err)
	require.Equal(t, compare.RuleSamePrecision, res.Refused[0].Rule)
}

func TestBrokenBlocksAreRefusedByName(t *testing.T) {
	t.Parallel()
	second := row(contract.VLLM, 3, 25)
	second.LaunchID = "vllm-3b"
	sequential := blocks(8, 0.1, 0.01)
	for i := range sequential { // all of one side first, labelled as blocks afterwards
		at := time.Date(2026, 11, 1, 0, *sequential[i].Block, 0, 0, time.UTC)
		if sequential[i].Framework == contract.VLLM {
			at = at.Add(time.Hour)
		}
		sequential[i].StartedAt = &at
	}
	for _, c := range []struct {
		name, rule, what string
		rows             []compare.Row
	}{
		{"two launches of one side", compare.RuleReplicates, "two launches of vllm-main in block 3", append(blocks(8, 0.1, 0.01), second)},
		{"no partner", compare.RuleInterleaved, "block 7 has no partner", blocks(8, 0.1, 0.01)[:15]},
		{"one launch as many blocks", compare.RuleReplicates, "stands for two blocks",
			edit(blocks(8, 0.1, 0.01), contract.VLLM, func(r *compare.Row) { r.LaunchID = "vllm-0" })},
		{"not interleaved", compare.RuleInterleaved, "sides do not alternate", sequential},
		{"changing candidates", compare.RuleSameCandidate, "candidate_id differs",
			edit(blocks(8, 0.1, 0.01), contract.VLLM, func(r *compare.Row) { r.CandidateID = "vllm-0" + string(rune('0'+*r.Block%2)) })},
	} {
		for i := range c.rows {
			c.rows[i].Phase = ""
		}
		res, err := compare.Verdicts(c.rows, foreignTerms)
		require.NoError(t, err, c.name)
		require.Empty(t, res.Verdicts, c.name)
		require.Equal(t, c.rule, res.Refused[0].Rule, c.name)
		require.Contains(t, res.Refused[0].What, c.what, c.name)
	}
}

func TestARefusedSideLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	rows := foreign(blocks(8, 0.1, 0.01))
	for b := range 8 {
		r := row(contract.TensorRTLLM, b, 20)
		r.Workload.NumPrompts = ptr(20)
		rows = append(rows, foreign([]compare.Row{r})...)
	}
	res, err := compare.Verdicts(rows, foreignTerms)
	require.NoError(t, err)
	require.Len(t, res.Verdicts, 1)
	require.Equal(t, "vllm-03", res.Verdicts[0].Against)
	require.Equal(t, "tensorrt_llm", res.Refused[0].Against)
	require.Equal(t, 2, res.M, "a refused comparison still shares the error rate")
	require.Error(t, res.Err())
}

func TestOrderThatWasNeverRandomisedIsSaid(t *testing.T) {
	t.Parallel()
	rows := blocks(8, 0.1, 0.01)
	require.Empty(t, only(t, rows, campaignTerms()).Warnings[1:], "alternating order: only the undeclared facts are said")
	for i := range rows {
		if rows[i].Framework == contract.VLLM {
			rows[i].StartedAt = ptr(time.Date(2026, 11, 1, 0, *rows[i].Block, 30, 0, time.UTC))
		}
	}
	require.Contains(t, strings.Join(only(t, rows, campaignTerms()).Warnings, " "), "not randomised")
}

func TestCampaignRowsAreHeldStrictly(t *testing.T) {
	t.Parallel()
	v := only(t, blocks(8, 0.1, 0.01), campaignTerms(8, 12))
	require.Equal(t, stats.Win, v.Verdict)
	for field, change := range map[string]func(*compare.Row){
		"client":               func(r *compare.Row) { r.Client = "" },
		"launch_id":            func(r *compare.Row) { r.LaunchID = "" },
		"workload.num_prompts": func(r *compare.Row) { r.Workload.NumPrompts = nil },
		"contract_digest":      func(r *compare.Row) { r.ContractDigest = "d9" },
	} {
		res, err := compare.Verdicts(edit(blocks(8, 0.1, 0.01), contract.VLLM, change), campaignTerms(8, 12))
		require.NoError(t, err)
		require.Equal(t, field, res.Refused[0].Field)
	}
}

func TestACampaignsCutBlockIsVoid(t *testing.T) {
	t.Parallel()
	v := only(t, blocks(9, 0.1, 0.01)[:17], campaignTerms(8, 12))
	require.Equal(t, stats.Win, v.Verdict)
	require.Equal(t, 8, v.Blocks)
	require.Contains(t, strings.Join(v.Warnings, " "), "block 8 is void")
}

func TestLooksAreFrozen(t *testing.T) {
	t.Parallel()
	seven := only(t, blocks(7, 0.1, 0.01), campaignTerms(8, 12))
	require.Equal(t, stats.Inconclusive, seven.Verdict)
	require.Equal(t, 1, *seven.MoreBlocks)
	ten := only(t, blocks(10, 0.1, 0.01), campaignTerms(8, 12))
	require.Equal(t, 8, ten.Blocks, "between looks the last look holds")
	require.Equal(t, 12, only(t, blocks(12, 0.1, 0.01), campaignTerms(8, 12)).Blocks)
}

func TestUnequalEffortIsSaid(t *testing.T) {
	t.Parallel()
	terms := campaignTerms(8)
	terms.Effort = map[string]compare.Effort{"sglang-main": {Launches: 10}, "vllm-main": {Launches: 2}}
	v := only(t, blocks(8, 0.1, 0.01), terms)
	require.Contains(t, strings.Join(v.Warnings, " "), compare.RuleEqualEffort)
	require.Equal(t, "sglang-main", v.Effort[0].Side)
	terms.Effort["vllm-main"] = compare.Effort{Launches: 2, Exhausted: "two candidates exist"}
	require.NotContains(t, strings.Join(only(t, blocks(8, 0.1, 0.01), terms).Warnings, " "), compare.RuleEqualEffort)
}

func TestPatchedAgainstBaseIsOneEntryTwice(t *testing.T) {
	t.Parallel()
	rows := edit(blocks(8, 0.1, 0.01), contract.VLLM, func(r *compare.Row) {
		r.Framework, r.Side, r.CandidateID = contract.SGLang, "sglang-main", "sglang-03"
	})
	for i := range rows {
		rows[i].Phase = compare.PhaseRevalidate
		if i%2 == 0 {
			rows[i].CandidateID = "sglang-03+patch-1"
		}
	}
	terms := campaignTerms(8)
	terms.Phase = compare.PhaseRevalidate
	terms.Target.Candidate = "sglang-03+patch-1"
	terms.Against = []compare.Selector{{Side: "sglang-main", Candidate: "sglang-03"}}
	v := only(t, rows, terms)
	require.Equal(t, stats.Win, v.Verdict)
	require.Equal(t, "sglang-03+patch-1", v.Candidate)
	require.Equal(t, "sglang-03", v.Against)
}

func TestWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	search := blocks(8, 0.1, 0.01)
	for i := range search {
		search[i].Phase = compare.PhaseSearch
	}
	twoEntries := blocks(8, 0.1, 0.01)
	for i := range 4 {
		twoEntries[4*i].Side = "sglang-dev"
	}
	for _, c := range []struct {
		name  string
		rows  []compare.Row
		terms compare.Terms
		want  string
	}{
		{"search scores", search, foreignTerms, "no rows of phase"},
		{"no rows", nil, foreignTerms, "no rows of phase"},
		{"unknown target", blocks(8, 0, 0.1), compare.Terms{Target: compare.Selector{Side: "sglng"}}, `"sglng"`},
		{"one side", blocks(8, 0, 0.1)[:1], compare.Terms{Target: compare.Selector{Side: "sglang"}}, "nothing to compare"},
		{"ambiguous target", twoEntries, foreignTerms, "2 engine entries"},
		{"bad delta", blocks(8, 0, 0.1), compare.Terms{Delta: math.NaN()}, "delta"},
	} {
		_, err := compare.Verdicts(c.rows, c.terms)
		require.ErrorContains(t, err, c.want, c.name)
		_, isFault := fault.As(err)
		require.True(t, isFault, c.name)
	}
}

func TestRowsWithoutBlocksAreInconclusive(t *testing.T) {
	t.Parallel()
	rows := foreign(blocks(8, 0.1, 0.01))
	for i := range rows {
		rows[i].Block = nil
	}
	v := only(t, rows, foreignTerms)
	require.Equal(t, stats.Inconclusive, v.Verdict)
	require.Contains(t, v.Reason, "no blocks")
	require.Equal(t, "output_token_throughput", v.Metric)
}

func TestARateWithACapIsNoMeasurementOfEither(t *testing.T) {
	t.Parallel()
	rows := foreign(blocks(8, 0.1, 0.01))
	for i := range rows {
		rows[i].Workload.RequestRate = ptr(4.0)
	}
	res, err := compare.Verdicts(rows, foreignTerms)
	require.NoError(t, err)
	require.Contains(t, res.Refused[0].What, "hides queueing")
}

func TestVerdictsAreTheSameAfterAFile(t *testing.T) {
	t.Parallel()
	rows := blocks(8, 0.031, 0.02)
	rows[3].Metrics["p99_ttft_user_ms"] = math.Inf(1)
	var file []byte
	for _, r := range rows {
		var err error
		file, err = compare.AppendRow(file, r)
		require.NoError(t, err)
	}
	back, err := compare.ReadRows(strings.NewReader(string(file)), "rows")
	require.NoError(t, err)
	before, err := compare.Verdicts(rows, campaignTerms(8))
	require.NoError(t, err)
	after, err := compare.Verdicts(back, campaignTerms(8))
	require.NoError(t, err)
	require.Equal(t, before.Verdicts, after.Verdicts)
}
