package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/stats"
)

func TestOrderEffect(t *testing.T) {
	t.Parallel()
	// By hand: means 0.03 and 0.01, sum of squares 0.0002 + 0.0002, pooled variance 0.0002, error √(0.0002·(½+½))/2.
	effect, se := stats.OrderEffect([]float64{0.02, 0.02, 0.04, 0}, []bool{true, false, true, false})
	require.InDelta(t, 0.01, effect, 1e-12)
	require.InDelta(t, math.Sqrt(0.0002)/2, se, 1e-12)
	for name, second := range map[string][]bool{"never second": {false, false, false}, "always second": {true, true, true}} {
		effect, _ := stats.OrderEffect([]float64{1, 2, 3}, second)
		require.True(t, math.IsNaN(effect), name)
	}
	_, se = stats.OrderEffect([]float64{1, 2}, []bool{true, false})
	require.True(t, math.IsNaN(se), "two values have no spread")
}

// TestOrderEffectFindsWhatTheSecondLaunchLoses, within three of its own errors.
func TestOrderEffectFindsWhatTheSecondLaunchLoses(t *testing.T) {
	t.Parallel()
	rng, far := rand.New(rand.NewPCG(4, 4)), 0
	for range 400 {
		x, second := make([]float64, 12), make([]bool, 12)
		for i := range x {
			second[i] = rng.IntN(2) == 1
			x[i] = 0.05 + 0.012*(rng.NormFloat64()-rng.NormFloat64())
			if second[i] {
				x[i] -= 0.01
			} else {
				x[i] += 0.01
			}
		}
		if effect, se := stats.OrderEffect(x, second); math.Abs(effect+0.01) > 3*se {
			far++
		}
	}
	require.LessOrEqual(t, far, 12, "of 400: Student's t with ten degrees of freedom leaves 1.3 % beyond three")
}
