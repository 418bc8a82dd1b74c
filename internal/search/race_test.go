package search_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

// finalists have the given expected scores, each known to sd.
func finalists(sd float64, scores ...float64) []search.Finalist {
	var out []search.Finalist
	for _, s := range scores {
		out = append(out, search.Finalist{Flags: map[string]any{"a": s}, Mean: math.Log(s), SD: sd})
	}
	return out
}

func raced(scores ...float64) []search.Trial {
	var out []search.Trial
	for _, s := range scores {
		t := search.Trial{Status: search.StatusOK, Score: &s}
		if s == 0 {
			t = search.Trial{Status: "oom"}
		}
		out = append(out, t)
	}
	return out
}

func TestOnlyAChallengerWorthItsLaunchIsRaced(t *testing.T) {
	t.Parallel()
	budget := search.RaceBudget{Launches: 9, Seed: 1}
	for name, c := range map[string]struct {
		entries []search.Finalist
		launch  []int
		leader  int
	}{
		"nobody":               {nil, nil, -1},
		"one":                  {finalists(0.02, 10), nil, 0},
		"far behind":           {finalists(0.01, 10, 9), nil, 0},
		"a tie that is known":  {finalists(0.002, 10, 10), nil, 0},
		"a tie that is open":   {finalists(0.02, 10, 10), []int{0, 1}, 0},
		"the leader is second": {finalists(0.02, 9.9, 10), []int{0, 1}, 1},
		"three of five":        {finalists(0.03, 10, 9.9, 9.8, 9.95, 9.7), []int{0, 1, 3}, 0},
	} {
		step := search.Race(c.entries, budget)
		require.Equal(t, c.leader, step.Leader, name)
		require.Equal(t, c.launch == nil, step.Done, name)
		require.NotEmpty(t, step.Why, name)
		var got []int
		for _, l := range step.Round {
			got = append(got, l.Finalist)
			require.Equal(t, l.Finalist == step.Leader, len(l.Rungs) == 1, "%s: challengers have a gate", name)
		}
		require.ElementsMatch(t, c.launch, got, name)
		require.Equal(t, step, search.Race(c.entries, budget), name)
	}
}

func TestAChallengerPassesItsGateFirst(t *testing.T) {
	t.Parallel()
	step := search.Race(finalists(0.02, 10, 10), search.RaceBudget{Launches: 6})
	for _, l := range step.Round {
		if l.Finalist == 1 {
			require.Positive(t, l.Rungs[0].Probes)
			require.True(t, l.Rungs[1].Points)
			require.Less(t, l.Rungs[1].From, 10.1, "noise is allowed for")
			require.Greater(t, l.Rungs[1].From, 9.2)
		}
	}
	stopped := finalists(0.05, 10, 10)
	stopped[0].Launches = raced(10)
	stopped[1].Launches = []search.Trial{{Status: search.StatusOK, Probes: []float64{9.4, 9.4, 9.4, 9.4}}}
	end := search.Race(stopped, search.RaceBudget{Launches: 6})
	require.True(t, end.Done)
	require.Contains(t, end.Out[1], "1.01 times")
}

func TestARaceEndsByItsRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		launches [][]search.Trial
		budget   int
		leader   int
		done     bool
		out      map[int]string
	}{
		"behind":              {[][]search.Trial{raced(10, 10), raced(9.3, 9.3)}, 9, 0, true, map[int]string{1: "chance"}},
		"ahead":               {[][]search.Trial{raced(10, 10, 10), raced(11, 11, 11)}, 9, 1, true, map[int]string{0: "chance"}},
		"open":                {[][]search.Trial{raced(10), raced(10.1)}, 9, 1, false, nil},
		"no room for a round": {[][]search.Trial{raced(10), raced(10.1)}, 3, 1, true, nil},
		"exactly one round":   {[][]search.Trial{raced(10), raced(10.1)}, 4, 1, false, nil},
		"leader crashed":      {[][]search.Trial{raced(0), raced(9.9)}, 9, 1, true, map[int]string{0: "oom"}},
		"all crashed":         {[][]search.Trial{raced(0), raced(0)}, 9, -1, true, map[int]string{0: "oom", 1: "oom"}},
	} {
		entries := finalists(0.03, 10, 10)
		for i := range entries {
			entries[i].Launches = c.launches[i]
		}
		step := search.Race(entries, search.RaceBudget{Launches: c.budget})
		require.Equal(t, c.done, step.Done, name)
		require.Equal(t, c.leader, step.Leader, name)
		for i, why := range c.out {
			require.Contains(t, step.Out[i], why, name)
		}
	}
}

func TestADriftThatARoundSharesDecidesNothing(t *testing.T) {
	t.Parallel()
	entries := finalists(0.02, 10, 10)
	entries[0].Launches, entries[1].Launches = raced(10, 9), raced(10.2, 9.18)
	even := search.Race(entries, search.RaceBudget{Launches: 20})
	require.Equal(t, 1, even.Leader, "2 % ahead in both rounds, although the second hour was slower")
	slow := finalists(0.01, 10, 10)
	slow[1].SD = 0.04
	slow[0].Launches, slow[1].Launches = raced(9.5), raced(9.5)
	step := search.Race(slow, search.RaceBudget{Launches: 20})
	require.False(t, step.Done, "both were 5 % slow: the one that is known less is not to blame (%v)", step.Out)
}

// simulateRace draws three finalists whose search knows them to sd, and races them.
func simulateRace(rng *rand.Rand, launches int, sd float64) (won, searched, used float64) {
	truth, entries := make([]float64, 3), make([]search.Finalist, 3)
	for i := range truth {
		truth[i] = math.Log(10) + 0.02*rng.NormFloat64()
		entries[i] = search.Finalist{Mean: truth[i] + sd*rng.NormFloat64(), SD: sd}
	}
	best := max(truth[0], truth[1], truth[2])
	good := func(i int) float64 {
		if truth[i] > best-0.01 {
			return 1
		}
		return 0
	}
	searched = good(search.Race(entries, search.RaceBudget{Launches: 0}).Leader)
	for {
		step := search.Race(entries, search.RaceBudget{Launches: launches, Seed: 5})
		if step.Done {
			return good(step.Leader), searched, used
		}
		hour := 0.02 * rng.NormFloat64()
		for _, l := range step.Round {
			used++
			level := truth[l.Finalist] + hour + 0.01*rng.NormFloat64()
			trial := search.Trial{Status: search.StatusOK}
			mean := 0.0
			for _, r := range l.Rungs {
				if r.From > 0 && mean < r.From {
					break
				}
				for range r.Probes {
					v := math.Exp(level + 0.04*rng.NormFloat64())
					trial.Probes, mean = append(trial.Probes, v), mean+v/float64(r.Probes)
				}
				if r.Points {
					v := math.Exp(level + 0.01*rng.NormFloat64())
					trial.Score = &v
				}
			}
			entries[l.Finalist].Launches = append(entries[l.Finalist].Launches, trial)
		}
	}
}

func TestARaceFindsTheBestOfThree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		launches  int
		sd        float64
		won, gain float64
	}{{9, 0.02, 0.92, 0.1}, {15, 0.02, 0.92, 0.1}, {9, 0.03, 0.88, 0.15}} {
		rng := rand.New(rand.NewPCG(uint64(c.launches), 3))
		const n = 1500
		var won, searched, used float64
		for range n {
			w, s, u := simulateRace(rng, c.launches, c.sd)
			won, searched, used = won+w/n, searched+s/n, used+u/n
		}
		t.Logf("budget %d, search sd %.0f %%: within 1 %% of the best of three in %.3f, by the search alone %.3f; %.1f launches", c.launches, 100*c.sd, won, searched, used)
		require.GreaterOrEqual(t, won, c.won)
		require.GreaterOrEqual(t, won, searched+c.gain)
		require.LessOrEqual(t, used, float64(c.launches))
	}
}

func TestFinalistsAreTheBestOfASearch(t *testing.T) {
	t.Parallel()
	budget := search.Budget{Launches: 10, Seed: 1}
	trials, end := play(threeKnobs(), budget, search.Auto, hill)
	best := search.Finalists(trials, threeKnobs(), budget, 3)
	require.Len(t, best, 3)
	require.Equal(t, end.Candidate.Flags, best[0].Flags, "every launch had its points here, so the pick leads")
	for i, f := range best {
		require.Positive(t, f.SD)
		require.InDelta(t, math.Log(hill(f.Flags)), f.Mean, 0.03)
		if i > 0 {
			require.LessOrEqual(t, f.Mean, best[i-1].Mean)
		}
	}
	require.Empty(t, search.Finalists(nil, threeKnobs(), budget, 3))
}

func TestProbesOfOneLaunchShareItsDeviation(t *testing.T) {
	t.Parallel()
	trials := []search.Trial{{Flags: map[string]any{}, Status: search.StatusOK}}
	for range 1000 {
		trials[0].Probes = append(trials[0].Probes, 10)
	}
	got := search.Finalists(trials, threeKnobs(), search.Budget{Launches: 10}, 1)
	require.Greater(t, got[0].SD, 0.9*search.DefaultNoise.Launch, "however often a launch is probed")
}
