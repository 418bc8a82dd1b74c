package search_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

// TestASearchResumesAtEveryLaunch interrupts replayed searches after every launch, with trials as a ledger gives them
// back, and expects the step that the uninterrupted search took.
func TestASearchResumesAtEveryLaunch(t *testing.T) {
	t.Parallel()
	for _, columns := range [][]search.Column{nil, {search.PriorColumn}} {
		made := search.Generators()[0].Make(firstTest)
		table, err := search.ReadTable(strings.NewReader(written(t, made, columns...)), "table")
		require.NoError(t, err)
		for _, s := range strategies {
			run := table.Replay(s, 10, 2)
			raw, err := json.Marshal(run.Trials)
			require.NoError(t, err)
			var kept []search.Trial
			require.NoError(t, json.Unmarshal(raw, &kept))
			for n := range kept {
				step := table.Next(kept[:n], search.Budget{Launches: 10, Seed: 2}, s)
				require.Equal(t, run.Trials[n].Flags, step.Candidate.Flags, "%s at %d", s, n)
				require.Equal(t, step, table.Next(kept[:n], search.Budget{Launches: 10, Seed: 2}, s), "%s at %d, again", s, n)
			}
			end := table.Next(kept, search.Budget{Launches: 10, Seed: 2}, s)
			require.True(t, end.Done, s)
			require.Equal(t, run.Pick, end.Candidate, s)
		}
	}
}

func TestNumbersSurviveALedger(t *testing.T) {
	t.Parallel()
	budget := search.Budget{Launches: 8, Seed: 5}
	trials, end := play(threeKnobs(), budget, search.Auto, hill)
	raw, err := json.Marshal(trials)
	require.NoError(t, err)
	var kept []search.Trial
	require.NoError(t, json.Unmarshal(raw, &kept))
	require.IsType(t, 1.5, kept[len(kept)-1].Flags["chunk"], "integers come back as floats")
	require.Equal(t, end, search.Next(kept, threeKnobs(), budget, search.Auto))
}

func TestAReplayTellsWhereShareWasLost(t *testing.T) {
	t.Parallel()
	table, err := search.ReadTable(strings.NewReader(landscape(3, false)), "table")
	require.NoError(t, err)
	for _, s := range append([]search.Strategy{search.Strategy(search.Tiers[1])}, strategies...) {
		run := table.Replay(s, 8, 1)
		require.LessOrEqual(t, run.Share, run.BestMeasured, s)
		require.LessOrEqual(t, run.BestMeasured, run.BestLaunched, s)
		require.LessOrEqual(t, run.BestLaunched, 1.0, s)
		require.Positive(t, run.Share, s)
	}
}
