package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
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
	p.refused = append(p.refused, slices.Concat(oneEngine(target), oneEngine(other))...)
	p.warnings = append(p.warnings, orderWarning(p.pairs, t)...)
	p.warnings = append(p.warnings, modifiedWarning(target, other)...)
	if !t.Campaign {
		p.refused = append(p.refused, oneMeasurement(slices.Concat(target, other))...)
		p.warnings = append(p.warnings, doubts(p.pairs)...)
	}
	return p
}

// oneEngine refuses a side whose launches were not all of one engine. Rows that do not say, of an older release or of
// launches that failed, are none.
func oneEngine(rows []*Row) []Refusal {
	var said *Row
	for _, r := range rows {
		switch {
		case r.Engine == nil:
		case said == nil:
			said = r
		case said.Engine.SHA256 != r.Engine.SHA256:
			return []Refusal{{Rule: RuleGenuineEngine, Field: "engine.sha256", Got: r.Engine.SHA256, Want: said.Engine.SHA256,
				What: fmt.Sprintf("the engine at %s is another than at %s: programs, packages or what runs before them changed between the launches", place(r), place(said))}}
		}
	}
	return nil
}

// modifiedWarning says which sides were measured with an engine that is not what it is called.
func modifiedWarning(sides ...[]*Row) []string {
	var out []string
	for _, rows := range sides {
		for _, r := range rows {
			if e := r.Engine; e != nil && len(e.Modified) > 0 {
				out = append(out, fmt.Sprintf("%s: the engine of %s is modified, and nothing is claimed against it: %s", RuleGenuineEngine, r.SideName(), Printable(e.Modified[0])))
				break
			}
		}
	}
	return out
}

// add keeps a pair unless one of its points can neither win nor lose.
func (p *pairing) add(x pair) {
	for _, r := range []*Row{x.target, x.other} {
		if why := r.Void(); why != "" {
			p.warnings = append(p.warnings, fmt.Sprintf("block %d is void: %s is %s (%s)", x.block, place(r), why, r.voidRule()))
			return
		}
	}
	if why := UnevenLoad(x.target, x.other); why != "" {
		p.warnings = append(p.warnings, fmt.Sprintf("block %d is void: %s", x.block, why))
		return
	}
	p.pairs = append(p.pairs, x)
}

// Void says why a point can neither win nor lose, empty when it can. A failed launch is not void: it is a result, unless
// somebody ended its engine.
func (r *Row) Void() string {
	switch {
	case r.Status == StatusSkipped:
		return "skipped: " + r.FailureReason
	case r.endedByOthers() != "":
		return "its engine was ended from outside, by signal " + r.endedByOthers()
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

// endedByOthers names the signal by which somebody else ended the engine of a failed row, empty where nobody did: no engine
// sends these to itself, and whoever could win by killing the other side's would. The worker's own words come first in a
// reason, before anything of a log.
func (r *Row) endedByOthers() string {
	if r.Status != StatusFailed {
		return ""
	}
	how, ok := strings.CutPrefix(r.FailureReason, "the server ended by signal ")
	for _, signal := range []string{"killed", "terminated", "interrupt", "hangup"} {
		if ok && strings.HasPrefix(how, signal) {
			return signal
		}
	}
	return ""
}

// voidRule is the rule by which a void point counts for nothing.
func (r *Row) voidRule() string {
	switch {
	case r.Status == StatusSkipped:
		return RuleRowStatus
	case !r.Interference && r.Audit != nil && r.Audit.ClientLimited:
		return RuleSameClient
	}
	return RuleQuietHost
}

// onePerBlock gives one row a block and refuses a second launch of the side in a block, a second row of its point, and
// a launch that stands for two blocks: requests of one launch are one sample.
func onePerBlock(rows []*Row) (map[int]*Row, []Refusal) {
	out, launches := map[int]*Row{}, map[string]*Row{}
	for _, r := range rows {
		if before := out[*r.Block]; before != nil {
			what := fmt.Sprintf("two launches of %s in block %d: %q at %s and %q at %s", r.SideName(), *r.Block, before.LaunchID, place(before), r.LaunchID, place(r))
			if r.LaunchID == before.LaunchID {
				what = fmt.Sprintf("two rows of one point: launch %q of %s in block %d at %s and %s", r.LaunchID, r.SideName(), *r.Block, place(before), place(r))
			}
			return nil, []Refusal{{Rule: RuleReplicates, Field: "launch_id", Got: r.LaunchID, Want: before.LaunchID, What: what}}
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

// alternates refuses blocks whose launches did not run next to each other: nothing may have started between the two
// launches of a block. Launches whose start is not known, or is the same as another's, say nothing.
func alternates(pairs []pair) []Refusal {
	for _, p := range pairs {
		early, late, known := p.order()
		if !known {
			continue
		}
		for _, q := range pairs {
			for _, r := range []*Row{q.target, q.other} {
				if q.block == p.block || r.StartedAt == nil || !r.StartedAt.After(*early.StartedAt) || !r.StartedAt.Before(*late.StartedAt) {
					continue
				}
				return []Refusal{{Rule: RuleInterleaved, Field: "started_at", Got: r.StartedAt.Format(time.RFC3339Nano), Want: fmt.Sprintf("the partner of block %d", p.block),
					What: fmt.Sprintf("sides do not alternate within blocks: by started_at, %s ran between the launches of %s", place(r), place(early))}}
			}
		}
	}
	return nil
}

// order gives a block's launches in the order in which they started; known is false where their rows do not say.
func (p pair) order() (early, late *Row, known bool) {
	early, late = p.target, p.other
	if early.StartedAt == nil || late.StartedAt == nil || early.StartedAt.Equal(*late.StartedAt) {
		return early, late, false
	}
	if late.StartedAt.Before(*early.StartedAt) {
		early, late = late, early
	}
	return early, late, true
}

// orderWarning notices an order that was never randomised: with six or more blocks, chance does it in 3 % at most. Of
// foreign rows also one that all but a few blocks have, where chance does it in 3.5 % at most.
func orderWarning(pairs []pair, t Terms) []string {
	targetFirst, known := 0, 0
	for _, p := range pairs {
		early, _, ok := p.order()
		if !ok {
			continue
		}
		known++
		if early == p.target {
			targetFirst++
		}
	}
	odd := min(targetFirst, known-targetFirst)
	switch {
	case known < 6 || (odd > 0 && (t.Campaign || chanceOf(odd, known) > 0.035)):
		return nil
	case odd > 0:
		return []string{fmt.Sprintf("the order within blocks is the same in %d of %d: it was hardly randomised, and drift within a block counts for one side", known-odd, known)}
	}
	return []string{fmt.Sprintf("the order within blocks is the same in all %d: it was not randomised, and drift within a block counts for one side", known)}
}

// chanceOf is the two-sided probability that of n fair coins k or fewer, or n − k or more, show heads; k below n/2.
func chanceOf(k, n int) float64 {
	ways, sum := 1.0, 0.0
	for i := range k + 1 {
		sum += ways
		ways *= float64(n-i) / float64(i+1)
	}
	return 2 * sum / math.Exp2(float64(n))
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
