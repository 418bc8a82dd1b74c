package compare

import (
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// sides is the rows a result is about: verdict rows by side name, and the names in order.
type sides struct {
	target  string
	against []string
	rows    map[string][]*Row
}

// gather picks the rows of the phase and finds target and comparison sides.
func gather(rows []Row, t Terms) (sides, error) {
	s := sides{rows: map[string][]*Row{}}
	other := map[Phase]int{}
	for i := range rows {
		r := &rows[i]
		if !t.about(r) {
			other[r.Phase]++
			continue
		}
		s.rows[r.SideName()] = append(s.rows[r.SideName()], r)
	}
	if len(s.rows) == 0 {
		return s, fault.New(fault.InvalidInput, "no rows of phase %q among %d", t.phase(), len(rows)).ByRule(RuleHoldOut).
			Hint("measure interleaved blocks: a search score is never a result")
	}
	var err error
	if s.target, err = s.find(t.Target, "target"); err != nil {
		return s, err
	}
	for _, sel := range t.Against {
		name, err := s.find(sel, "against")
		if err != nil {
			return s, err
		}
		s.against = append(s.against, name)
	}
	if len(t.Against) == 0 {
		s.against = slices.DeleteFunc(sortedKeys(s.rows), func(name string) bool { return name == s.target })
	}
	if len(s.against) == 0 {
		return s, fault.New(fault.InvalidInput, "only %q is in the rows: nothing to compare it with", s.target)
	}
	return s, nil
}

func (t Terms) phase() Phase {
	if t.Phase == "" {
		return PhaseBlock
	}
	return t.Phase
}

// about says whether a row is of the phase that the verdict is about. A foreign row says none.
func (t Terms) about(r *Row) bool {
	return r.Phase != PhaseCross && (r.Phase == t.phase() || (r.Phase == "" && !t.Campaign))
}

// find gives the one side a selector names, by entry or by framework. A selector with a candidate narrows the side's
// rows to it and gives them a name of their own, so that one entry can be compared with itself.
func (s *sides) find(sel Selector, field string) (string, error) {
	name := string(canonical(contract.Framework(sel.Side)))
	var found []string
	for _, side := range sortedKeys(s.rows) {
		if side == sel.Side || (s.rows[side][0].Side != "" && string(s.rows[side][0].Framework) == name) || side == name {
			found = append(found, side)
		}
	}
	if slices.Contains(found, sel.Side) {
		found = []string{sel.Side}
	}
	switch {
	case len(found) == 0:
		return "", fault.New(fault.NotFound, "no rows of %s %q", field, sel.Side).At(field, sel.Side, sortedKeys(s.rows)...)
	case len(found) > 1:
		return "", fault.New(fault.InvalidInput, "%s %q is %d engine entries", field, sel.Side, len(found)).At(field, sel.Side, found...)
	case sel.Candidate == "":
		return found[0], nil
	}
	key := found[0] + " " + sel.Candidate
	for _, r := range s.rows[found[0]] {
		if r.CandidateID == sel.Candidate {
			s.rows[key] = append(s.rows[key], r)
		}
	}
	if len(s.rows[key]) == 0 {
		return "", fault.New(fault.NotFound, "no rows of candidate %q of %q", sel.Candidate, found[0]).At(field, sel.Candidate)
	}
	return key, nil
}

// scenarios lists the scenarios of target and comparison sides: the contract's order, else by first appearance.
func (s *sides) scenarios(t Terms) []string {
	var names []string
	for _, sc := range t.Scenarios {
		names = append(names, sc.Name)
	}
	if t.Campaign {
		return names
	}
	var rows []*Row
	for _, side := range append([]string{s.target}, s.against...) {
		rows = append(rows, s.rows[side]...)
	}
	slices.SortStableFunc(rows, func(a, b *Row) int { return a.Line - b.Line })
	for _, r := range rows {
		if !slices.Contains(names, r.Scenario()) {
			names = append(names, r.Scenario())
		}
	}
	return names
}

// of gives a side's rows of one scenario that carry a block, and how many carry none.
func (s *sides) of(side, scenario string) (blocked []*Row, loose int) {
	for _, r := range s.rows[side] {
		switch {
		case r.Scenario() != scenario:
		case r.Block == nil:
			loose++
		default:
			blocked = append(blocked, r)
		}
	}
	return blocked, loose
}

// primary is the metric a verdict is about.
func primary(t Terms, scenario string, r *Row) (string, error) {
	for _, sc := range t.Scenarios {
		if sc.Name == scenario {
			if sc.Primary != "" {
				return sc.Primary, nil
			}
			return contract.PrimaryMetric(sc.Arrival), nil
		}
	}
	arrival, err := arrivalOf(&r.Workload)
	if err != nil {
		return "", fmt.Errorf("scenario %q: %w", scenario, err)
	}
	return contract.PrimaryMetric(arrival), nil
}
