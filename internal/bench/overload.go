package bench

import (
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Trend is the slope test of one quantity over the window.
type Trend struct {
	Quantity string  `json:"quantity"` // in_flight or ttft_user_ms
	Rise     float64 `json:"rise"`     // fitted rise over the window, as a share of the mean
	T        float64 `json:"t"`        // slope over its standard error
	Critical float64 `json:"t_critical"`
	Rising   bool    `json:"rising"`
}

// The slope test. Requests in flight and successive TTFTs depend on each other over about one latency, so that a test
// on single requests would call a healthy queue overloaded; means over spans of at least one median latency are tested
// instead. The two quantities share the 5 %, and a rise that is real but below a tenth of the mean is no overload.
const (
	leastSpans = 5
	mostSpans  = 20
	leastRise  = 0.10
)

// criticalT is the one-sided 2.5 % point of Student's t by degrees of freedom, from 3 on.
func criticalT(df int) float64 {
	table := []float64{3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
		2.1314, 2.1199, 2.1098, 2.1009}
	return table[min(max(df-3, 0), len(table)-1)]
}

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
	return []Trend{slopeTest("in_flight", inFlight(r.Records, w, n)), slopeTest("ttft_user_ms", meanTTFT(window, w, n))}
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
	busy := make([]float64, n)
	width := float64(w.End-w.Start) / float64(n)
	for _, r := range records {
		if r.Role == RoleWarmup || !r.Sched.Happened() {
			continue
		}
		from, to := float64(r.Sched-w.Start), math.Inf(1)
		if r.End.Happened() {
			to = float64(r.End - w.Start)
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

// slopeTest fits a line through equidistant values (NaN left out) and tests its slope against 0, one-sided.
func slopeTest(quantity string, values []float64) Trend {
	var n, sx, sy, sxx, sxy, syy float64
	for i, y := range values {
		if !math.IsNaN(y) {
			x := (float64(i) + 0.5) / float64(len(values))
			n, sx, sy, sxx, sxy, syy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y, syy+y*y
		}
	}
	t := Trend{Quantity: quantity, Critical: criticalT(int(n) - 2)}
	vx, vy := sxx-sx*sx/n, syy-sy*sy/n
	if n < leastSpans || vx <= 0 || sy <= 0 {
		return t
	}
	slope := (sxy - sx*sy/n) / vx
	t.Rise = slope / (sy / n)
	residual := max(0, vy-slope*slope*vx) / (n - 2)
	t.T = slope / math.Sqrt(max(residual/vx, 1e-30))
	t.T = min(max(t.T, -1e6), 1e6)
	t.Rising = t.T > t.Critical && t.Rise > leastRise
	return t
}
