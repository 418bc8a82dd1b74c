package stats

import (
	"fmt"
	"math"
)

// Verdict is a three-way decision, or none.
type Verdict string

// The verdicts.
const (
	Win          Verdict = "win"
	Loss         Verdict = "loss"
	Equivalent   Verdict = "equivalent"
	Inconclusive Verdict = "inconclusive"
)

// Thresholds is what a decision is held against. A struct, so that it can grow.
type Thresholds struct {
	Delta     float64 // differences below it do not count; unit of the sample, ≥ 0
	Alpha     float64 // two-sided error rate over all looks
	Looks     []int   // sample sizes at which a decision may be taken, one or two, ascending; empty: the sample's own
	AssumedSD float64 // standard deviation where the sample has none (n < 2); 0: unknown
}

// Decision is what a sample says about its mean.
type Decision struct {
	Verdict  Verdict
	Estimate float64 // mean of the differences used
	Lo, Hi   float64 // interval for the mean; −Inf, +Inf when unbounded
	Level    float64 // confidence level of the interval
	N        int     // differences used: those up to the last look reached
	SD       float64 // their standard deviation, or AssumedSD; NaN: unknown
	Assumed  bool    // SD was assumed
	MDE      float64 // smallest true mean that wins 80 % of the time; +Inf when unknown
	MDEAt    int     // sample size MDE is for: N, or the fewest that can decide
	More     int     // differences more until a decision is likely; 0: decided; −1: not within reach
	Warnings []string
}

// negligible is what rounding may add to a limit or an estimate.
const negligible = 1e-12

// Decide gives win when the whole interval lies above 0 and the estimate reaches Delta, loss mirrored, equivalent when
// the interval lies inside ±Delta, else inconclusive. A win means better than 0 with an estimate of at least Delta; it
// does not prove that the mean exceeds Delta. Before the first look every decision is inconclusive and unbounded;
// between looks the last look reached holds. Errors wrap ErrSample or ErrPlan.
func Decide(sample []float64, t Thresholds) (Decision, error) {
	if err := checkSample(sample); err != nil {
		return Decision{}, err
	}
	if math.IsNaN(t.Delta) || math.IsInf(t.Delta, 0) || t.Delta < 0 {
		return Decision{}, fmt.Errorf("%w: delta %v", ErrPlan, t.Delta)
	}
	plan := Plan{Alpha: t.Alpha, Looks: t.Looks}
	if len(plan.Looks) == 0 {
		plan.Looks = []int{len(sample)}
	}
	if err := plan.Validate(); err != nil {
		return Decision{}, err
	}
	look := plan.reached(len(sample))
	used := sample
	if look >= 0 {
		used = sample[:plan.Looks[look]]
	}
	d := describe(used, t)
	d.Warnings = append(d.Warnings, lookWarnings(plan, look, len(sample))...)
	if look >= 0 {
		iv := plan.interval(used, look)
		d.Lo, d.Hi, d.Level = iv.Lo, iv.Hi, iv.Level
	}
	d.Verdict = judge(d, t.Delta)
	if d.Verdict == Inconclusive {
		d.More = more(d.N, d.Estimate, d.SD, t)
		if look < 0 {
			d.More = max(d.More, plan.Looks[0]-len(sample))
		}
	}
	return d, nil
}

// describe fills everything but the interval and what follows from it.
func describe(used []float64, t Thresholds) Decision {
	d := Decision{
		Estimate: Mean(used), Lo: math.Inf(-1), Hi: math.Inf(1), Level: 1,
		N: len(used), SD: SD(used), Warnings: []string{},
	}
	if math.IsNaN(d.SD) && t.AssumedSD > 0 {
		d.SD, d.Assumed = t.AssumedSD, true
	}
	d.MDEAt = max(d.N, FewestFor(t.Alpha))
	d.MDE = MDE(d.MDEAt, d.SD, t.Alpha, t.Delta)
	return d
}

func judge(d Decision, delta float64) Verdict {
	switch {
	case d.Lo > negligible && d.Estimate >= delta-negligible:
		return Win
	case d.Hi < -negligible && d.Estimate <= -delta+negligible:
		return Loss
	case d.Lo >= -delta-negligible && d.Hi <= delta+negligible:
		return Equivalent
	default:
		return Inconclusive
	}
}

func lookWarnings(p Plan, look, n int) []string {
	var out []string
	if fewest := FewestFor(p.Alpha); n < fewest {
		out = append(out, fmt.Sprintf("%d values cannot decide at error rate %.4g: the test needs %d", n, p.Alpha, fewest))
	} else if look == 0 && len(p.Looks) == 2 && rejectable(p.spent(0), p.Looks[0]) == 0 {
		out = append(out, fmt.Sprintf("only the look at %d can decide at error rate %.4g", p.Looks[1], p.Alpha))
	}
	if look < 0 && len(p.Looks) > 0 && n >= FewestFor(p.Alpha) {
		out = append(out, fmt.Sprintf("%d values are before the first look at %d", n, p.Looks[0]))
	}
	if look >= 0 && n > p.Looks[look] {
		out = append(out, fmt.Sprintf("the last %d of %d values are not looked at yet", n-p.Looks[look], n))
	}
	return out
}
