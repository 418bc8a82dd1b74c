package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/stats"
)

func TestAntitonic(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                  string
		values, weights, want []float64
	}{
		{"nothing", nil, nil, []float64{}},
		{"falls already", []float64{3, 2, 2, 1}, []float64{1, 1, 1, 1}, []float64{3, 2, 2, 1}},
		{"rises throughout", []float64{1, 2, 3}, []float64{1, 1, 1}, []float64{2, 2, 2}},
		{"one lucky point", []float64{1, 0, 1, 0}, []float64{1, 1, 1, 1}, []float64{1, 0.5, 0.5, 0}},
		{"weights decide", []float64{1, 0, 1, 0}, []float64{1, 3, 1, 1}, []float64{1, 0.25, 0.25, 0}},
		{"pools cascade", []float64{2, 1, 0, 4}, []float64{1, 1, 1, 1}, []float64{2, 5.0 / 3, 5.0 / 3, 5.0 / 3}},
	} {
		require.InDeltaSlice(t, tc.want, stats.Antitonic(tc.values, tc.weights), 1e-12, tc.name)
	}
}

// TestAntitonicIsTheBestFit compares with every way to cut short sequences into pools.
func TestAntitonicIsTheBestFit(t *testing.T) {
	t.Parallel()
	src := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + src.IntN(7)
		values, weights := make([]float64, n), make([]float64, n)
		for i := range n {
			values[i], weights[i] = float64(src.IntN(5)), float64(1+src.IntN(4))
		}
		fit := stats.Antitonic(values, weights)
		require.Len(t, fit, n)
		for i := 1; i < n; i++ {
			require.LessOrEqual(t, fit[i], fit[i-1])
		}
		best := math.Inf(1)
		for cuts := range 1 << (n - 1) {
			best = min(best, pooledError(values, weights, cuts))
		}
		require.InDelta(t, best, squares(values, weights, fit), 1e-9)
	}
}

func squares(values, weights, fit []float64) float64 {
	sum := 0.0
	for i := range values {
		sum += weights[i] * (values[i] - fit[i]) * (values[i] - fit[i])
	}
	return sum
}

// pooledError is the error of the pools that the bits of cuts divide, +Inf where their means rise.
func pooledError(values, weights []float64, cuts int) float64 {
	var fit []float64
	last := math.Inf(1)
	for from := 0; from < len(values); {
		to := from + 1
		for to < len(values) && cuts>>(to-1)&1 == 0 {
			to++
		}
		sum, weight := 0.0, 0.0
		for i := from; i < to; i++ {
			sum, weight = sum+values[i]*weights[i], weight+weights[i]
		}
		if sum/weight > last+1e-12 {
			return math.Inf(1)
		}
		last = sum / weight
		for range to - from {
			fit = append(fit, last)
		}
		from = to
	}
	return squares(values, weights, fit)
}
