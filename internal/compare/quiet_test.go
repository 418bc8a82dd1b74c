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
