package bench

import (
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// Trend is the slope test of one quantity over the window.
type Trend struct {
	Quantity string  `json:"quantity"` // in_flight or ttft_user_ms
	Rise     float64 `json:"rise"`     // fitted rise over the window, as a share of the mean
	T        float64 `json:"t"`        // slope over its standard error
	Critical float64 `json:"t_critical"`
	Rising   bool    `json:"rising"`
	// Growth is the share of the offered load that stayed undone: the fitted rise of requests in flight over the requests
	// planned, of TTFT over the window's length. At ρ times an engine's capacity both tend to 1 − 1/ρ and ρ − 1.
	Growth float64 `json:"growth,omitempty"`
}

// The slope test. Requests in flight and successive TTFTs depend on each other over about one latency, so that a test
// on single requests would call a healthy queue overloaded; means over spans of at least one median latency are tested
// instead. The two quantities share the 5 %. A queue near capacity wanders for longer than a latency, so that a test alone
// still calls one healthy window in seven overloaded at 0.9 times the capacity: a rise counts only where more than a
// hundredth of the offered load stayed undone, and, in flight, where it is beyond what independent arrivals do to a count.
// Simulated figures are in docs/STATISTICS.md.
const (
	leastSpans    = 5
	mostSpans     = 20
	trendLevel    = 0.05 / 2
	leastGrowth   = 0.01
	leastDeviates = 3 // rise of requests in flight, in square roots of their mean
)

// Trends tests whether requests in flight or TTFT rise over an open loop's window. A closed loop, a burst and a window
// with too few requests have no trends.
func Trends(r *Recording) []Trend {
	switch r.Header.Scenario.Arrival {
	case contract.ArrivalPoisson, contract.ArrivalConstant, contract.ArrivalReplay:
	default:
		return []Trend{}
	}
	w := r.Header.Window
	var window []*Record
	for _, rec := range r.Records {
		if rec.Role == RoleWindow {
			window = append(window, rec)
		}
	}
	n := spans(window, w)
	if n == 0 {
		return []Trend{}
	}
	flying := slopeTest("in_flight", inFlight(r.Records, w, n))
	flying.trend.Growth = flying.rise / float64(len(window))
	flying.judge(flying.rise > leastDeviates*math.Sqrt(flying.mean))
	waiting := slopeTest("ttft_user_ms", meanTTFT(window, w, n))
	waiting.trend.Growth = waiting.rise / 1e3 / w.Seconds()
	waiting.judge(true)
	return []Trend{flying.trend, waiting.trend}
}

// spans is the number of equal spans the window is cut into, 0 if a test makes no sense.
func spans(window []*Record, w Window) int {
	var took []float64
	for _, r := range window {
		if r.OK() {
			took = append(took, float64(r.End-r.Sched))
		}
	}
	if len(took) < 2*leastSpans || w.End <= w.Start {
		return 0
	}
	slices.Sort(took)
	return min(max(int(float64(w.End-w.Start)/quantile7(took, 0.5)), leastSpans), mostSpans, len(took)/2)
}

// inFlight is the mean number of requests in flight in each of n spans; requests before and after the window count. A
// request that never ended stays in flight.
func inFlight(records []*Record, w Window, n int) []float64 {
	return present(records, w, n, func(r *Record) Offset { return r.End })
}

// waiting is the mean number of requests without a token in each of n spans.
func waiting(records []*Record, w Window, n int) []float64 {
	return present(records, w, n, func(r *Record) Offset {
		if r.First.Happened() {
			return r.First
		}
		return r.End
	})
}

// present is the mean number of requests in each of n spans whose planned time is past and whose end is not.
func present(records []*Record, w Window, n int, end func(*Record) Offset) []float64 {
	busy := make([]float64, n)
	width := float64(w.End-w.Start) / float64(n)
	for _, r := range records {
		if r.Role == RoleWarmup || !r.Sched.Happened() {
			continue
		}
		from, to := float64(r.Sched-w.Start), math.Inf(1)
		if e := end(r); e.Happened() {
			to = float64(e - w.Start)
		}
		for i := range busy {
			low, high := float64(i)*width, float64(i+1)*width
			busy[i] += max(0, min(to, high)-max(from, low)) / width
		}
	}
	return busy
}

// meanTTFT is the mean user TTFT of the requests planned in each of n spans; an empty span is NaN.
func meanTTFT(window []*Record, w Window, n int) []float64 {
	sum, count := make([]float64, n), make([]float64, n)
	for _, r := range window {
		if !r.OK() || !r.First.Happened() {
			continue
		}
		i := min(int(float64(r.Sched-w.Start)/float64(w.End-w.Start)*float64(n)), n-1)
		sum[i] += float64(r.First-r.Sched) / 1e6
		count[i]++
	}
	for i := range sum {
		sum[i] /= count[i]
	}
	return sum
}

// slope is a trend with what its judgement needs, in the quantity's unit.
type slope struct {
	trend      Trend
	rise, mean float64
}

// slopeTest fits a line through equidistant values (NaN left out) and tests its slope against 0, one-sided.
func slopeTest(quantity string, values []float64) slope {
	var x, y []float64
	for i, v := range values {
		if !math.IsNaN(v) {
			x, y = append(x, (float64(i)+0.5)/float64(len(values))), append(y, v)
		}
	}
	out := slope{trend: Trend{Quantity: quantity}, mean: stats.Mean(y)}
	if len(x) < leastSpans {
		return out
	}
	out.trend.Critical = stats.StudentQuantile(1-trendLevel, float64(len(x)-2))
	s, err := stats.SlopeTest(x, y)
	if err != nil || out.mean <= 0 {
		return out
	}
	out.rise, out.trend.Rise = s.PerX, s.PerX/out.mean
	out.trend.T = min(max(s.T, -1e6), 1e6)
	return out
}

// judge says whether the quantity rises: significantly, by enough of the load, and large as the caller found it.
func (s *slope) judge(large bool) {
	s.trend.Rising = large && s.trend.T > s.trend.Critical && s.trend.Growth > leastGrowth
}
