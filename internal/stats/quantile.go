package stats

import (
	"math"
	"slices"
)

// Quantile is Hyndman and Fan's type 7 estimate of the q-quantile (1996), the default of R and NumPy: linear between
// order statistics at (n − 1)·q. sample is not changed and may hold +Inf; NaN for an empty sample or q outside [0, 1].
func Quantile(sample []float64, q float64) float64 {
	return QuantileSorted(slices.Sorted(slices.Values(sample)), q)
}

// QuantileSorted is Quantile of an ascending sample.
func QuantileSorted(sorted []float64, q float64) float64 {
	if len(sorted) == 0 || math.IsNaN(q) || q < 0 || q > 1 {
		return math.NaN()
	}
	h := float64(len(sorted)-1) * q
	i := int(math.Floor(h))
	frac := h - float64(i)
	if frac == 0 || i+1 >= len(sorted) || sorted[i] == sorted[i+1] {
		return sorted[i]
	}
	return sorted[i] + float64(frac*(sorted[i+1]-sorted[i]))
}

// QuantileSupported says whether n observations say anything about the q-quantile: at least ten must be expected
// beyond it.
func QuantileSupported(q float64, n int) bool {
	return n >= QuantileNeeds(q)
}

// QuantileNeeds is the fewest observations that support the q-quantile.
func QuantileNeeds(q float64) int {
	if q >= 1 {
		return math.MaxInt
	}
	return int(math.Ceil(10/(1-q) - 1e-9))
}

// Mean is the arithmetic mean; NaN for an empty sample.
func Mean(sample []float64) float64 {
	sum := 0.0
	for _, v := range sample {
		sum += v
	}
	return sum / float64(len(sample))
}

// SD is the sample standard deviation, divisor n − 1; NaN for n < 2.
func SD(sample []float64) float64 {
	if len(sample) < 2 {
		return math.NaN()
	}
	mean, sum := Mean(sample), 0.0
	for _, v := range sample {
		sum += float64((v - mean) * (v - mean))
	}
	return math.Sqrt(sum / float64(len(sample)-1))
}
