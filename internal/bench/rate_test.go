package bench_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

func rateTerms(low, high float64) bench.RateTerms {
	return bench.RateTerms{Search: contract.RateSearch{Low: low, High: high}.Complete(), SLA: contract.SLA{"max_p95_ttft_ms": 1000}, Seed: 11}
}

// searchRates runs a search to its end; margin is of the point at a rate, above 0 where it passes.
func searchRates(t *testing.T, terms bench.RateTerms, measure func(n int, rate float64) bench.RateTried) bench.RateResult {
	t.Helper()
	var tried []bench.RateTried
	for rate := terms.Next(tried); rate > 0; rate = terms.Next(tried) {
		require.Empty(t, terms.Result(tried).Ended, "it has another rate")
		require.GreaterOrEqual(t, rate, terms.Search.Low)
		require.LessOrEqual(t, rate, terms.Search.High)
		require.Less(t, len(tried), terms.Search.Points)
		tried = append(tried, measure(len(tried), rate))
	}
	return terms.Result(tried)
}

// capacity passes below a rate and fails above it, with margins that say how far.
func capacity(limit float64) func(int, float64) bench.RateTried {
	return func(_ int, rate float64) bench.RateTried {
		margin := math.Log(limit / rate)
		return bench.RateTried{Rate: rate, Passed: margin >= 0, Margin: &margin}
	}
}

func TestRateSearchFindsTheRate(t *testing.T) {
	t.Parallel()
	require.NoError(t, rateTerms(2, 64).Validate())
	for seed := range uint64(200) {
		terms := rateTerms(2, 64)
		terms.Seed = seed
		limit := 2.1 * math.Pow(30, float64(seed)/200)
		got := searchRates(t, terms, capacity(limit))
		require.Equal(t, bench.RateBetween, got.Edge)
		require.Equal(t, bench.RateEndTolerance, got.Ended)
		require.LessOrEqual(t, *got.Pass, limit)
		require.Greater(t, *got.Fail, limit)
		require.LessOrEqual(t, *got.Fail/(*got.Pass), 1.03*(1+1e-6))
		require.InEpsilon(t, limit, *got.Rate, 1e-9, "margins that are exact give the rate exactly")
		chosen := got.Tried[got.Chosen()]
		require.Equal(t, *got.Pass, chosen.Rate)
	}
}

func TestRateSearchEdges(t *testing.T) {
	t.Parallel()
	at := func(limit float64) bench.RateResult { return searchRates(t, rateTerms(2, 64), capacity(limit)) }
	got := at(100)
	require.Equal(t, []any{bench.RateAtLeast, bench.RateEndEdge, 64.0}, []any{got.Edge, got.Ended, *got.Pass})
	require.Nil(t, got.Rate, "nothing says how much more")
	require.Nil(t, got.Fail)
	got = at(1)
	require.Equal(t, []any{bench.RateBelow, bench.RateEndEdge, 2.0}, []any{got.Edge, got.Ended, *got.Fail})
	require.Nil(t, got.Rate)
	require.Nil(t, got.Pass)
	require.Equal(t, 2.0, got.Tried[got.Chosen()].Rate)
	require.Equal(t, -1, rateTerms(2, 64).Result(nil).Chosen())

	few := rateTerms(2, 64)
	few.Search.Points = 3
	got = searchRates(t, few, capacity(1e6))
	require.Equal(t, []any{bench.RateAtLeast, bench.RateEndPoints}, []any{got.Edge, got.Ended})
	require.Less(t, *got.Pass, 64.0, "the bound was never tried")
}

// TestRateSearchOutvotesOnePoint turns one measurement of every search around.
func TestRateSearchOutvotesOnePoint(t *testing.T) {
	t.Parallel()
	for lie := range 10 {
		for seed := range uint64(40) {
			terms := rateTerms(2, 64)
			terms.Seed, terms.Search.Points = seed, 20
			limit := 3 + float64(seed)
			got := searchRates(t, terms, func(n int, rate float64) bench.RateTried {
				x := capacity(limit)(n, rate)
				if n == lie {
					x.Passed, x.Margin = !x.Passed, nil
				}
				return x
			})
			require.Equal(t, bench.RateBetween, got.Edge, "%d %d", lie, seed)
			require.InEpsilon(t, limit, *got.Rate, 0.031, "measurement %d of search %d was wrong: %+v", lie, seed, got)
		}
	}
}

func TestRateSearchTakesNoUnfitPoint(t *testing.T) {
	t.Parallel()
	got := searchRates(t, rateTerms(2, 64), func(n int, rate float64) bench.RateTried {
		x := capacity(1000)(n, rate)
		if rate > 20 {
			x.Unfit = "client limited"
		}
		return x
	})
	require.Equal(t, bench.RateLimited, got.Edge, "what the client could not offer is no engine's rate")
	require.Nil(t, got.Rate)
	require.LessOrEqual(t, *got.Pass, 20.0)
	got = searchRates(t, rateTerms(2, 64), func(n int, rate float64) bench.RateTried {
		x := capacity(1000)(n, rate)
		x.Unfit = "client limited"
		return x
	})
	require.Equal(t, []any{bench.RateLimited, bench.RateEndUnfit, 4}, []any{got.Edge, got.Ended, len(got.Tried)})
	got = searchRates(t, rateTerms(2, 64), func(n int, rate float64) bench.RateTried {
		x := capacity(10)(n, rate)
		if rate > 20 {
			x.Unfit = "client limited"
		}
		return x
	})
	require.Equal(t, bench.RateBetween, got.Edge, "far above the rate it does not matter")
	require.InEpsilon(t, 10, *got.Rate, 1e-9)
}

// TestRateSearchResumes cuts a noisy search anywhere: the same history gives the same next rate.
func TestRateSearchResumes(t *testing.T) {
	t.Parallel()
	terms := rateTerms(1, 100)
	noise := rand.New(rand.NewPCG(5, 6))
	got := searchRates(t, terms, func(n int, rate float64) bench.RateTried {
		return capacity(17*math.Exp(0.05*noise.NormFloat64()))(n, rate)
	})
	for i, x := range got.Tried {
		require.Equal(t, x.Rate, terms.Next(got.Tried[:i:i]))
	}
	other := terms
	other.Seed++
	require.NotEqual(t, terms.Next(nil), other.Next(nil), "blocks do not share a grid")
}

func TestRateJudge(t *testing.T) {
	t.Parallel()
	metrics := func(pairs ...any) bench.Metrics {
		m := bench.Metrics{}
		for i := 0; i < len(pairs); i += 2 {
			v := pairs[i+1].(float64)
			m[pairs[i].(string)] = &v
		}
		return m
	}
	sla := bench.RateTerms{SLA: contract.SLA{"max_p95_ttft_ms": 1000, "max_p50_tpot_ms": 50, "min_success_rate": 0.9}}
	good := metrics("p95_ttft_user_ms", 500.0, "p50_tpot_ms", 40.0, "success_rate", 1.0, "requests_offered", 300.0, "p50_ttft_ms", 3.0)
	for _, tc := range []struct {
		name   string
		terms  bench.RateTerms
		point  bench.Point
		passed bool
		margin any
		reason string
	}{
		{"within every limit", sla, bench.Point{Status: bench.StatusOK, Metrics: good}, true, math.Log(50.0 / 40), ""},
		{"one is broken", sla, bench.Point{Status: bench.StatusOK, Metrics: metrics("p95_ttft_user_ms", 2000.0, "p50_tpot_ms", 40.0, "success_rate", 1.0)}, false, math.Log(0.5), "max_p95_ttft_ms"},
		{"too many failed", sla, bench.Point{Status: bench.StatusOK, Metrics: metrics("p95_ttft_user_ms", 500.0, "p50_tpot_ms", 40.0, "success_rate", 0.8)}, false, nil, "min_success_rate"},
		{"a tail of failures", sla, bench.Point{Status: bench.StatusOK, Metrics: metrics("p95_ttft_user_ms", math.Inf(1), "p50_tpot_ms", 40.0, "success_rate", 0.94)}, false, nil, "+Inf"},
		{"not measured", sla, bench.Point{Status: bench.StatusOK, Metrics: metrics("success_rate", 1.0)}, false, nil, "not measured"},
		{"overloaded", sla, bench.Point{Status: bench.StatusOK, Metrics: good, Overloaded: true}, false, nil, "overloaded"},
		{"undecided", sla, bench.Point{Status: bench.StatusOK, Metrics: good, Load: &bench.LoadTest{Method: contract.OverloadCapacity, State: bench.LoadUndecided, NeedsS: 120}}, false, nil, "one of 120 s would"},
		{"deadline", sla, bench.Point{Status: bench.StatusTimeout, Metrics: good}, false, nil, "timeout"},
		{"attained", bench.RateTerms{SLA: sla.SLA, MinAttainment: 0.9}, bench.Point{Status: bench.StatusOK, Metrics: metrics("sla_attainment", 0.95)}, true, 0.95/0.9 - 1, ""},
		{"attained too seldom", bench.RateTerms{SLA: sla.SLA, MinAttainment: 0.9}, bench.Point{Status: bench.StatusOK, Metrics: metrics("sla_attainment", 0.81, "p95_ttft_user_ms", 5.0)}, false, 0.81/0.9 - 1, "0.81 < 0.9"},
		{"no limits of a request", bench.RateTerms{MinAttainment: 0.9}, bench.Point{Status: bench.StatusOK, Metrics: good}, false, nil, "not measured"},
	} {
		got := tc.terms.Judge(7, &tc.point)
		require.Equal(t, tc.passed, got.Passed, tc.name)
		require.Equal(t, tc.passed, len(got.Reasons) == 0, tc.name)
		if tc.margin == nil {
			require.Nil(t, got.Margin, tc.name)
		} else {
			require.InDelta(t, tc.margin, *got.Margin, 1e-12, tc.name)
		}
		if tc.reason != "" {
			require.Contains(t, got.Reasons[0], tc.reason, tc.name)
		}
		for _, v := range got.Metrics {
			require.False(t, math.IsInf(v, 0), tc.name)
		}
	}
	shown := sla.Judge(7, &bench.Point{Status: bench.StatusOK, Metrics: good})
	require.Equal(t, map[string]float64{"p95_ttft_user_ms": 500, "p50_tpot_ms": 40, "success_rate": 1}, shown.Metrics, "only what it was judged by")
	require.Equal(t, 300, shown.Requests)
}

func TestRateProbe(t *testing.T) {
	t.Parallel()
	search := contract.RateSearch{Low: 1, High: 9}
	base := bench.Spec{Seed: 5, Vocab: bench.TokenRange{Lo: 1, Hi: 99}, Window: bench.WindowRule{Min: time.Second},
		Scenario: contract.Scenario{Name: "chat", Kind: contract.KindRandom, InputLen: 4, OutputLen: 2, NumPrompts: 40, Arrival: contract.ArrivalPoisson, Primary: contract.MaxRateUnderSLA, RateSearch: &search}}
	require.ErrorContains(t, base.Validate(), "is a rate search")
	terms := rateTerms(1, 9)
	first, second := terms.Probe(base, 0, 4), terms.Probe(base, 1, 4)
	require.NoError(t, first.Validate())
	require.InDelta(t, 4, *first.Scenario.RequestRate, 0)
	require.NotEqual(t, first.Seed, second.Seed, "every load point has prompts of its own")
	require.Equal(t, 10*time.Second, first.Drain, "a window of 40 requests")
	terms.SLA = contract.SLA{"max_p99_e2e_ms": 30_000}
	require.Equal(t, time.Minute, terms.Probe(base, 0, 4).Drain)
	terms.ArrivalSeed = 9
	require.EqualValues(t, 9, terms.Probe(base, 1, 4).ArrivalSeed)
	require.Nil(t, base.Scenario.RequestRate, "the base is as it was")
}

// TestArrivalsAreStretched holds that two rates of one arrival seed have the same draw, the prompts apart.
func TestArrivalsAreStretched(t *testing.T) {
	t.Parallel()
	slow, fast := 5.0, 10.0
	s := contract.Scenario{Arrival: contract.ArrivalPoisson, RequestRate: &slow}
	one := bench.OpenSchedule(s, 3, 8*time.Second, 2*time.Second, 5)
	s.RequestRate = &fast
	two := bench.OpenSchedule(s, 3, 4*time.Second, time.Second, 5)
	require.Len(t, two, len(one))
	for i := range one {
		require.InDelta(t, one[i].At.Seconds(), 2*two[i].At.Seconds(), 1e-6)
		require.Equal(t, one[i].Role, two[i].Role)
	}
}

// TestWhatDoesNotEndIsGivenUp offers a load to a server that answers every second request never.
func TestWhatDoesNotEndIsGivenUp(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	defer close(hang)
	target := serve(t, &server{breaks: func(n int, _ http.ResponseWriter) bool {
		if n%2 == 0 {
			<-hang
		}
		return n%2 == 0
	}})
	rate := 100.0
	spec := bench.Spec{Seed: 5, ArrivalSeed: 6, Vocab: bench.TokenRange{Lo: 1, Hi: 99}, Window: bench.WindowRule{Min: 400 * time.Millisecond}, Drain: 300 * time.Millisecond,
		Scenario: contract.Scenario{Name: "chat", Kind: contract.KindRandom, InputLen: 4, OutputLen: 2, NumPrompts: 40, Arrival: contract.ArrivalPoisson, RequestRate: &rate, IgnoreEOS: true, Stream: true}}
	point, err := bench.Run(t.Context(), target, spec, nil)
	require.NoError(t, err, "given up is no cancellation")
	require.Equal(t, bench.StatusOK, point.Status, point.Reason)
	require.Positive(t, point.Counts.Unfinished)
	require.NoError(t, point.Recording.Check())
	require.EqualValues(t, 6, point.Recording.Header.Arrivals)
	share, _ := point.Metrics.Get("success_rate")
	require.InDelta(t, 0.5, share, 0.3, "what did not end counts against the rate")
	got := bench.RateTerms{SLA: contract.SLA{"max_p50_ttft_ms": 5000, "min_success_rate": 0.95}}.Judge(rate, point)
	require.False(t, got.Passed)
}

// TestRateSearchAsksAgainWhereItIsUndecided gives histories whose fit is exactly one half somewhere.
func TestRateSearchAsksAgainWhereItIsUndecided(t *testing.T) {
	t.Parallel()
	terms := rateTerms(2, 64)
	at := func(rate float64, passed bool) bench.RateTried { return bench.RateTried{Rate: rate, Passed: passed} }
	for _, tc := range []struct {
		tried []bench.RateTried
		next  float64
	}{
		{[]bench.RateTried{at(10, true), at(10.2, false), at(10, false)}, 10},
		{[]bench.RateTried{at(10, true), at(10.2, false), at(10.2, true)}, 10.2},
		{[]bench.RateTried{at(10, false), at(16, true)}, 10}, // both say it of each other: the lower one first
		{[]bench.RateTried{at(10, false), at(16, true), at(10, true), at(16, false)}, 10},
	} {
		require.InDelta(t, tc.next, terms.Next(tc.tried), 0, "%+v", tc.tried)
	}
}
