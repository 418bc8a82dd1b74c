package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/stats"
)

func TestQuantileIsType7(t *testing.T) {
	t.Parallel()
	// R: quantile(c(1, 2, 4, 8, 16), c(.1, .25, .5, .9), type = 7) = 1.4 2.0 4.0 12.8
	sample := []float64{16, 1, 8, 2, 4}
	for q, want := range map[float64]float64{0: 1, 0.1: 1.4, 0.25: 2, 0.5: 4, 0.9: 12.8, 1: 16} {
		require.InDelta(t, want, stats.Quantile(sample, q), 1e-12, "q %v", q)
	}
	require.Equal(t, []float64{16, 1, 8, 2, 4}, sample, "the sample is not changed")
	require.Equal(t, 3.0, stats.Quantile([]float64{3}, 0.99))
	require.True(t, math.IsNaN(stats.Quantile(nil, 0.5)))
	require.True(t, math.IsNaN(stats.Quantile(sample, 1.5)))
}

func TestQuantileOfUnfinishedRequestsIsInfinite(t *testing.T) {
	t.Parallel()
	sample := []float64{1, 2, 3, math.Inf(1), math.Inf(1)}
	require.Equal(t, 3.0, stats.Quantile(sample, 0.5), "exactly on a finite value")
	require.True(t, math.IsInf(stats.Quantile(sample, 0.6), 1))
	require.True(t, math.IsInf(stats.Quantile(sample, 0.9), 1), "between two infinities")
}

func TestQuantileNeedsTenBeyondIt(t *testing.T) {
	t.Parallel()
	require.Equal(t, 20, stats.QuantileNeeds(0.5))
	require.Equal(t, 200, stats.QuantileNeeds(0.95))
	require.Equal(t, 1000, stats.QuantileNeeds(0.99))
	require.True(t, stats.QuantileSupported(0.99, 1000))
	require.False(t, stats.QuantileSupported(0.99, 999))
	require.False(t, stats.QuantileSupported(1, math.MaxInt32))
}

func TestSlope(t *testing.T) {
	t.Parallel()
	// Anscombe's first data set: slope 0.500, t = 4.24, two-sided p = 0.00217.
	x := []float64{10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5}
	y := []float64{8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68}
	s, err := stats.SlopeTest(x, y)
	require.NoError(t, err)
	require.InDelta(t, 0.5001, s.PerX, 5e-5)
	require.InDelta(t, 0.00217/2, s.P, 5e-6)
	require.True(t, s.Rises(0.05))
	for i := range y {
		y[i] = -y[i]
	}
	falling, err := stats.SlopeTest(x, y)
	require.NoError(t, err)
	require.False(t, falling.Rises(0.05), "one-sided: a fall is no rise")

	flat, err := stats.SlopeTest([]float64{1, 2, 3}, []float64{5, 5, 5})
	require.NoError(t, err)
	require.False(t, flat.Rises(0.05))
	exact, err := stats.SlopeTest([]float64{1, 2, 3}, []float64{5, 6, 7})
	require.NoError(t, err)
	require.True(t, exact.Rises(0.05))
}

func TestSlopeRefusesWhatHasNone(t *testing.T) {
	t.Parallel()
	for name, xy := range map[string][2][]float64{
		"too few":    {{1, 2}, {1, 2}},
		"unequal":    {{1, 2, 3}, {1, 2}},
		"one x":      {{1, 1, 1}, {1, 2, 3}},
		"infinite y": {{1, 2, 3}, {1, 2, math.Inf(1)}},
	} {
		_, err := stats.SlopeTest(xy[0], xy[1])
		require.Error(t, err, name)
	}
}

func TestSelectionEqualsSorting(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	for n := 1; n < 60; n++ {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(rng.IntN(n)) // with ties
		}
		sorted := slices.Sorted(slices.Values(v))
		for i := range v {
			require.Equal(t, sorted[i], stats.Ranked(slices.Clone(v), i), "value %d of %v", i, v)
		}
	}
}
