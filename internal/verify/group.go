package verify

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// group is one group of checks.
type group struct {
	name string
	// visit, where set, sees every entry in order with the state before it, which goes on changing. Its first error is
	// the group's.
	visit func(before *loop.State, e chain.Entry, payload any) error
	// end finishes the group after all entries were visited, and says what was compared.
	end func() (string, error)
}

// groups are the checks that follow on a chain that holds, in the order in which they are told.
func (v *verifier) groups() []group {
	return []group{
		{"contract", nil, v.contract},
		{"artifacts", nil, v.artifacts},
		{"files", nil, v.foreign},
		{"datasets", nil, v.datasets},
		v.runs(), v.rows(), v.receipts(),
		{"projections", nil, v.projections},
		v.searches(), v.verdicts(),
		{"traces", nil, v.traces},
		v.patches(),
		{"report", nil, v.report},
		{"transcript", nil, v.transcript},
		{"policy", nil, v.policy},
		{"seal", nil, v.seal},
		v.witnesses(),
	}
}

// visitAll shows every entry to every group in one pass and gives each group's first problem.
func (v *verifier) visitAll(groups []group) (map[string]error, error) {
	problems := map[string]error{}
	err := loop.Walk(v.entries, func(before *loop.State, e chain.Entry) error {
		for _, g := range groups {
			if g.visit == nil || problems[g.name] != nil {
				continue
			}
			_, err := guarded(func() (string, error) { return "", g.visit(before, e, v.decoded[e.Seq-1]) })
			if err != nil {
				problems[g.name] = fmt.Errorf("ledger entry %d (%s): %w", e.Seq, e.Kind, err)
			}
		}
		return v.ctx.Err()
	})
	return problems, err
}
