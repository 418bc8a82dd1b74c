package search_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

var strategies = []search.Strategy{search.Auto, search.Product, search.Random}

func threeKnobs() search.Space {
	return search.NewSpace(map[string]any{"tp": 1, "lpm": true}, map[string][]any{
		"backend": {"fa3", "flashinfer", "triton"}, "chunk": {2048, 4096, 8192, 16384}, "mixed": {true},
	})
}

// play runs a search against a function of flags; a score of 0 is a crash.
func play(space search.Space, budget search.Budget, s search.Strategy, score func(map[string]any) float64) ([]search.Trial, search.Step) {
	var trials []search.Trial
	for {
		step := search.Next(trials, space, budget, s)
		if step.Done {
			return trials, step
		}
		t := search.Trial{Flags: step.Candidate.Flags, Status: search.StatusOK}
		if v := score(step.Candidate.Flags); v > 0 {
			t.Score = &v
		} else {
			t.Status = "oom"
		}
		trials = append(trials, t)
	}
}

func flat(map[string]any) float64 { return 10 }

func hill(flags map[string]any) float64 {
	v := 10.0
	if flags["backend"] == "flashinfer" {
		v *= 1.1
	}
	if c, ok := flags["chunk"].(int); ok {
		v *= 1 + 0.02*float64(4-abs(c/2048-4))
	}
	return v
}

func abs(i int) int { return max(i, -i) }

func TestCandidateZeroIsTheShippedDefault(t *testing.T) {
	t.Parallel()
	for _, s := range strategies {
		step := search.Next(nil, threeKnobs(), search.Budget{Launches: 10}, s)
		require.Empty(t, step.Candidate.Flags, s)
		require.Zero(t, step.Candidate.Index)
		require.False(t, step.Done)
	}
}

func TestTheCapIsExactAndNothingIsTriedTwice(t *testing.T) {
	t.Parallel()
	for _, s := range strategies {
		for _, launches := range []int{1, 2, 7} {
			trials, end := play(threeKnobs(), search.Budget{Launches: launches, Seed: 3}, s, func(f map[string]any) float64 { return hill(f) })
			require.LessOrEqual(t, len(trials), launches, "%s", s)
			if s != search.Auto {
				require.Len(t, trials, launches, "%s", s)
			}
			require.NotEmpty(t, end.Why, s)
			seen := map[string]bool{}
			for _, tr := range trials {
				require.False(t, seen[fmt.Sprint(tr.Flags)], "%s: %v twice", s, tr.Flags)
				seen[fmt.Sprint(tr.Flags)] = true
			}
		}
	}
}

func TestASmallSpaceEndsBeforeTheBudget(t *testing.T) {
	t.Parallel()
	space := search.NewSpace(map[string]any{"a": 1}, map[string][]any{"a": {1, 2}})
	for _, s := range strategies {
		trials, end := play(space, search.Budget{Launches: 10}, s, hillOf("a"))
		require.Len(t, trials, 2, s)
		require.Equal(t, map[string]any{"a": 2}, end.Candidate.Flags, "%s: the pick", s)
		require.Equal(t, 1.0, end.Coverage.Share, s)
	}
	trials, end := play(search.Space{}, search.Budget{Launches: 10}, search.Auto, flat)
	require.Len(t, trials, 1, "no knobs: the default alone")
	require.Equal(t, 1.0, end.Coverage.Share)
}

func hillOf(knob string) func(map[string]any) float64 {
	return func(f map[string]any) float64 {
		if f[knob] == 2 {
			return 12
		}
		return 10
	}
}

func TestTheProductIsTheSeeds(t *testing.T) {
	t.Parallel()
	trials, end := play(threeKnobs(), search.Budget{Launches: 5}, search.Product, flat)
	require.Equal(t, map[string]any{"backend": "fa3", "chunk": 2048, "mixed": true}, trials[1].Flags)
	require.Equal(t, map[string]any{"backend": "fa3", "chunk": 4096, "mixed": true}, trials[2].Flags, "last varied knob fastest")
	require.Equal(t, search.Coverage{Tried: 6, Listed: 8, Share: 0.75}, end.Coverage, "two backends are never tried")
}

func TestTheBasesOwnValueIsNoSecondCandidate(t *testing.T) {
	t.Parallel()
	space := search.NewSpace(map[string]any{"a": 1.0, "b": "x"}, map[string][]any{"a": {1, 2}, "b": {"x", nil}})
	trials, _ := play(space, search.Budget{Launches: 10}, search.Product, flat)
	require.Len(t, trials, 4, "1 and 1.0 are one value")
	require.Equal(t, map[string]any{"b": nil}, trials[1].Flags, "null removes the base's flag")
}

func TestTheSameTrialsGiveTheSameStep(t *testing.T) {
	t.Parallel()
	for _, s := range strategies {
		a, _ := play(threeKnobs(), search.Budget{Launches: 8, Seed: 5}, s, hill)
		b, _ := play(threeKnobs(), search.Budget{Launches: 8, Seed: 5}, s, hill)
		require.Equal(t, a, b, s)
		for n := range a {
			require.Equal(t, a[n].Flags, search.Next(a[:n], threeKnobs(), search.Budget{Launches: 8, Seed: 5}, s).Candidate.Flags, "%s resumes at %d", s, n)
		}
	}
	a, _ := play(threeKnobs(), search.Budget{Launches: 8, Seed: 5}, search.Random, hill)
	b, _ := play(threeKnobs(), search.Budget{Launches: 8, Seed: 6}, search.Random, hill)
	require.NotEqual(t, a, b)
}

func TestALevelSeenOnlyInCrashesIsAvoided(t *testing.T) {
	t.Parallel()
	bad := 0
	trials, end := play(threeKnobs(), search.Budget{Launches: 10, Seed: 1}, search.Auto, func(f map[string]any) float64 {
		if f["backend"] == "triton" {
			bad++
			return 0
		}
		return hill(f)
	})
	require.LessOrEqual(t, bad, 3, "of %d launches", len(trials))
	require.NotEqual(t, "triton", end.Candidate.Flags["backend"])
}

func TestACrashOfOneCombinationDoesNotBanItsLevels(t *testing.T) {
	t.Parallel()
	_, end := play(threeKnobs(), search.Budget{Launches: 12, Seed: 1}, search.Auto, func(f map[string]any) float64 {
		if f["backend"] == "triton" && f["chunk"] == 16384 {
			return 0
		}
		if f["backend"] == "triton" {
			return 2 * hill(f)
		}
		return hill(f)
	})
	require.Equal(t, "triton", end.Candidate.Flags["backend"])
}

func TestWithoutOneLaunchThatCameUpThereIsNoPick(t *testing.T) {
	t.Parallel()
	for _, s := range strategies {
		trials, end := play(threeKnobs(), search.Budget{Launches: 4, Seed: 1}, s, func(map[string]any) float64 { return 0 })
		require.Len(t, trials, 4, "%s goes on", s)
		require.Empty(t, end.Candidate.Flags)
	}
}

func TestAutoFindsTheBestOfASmallHill(t *testing.T) {
	t.Parallel()
	_, end := play(threeKnobs(), search.Budget{Launches: 10, Seed: 2}, search.Auto, hill)
	require.Equal(t, "flashinfer", end.Candidate.Flags["backend"])
	require.Equal(t, 8192, end.Candidate.Flags["chunk"])
}

func TestIllegalCombinationsAreNeverProposed(t *testing.T) {
	t.Parallel()
	space := threeKnobs()
	space.Legal = func(f map[string]any) string {
		if f["chunk"] == 16384 {
			return "longer than the context"
		}
		return ""
	}
	for _, s := range strategies {
		trials, _ := play(space, search.Budget{Launches: 40, Seed: 1}, s, flat)
		for _, tr := range trials {
			require.NotEqual(t, 16384, tr.Flags["chunk"], s)
		}
	}
}

func TestStrangeTrialsCountAsLaunchesOnly(t *testing.T) {
	t.Parallel()
	zero, inf := 0.0, math.Inf(1)
	trials := []search.Trial{
		{Flags: map[string]any{}, Status: "ok", Score: &zero}, {Flags: map[string]any{"other": 1}, Status: "ok", Score: &inf},
		{Flags: map[string]any{"chunk": 3}, Status: "oom"}, {Flags: map[string]any{"chunk": 4096}, Status: "skipped"},
	}
	for _, s := range strategies {
		step := search.Next(trials, threeKnobs(), search.Budget{Launches: 5}, s)
		require.False(t, step.Done, s)
		require.Equal(t, 4, step.Candidate.Index)
		require.True(t, search.Next(append(trials, trials...), threeKnobs(), search.Budget{Launches: 5}, s).Done, s)
	}
}

func TestALargeSpaceIsNotEnumerated(t *testing.T) {
	t.Parallel()
	values := map[string][]any{}
	for k := range 10 {
		values[fmt.Sprintf("knob%02d", k)] = []any{1, 2, 3, 4, 5, 6}
	}
	start := time.Now()
	trials, _ := play(search.NewSpace(nil, values), search.Budget{Launches: 4, Seed: 1}, search.Auto, func(f map[string]any) float64 {
		if f["knob03"] == 5 {
			return 20
		}
		return 10
	})
	require.NotEmpty(t, trials)
	require.Less(t, time.Since(start), time.Minute)
}

func TestALeaderWithoutItsPointsIsLaunchedForThem(t *testing.T) {
	t.Parallel()
	space := search.NewSpace(map[string]any{"a": 1}, map[string][]any{"a": {1, 2}})
	ten := 10.0
	for leader, want := range map[float64]bool{11: true, 10.02: false} {
		probes := []float64{leader, leader, leader, leader, leader, leader, leader, leader}
		trials := []search.Trial{{Flags: map[string]any{}, Status: "ok", Score: &ten}, {Flags: map[string]any{"a": 2}, Status: "ok", Probes: probes}}
		step := search.Next(trials, space, search.Budget{Launches: 10}, search.Auto)
		require.Equal(t, want, !step.Done, "%g", leader)
		if want {
			require.Equal(t, map[string]any{"a": 2}, step.Candidate.Flags)
			require.Equal(t, []search.Rung{{Points: true}}, step.Rungs)
		}
	}
}

func TestASpaceInWhichNothingMayRunEndsSoon(t *testing.T) {
	t.Parallel()
	values := map[string][]any{}
	for k := range 12 {
		values[fmt.Sprintf("knob%02d", k)] = []any{1, 2, 3, 4, 5, 6, 7, 8}
	}
	space := search.NewSpace(nil, values)
	asked := 0
	space.Legal = func(map[string]any) string { asked++; return "does not fit" }
	for _, s := range strategies {
		trials, end := play(space, search.Budget{Launches: 5, Seed: 1}, s, flat)
		require.Len(t, trials, 1, "%s: the shipped default is launched whatever is legal", s)
		require.NotEmpty(t, end.Why, s)
	}
	require.Less(t, asked, 1<<20)
}
