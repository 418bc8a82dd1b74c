package compare_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// ratedRow makes a row that of a rate search between 2 and 64 requests/s.
func ratedRow(r compare.Row, rate float64) compare.Row {
	r.Workload.Arrival, r.Workload.MaxConcurrency = contract.ArrivalPoisson, nil
	r.Metrics = clone(r.Metrics)
	r.SLA.Limits = contract.SLA{"max_p50_ttft_ms": 1000}
	at := func(rate float64, passed bool) bench.RateTried {
		x := bench.RateTried{Rate: rate, Passed: passed, Status: bench.StatusOK, Reasons: []string{}, Metrics: map[string]float64{}}
		if !passed {
			x.Reasons = []string{"max_p50_ttft_ms: 1200 > 1000"}
		}
		return x
	}
	switch {
	case rate >= 64:
		r.Rate = &bench.RateResult{Edge: bench.RateAtLeast, Pass: ptr(64.0), Tried: []bench.RateTried{at(64, true)}}
	case rate < 2:
		r.Rate = &bench.RateResult{Edge: bench.RateBelow, Fail: ptr(2.0), Tried: []bench.RateTried{at(2, false)}}
		r.Metrics["p50_ttft_user_ms"], r.SLA.Passed = 1200, ptr(false)
	default:
		r.Rate = &bench.RateResult{Edge: bench.RateBetween, Rate: ptr(rate), Pass: ptr(rate * 0.99), Fail: ptr(rate * 1.01), Tried: []bench.RateTried{at(rate*0.99, true), at(rate*1.01, false)}}
		r.Metrics[contract.MaxRateUnderSLA] = rate
	}
	return r
}

// rateBlocks are pairs of launches with these highest rates, by block.
func rateBlocks(target, other []float64) []compare.Row {
	var out []compare.Row
	for b := range target {
		out = append(out, ratedRow(row(contract.SGLang, b, 10), target[b]), ratedRow(row(contract.VLLM, b, 10), other[b]))
	}
	return out
}

func rateVerdict(t *testing.T, target, other []float64) compare.Verdict {
	t.Helper()
	terms := campaignTerms(len(target))
	terms.SLA = contract.SLA{"max_p50_ttft_ms": 1000}
	terms.Scenarios = []contract.Scenario{{Name: "chat", Primary: contract.MaxRateUnderSLA, Arrival: contract.ArrivalPoisson}}
	res, err := compare.Verdicts(rateBlocks(target, other), terms)
	require.NoError(t, err)
	require.Empty(t, res.Refused)
	require.Len(t, res.Verdicts, 1)
	return res.Verdicts[0]
}

func around(rate float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = rate * (1 + 0.005*float64(i%3))
	}
	return out
}

func TestVerdictsOnHighestRates(t *testing.T) {
	t.Parallel()
	with := func(values []float64, at int, v ...float64) []float64 {
		out := append([]float64{}, values...)
		copy(out[at:], v)
		return out
	}
	ten, eleven := around(10, 8), around(11, 8)
	above, below := around(100, 8), around(1, 8)
	for _, tc := range []struct {
		name          string
		target, other []float64
		want          stats.Verdict
		says          string
		ratio         bool
	}{
		{"a higher rate wins", eleven, ten, stats.Win, "better than the other side", true},
		{"a lower rate loses", ten, eleven, stats.Loss, "worse", true},
		{"the same rates", ten, ten, stats.Equivalent, "", true},
		{"beyond the bounds wins at least", above, ten, stats.Win, "at least: ", false},
		{"one launch beyond the bounds", with(eleven, 3, 100), ten, stats.Win, "in 1 of 8 launches", false},
		{"beaten by a side beyond the bounds", ten, above, stats.Loss, "at most: ", false},
		{"both beyond the bounds", above, above, stats.Inconclusive, "the bounds do not hold the rates", false},
		{"a win that the other side's bound overstates", eleven, with(ten, 0, 100), stats.Inconclusive, "the bounds do not hold", false},
		{"a launch below the bounds cannot win", with(eleven, 2, 1), ten, stats.Inconclusive, "at no rate tried in 1 of 8", false},
		{"not even by far", with(around(60, 8), 2, 1), ten, stats.Inconclusive, "at no rate tried in 1 of 8", false},
		{"not against a launch beyond them", around(60, 8), with(ten, 2, 100), stats.Inconclusive, "vllm-03 passes at every rate tried in 1 of 8", false},
		{"nor lose to one", with(ten, 2, 100), around(60, 8), stats.Inconclusive, "sglang-03 passes at every rate tried in 1 of 8", false},
		{"one launch of the other side below them", eleven, with(ten, 2, 1), stats.Win, "at least: ", false},
		{"a side below the bounds fails the SLA", below, ten, stats.Loss, "no rate passes, 2 requests/s does not", false},
		{"the other side below the bounds", ten, below, stats.Win, "sla: ", false},
		{"both below the bounds", below, below, stats.Inconclusive, "both sides fail", false},
		{"half of the launches below the bounds", with(ten, 0, 1, 1, 1, 1), ten, stats.Inconclusive, "launches do not agree", false},
	} {
		v := rateVerdict(t, tc.target, tc.other)
		require.Equal(t, tc.want, v.Verdict, "%s: %s", tc.name, v.Reason)
		require.Contains(t, v.Reason, tc.says, tc.name)
		require.Equal(t, tc.ratio, v.Ratio != nil, tc.name)
		require.Equal(t, tc.ratio, v.Interval != nil, tc.name)
		require.Equal(t, contract.MaxRateUnderSLA, v.Metric)
		require.Equal(t, "higher", v.Better)
	}
}

// TestBoundsNeverMakeAWin draws campaigns whose rates are cut at the bounds: what the cut rates win, the true ones win.
func TestBoundsNeverMakeAWin(t *testing.T) {
	t.Parallel()
	src := rand.New(rand.NewPCG(8, 9))
	decided := 0
	for range 400 {
		target, other := make([]float64, 8), make([]float64, 8)
		shift := 0.3 * src.NormFloat64()
		for i := range target {
			target[i], other[i] = 62*math.Exp(shift+0.02*src.NormFloat64()), 60*math.Exp(0.02*src.NormFloat64())
		}
		cut := rateVerdict(t, target, other)
		if cut.Verdict != stats.Win && cut.Verdict != stats.Loss {
			continue
		}
		decided++
		whole := make([]float64, 8)
		scaled := make([]float64, 8)
		for i := range whole { // the same ratios, far within the bounds
			whole[i], scaled[i] = target[i]/10, other[i]/10
		}
		require.Equal(t, rateVerdict(t, whole, scaled).Verdict, cut.Verdict, "%v %v", target, other)
	}
	require.Greater(t, decided, 100)
}

func TestRankOfHighestRates(t *testing.T) {
	t.Parallel()
	rows := rateBlocks(around(100, 3), around(10, 3))
	terms := compare.RankTerms{Delta: 0.03, Campaign: true, SLA: contract.SLA{"max_p50_ttft_ms": 1000}, Scenarios: []contract.Scenario{{Name: "chat", Primary: contract.MaxRateUnderSLA}}}
	standings := compare.Rank(rows, terms)
	require.Equal(t, contract.SGLang, standings[0].Framework, "at least the bound")
	require.Equal(t, 1, standings[0].Rank)
	failed := compare.Rank(rateBlocks(around(1, 3), around(10, 3)), terms)
	require.Equal(t, contract.VLLM, failed[0].Framework)
	require.Zero(t, failed[1].Rank)
	require.Contains(t, failed[1].Reason, "no rate passes")
}

func TestRowsOfRateSearchesReadBack(t *testing.T) {
	t.Parallel()
	raw, err := compare.AppendRow(nil, ratedRow(row(contract.SGLang, 0, 10), 12))
	require.NoError(t, err)
	back, err := compare.ReadRows(bytes.NewReader(raw), "rows.jsonl")
	require.NoError(t, err)
	again, err := json.Marshal(back[0])
	require.NoError(t, err)
	require.JSONEq(t, string(raw), string(again))
	plain, err := compare.AppendRow(nil, row(contract.SGLang, 0, 10))
	require.NoError(t, err)
	require.False(t, strings.Contains(string(plain), "rate_search"), "rows of before are as they were")
}
