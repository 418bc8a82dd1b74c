package stats

import "math"

// OrderEffect is what running second does to a difference: x are differences of one side against another, second says
// which of them had that side run second. It is half the difference of the two means, with its standard error from the
// pooled variance; NaN where one order does not occur, a NaN error below three values.
func OrderEffect(x []float64, second []bool) (effect, se float64) {
	var groups [2][]float64
	for i, v := range x {
		at := 0
		if second[i] {
			at = 1
		}
		groups[at] = append(groups[at], v)
	}
	n0, n1 := float64(len(groups[0])), float64(len(groups[1]))
	if n0 == 0 || n1 == 0 {
		return math.NaN(), math.NaN()
	}
	squares := 0.0
	for _, g := range groups {
		mean := Mean(g)
		for _, v := range g {
			squares += float64((v - mean) * (v - mean))
		}
	}
	effect = (Mean(groups[1]) - Mean(groups[0])) / 2
	if n0+n1 < 3 {
		return effect, math.NaN()
	}
	return effect, math.Sqrt(squares/(n0+n1-2)*(1/n0+1/n1)) / 2
}
