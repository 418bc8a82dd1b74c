package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// pair is both sides of one block in one scenario.
type pair struct {
	block         int
	target, other *Row
}

// pairing is the blocks of one scenario and one comparison side.
type pairing struct {
	pairs    []pair // usable, ascending by block
	refused  []Refusal
	warnings []string
}

// pairUp joins rows by block. Two launches of one side in a block, one launch in two blocks, and a block without a
// partner are refused by name; a campaign's block without a partner was cut and is void.
func pairUp(target, other []*Row, t Terms) pairing {
	var p pairing
	a, refusedA := onePerBlock(target)
	b, refusedB := onePerBlock(other)
	p.refused = append(refusedA, refusedB...)
	if len(p.refused) > 0 {
		return p
	}
	for _, block := range sortedKeys(mergedKeys(a, b)) {
		x, y := a[block], b[block]
		switch {
		case x != nil && y != nil:
			p.add(pair{block, x, y})
		case t.Campaign:
			p.warnings = append(p.warnings, fmt.Sprintf("block %d is void: only %s was measured", block, first(x, y).SideName()))
		default:
			p.refused = append(p.refused, Refusal{Rule: RuleInterleaved, Field: "block", Got: fmt.Sprint(block), Want: "a launch of each side",
				What: fmt.Sprintf("block %d has no partner for %s", block, place(first(x, y)))})
		}
	}
	p.refused = append(p.refused, alternates(p.pairs)...)
	p.warnings = append(p.warnings, orderWarning(p.pairs)...)
	return p
}

// add keeps a pair unless one of its points can neither win nor lose.
func (p *pairing) add(x pair) {
	for _, r := range []*Row{x.target, x.other} {
		if why := r.Void(); why != "" {
			p.warnings = append(p.warnings, fmt.Sprintf("block %d is void: %s is %s", x.block, place(r), why))
			return
		}
	}
	p.pairs = append(p.pairs, x)
}

// Void says why a point can neither win nor lose, empty when it can. A failed launch is not void: it is a result.
func (r *Row) Void() string {
	switch {
	case r.Status == StatusSkipped:
		return "skipped: " + r.FailureReason
	case r.Interference:
		return "disturbed by foreign load"
	case r.Audit == nil:
		return ""
	case r.Audit.ClientLimited:
		return "limited by its client: " + strings.Join(r.Audit.Reasons, ", ")
	case r.Audit.Untrusted:
		return "untrusted: " + strings.Join(r.Audit.Reasons, ", ")
	case r.Audit.Unsettled:
		return "unsettled"
	case r.Audit.Cold:
		return "a cold launch"
	}
	return ""
}

// onePerBlock gives one row a block and refuses a second launch of the side in a block, a second row of its point, and
// a launch that stands for two blocks: requests of one launch are one sample.
func onePerBlock(rows []*Row) (map[int]*Row, []Refusal) {
	out, launches := map[int]*Row{}, map[string]*Row{}
	for _, r := range rows {
		if before := out[*r.Block]; before != nil {
			return nil, []Refusal{{Rule: RuleReplicates, Field: "launch_id", Got: r.LaunchID, Want: before.LaunchID,
				What: fmt.Sprintf("two launches of %s in block %d: %q at %s and %q at %s", r.SideName(), *r.Block, before.LaunchID, place(before), r.LaunchID, place(r))}}
		}
		out[*r.Block] = r
		if r.LaunchID == "" {
			continue
		}
		if before := launches[r.LaunchID]; before != nil {
			return nil, []Refusal{{Rule: RuleReplicates, Field: "launch_id", Got: r.LaunchID, Want: "one launch a block",
				What: fmt.Sprintf("launch %q stands for two blocks: %s and %s; requests of one launch are one sample", r.LaunchID, place(before), place(r))}}
		}
		launches[r.LaunchID] = r
	}
	return out, nil
}

// alternates refuses blocks whose launches did not run next to each other: with the start times of all launches in
// order, every block must be one run of two.
func alternates(pairs []pair) []Refusal {
	type start struct {
		at  time.Time
		row *Row
	}
	var starts []start
	for _, p := range pairs {
		for _, r := range []*Row{p.target, p.other} {
			if r.StartedAt == nil {
				return nil
			}
			starts = append(starts, start{*r.StartedAt, r})
		}
	}
	slices.SortStableFunc(starts, func(a, b start) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(*a.row.Block, *b.row.Block))
	})
	for i := 0; i+1 < len(starts); i += 2 {
		a, b := starts[i].row, starts[i+1].row
		if *a.Block != *b.Block {
			return []Refusal{{Rule: RuleInterleaved, Field: "started_at", Got: b.StartedAt.Format(time.RFC3339Nano), Want: fmt.Sprintf("the partner of block %d", *a.Block),
				What: fmt.Sprintf("sides do not alternate within blocks: by started_at, %s ran between the launches of %s", place(b), place(a))}}
		}
	}
	return nil
}

// orderWarning notices an order that was never randomised: with six or more blocks, chance does it in 3 % at most.
func orderWarning(pairs []pair) []string {
	targetFirst, known := 0, 0
	for _, p := range pairs {
		if p.target.StartedAt == nil || p.other.StartedAt == nil {
			continue
		}
		known++
		if p.target.StartedAt.Before(*p.other.StartedAt) {
			targetFirst++
		}
	}
	if known < 6 || (targetFirst != 0 && targetFirst != known) {
		return nil
	}
	return []string{fmt.Sprintf("the order within blocks is the same in all %d: it was not randomised, and drift within a block counts for one side", known)}
}

func first(a, b *Row) *Row {
	if a != nil {
		return a
	}
	return b
}

func mergedKeys[V any](a, b map[int]V) map[int]bool {
	out := map[int]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
