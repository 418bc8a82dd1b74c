package stats_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/stats"
)

// Darwin's maize, in eighths of an inch: Fisher (The Design of Experiments, 1935, section 21) counts 863 of 32,768
// sign patterns with a sum of at least 314 and so a two-sided p of 5.267 %.
var maize = []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}

func TestSignFlipGivesFishersAnswer(t *testing.T) {
	t.Parallel()
	p, err := stats.SignFlipP(maize, 0)
	require.NoError(t, err)
	require.Equal(t, 2*863.0/32768, p)
}

func TestIntervalIsTheSetOfThetaThatIsNotRejected(t *testing.T) {
	t.Parallel()
	samples := [][]float64{maize, {0.1, 0.11, 0.09, 0.12, 0.1, 0.05}, {1, -1, 2, -2, 3, -3, 4}}
	for _, x := range samples {
		for _, alpha := range []float64{0.05, 0.1, 0.3} {
			iv, err := stats.SignFlipInterval(x, alpha)
			require.NoError(t, err)
			step := 1e-6 * (iv.Hi - iv.Lo)
			for theta, kept := range map[float64]bool{iv.Lo - step: false, iv.Lo + step: true, iv.Hi - step: true, iv.Hi + step: false} {
				p, err := stats.SignFlipP(x, theta)
				require.NoError(t, err)
				require.Equal(t, kept, p > alpha, "theta %v, alpha %v, p %v", theta, alpha, p)
			}
		}
	}
}

func TestIntervalLevelIsExact(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]float64{5: 1, 6: 0.96875, 7: 0.953125, 8: 0.953125, 9: 0.953125, 12: 1 - 204.0/4096} {
		iv, err := stats.SignFlipInterval(make([]float64, n), 0.05)
		require.NoError(t, err)
		require.InDelta(t, want, iv.Level, 1e-12, "n %d", n)
		require.Equal(t, n < 6, math.IsInf(iv.Lo, -1) && math.IsInf(iv.Hi, 1), "n %d", n)
	}
}

func TestFewestFor(t *testing.T) {
	t.Parallel()
	for m, want := range map[int]int{1: 6, 2: 7, 3: 7, 4: 8, 6: 8, 7: 9, 12: 9, 13: 10} {
		require.Equal(t, want, stats.FewestFor(0.05/float64(m)), "m %d", m)
	}
	require.Equal(t, stats.MaxN+1, stats.FewestFor(1e-9), "no size can")
}

func TestSignFlipRefusesUnusableSamples(t *testing.T) {
	t.Parallel()
	for name, x := range map[string][]float64{
		"empty": {}, "too long": make([]float64, stats.MaxN+1), "NaN": {1, math.NaN()}, "infinite": {math.Inf(1)},
		"a sum that overflows": {1e308, 1e308, -1e308},
	} {
		_, err := stats.SignFlipP(x, 0)
		require.ErrorIs(t, err, stats.ErrSample, name)
		_, err = stats.SignFlipInterval(x, 0.05)
		require.ErrorIs(t, err, stats.ErrSample, name)
		_, err = stats.Decide(x, stats.Thresholds{Alpha: 0.05})
		require.ErrorIs(t, err, stats.ErrSample, name)
	}
}

func TestWhatIsNoThetaAndNoErrorRateIsRefused(t *testing.T) {
	t.Parallel()
	x := []float64{1, 2, 3, 4, 5, 6}
	for _, theta := range []float64{math.NaN(), math.Inf(1), -math.MaxFloat64} {
		_, err := stats.SignFlipP(x, theta)
		require.ErrorIs(t, err, stats.ErrSample, "theta %v", theta)
	}
	for _, alpha := range []float64{0, -1, 1, 3, math.NaN(), math.Inf(1)} {
		_, err := stats.SignFlipInterval(x, alpha)
		require.ErrorIs(t, err, stats.ErrPlan, "alpha %v", alpha)
	}
	for _, alpha := range []float64{0, -1, math.NaN()} {
		require.Equal(t, stats.MaxN+1, stats.FewestFor(alpha), "no size can reject at alpha %v", alpha)
	}
}
