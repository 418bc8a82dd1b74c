package search_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

// fourKnobs is a full table of knobs a (3 levels), b (2), c (4) and d (3), best at a=3, b=2, c=4, d=3.
func fourKnobs(t *testing.T) *search.Table {
	t.Helper()
	var b strings.Builder
	b.WriteString("a,b,c,d,status,score\n")
	for i := range 3 * 2 * 4 * 3 {
		at := []int{i / 24, i / 12 % 2, i / 3 % 4, i % 3}
		score := 10 + 2*float64(at[0]) + 4*float64(at[1]) + 6*float64(at[2]) + 8*float64(at[3])
		fmt.Fprintf(&b, "%d,%d,%d,%d,ok,%g\n", at[0]+1, at[1]+1, at[2]+1, at[3]+1, score)
	}
	table, err := search.ReadTable(strings.NewReader(b.String()), "four")
	require.NoError(t, err)
	return table
}

// tried gives the different candidates of a run in order, as what they change.
func tried(run search.Run) []string {
	var out []string
	for _, tr := range run.Trials {
		if at := strings.TrimPrefix(fmt.Sprint(tr.Flags), "map"); len(out) == 0 || out[len(out)-1] != at {
			out = append(out, at)
		}
	}
	return out
}

func TestTiersTryWhatAutoBenchmarkTries(t *testing.T) {
	t.Parallel()
	table := fourKnobs(t)
	// What build_candidates of the cited source gives for this space, base first and duplicates dropped, cut at 8.
	for strategy, want := range map[search.Strategy][]string{
		"auto_benchmark_tier1": {"[]", "[a:2]", "[b:2]", "[c:2]", "[d:2]"},
		"auto_benchmark_tier2": {"[]", "[c:2]", "[c:3]", "[b:2]", "[b:2 c:2]", "[b:2 c:3]", "[a:2]", "[a:2 c:2]"},
		"auto_benchmark_tier3": {"[]", "[d:2]", "[d:3]", "[c:2]", "[c:2 d:2]", "[c:2 d:3]", "[c:3]", "[c:3 d:2]"},
	} {
		require.Equal(t, want, tried(table.Replay(strategy, 100, 1)), strategy)
	}
}

func TestATierLaunchesForEveryTrial(t *testing.T) {
	t.Parallel()
	run := fourKnobs(t).Replay("auto_benchmark_tier1", 100, 1)
	require.Len(t, run.Trials, 5+4*6, "five for the first, and one more for each that passes at the leader's rate; all four do")
	require.Greater(t, run.Spent.Hours(), float64(len(run.Trials))*180/3600)
	require.InDelta(t, 18.0/52, run.Share, 1e-9, "one changed level is all that it can find")
	require.Len(t, fourKnobs(t).Replay("auto_benchmark_tier3", 10, 1).Trials, 10, "relaunches count against the budget")
}

func TestATierDropsWhatFailsAtTheLeadersRate(t *testing.T) {
	t.Parallel()
	table, err := search.ReadTable(strings.NewReader("a,status,score\n1,ok,10\n2,ok,5\n3,oom,\n4,ok,6\n"), "worse")
	require.NoError(t, err)
	run := table.Replay("auto_benchmark_tier3", 100, 1)
	require.Len(t, run.Trials, 5+3, "one trial each")
	require.Equal(t, 1, run.Crashes())
	require.Equal(t, 1.0, run.Share)
	require.InDelta(t, (7*(180+90)+60)/3600.0, run.Spent.Hours(), 1e-9)
}

func TestTiersAreNoStrategiesOfCampaigns(t *testing.T) {
	t.Parallel()
	for _, tier := range search.Tiers {
		require.NotContains(t, search.Strategies, tier)
	}
}
