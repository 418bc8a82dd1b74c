package search_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

func crashesOf(trials []search.Trial) int {
	n := 0
	for _, t := range trials {
		if t.Status != search.StatusOK {
			n++
		}
	}
	return n
}

// TestMemoryIsFilledUpwards: who ran out of memory is not followed by larger ones, however promising, although every level
// works by itself.
func TestMemoryIsFilledUpwards(t *testing.T) {
	t.Parallel()
	space := search.Space{Base: map[string]any{"a": 0, "b": 0, "c": 0}}
	for _, name := range []string{"a", "b", "c"} {
		space.Knobs = append(space.Knobs, search.Knob{Name: name, Values: []any{0, 1, 2, 3, 4}})
	}
	filled := func(f map[string]any) (sum int) {
		for _, v := range f {
			sum += v.(int)
		}
		return sum
	}
	space.Prior = func(f map[string]any) (float64, bool) { return 10 * (1 + 0.03*float64(filled(f))), true }
	trials := []search.Trial{}
	launched := func(a, b, c int, status string) {
		flags := map[string]any{"a": a, "b": b, "c": c}
		tr := search.Trial{Flags: flags, Status: status}
		if v, _ := space.Prior(flags); status == search.StatusOK {
			tr.Probes = []float64{v, v}
		}
		trials = append(trials, tr)
	}
	for level := range 5 {
		launched(level, 0, 0, search.StatusOK)
		launched(0, level, 0, search.StatusOK)
		launched(0, 0, level, search.StatusOK)
	}
	launched(3, 3, 3, "oom")
	for least := 9; len(trials) < 22; {
		step := search.Next(trials, space, search.Budget{Launches: 40, Seed: 1}, search.Auto)
		if step.Done {
			break
		}
		sum := filled(step.Candidate.Flags)
		require.Less(t, sum, least, "%v after %d ran out of memory", step.Candidate.Flags, least)
		full := func(k string) int { v, _ := step.Candidate.Flags[k].(int); return v }
		if sum > 7 {
			least = sum
			launched(full("a"), full("b"), full("c"), "oom")
		} else {
			launched(full("a"), full("b"), full("c"), search.StatusOK)
		}
	}
	best := 0
	for _, tr := range trials {
		if tr.Status == search.StatusOK {
			best = max(best, filled(tr.Flags))
		}
	}
	require.GreaterOrEqual(t, best, 6, "of 7 that fit")
}

// TestTwoLevelsThatDoNotGoTogether: each works elsewhere, so neither is given up, and only both together are avoided.
func TestTwoLevelsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	space := search.NewSpace(map[string]any{"a": "v1", "b": "v1", "c": "v1"}, map[string][]any{
		"a": {"v1", "v2", "v3"}, "b": {"v1", "v2", "v3"}, "c": {"v1", "v2", "v3"},
	})
	together := func(f map[string]any) bool { return f["a"] == "v2" && f["b"] == "v2" }
	worth := func(f map[string]any) float64 {
		v := 10.0
		for _, name := range []string{"a", "b"} {
			if f[name] == "v2" {
				v *= 1.1
			}
		}
		return v
	}
	trials, end := play(space, search.Budget{Launches: 12, Seed: 1}, search.Auto, func(f map[string]any) float64 {
		if together(f) {
			return 0
		}
		return worth(f)
	})
	crashed := crashesOf(trials)
	require.Positive(t, crashed, "the best by single levels")
	require.LessOrEqual(t, crashed, 2, "of the three that hold both")
	require.Greater(t, worth(end.Candidate.Flags), 10.9)
}

// TestLevelsThatWorkedAreNotBlamedForAPair: two crashes that share two levels leave each of them as good as it was.
func TestLevelsThatWorkedAreNotBlamedForAPair(t *testing.T) {
	t.Parallel()
	space := search.NewSpace(map[string]any{"a": "v1", "b": "v1", "c": "v1"}, map[string][]any{
		"a": {"v1", "v2"}, "b": {"v1", "v2"}, "c": {"v1", "v2", "v3"},
	})
	space.Prior = func(f map[string]any) (float64, bool) {
		v := 10.0
		for name, level := range map[string]string{"a": "v2", "b": "v2", "c": "v3"} {
			if f[name] == level {
				v *= map[string]float64{"a": 1.008, "b": 1.008, "c": 1.03}[name]
			}
		}
		return v, true
	}
	trials := []search.Trial{}
	for _, f := range []map[string]any{{}, {"a": "v2"}, {"b": "v2"}, {"c": "v2"}, {"a": "v2", "c": "v2"}, {"b": "v2", "c": "v2"}} {
		v, _ := space.Prior(f)
		trials = append(trials, search.Trial{Flags: f, Status: search.StatusOK, Score: &v})
	}
	for _, c := range []string{"v1", "v2"} {
		trials = append(trials, search.Trial{Flags: map[string]any{"a": "v2", "b": "v2", "c": c}, Status: "oom"})
	}
	flags := search.Next(trials, space, search.Budget{Launches: 24}, search.Auto).Candidate.Flags
	require.Equal(t, "v3", flags["c"])
	require.NotEqual(t, flags["a"], flags["b"], "one of both, since both together crash: %v", flags)
}

// TestAShippedDefaultThatCrashesIsNoAlibi: what it holds is not cleared by being shipped.
func TestAShippedDefaultThatCrashesIsNoAlibi(t *testing.T) {
	t.Parallel()
	space := search.NewSpace(map[string]any{"a": "v1", "b": "v1"}, map[string][]any{"a": {"v1", "v2", "v3"}, "b": {"v1", "v2", "v3"}})
	ten := 10.0
	trials := []search.Trial{
		{Flags: map[string]any{}, Status: "oom"}, {Flags: map[string]any{"a": "v2", "b": "v2"}, Status: search.StatusOK, Score: &ten},
		{Flags: map[string]any{"a": "v2"}, Status: search.StatusOK, Score: &ten},
	}
	space.Prior = func(f map[string]any) (float64, bool) { // what the default holds is promising
		if f["a"] == nil {
			return 10.5, true
		}
		return 10, true
	}
	for range 4 {
		step := search.Next(trials, space, search.Budget{Launches: 10}, search.Auto)
		require.NotNil(t, step.Candidate.Flags["a"], "v1 crashed once and never worked: %v", step.Candidate.Flags)
		if step.Done {
			break
		}
		trials = append(trials, search.Trial{Flags: step.Candidate.Flags, Status: search.StatusOK, Score: &ten})
	}
}
