package stats

import (
	"fmt"
	"math"
)

// Slope is a least-squares line's slope and the one-sided p-value of "it does not rise".
type Slope struct {
	PerX float64 // change of y for one unit of x
	T    float64 // PerX over its standard error; ±Inf for an exact line, 0 for a constant
	P    float64 // small: y rises with x
}

// Rises says whether the slope is positive at level alpha.
func (s Slope) Rises(alpha float64) bool { return s.P <= alpha }

// SlopeTest fits y on x by least squares and tests the slope against 0, one-sided, by Student's t with n − 2 degrees
// of freedom. It takes at least three points whose x are not all equal.
func SlopeTest(x, y []float64) (Slope, error) {
	n := len(x)
	if n != len(y) || n < 3 {
		return Slope{}, fmt.Errorf("slope test: %d x and %d y, want equally many and at least 3", n, len(y))
	}
	mx, my := Mean(x), Mean(y)
	var sxx, sxy, syy float64
	for i := range x {
		sxx += float64((x[i] - mx) * (x[i] - mx))
		sxy += float64((x[i] - mx) * (y[i] - my))
		syy += float64((y[i] - my) * (y[i] - my))
	}
	if sxx == 0 || math.IsNaN(sxx+syy) || math.IsInf(sxx+syy, 0) {
		return Slope{}, fmt.Errorf("slope test: x has no spread, or values are not finite")
	}
	slope := sxy / sxx
	residual := math.Max(0, syy-float64(slope*sxy))
	if residual <= 1e-12*syy { // an exact line, or a constant
		switch {
		case slope > 0:
			return Slope{PerX: slope, T: math.Inf(1), P: 0}, nil
		case slope < 0:
			return Slope{PerX: slope, T: math.Inf(-1), P: 1}, nil
		}
		return Slope{P: 1}, nil
	}
	t := slope / math.Sqrt(residual/float64(n-2)/sxx)
	return Slope{PerX: slope, T: t, P: 1 - StudentCDF(t, float64(n-2))}, nil
}
