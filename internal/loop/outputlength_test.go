package loop_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
)

func TestOutputLengths(t *testing.T) {
	t.Parallel()
	base, patched := compare.Selector{Side: "sglang", Candidate: "sglang-00"}, compare.Selector{Side: "sglang+patch-1", Candidate: "sglang-00+patch-1"}
	for name, c := range map[string]struct {
		natural bool
		before  []float64
		after   []float64
		differs bool
		found   bool
	}{
		"equal":                    {true, []float64{100, 101, 99, 100}, []float64{100, 101, 99, 100}, false, true},
		"another draw of the same": {true, []float64{100, 101, 99, 100}, []float64{101, 100, 100, 99}, false, true},
		"shorter everywhere":       {true, []float64{100, 101, 99, 100}, []float64{95, 96.2, 94.1, 95}, true, true},
		"exactly one token less":   {true, []float64{100, 101, 99, 100}, []float64{99, 100, 98, 99}, true, true},
		"one block":                {true, []float64{100}, []float64{50}, false, false},
		"a length asked for":       {false, []float64{100, 100}, []float64{50, 50}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &loop.State{Contract: &contract.Contract{Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindText, IgnoreEOS: !c.natural}}}}
			add := func(side compare.Selector, block int, tokens float64) {
				st.Points = append(st.Points, loop.PointMeasured{Use: "main", Row: compare.Row{Phase: compare.PhaseRevalidate, Side: side.Side, CandidateID: side.Candidate, Block: &block,
					LaunchID: fmt.Sprintf("%s.patch-1.x-%d", side.Candidate, block), Status: compare.StatusOK, Workload: compare.Workload{Scenario: "chat"}, Metrics: compare.Metrics{"mean_output_tokens": tokens}}})
			}
			for b := range c.before {
				add(base, b, c.before[b])
				add(patched, b, c.after[b])
			}
			add(base, len(c.before), 1000) // a block without a partner says nothing
			got := st.OutputLengths("patch-1", base, patched)
			if !c.found {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, len(c.before), got[0].Blocks)
			require.Equal(t, c.differs, got[0].Differs, "%+v", got[0])
		})
	}
}
