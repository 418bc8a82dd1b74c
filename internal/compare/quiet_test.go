package compare_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// loaded gives both sides' rows what others used of the host's CPUs.
func loaded(rows []compare.Row, target, other float64) []compare.Row {
	edit(rows, contract.SGLang, func(r *compare.Row) { r.Audit = &compare.Audit{ForeignCPU: &target} })
	return edit(rows, contract.VLLM, func(r *compare.Row) { r.Audit = &compare.Audit{ForeignCPU: &other} })
}

func TestLoadInTheCompetitorsTurnOnly(t *testing.T) {
	t.Parallel()
	v := only(t, loaded(blocks(8, 0.1, 0.01), 0.01, 0.18), campaignTerms(8))
	require.Equal(t, stats.Inconclusive, v.Verdict)
	require.Contains(t, strings.Join(v.Warnings, "\n"), "block 0 is void: others used 18 % of the host's CPUs beside vllm-main block 0 and 1 % beside sglang-main block 0")
	require.Equal(t, stats.Inconclusive, verdictOf(t, loaded(foreign(blocks(8, 0.1, 0.01)), 0.01, 0.18), foreignTerms))
}

func TestLoadThatIsAlwaysThere(t *testing.T) {
	t.Parallel()
	require.Equal(t, stats.Win, verdictOf(t, loaded(blocks(8, 0.1, 0.01), 0.17, 0.20), campaignTerms(8)))
	require.Equal(t, stats.Win, verdictOf(t, blocks(8, 0.1, 0.01), campaignTerms(8)), "rows that do not say")
}

// TestUnevenLoadKnowsItsRows leaves out rows whose host's load says nothing.
func TestUnevenLoadKnowsItsRows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*compare.Row){
		"simulated":      func(r *compare.Row) { r.Simulated = true },
		"leased cores":   func(r *compare.Row) { r.Mark = contract.NoGPUClaim },
		"no audit":       func(r *compare.Row) { r.Audit = nil },
		"its scenario":   func(r *compare.Row) { r.Workload.Scenario = "another" },
		"nothing at all": func(r *compare.Row) { *r.Audit.ForeignCPU = 0.05 },
	} {
		rows := loaded(blocks(1, 0.1, 0.01), 0.01, 0.30)
		require.NotEmpty(t, compare.UnevenLoad(&rows[0], &rows[1]), name)
		change(&rows[1])
		require.Empty(t, compare.UnevenLoad(&rows[0], &rows[1]), name)
	}
}

// engines gives rows of both sides what their engines were found to be.
func engines(rows []compare.Row, target, other compare.Engine) []compare.Row {
	edit(rows, contract.SGLang, func(r *compare.Row) { e := target; r.Engine = &e })
	return edit(rows, contract.VLLM, func(r *compare.Row) { e := other; r.Engine = &e })
}

func TestAnEngineThatChangesBetweenLaunches(t *testing.T) {
	t.Parallel()
	rows := engines(blocks(8, 0.1, 0.01), compare.Engine{SHA256: "aa"}, compare.Engine{SHA256: "bb"})
	rows[9].Engine.SHA256 = "cc"
	res, err := compare.Verdicts(rows, campaignTerms(8))
	require.NoError(t, err)
	require.Len(t, res.Refused, 1)
	require.Equal(t, compare.RuleGenuineEngine, res.Refused[0].Rule)
	require.Equal(t, "engine.sha256", res.Refused[0].Field)
	require.Equal(t, "cc", res.Refused[0].Got)
}

// TestEnginesThatAreWhatTheySay compares two engines that differ from each other, as engines do, and rows of an older
// release beside newer ones.
func TestEnginesThatAreWhatTheySay(t *testing.T) {
	t.Parallel()
	rows := engines(blocks(8, 0.1, 0.01), compare.Engine{SHA256: "aa"}, compare.Engine{SHA256: "bb"})
	rows[3].Engine = nil
	v := only(t, rows, campaignTerms(8))
	require.Equal(t, stats.Win, v.Verdict)
	require.NotContains(t, strings.Join(v.Warnings, " "), "modified")
}

func TestAModifiedCompetitor(t *testing.T) {
	t.Parallel()
	rows := engines(blocks(8, 0.1, 0.01), compare.Engine{SHA256: "aa"}, compare.Engine{SHA256: "bb", Modified: []string{"vllm/core.py of vllm differs from its RECORD"}})
	v := only(t, rows, campaignTerms(8))
	require.Contains(t, strings.Join(v.Warnings, "\n"), "fair.genuine-engine: the engine of vllm-main is modified, and nothing is claimed against it: vllm/core.py of vllm differs from its RECORD")
}
