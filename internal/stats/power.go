package stats

import (
	"math"
	"sort"
)

// power of the detectable effect.
const power = 0.8

// mostMore bounds how many values more are ever proposed.
const mostMore = 1000

// MDE is the smallest true mean that wins 80 % of the time with n values of standard deviation sd at two-sided error
// rate alpha: it must be told from 0 and its estimate must reach delta:
// max((t₁₋α/₂ + t.₈)·sd/√n, delta + t.₈·sd/√n), both t with n − 1 degrees of freedom. +Inf for n < 2 or an unknown sd.
func MDE(n int, sd, alpha, delta float64) float64 {
	if n < 2 || math.IsNaN(sd) {
		return math.Inf(1)
	}
	df, se := float64(n-1), sd/math.Sqrt(float64(n))
	likely := StudentQuantile(power, df) * se
	return math.Max(StudentQuantile(1-alpha/2, df)*se+likely, delta+likely)
}

// more is how many values beyond n it takes until a true mean of estimate would be decided 80 % of the time, as a
// difference or as none; −1 when not within reach.
func more(n int, estimate, sd float64, t Thresholds) int {
	start := max(n+1, FewestFor(t.Alpha))
	if math.IsNaN(sd) {
		return -1
	}
	size := math.Abs(estimate)
	likely := func(n int) bool {
		return MDE(n, sd, t.Alpha, t.Delta) <= size || (size < t.Delta && MDE(n, sd, t.Alpha, 0) <= t.Delta-size)
	}
	// MDE falls with n, so that the first n that suffices can be bisected.
	i := sort.Search(mostMore, func(i int) bool { return likely(start + i) })
	if i == mostMore {
		return -1
	}
	return start + i - n
}
