package loop

import (
	"maps"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// OutputLength compares how long the answers of a scenario with a natural end are before and after a patch. Blocks are
// pairs: both sides of one answered the same rows.
type OutputLength struct {
	Scenario string  `json:"scenario"`
	Base     float64 `json:"base_mean_tokens"`
	Patched  float64 `json:"patched_mean_tokens"`
	SE       float64 `json:"se_tokens"` // standard error of the mean difference over blocks
	Blocks   int     `json:"blocks"`
	Differs  bool    `json:"differs"` // beyond lengthErrors standard errors: the patch changes what is answered
}

// lengthErrors is how many standard errors a mean length may differ by.
const lengthErrors = 3

// OutputLengths gives the comparison for every scenario whose answers end by themselves; nil where there is none.
func (s *State) OutputLengths(proposal string, base, patched compare.Selector) []OutputLength {
	var out []OutputLength
	rows := proposalRows(s, proposal, useMain, []compare.Selector{base, patched})
	for _, sc := range s.Contract.Scenarios {
		if !sc.NaturalEnd() {
			continue
		}
		means := map[int]map[compare.Selector]float64{}
		for _, r := range rows {
			if v, ok := r.Metrics.Get("mean_output_tokens"); ok && r.Workload.Scenario == sc.Name && r.Block != nil && r.Status == compare.StatusOK {
				if means[*r.Block] == nil {
					means[*r.Block] = map[compare.Selector]float64{}
				}
				means[*r.Block][compare.Selector{Side: r.Side, Candidate: r.CandidateID}] = v
			}
		}
		if x, ok := outputLength(means, base, patched); ok {
			x.Scenario = sc.Name
			out = append(out, x)
		}
	}
	return out
}

// outputLength takes the blocks in which both sides were measured; one block alone says nothing of its error.
func outputLength(means map[int]map[compare.Selector]float64, base, patched compare.Selector) (OutputLength, bool) {
	var a, b, diffs []float64
	for _, block := range slices.Sorted(maps.Keys(means)) {
		before, okA := means[block][base]
		after, okB := means[block][patched]
		if okA && okB {
			a, b, diffs = append(a, before), append(b, after), append(diffs, after-before)
		}
	}
	if len(diffs) < 2 {
		return OutputLength{}, false
	}
	x := OutputLength{Base: stats.Mean(a), Patched: stats.Mean(b), SE: stats.SD(diffs) / math.Sqrt(float64(len(diffs))), Blocks: len(diffs)}
	x.Differs = math.Abs(stats.Mean(diffs)) > lengthErrors*x.SE+1e-9
	return x, true
}
