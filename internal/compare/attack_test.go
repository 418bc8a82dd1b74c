package compare_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// told makes foreign rows that leave nothing out, so that what an attack adds is all there is to say.
func told(n int) []compare.Row {
	rows := blocks(n, 0.1, 0.01)
	for i := range rows {
		r := &rows[i]
		r.Side, r.Phase, r.ContractDigest, r.RawSHA256 = "", "", "", fmt.Sprintf("%064d", i)
		r.Workload.IgnoreEOS, r.WarmupRequests = ptr(true), ptr(32)
		r.Workload.DrawDigest = fmt.Sprintf("draw-%d", *r.Block)
	}
	return rows
}

// said is everything that a result warns of.
func said(res compare.Result) string {
	out := slices.Clone(res.Warnings)
	for _, v := range res.Verdicts {
		out = append(append(out, v.Warnings...), v.Reason)
	}
	return strings.Join(out, "\n")
}

func TestHonestForeignRowsRaiseNoDoubt(t *testing.T) {
	t.Parallel()
	v := only(t, told(8), foreignTerms)
	require.Equal(t, stats.Win, v.Verdict)
	for _, w := range v.Warnings {
		require.Contains(t, w, "user", "only the stand-in for the user's times is said")
	}
	one := told(8)
	for i := range one {
		*one[i].Block++
	}
	require.NotContains(t, strings.Join(only(t, one, foreignTerms).Warnings, "\n"), "not among", "blocks may be counted from 1")
}

// TestAnUndeservedWinIsRefused are files written by somebody who wants a win; no verdict comes of them.
func TestAnUndeservedWinIsRefused(t *testing.T) {
	t.Parallel()
	sglang, vllm := contract.SGLang, contract.VLLM
	for name, c := range map[string]struct {
		rows        []compare.Row
		rule, field string
	}{
		"one launch under many names, by its records": {edit(told(8), sglang, func(r *compare.Row) { r.RawSHA256 = "ab" }), compare.RuleReplicates, "raw_sha256"},
		"both sides are one server":                   {edit(told(8), sglang, func(r *compare.Row) { r.LaunchID = fmt.Sprintf("vllm-%d", *r.Block) }), compare.RuleReplicates, "launch_id"},
		"the same line twice":                         {append(told(8), told(8)[3]), compare.RuleReplicates, "launch_id"},
		"fewer prompts for one side":                  {edit(told(8), sglang, func(r *compare.Row) { r.Workload.NumPrompts = ptr(20) }), compare.RuleSameWorkload, "workload.num_prompts"},
		"fewer prompts in one block":                  {edit(told(8), sglang, func(r *compare.Row) { r.Workload.NumPrompts = ptr(80 - *r.Block/7) }), compare.RuleSameWorkload, "workload.num_prompts"},
		"another client":                              {edit(told(8), sglang, func(r *compare.Row) { r.Client = "mine" }), compare.RuleSameClient, "client"},
		"an easier SLA":                               {edit(told(8), sglang, func(r *compare.Row) { r.SLA.Limits = contract.SLA{"max_p50_ttft_ms": 9e9} }), compare.RuleSameSLA, "sla.max_p50_ttft_ms"},
		"no SLA for one side":                         {edit(told(8), sglang, func(r *compare.Row) { r.SLA.Limits = nil }), compare.RuleSameSLA, "sla.max_p50_ttft_ms"},
		"a simulated side":                            {edit(told(8), sglang, func(r *compare.Row) { r.Simulated = true }), compare.RuleRealHost, "simulated"},
		"one simulated launch":                        {edit(told(8), sglang, func(r *compare.Row) { r.Simulated = *r.Block == 3 }), compare.RuleRealHost, "simulated"},
		"other requests within a block":               {edit(told(8), sglang, func(r *compare.Row) { r.Workload.DrawDigest = "easy" }), compare.RuleSameWorkload, "workload.draw_digest"},
		"a better candidate in each block":            {edit(told(8), sglang, func(r *compare.Row) { r.CandidateID = fmt.Sprint(*r.Block) }), compare.RuleSameCandidate, "candidate_id"},
		"a release in between":                        {edit(told(8), sglang, func(r *compare.Row) { r.FrameworkVersion = fmt.Sprint(*r.Block / 4) }), compare.RuleSameCandidate, "framework_version"},
		"more GPUs":                                   {edit(told(8), sglang, func(r *compare.Row) { r.Hardware.GPUCount = ptr(2) }), compare.RuleSameHardware, "hardware.gpu_count"},
		"its own row says so":                         {edit(told(8), sglang, func(r *compare.Row) { r.Normalization = &compare.Normalization{SameModelWeights: ptr(false)} }), compare.RuleSameModel, "normalization.same_model_weights"},
		"blocks that lost are cut on one side": {slices.DeleteFunc(told(8), func(r compare.Row) bool { return r.Framework == vllm && *r.Block == 5 }),
			compare.RuleInterleaved, "block"},
		"a fast rate is called closed loop": {edit(told(8), sglang, func(r *compare.Row) { r.Workload.RequestRate = ptr(4.0) }), compare.RuleSameWorkload, "workload.request_rate"},
		"shorter answers under a rate": {edit(rated(told(8)), sglang, func(r *compare.Row) { r.Metrics["mean_output_tokens"] = 40 }),
			compare.RuleSameOutput, "metrics.mean_output_tokens"},
	} {
		res, err := compare.Verdicts(c.rows, foreignTerms)
		require.NoError(t, err, name)
		require.Empty(t, res.Verdicts, name)
		require.Equal(t, []string{c.rule, c.field}, []string{res.Refused[0].Rule, res.Refused[0].Field}, name)
		require.Error(t, res.Err(), name)
	}
}

// rated makes rows of a fixed rate, whose primary metric is a latency.
func rated(rows []compare.Row) []compare.Row {
	for i := range rows {
		rows[i].Workload.MaxConcurrency, rows[i].Workload.RequestRate, rows[i].Workload.Arrival = nil, ptr(4.0), contract.ArrivalPoisson
	}
	return rows
}

// TestADoubtfulWinIsSaid are files that cannot be told from honest ones with certainty: the verdict stands, and what
// would make it worthless is said.
func TestADoubtfulWinIsSaid(t *testing.T) {
	t.Parallel()
	sglang := contract.SGLang
	for name, c := range map[string]struct {
		rows []compare.Row
		want string
	}{
		"chosen blocks": {slices.DeleteFunc(told(12), func(r compare.Row) bool { return *r.Block == 2 || *r.Block == 5 || *r.Block == 6 }),
			"blocks 2, 5 to 6 are not among those compared"},
		"the first blocks thrown away": {slices.DeleteFunc(told(12), func(r compare.Row) bool { return *r.Block < 3 }), "blocks 0 to 2 are not among"},
		"one measurement, renamed": {edit(told(8), sglang, func(r *compare.Row) { r.Metrics = told(8)[0].Metrics }),
			"equal those of"},
		"no start times":            {edit(told(8), sglang, func(r *compare.Row) { r.StartedAt = nil }), "in 8 of 8 blocks started_at is missing"},
		"one start time forgotten":  {edit(told(8), sglang, func(r *compare.Row) { r.StartedAt = unless(*r.Block == 4, r.StartedAt) }), "in 1 of 8 blocks started_at is missing"},
		"one side after the other":  {oneSideFirst(edit(told(8), sglang, func(r *compare.Row) { r.StartedAt = nil })), "rows of one side all come before the other's"},
		"one date for all":          {dated(told(8)), "in 8 of 8 blocks both launches have the same started_at"},
		"no launches":               {edit(told(8), sglang, func(r *compare.Row) { r.LaunchID = "" }), "launch_id"},
		"the same requests again":   {drawn(told(8)), "blocks 0 and 1 have the same workload.draw_digest"},
		"all of it simulated":       {simulated(told(8)), "16 of 16 rows are simulated"},
		"requests dropped":          {edit(told(8), sglang, func(r *compare.Row) { r.Metrics["success_rate"] = 0.8 }), "success_rate falls to 0.8 at sglang"},
		"answers longer than asked": {edit(told(8), sglang, func(r *compare.Row) { r.Metrics["mean_output_tokens"] = 80 }), "generated 80 tokens a request, workload.output_len is 64 with ignore_eos"},
		"lengths not given":         {edit(told(8), sglang, func(r *compare.Row) { delete(r.Metrics, "request_throughput") }), "metrics.mean_output_tokens"},
		"another command each time": {edit(told(8), sglang, func(r *compare.Row) { r.ServerCommand = fmt.Sprintf("sglang serve --mem %d", *r.Block) }), "server_command of sglang block 1"},
		"a cold opponent":           {edit(told(8), contract.VLLM, func(r *compare.Row) { r.WarmupRequests = ptr(0) }), "one side was measured cold"},
		"a search score beside":     {searched(told(10), 8), "4 rows of phase search are not part of any verdict"},
		"an opponent that crashes": {edit(told(8), contract.VLLM, func(r *compare.Row) { r.Status, r.Metrics = compare.StatusOOM, compare.Metrics{} }),
			"no launch of vllm-03 worked"},
		"almost one order": {ordered(told(12), 1), "the same in 11 of 12"},
		"the opponent's best blocks disturbed": {edit(told(8), contract.VLLM, func(r *compare.Row) { r.Interference = *r.Block < 2 }),
			"block 0 is void"},
	} {
		res, err := compare.Verdicts(c.rows, foreignTerms)
		require.NoError(t, err, name)
		require.Empty(t, res.Refused, name)
		require.Contains(t, said(res), c.want, name)
		require.Equal(t, compare.ProvenanceUnverified, res.Provenance, name)
		honest, err := compare.Verdicts(told(8), foreignTerms)
		require.NoError(t, err)
		require.NotContains(t, said(honest), c.want, "%s: honest rows are not told so", name)
	}
}

func unless[T any](cond bool, v *T) *T {
	if cond {
		return nil
	}
	return v
}

func oneSideFirst(rows []compare.Row) []compare.Row {
	slices.SortStableFunc(rows, func(a, b compare.Row) int { return strings.Compare(string(a.Framework), string(b.Framework)) })
	for i := range rows {
		rows[i].Line = i + 1
	}
	return rows
}

func dated(rows []compare.Row) []compare.Row {
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		rows[i].StartedAt = &day
	}
	return rows
}

func drawn(rows []compare.Row) []compare.Row {
	for i := range rows {
		rows[i].Workload.DrawDigest = "the easy ones"
	}
	return rows
}

func simulated(rows []compare.Row) []compare.Row {
	for i := range rows {
		rows[i].Simulated = true
	}
	return rows
}

func searched(rows []compare.Row, from int) []compare.Row {
	for i := range rows {
		if *rows[i].Block >= from {
			rows[i].Phase = compare.PhaseSearch
		}
	}
	return rows
}

// ordered has SGLang start first in all blocks but so many.
func ordered(rows []compare.Row, but int) []compare.Row {
	for i := range rows {
		r := &rows[i]
		second := (r.Framework == contract.SGLang) == (*r.Block < but)
		at := time.Date(2026, 11, 1, 0, *r.Block, 0, 0, time.UTC)
		if second {
			at = at.Add(20 * time.Second)
		}
		r.StartedAt = &at
	}
	return rows
}

// TestAMetricThatIsLeftOutFailsNobody: a limit whose metric a foreign row lacks is not known to be broken, so that
// leaving the other side's out wins nothing; a percentile among failed requests is.
func TestAMetricThatIsLeftOutFailsNobody(t *testing.T) {
	t.Parallel()
	tail := func(rows []compare.Row) []compare.Row {
		for i := range rows {
			rows[i].SLA.Limits = contract.SLA{"max_p50_ttft_ms": 1000, "max_p99_ttft_ms": 3000}
			rows[i].Metrics["p99_ttft_user_ms"] = 2000
		}
		return rows
	}
	require.Equal(t, stats.Win, verdictOf(t, tail(told(8)), foreignTerms))
	for _, side := range []contract.Framework{contract.SGLang, contract.VLLM} {
		v := only(t, edit(tail(told(8)), side, func(r *compare.Row) { delete(r.Metrics, "p99_ttft_user_ms") }), foreignTerms)
		require.Equal(t, stats.Inconclusive, v.Verdict, side)
		require.Contains(t, v.Reason, "not known for 8 of 16 launches: max_p99_ttft_ms: not measured", side)
		require.Nil(t, v.MoreBlocks, side)
	}
	hung := edit(tail(told(8)), contract.VLLM, func(r *compare.Row) { delete(r.Metrics, "p99_ttft_user_ms"); r.Metrics["success_rate"] = 0.9 })
	require.Equal(t, stats.Win, verdictOf(t, hung, foreignTerms), "one request in ten never ended: p99 is infinite")
	slow := edit(tail(told(8)), contract.VLLM, func(r *compare.Row) {
		delete(r.Metrics, "p99_ttft_user_ms")
		r.Metrics["p50_ttft_user_ms"] = 1001
	})
	require.Equal(t, stats.Win, verdictOf(t, slow, foreignTerms), "the limit that can be judged is broken")
}

// TestSidesMeasuredOneAfterTheOtherAreNotCompared: with the host drifting, AAAABBBB would be called a win or a loss time
// and again. With start times it is refused; without them it is said that nothing was checked.
func TestSidesMeasuredOneAfterTheOtherAreNotCompared(t *testing.T) {
	t.Parallel()
	rng, fooled := rand.New(rand.NewPCG(9, 9)), 0
	for range 50 {
		rows := told(8)
		for i := range rows { // the host gets 4 % slower from the first launch to the last; both sides are equal
			r := &rows[i]
			at := *r.Block
			if r.Framework == contract.VLLM {
				at += 8
			}
			r.StartedAt = ptr(time.Date(2026, 11, 1, 0, at, 0, 0, time.UTC))
			r.Metrics["output_token_throughput"] = 1280 * math.Exp(0.005*rng.NormFloat64()-0.04*float64(at)/15)
		}
		res, err := compare.Verdicts(rows, compare.Terms{Target: foreignTerms.Target, Delta: 0.01})
		require.NoError(t, err)
		require.Equal(t, compare.RuleInterleaved, res.Refused[0].Rule)
		require.Equal(t, "started_at", res.Refused[0].Field)
		for i := range rows {
			rows[i].StartedAt = nil
		}
		res, err = compare.Verdicts(rows, compare.Terms{Target: foreignTerms.Target, Delta: 0.01})
		require.NoError(t, err)
		require.Contains(t, res.Warnings[0], "started_at")
		if res.Verdicts[0].Verdict == stats.Win {
			fooled++
		}
	}
	require.Greater(t, fooled, 40, "the attack works where start times are kept back: that is what the warning is for")
}

// TestForgottenStartsDoNotHideTheOrder: the blocks that say when they ran are still checked.
func TestForgottenStartsDoNotHideTheOrder(t *testing.T) {
	t.Parallel()
	rows := told(8)
	for i := range rows {
		at := time.Date(2026, 11, 1, 0, *rows[i].Block, 0, 0, time.UTC)
		if rows[i].Framework == contract.VLLM {
			at = at.Add(time.Hour)
		}
		rows[i].StartedAt = &at
	}
	rows[0].StartedAt = nil
	res, err := compare.Verdicts(rows, foreignTerms)
	require.NoError(t, err)
	require.Equal(t, "started_at", res.Refused[0].Field)
}

func TestLaunchesThatDisagreeSayWhatAgreementTakes(t *testing.T) {
	t.Parallel()
	breaking := func(n int) compare.Verdict {
		return only(t, edit(told(8), contract.SGLang, func(r *compare.Row) {
			if *r.Block < n {
				r.Metrics["p50_ttft_user_ms"] = 5000
			}
		}), foreignTerms)
	}
	require.Contains(t, breaking(2).Reason, "at least 4 blocks more", "10 of 12 agree")
	require.Contains(t, breaking(4).Reason, "more than the test takes", "20 of 24 would")
	both := only(t, edit(edit(told(8), contract.SGLang, overLimit), contract.VLLM, overLimit), foreignTerms)
	require.Contains(t, both.Reason, "more blocks do not change that")
	require.Nil(t, both.MoreBlocks)
}

func overLimit(r *compare.Row) { r.Metrics["p50_ttft_user_ms"] = 5000 }

func TestFilesAsOtherSystemsWriteThem(t *testing.T) {
	t.Parallel()
	line := `{"framework":"vllm","status":"ok"}`
	for name, text := range map[string]string{
		"byte order mark": "\ufeff" + line + "\n", "Windows line ends": line + "\r\n\r\n" + line + "\r\n", "no last line end": line, "only a mark": "\ufeff\n" + line,
	} {
		rows, err := compare.ReadRows(strings.NewReader(text), "rows")
		require.NoError(t, err, name)
		require.NotEmpty(t, rows, name)
	}
	for name, c := range map[string][2]string{
		"UTF-16":              {"\xff\xfe{\x00\"\x00", "rows:1: not UTF-8"},
		"one JSON list":       {"[" + line + "]", "write one object a line"},
		"a mark in the midst": {line + "\n\ufeff" + line, "rows:2: not a JSON object"},
		"NaN":                 {line + "\n" + `{"framework":"vllm","status":"ok","metrics":{"p50_ttft_ms":NaN}}`, "rows:2: metrics.p50_ttft_ms: invalid character 'N'"},
		"a pretty object":     {"{\n \"framework\": \"vllm\"\n}", "rows:1: "},
		"a line of 17 MiB":    {`{"framework":"` + strings.Repeat("v", 17<<20) + `"}`, "rows:1: line is longer than 16 MiB"},
	} {
		_, err := compare.ReadRows(strings.NewReader(c[0]), "rows")
		require.ErrorContains(t, err, c[1], name)
	}
}
