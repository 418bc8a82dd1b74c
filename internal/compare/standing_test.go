package compare_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// single is a search row of one candidate.
func single(framework contract.Framework, id string, rps float64) compare.Row {
	r := row(framework, 0, rps)
	r.Phase, r.Block, r.CandidateID = compare.PhaseSearch, nil, id
	return r
}

func seedRows() []compare.Row {
	fast := single(contract.SGLang, "fast", 99)
	fast.Metrics["p50_ttft_user_ms"] = 5000
	crashed := single(contract.VLLM, "crashed", 50)
	crashed.Status, crashed.FailureReason, crashed.Metrics = compare.StatusFailed, "exit 1 | stack\ntrace", compare.Metrics{}
	dead := single(contract.SGLang, "dead", 1)
	dead.Workload.Scenario, dead.Status, dead.FailureReason, dead.Metrics = "summarization", compare.StatusOOM, "out of memory", compare.Metrics{}
	return []compare.Row{fast, crashed, single(contract.SGLang, "ok", 10), single(contract.VLLM, "ok", 12), dead}
}

func TestTheFastestFailingRowNeverWins(t *testing.T) {
	t.Parallel()
	standings := compare.Rank(seedRows(), compare.RankTerms{Delta: 0.03})
	var got []string
	for _, w := range compare.Winners(standings) {
		require.Equal(t, "chat", w.Scenario, "a scenario with only failures has no winner")
		got = append(got, string(w.Framework)+" "+w.Candidate)
	}
	require.Equal(t, []string{"vllm ok", "sglang ok"}, got)
	require.Len(t, compare.Failed(standings), 3)
}

func TestWithinTheThresholdIsATie(t *testing.T) {
	t.Parallel()
	rows := []compare.Row{single(contract.SGLang, "a", 100), single(contract.VLLM, "b", 98), single(contract.TokenSpeed, "c", 96), single(contract.TensorRTLLM, "d", 90)}
	ranks := map[string]int{}
	for _, s := range compare.Rank(rows, compare.RankTerms{Delta: 0.03}) {
		ranks[s.Candidate] = s.Rank
		require.Equal(t, s.Candidate == "a" || s.Candidate == "b", s.Tied, s.Candidate)
	}
	require.Equal(t, map[string]int{"a": 1, "b": 1, "c": 3, "d": 4}, ranks)
}

func TestNotMeasuredRanksLast(t *testing.T) {
	t.Parallel()
	blank := single(contract.SGLang, "blank", 1)
	delete(blank.Metrics, "output_token_throughput")
	standings := compare.Rank([]compare.Row{blank, single(contract.SGLang, "slow", 1)}, compare.RankTerms{Delta: 0.03})
	require.Equal(t, "slow", standings[0].Candidate)
	require.False(t, standings[1].Tied)
}

func TestTheSeedsOrderCanBeAsked(t *testing.T) {
	t.Parallel()
	long, many := single(contract.SGLang, "long", 5), single(contract.SGLang, "many", 10)
	long.Metrics["output_token_throughput"] = 9999
	rows := []compare.Row{long, many}
	require.Equal(t, "long", compare.Rank(rows, compare.RankTerms{})[0].Candidate)
	require.Equal(t, "many", compare.Rank(rows, compare.RankTerms{RankBy: compare.RankBySeed})[0].Candidate)
}

func TestASearchScoreIsNoResult(t *testing.T) {
	t.Parallel()
	lucky := single(contract.SGLang, "sglang-03", 500)
	rows := append(blocks(8, 0, 0.01), lucky, single(contract.SGLang, "other", 1))
	standings := compare.Rank(rows, compare.RankTerms{Delta: 0.03})
	for _, s := range standings {
		require.Equal(t, s.Candidate == "other", s.Searched, s.Candidate)
		if s.Candidate == "sglang-03" {
			require.Equal(t, 8, s.Launches)
			require.Less(t, s.Metrics["request_throughput"], 100.0, "the median over blocks")
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	standings := compare.Rank(seedRows(), compare.RankTerms{Delta: 0.03})
	got := compare.BestByFramework(standings) + "\n" + compare.CrossFramework(standings) + "\n" + compare.FailedTable(standings)
	path := filepath.Join("testdata", "tables.md")
	if os.Getenv("UPDATE") == "1" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
	require.Equal(t, "No rows found.\n", compare.BestByFramework(nil))
	require.Equal(t, "No rows found.\n", compare.CrossFramework(nil))
	require.Empty(t, compare.FailedTable(nil))
}
