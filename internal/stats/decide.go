package stats

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
	SD       float64 // their standard deviation, or AssumedSD
	Assumed  bool    // SD was assumed
	MDE      float64 // smallest true mean that wins 80 % of the time; +Inf when unknown
	More     int     // differences more until a decision is likely; 0: decided; −1: not within reach
	Warnings []string
}
