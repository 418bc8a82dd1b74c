package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

func TestAForecastKnowsFlagsAndMemory(t *testing.T) {
	t.Parallel()
	chat := sim.Traffic{Input: 512, Output: 64, Concurrency: 32}
	of := func(args ...string) (float64, error) {
		return sim.Forecast("sglang", append([]string{"--model-path", "m"}, args...), sim.DefaultModel(), sim.H100(), chat)
	}
	usual, err := of()
	require.NoError(t, err)
	require.InDelta(t, 2500, usual, 2000, "tokens/s of an 8B model on an H100")
	again, err := of()
	require.NoError(t, err)
	require.Equal(t, usual, again)
	few, err := of("--max-running-requests", "4")
	require.NoError(t, err)
	require.Less(t, few, 0.5*usual)
	slow, err := of("--attention-backend", "triton")
	require.NoError(t, err)
	require.Less(t, slow, usual)
	_, err = of("--mem-fraction-static", "0.97", "--chunked-prefill-size", "32768")
	require.ErrorIs(t, err, sim.ErrMemory)
	_, err = of("--mem-fraction-static", "0.1")
	require.ErrorIs(t, err, sim.ErrMemory)
	_, err = of("--no-such-flag", "1")
	require.ErrorContains(t, err, "no-such-flag")
	_, err = sim.Forecast("nothing", nil, sim.DefaultModel(), sim.H100(), chat)
	require.Error(t, err)
}

func TestALandscapeHasRealKnobsAndRunsOutOfMemory(t *testing.T) {
	t.Parallel()
	l, err := sim.Landscape(5)
	require.NoError(t, err)
	require.Equal(t, "chunked-prefill-size", l.Knobs[0].Name)
	require.Equal(t, "ok", l.Cells[0].Status)
	require.Equal(t, []int{0, 0, 0, 0, 0}, l.Cells[0].Levels, "the shipped default is candidate 0")
	full, best := 0, 0.0
	for _, c := range l.Cells {
		best = max(best, c.Score)
		if c.Status != "ok" {
			full++
			require.Zero(t, c.Prior, "nothing is expected of what does not come up")
		}
	}
	require.Positive(t, full)
	require.Greater(t, best, l.Cells[0].Score)
}
