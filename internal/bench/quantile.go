package bench

import "math"

// quantile7 is the Hyndman–Fan type 7 quantile of sorted values, which may end in +∞.
func quantile7(sorted []float64, q float64) float64 {
	h := q * float64(len(sorted)-1)
	low := int(math.Floor(h))
	if low+1 >= len(sorted) || h == float64(low) {
		return sorted[low]
	}
	a, b := sorted[low], sorted[low+1]
	if math.IsInf(b, 1) {
		return b
	}
	return a + (h-float64(low))*(b-a)
}

// enough says whether n requests carry a quantile q: at least ten of them lie beyond it.
func enough(n int, q float64) bool {
	return (1-q)*float64(n) >= 10-1e-9
}

// RequestsFor is the fewest requests in the window that carry a quantile.
func RequestsFor(q float64) int {
	return int(math.Ceil(10/(1-q) - 1e-6))
}
