package bench_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

const millisecond = bench.Offset(1e6)

// request is a successful request of 10 prompt tokens and four events: TTFT ttft, a gap of 10 ms, end 1 ms later. All in
// milliseconds; it is sent 2 ms late.
func request(i int, sched, ttft bench.Offset) *bench.Record {
	r := bench.NewRecord(i, bench.RoleWindow)
	r.Sched, r.Sent = sched*millisecond, (sched+2)*millisecond
	r.First = r.Sent + ttft*millisecond
	r.FirstChunk, r.FirstText = r.First, r.First
	r.Last = r.First + 30*millisecond
	r.End = r.Last + millisecond
	r.In, r.Out, r.K1, r.Events, r.Gaps = 10, 4, 1, 4, bench.Gaps{10000, 10000, 10000}
	r.Outcome, r.HTTPStatus = bench.OutcomeOK, 200
	return r
}

func failed(i int, sched bench.Offset) *bench.Record {
	r := bench.NewRecord(i, bench.RoleWindow)
	r.Sched, r.Sent, r.End = sched*millisecond, sched*millisecond, (sched+1)*millisecond
	r.Outcome, r.ErrorClass = bench.OutcomeFailed, bench.ErrHTTPStatus
	return r
}

// recording holds n requests, ten a second, over a window of n/10 seconds; TTFTs are 1, 2, … n ms.
func recording(n, broken int) *bench.Recording {
	rate := 10.0
	rec := &bench.Recording{Header: bench.Header{Window: bench.Window{End: bench.Offset(n) * 100 * millisecond}, Scenario: contract.Scenario{
		Name: "chat", Kind: contract.KindRandom, InputLen: 10, OutputLen: 4, NumPrompts: n, Arrival: contract.ArrivalPoisson, RequestRate: &rate}}}
	for i := range n {
		r := request(i, bench.Offset(i)*100, bench.Offset(i+1))
		if i < broken {
			r = failed(i, bench.Offset(i)*100)
		}
		rec.Records = append(rec.Records, r)
	}
	return rec
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	rec := recording(200, 0)
	warm, lead := request(0, -500, 9000), request(1, -100, 9000)
	warm.Role, lead.Role = bench.RoleWarmup, bench.RoleLead
	rec.Records = append(rec.Records, warm, lead)
	rec.Header.Goodput = &contract.Goodput{TTFTUserMS: 102, TPOTMS: 10, E2EUserMS: 1000}
	m := bench.Measure(rec)
	for name, want := range map[string]float64{
		"requests_offered": 200, "requests_ok": 200, "success_rate": 1, "window_s": 20, "request_throughput": 10, "output_token_throughput": 40,
		"total_token_throughput": 140, "mean_input_tokens": 10, "mean_output_tokens": 4, "cached_token_share": 0, "k1_unknown_share": 0,
		"mean_ttft_ms": 100.5, "mean_ttft_user_ms": 102.5, "p50_ttft_ms": 100.5, "p95_ttft_ms": 190.05, "p50_ttft_user_ms": 102.5,
		"mean_tpot_ms": 10, "p50_tpot_ms": 10, "mean_itl_ms": 10, "mean_icl_ms": 10, "p95_icl_ms": 10,
		"mean_e2e_ms": 131.5, "mean_e2e_user_ms": 133.5, "p50_e2e_user_ms": 133.5, "sla_attainment": 0.5, "goodput_rps": 5,
	} {
		got, ok := m.Get(name)
		require.True(t, ok, name)
		require.InDelta(t, want, got, 1e-9, name)
	}
	for _, name := range []string{"p99_ttft_ms", "p99_itl_ms", "makespan_s", "no_such_metric"} {
		_, ok := m.Get(name)
		require.False(t, ok, "%s needs 1,000 requests or a burst", name)
	}
}

func TestQuantilesNeedTenBeyond(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		n    int
		name string
		ok   bool
	}{{19, "p50_ttft_ms", false}, {20, "p50_ttft_ms", true}, {199, "p95_e2e_ms", false}, {200, "p95_e2e_ms", true}, {999, "p99_tpot_ms", false}, {1000, "p99_tpot_ms", true}, {1, "mean_ttft_ms", true}} {
		_, ok := bench.Measure(recording(tc.n, 0)).Get(tc.name)
		require.Equal(t, tc.ok, ok, "%s of %d", tc.name, tc.n)
	}
	require.Equal(t, 20, bench.RequestsFor(0.5))
	require.Equal(t, 200, bench.RequestsFor(0.95))
	require.Equal(t, 1000, bench.RequestsFor(0.99))
}

func TestFailuresCountAsInfinite(t *testing.T) {
	t.Parallel()
	rec := recording(200, 20)
	rec.Header.Goodput = &contract.Goodput{TTFTUserMS: 1e6}
	m := bench.Measure(rec)
	p50, ok := m.Get("p50_ttft_user_ms")
	require.True(t, ok)
	require.InDelta(t, 122.5, p50, 1e-9, "the median moves up by half of the failures")
	p95, ok := m.Get("p95_ttft_user_ms")
	require.True(t, ok)
	require.True(t, math.IsInf(p95, 1))
	attained, _ := m.Get("sla_attainment")
	require.InDelta(t, 0.9, attained, 1e-12)
	rate, _ := m.Get("request_throughput")
	require.InDelta(t, 9, rate, 1e-12)
	passed, reasons := contract.SLA{"max_p95_ttft_ms": 1e9}.Judge(m.Get)
	require.False(t, passed)
	require.Len(t, reasons, 1)

	raw, err := json.Marshal(m)
	require.NoError(t, err)
	var back bench.Metrics
	require.NoError(t, json.Unmarshal(raw, &back))
	_, ok = back.Get("p95_ttft_user_ms")
	require.False(t, ok, "null in JSON")
	passed, _ = contract.SLA{"max_p95_ttft_ms": 1e9}.Judge(back.Get)
	require.False(t, passed, "what is not measured breaks its limit as well")
}

func TestBurstWithAFailureHasNoMakespan(t *testing.T) {
	t.Parallel()
	rec := recording(20, 0)
	rec.Header.Scenario.Arrival, rec.Header.Scenario.RequestRate = contract.ArrivalBurst, nil
	got, ok := bench.Measure(rec).Get("makespan_s")
	require.True(t, ok)
	require.InDelta(t, 2, got, 1e-12)
	rec.Records[3] = failed(3, 300)
	_, ok = bench.Measure(rec).Get("makespan_s")
	require.False(t, ok)
}

func TestTPOTWithSeveralTokensInTheFirstEvent(t *testing.T) {
	t.Parallel()
	r := request(0, 0, 5)
	r.Out, r.K1 = 8, 2
	tpot, ok := r.TPOT()
	require.True(t, ok)
	require.InDelta(t, 5e6, tpot, 1e-9)
	r.Out = 2
	_, ok = r.TPOT()
	require.False(t, ok)
	require.True(t, r.Meets(contract.Goodput{TPOTMS: 0.001}), "what is not defined breaks no limit")
	require.False(t, r.Meets(contract.Goodput{TTFTUserMS: 6}), "sent 2 ms late: 7 ms for the user")
}

func TestQuantileType7(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3}, 0.99, 3},
		{[]float64{1, 2, 3, 4}, 0.5, 2.5},
		{[]float64{4, 1, 3, 2, 5}, 0.25, 2},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.95, 9.55},
		{[]float64{1, 2, math.Inf(1)}, 0.5, 2},
		{[]float64{1, 2, math.Inf(1)}, 0.75, math.Inf(1)},
		{[]float64{math.Inf(1), math.Inf(1)}, 0.5, math.Inf(1)},
	} {
		require.InDelta(t, tc.want, bench.Quantile(tc.values, tc.q), 1e-12)
	}
}

func TestClosedWindow(t *testing.T) {
	t.Parallel()
	slots := 2
	scenario := contract.Scenario{Arrival: contract.ArrivalClosed, MaxConcurrency: &slots}
	var records []*bench.Record
	for i := range 10 { // two slots in step: every request takes 100 ms
		r := request(i, bench.Offset(i/2)*100, 1)
		r.End, r.Slot = r.Sched+100*millisecond, i%2
		records = append(records, r)
	}
	w := bench.WindowOf(records, scenario)
	require.Equal(t, bench.Window{Start: 100 * millisecond, End: 400 * millisecond}, w)
	bench.AssignRoles(records, w)
	inside := 0
	for _, r := range records {
		if r.Role == bench.RoleWindow {
			inside++
		}
	}
	require.Equal(t, 6, inside, "20 requests/s, as it is")
	require.Equal(t, bench.RoleLead, records[0].Role)
	require.Equal(t, bench.RoleTail, records[9].Role)

	records[1].End = bench.Never
	require.Equal(t, w, bench.WindowOf(records, scenario), "a request that was given up frees its slot")
	for i := 3; i < 10; i += 2 {
		records[i].Slot = 0
	}
	require.Equal(t, bench.Window{}, bench.WindowOf(records, scenario), "the first wave never ended")
	require.Equal(t, bench.Window{}, bench.WindowOf(nil, scenario))
	require.Equal(t, bench.Window{}, bench.WindowOf(records[:2], scenario))
}

func TestTrends(t *testing.T) {
	t.Parallel()
	require.Empty(t, bench.Trends(recording(9, 0)), "too few")
	rising := recording(600, 0)
	for i, r := range rising.Records { // TTFT grows by three milliseconds a request, ten requests a second
		grown := bench.Offset(2*i) * millisecond
		r.First, r.Last, r.End = r.First+grown, r.Last+grown, r.End+grown
	}
	trends := bench.Trends(rising)
	require.Len(t, trends, 2)
	require.Equal(t, "ttft_user_ms", trends[1].Quantity)
	require.True(t, trends[1].Rising)
	require.True(t, trends[0].Rising, "so do the requests in flight")
	require.InDelta(t, 0.03, trends[1].Growth, 0.001, "30 ms a second")
	slow := recording(600, 0)
	for _, r := range slow.Records { // 5 ms a second is a rise, and no overload
		r.First = r.Sent + (r.First-r.Sent)/2
	}
	for _, trend := range bench.Trends(slow) {
		require.Greater(t, trend.T, trend.Critical, trend.Quantity)
		require.False(t, trend.Rising, trend.Quantity)
	}
	restless := recording(600, 0)
	for i, r := range restless.Records { // a rise of 13 ms a second under waves of 3 s shows nothing
		ttft := bench.Offset(3000*(i/30%2)+40*(i/30)) * millisecond
		r.First, r.Last, r.End = r.Sent+ttft, r.Sent+ttft+millisecond, r.Sent+ttft+millisecond
	}
	for _, trend := range bench.Trends(restless) {
		require.Greater(t, trend.Growth, 0.01, trend.Quantity)
		require.False(t, trend.Rising, trend.Quantity)
	}
	flat := recording(600, 0)
	for i, r := range flat.Records {
		ttft := bench.Offset(100+(i*37)%20) * millisecond
		r.First, r.Last, r.End = r.Sent+ttft, r.Sent+ttft+30*millisecond, r.Sent+ttft+31*millisecond
	}
	for _, trend := range bench.Trends(flat) {
		require.False(t, trend.Rising, "%+v", trend)
	}
	flat.Header.Scenario.Arrival = contract.ArrivalClosed
	require.Empty(t, bench.Trends(flat))
}

// TestTrendsRarelyCallAHealthyQueueOverloaded simulates a single server at 70 % load, whose queue wanders but does not
// grow, and one at 120 %.
func TestTrendsRarelyCallAHealthyQueueOverloaded(t *testing.T) {
	t.Parallel()
	overloaded := func(seed uint64, service float64) bool {
		rec := recording(1, 0)
		rec.Records = nil
		rec.Header.Window = bench.Window{End: 60_000 * millisecond}
		var free bench.Offset
		for _, a := range bench.OpenSchedule(rec.Header.Scenario, seed, 60e9, 12e9, 0) {
			r := request(a.Index, 0, 0)
			r.Role, r.Sched = a.Role, bench.Offset(a.At)
			r.Sent = r.Sched
			begin := max(free, r.Sched)
			free = begin + bench.Offset(service*1e9)
			r.First, r.Last, r.End = begin+millisecond, free, free+2000*millisecond // decoding goes on beside the others
			rec.Records = append(rec.Records, r)
		}
		for _, trend := range bench.Trends(rec) {
			if trend.Rising {
				return true
			}
		}
		return false
	}
	healthy, swamped := 0, 0
	for seed := range uint64(200) {
		if overloaded(seed, 0.07) {
			healthy++
		}
		if overloaded(seed, 0.12) {
			swamped++
		}
	}
	require.LessOrEqual(t, healthy, 4, "of 200 healthy ones")
	require.GreaterOrEqual(t, swamped, 195, "of 200 overloaded ones")
}
