package loop_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// rateRequest is an open_campaign whose only scenario searches its rate.
func rateRequest() loop.OpenRequest {
	r := request()
	r.SLANone, r.SLA = false, contract.SLA{"max_p95_ttft_ms": 1000, "min_success_rate": 0.99}
	r.Scenarios = []contract.Scenario{{Name: "chat", InputLen: 100, OutputLen: 20, RateSearch: &contract.RateSearch{Low: 2, High: 64}}}
	return r
}

func TestOpenARateSearch(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	opened, err := l.Open(t.Context(), rateRequest())
	require.NoError(t, err)
	var c contract.Contract
	require.NoError(t, json.Unmarshal(opened.Contract, &c))
	s := c.Scenarios[0]
	require.Equal(t, contract.ArrivalPoisson, s.Arrival)
	require.Equal(t, contract.MaxRateUnderSLA, s.Primary)
	require.Equal(t, contract.RateSearch{Low: 2, High: 64, Tolerance: 0.03, Points: 12}, *s.RateSearch)
	require.Equal(t, contract.NeedsFor(0.95), s.NumPrompts)
	require.Contains(t, opened.Assumed, "scenario chat: rate search from 2 to 64 requests/s to 3 %, at most 12 load points a launch")

	require.Equal(t, contract.OverloadCapacity, c.Overload)

	cost := map[string]contract.Cost{}
	for _, x := range opened.Cost {
		cost[x.Phase] = x
	}
	require.InDelta(t, 120, cost["search"].LoadS, 1e-9, "the search ranks by something cheaper")
	require.InDelta(t, 12*(25+15+1.2*60), cost["blocks"].LoadS, 1e-9, "every launch of the blocks has all load points")
	require.InDelta(t, cost["blocks"].LoadS, cost["revalidate"].LoadS, 1e-9)
}

func TestOpenRefusesRateSearchesThatCannotPass(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	for says, edit := range map[string]func(*loop.OpenRequest){
		"no limit on a latency":              func(r *loop.OpenRequest) { r.SLANone, r.SLA = true, nil },
		"the SLA has no limit on a latency":  func(r *loop.OpenRequest) { r.SLA = contract.SLA{"min_success_rate": 0.9} },
		"there are none":                     func(r *loop.OpenRequest) { r.MinAttainment = 0.9 },
		"is no share":                        func(r *loop.OpenRequest) { r.MinAttainment = 1.5 },
		"max_p95_ttft_ms needs 265 requests": func(r *loop.OpenRequest) { r.Scenarios[0].NumPrompts = 264 },
		"min_attainment needs 148 requests in every": func(r *loop.OpenRequest) {
			r.MinAttainment, r.Goodput, r.Scenarios[0].NumPrompts = 0.9, &contract.Goodput{TTFTUserMS: 5}, 100
		},
		"high must be above low": func(r *loop.OpenRequest) { r.Scenarios[0].RateSearch.High = 1 },
		"begins at low > 0":      func(r *loop.OpenRequest) { r.Scenarios[0].RateSearch = &contract.RateSearch{} },
		"an open loop":           func(r *loop.OpenRequest) { r.Scenarios[0].Arrival = contract.ArrivalConstant },
		"needs rate_search with low and high": func(r *loop.OpenRequest) {
			r.Scenarios[0].RateSearch, r.Scenarios[0].Primary, r.Scenarios[0].NumPrompts = nil, contract.MaxRateUnderSLA, 300
		},
	} {
		r := rateRequest()
		edit(&r)
		_, err := l.Open(t.Context(), r)
		require.ErrorContains(t, err, says)
	}
	attained := rateRequest()
	attained.MinAttainment, attained.Goodput, attained.SLA = 0.9, &contract.Goodput{TTFTUserMS: 500}, contract.SLA{"max_p99_e2e_ms": 9000}
	opened, err := l.Open(t.Context(), attained)
	require.NoError(t, err, "percentiles are not what a rate is judged by then")
	require.Contains(t, string(opened.Contract), `"num_prompts":148`)
}

// rateState is an opened campaign with a rate search.
func rateState(t *testing.T) *loop.State {
	t.Helper()
	w := &written{t: t, c: terms()}
	search := contract.RateSearch{Low: 2, High: 8, Tolerance: 0.05}.Complete()
	s := &w.c.Scenarios[0]
	s.Arrival, s.MaxConcurrency, s.RateSearch, s.Primary, s.NumPrompts = contract.ArrivalPoisson, nil, &search, contract.MaxRateUnderSLA, 100
	w.c.SLA = contract.SLA{"max_p50_ttft_ms": 500}
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	return w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest}).state()
}

func TestRatesAreSearchedInBlocksOnly(t *testing.T) {
	t.Parallel()
	s := rateState(t)
	plan := func(phase string, block int, id string) worker.Point {
		p, _, ok := s.PlannedPoint(worker.Launch{ID: "x", Phase: phase, Block: block}, id)
		require.True(t, ok, id)
		return p
	}
	first, second := plan("block", 0, "chat"), plan("block", 1, "chat")
	require.NotNil(t, first.Rate)
	require.NoError(t, first.Rate.Validate())
	require.Equal(t, s.Contract.SLA, first.Rate.SLA)
	require.NotEqual(t, first.Rate.Seed, second.Rate.Seed, "another grid in every block")
	require.NotEqual(t, first.Rate.ArrivalSeed, second.Rate.ArrivalSeed, "and another draw")
	require.NotZero(t, first.Rate.ArrivalSeed, "which all sides of the block have")
	require.Zero(t, first.Spec.Window.Min, "the default, since this host is none of ours")
	require.NotNil(t, plan("revalidate", 0, "chat").Rate)
	require.NotNil(t, plan("aa", 0, "chat").Rate, "an A/A shows the noise of the metric that a verdict is about")
	for _, p := range []worker.Point{plan("search", 0, "chat"), plan("search", 0, "preflight"), plan("search", 0, "probe.1.chat"), plan("revalidate", 0, "equality")} {
		require.Nil(t, p.Rate, p.ID)
		require.NoError(t, p.Spec.Validate(), p.ID)
	}
	stand := plan("search", 0, "chat").Spec.Scenario
	require.Equal(t, contract.ArrivalClosed, stand.Arrival)
	require.Equal(t, 48, *stand.MaxConcurrency, "what arrives in twelve seconds at four requests/s")
	require.Equal(t, 240, stand.NumPrompts)
	require.Equal(t, s.Contract.Scenarios[0].InputLen, stand.InputLen)
	require.Equal(t, 48, plan("search", 0, "probe.1.chat").Spec.Scenario.NumPrompts)
}

// TestAStandInHasNoSLA scores a search by throughput: a saturated engine keeps no limit on TTFT.
func TestAStandInHasNoSLA(t *testing.T) {
	t.Parallel()
	s := rateState(t)
	broken := false
	w := &written{t: t, c: s.Contract}
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest})
	w.add("candidate.added", loop.CandidateAdded{ID: "sglang-00", Entry: "sglang", Flags: map[string]any{}, Knobs: map[string]any{}})
	row := compare.Row{Framework: "sglang", Side: "sglang", CandidateID: "sglang-00", Status: compare.StatusOK, Phase: compare.PhaseSearch, LaunchID: "sglang-00.search",
		Workload: compare.Workload{Scenario: "chat"}, SLA: compare.SLA{Passed: &broken}, Metrics: compare.Metrics{"output_token_throughput": 420}}
	w.add("point.measured", loop.PointMeasured{Key: "sglang-00.search/chat", Point: "chat", Use: "main", Row: row})
	end := w.state().Scored(loop.SearchEnded{Entry: "sglang"})
	require.InDelta(t, 420, end.Scores["sglang-00"], 1e-9)
	require.Equal(t, map[string]string{"chat": "sglang-00"}, end.Best)
}

func TestGetCampaignTellsTheRatesTried(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	w := honest(t)
	rate, pass, fail := 9.876543, 9.7, 10.1
	for i, r := range []bench.RateResult{
		{Edge: bench.RateBetween, Rate: &rate, Pass: &pass, Fail: &fail, Ended: "tolerance", Tried: []bench.RateTried{
			{Rate: 9.7, Passed: true}, {Rate: 10.1, Reasons: []string{"max_p50_ttft_ms: 812 > 500"}}, {Rate: 12, Unfit: "client limited"}}},
		{Edge: bench.RateAtLeast, Pass: &pass}, {Edge: bench.RateBelow, Fail: &fail}, {Edge: bench.RateLimited, Fail: &fail},
	} {
		block := 20 + i
		w.add("point.measured", loop.PointMeasured{Key: "r" + string(r.Edge), Point: "chat", Use: "main",
			Row: compare.Row{Status: compare.StatusOK, Phase: compare.PhaseBlock, Block: &block, CandidateID: "rated", Workload: compare.Workload{Scenario: "chat"}, Rate: &r}})
	}
	id := w.in(home)
	l := newLoop(t, home, newHost())
	said := map[string]map[string]any{}
	for cursor, more := "", true; more; more = cursor != "" {
		view, err := l.Get(t.Context(), id, "rows", cursor)
		require.NoError(t, err)
		for _, line := range view.Items {
			if line["candidate"] == "rated" {
				said[line["rate"].(string)] = line
			}
		}
		cursor = view.Cursor
	}
	between := said["9.877 requests/s under the SLA: 9.7 passes, 10.1 does not (3 load points, ended by tolerance)"]
	require.Equal(t, []string{"9.7 requests/s passes", "10.1 requests/s fails: max_p50_ttft_ms: 812 > 500", "12 requests/s does not count: client limited"}, between["tried"])
	require.Contains(t, said, "at least 9.7 requests/s: every rate tried passes (0 load points)")
	require.Contains(t, said, "below 10.1 requests/s: no rate tried passes (0 load points)")
	require.Contains(t, said, "no result: what does not pass at 10.1 requests/s was limited by the client or unsettled")
	require.Len(t, said, 4)
}

func TestSimulatedHostsHaveShortWindows(t *testing.T) {
	t.Parallel()
	s := rateState(t)
	s.Contract.Host.Simulated = true
	p, _, _ := s.PlannedPoint(worker.Launch{Phase: "block"}, "chat")
	require.Equal(t, 2*time.Second, p.Spec.Window.Min)
}

func TestBenchmarkWarnsOfBoundsAndShortWindows(t *testing.T) {
	t.Parallel()
	pass := 9.0
	for says, r := range map[string]bench.RateResult{
		"pass at every rate tried":            {Edge: bench.RateAtLeast, Pass: &pass},
		"pass at no rate tried":               {Edge: bench.RateBelow, Fail: &pass},
		"ran out of load points":              {Edge: bench.RateBetween, Rate: &pass, Pass: &pass, Fail: &pass, Ended: bench.RateEndPoints},
		"shorter than five median latencies":  {Edge: bench.RateBetween, Rate: &pass, Pass: &pass, Fail: &pass, Tried: []bench.RateTried{{ShortWindow: true}}},
		"were limited by the client and can ": {Edge: bench.RateLimited, Fail: &pass},
	} {
		row := compare.Row{Status: compare.StatusOK, CandidateID: "sglang-00", Rate: &r, Audit: &compare.Audit{ClientLimited: r.Edge == bench.RateLimited}}
		warnings := loop.RowWarnings([]compare.Row{row, row})
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0], "2 × ")
		require.Contains(t, warnings[0], says)
	}
}
