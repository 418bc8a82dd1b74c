package stats

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// ErrSample is wrapped by errors about samples that the exact test cannot take: empty, longer than MaxN, with values
// that are not finite, or so large that their sum is not.
var ErrSample = errors.New("unusable sample")

// Interval is a confidence interval; a limit is ±Inf where the sample is too small for the level asked.
type Interval struct {
	Lo, Hi float64
	Level  float64 // exact level reached: 1 − 2k/2ⁿ
}

// SignFlipP is the exact two-sided p-value of "the mean is theta". Errors wrap ErrSample.
func SignFlipP(sample []float64, theta float64) (float64, error) {
	if err := checkSample(sample); err != nil {
		return 0, err
	}
	d := shifted(sample, theta)
	if err := checkSample(d); err != nil {
		return 0, fmt.Errorf("theta %v: %w", theta, err)
	}
	sums := absoluteSums(d, 1<<len(d))
	return float64(countAtLeast(sums, math.Abs(total(d)), d)) / float64(len(sums)), nil
}

// SignFlipInterval is the interval for the mean at error rate alpha: every theta with SignFlipP > alpha. Its limits
// are the k-th smallest and largest of the subset means, k = ⌊alpha·2ⁿ⁻¹⌋. Errors wrap ErrSample or ErrPlan.
func SignFlipInterval(sample []float64, alpha float64) (Interval, error) {
	if err := checkSample(sample); err != nil {
		return Interval{}, err
	}
	if !(alpha > 0 && alpha < 1) {
		return Interval{}, fmt.Errorf("%w: alpha %v is not between 0 and 1", ErrPlan, alpha)
	}
	return intervalOf(subsetMeans(sample), rejectable(alpha, len(sample))), nil
}

// FewestFor is the smallest sample size at which the test can reject at all at error rate alpha: 2/2ⁿ ≤ alpha.
// Beyond MaxN no size the test takes can.
func FewestFor(alpha float64) int {
	n := 1
	for n <= MaxN && !(alpha > 0 && rejectable(alpha, n) > 0) {
		n++
	}
	return n
}

// rejectable is how many of the 2ⁿ⁻¹ patterns up to a global flip may be rejected at alpha. The nudge keeps
// 0.05/2·2ⁿ-like products on the right side of an integer.
func rejectable(alpha float64, n int) int {
	return int(math.Floor(alpha*math.Exp2(float64(n-1)) + 1e-9))
}

func intervalOf(means []float64, k int) Interval {
	patterns := float64(len(means) + 1)
	if k <= 0 {
		return Interval{Lo: math.Inf(-1), Hi: math.Inf(1), Level: 1}
	}
	return Interval{Lo: means[k-1], Hi: means[len(means)-k], Level: 1 - 2*float64(k)/patterns}
}

// subsetMeans gives the ascending means of all 2ⁿ − 1 non-empty subsets.
func subsetMeans(sample []float64) []float64 {
	sums := make([]float64, 1<<len(sample))
	for mask := 1; mask < len(sums); mask++ {
		sums[mask] = sums[mask&(mask-1)] + sample[bits.TrailingZeros(uint(mask))]
	}
	for mask := 1; mask < len(sums); mask++ {
		sums[mask] /= float64(bits.OnesCount(uint(mask)))
	}
	means := sums[1:]
	slices.Sort(means)
	return means
}

// absoluteSums gives |Σ ±d| of the first so many sign patterns, by pattern: bit i set = d[i] flipped.
func absoluteSums(d []float64, patterns int) []float64 {
	sums := make([]float64, patterns)
	sums[0] = total(d)
	for mask := 1; mask < len(sums); mask++ {
		sums[mask] = sums[mask&(mask-1)] - 2*d[bits.TrailingZeros(uint(mask))]
	}
	for i, v := range sums {
		sums[i] = math.Abs(v)
	}
	return sums
}

// countAtLeast counts sums that reach observed; sums of one value in another order count as equal.
func countAtLeast(sums []float64, observed float64, d []float64) int {
	bar, n := observed-tolerance(d), 0
	for _, s := range sums {
		if s >= bar {
			n++
		}
	}
	return n
}

// tolerance is what rounding can do to a sum of d.
func tolerance(d []float64) float64 {
	sum := 0.0
	for _, v := range d {
		sum += math.Abs(v)
	}
	return 1e-12 * sum
}

func shifted(sample []float64, theta float64) []float64 {
	d := make([]float64, len(sample))
	for i, v := range sample {
		d[i] = v - theta
	}
	return d
}

func total(d []float64) float64 {
	sum := 0.0
	for _, v := range d {
		sum += v
	}
	return sum
}

func checkSample(sample []float64) error {
	if len(sample) == 0 || len(sample) > MaxN {
		return fmt.Errorf("%w: %d values, want 1 to %d", ErrSample, len(sample), MaxN)
	}
	size := 0.0
	for i, v := range sample {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: value %d is %v", ErrSample, i+1, v)
		}
		size += math.Abs(v)
	}
	if math.IsInf(2*size, 0) {
		return fmt.Errorf("%w: the values are too large to be added", ErrSample)
	}
	return nil
}
