package stats

import (
	"fmt"
	"math"
	"slices"
)

// Kolmogorov holds a sample against a continuous distribution: the largest distance between the two distribution
// functions, and its p-value. p is asymptotic with Stephens' correction for small samples (1970): within 0.005 of the exact
// one below 0.2, within 0.02 above. It takes at least five values, all finite.
func Kolmogorov(sample []float64, cdf func(float64) float64) (distance, p float64, err error) {
	if len(sample) < 5 {
		return 0, 0, fmt.Errorf("%w: %d values, want at least 5", ErrSample, len(sample))
	}
	sorted := slices.Sorted(slices.Values(sample))
	n := float64(len(sorted))
	for i, v := range sorted {
		f := cdf(v)
		if math.IsNaN(v) || math.IsInf(v, 0) || !(f >= 0 && f <= 1) {
			return 0, 0, fmt.Errorf("%w: %v has the distribution's value %v", ErrSample, v, f)
		}
		distance = max(distance, f-float64(i)/n, float64(i+1)/n-f)
	}
	root := math.Sqrt(n)
	return distance, kolmogorovTail((root + 0.12 + 0.11/root) * distance), nil
}

// kolmogorovTail is Kolmogorov's P(K > x) = 2 Σ (−1)^(k−1) exp(−2k²x²), which converges slowly only where it is 1.
func kolmogorovTail(x float64) float64 {
	if x < 0.2 {
		return 1
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 100; k++ {
		term := math.Exp(-2 * k * k * x * x)
		sum += sign * term
		if sign = -sign; term < 1e-17 {
			break
		}
	}
	return max(0, min(1, 2*sum))
}
