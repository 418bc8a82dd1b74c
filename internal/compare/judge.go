package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// verdict is the frame of a verdict: names, without an answer.
func (c *comparison) verdict(metric string, pairs []pair) Verdict {
	v := c.undecided("")
	v.Metric, v.Better, v.Blocks = metric, "higher", len(pairs)
	if contract.LowerIsBetter(metric) {
		v.Better = "lower"
	}
	v.Candidate, v.Against = nameOf(pairs[0].target), nameOf(pairs[0].other)
	v.Side, v.AgainstSide = pairs[0].target.SideName(), pairs[0].other.SideName()
	return v
}

func nameOf(r *Row) string {
	if r.CandidateID != "" {
		return r.CandidateID
	}
	return r.SideName()
}

// undecided is a verdict without usable blocks.
func (c *comparison) undecided(reason string) Verdict {
	v := Verdict{
		Scenario: c.scenario, Candidate: c.sides.target, Side: c.sides.target, Against: c.against, AgainstSide: c.against,
		Verdict: stats.Inconclusive, Reason: reason, Effort: []SideEffort{}, Others: []Measured{}, Warnings: []string{}, SLA: map[string]Tally{},
	}
	if rows := c.sides.rows[c.sides.target]; len(rows) > 0 {
		if metric, err := primary(c.terms, c.scenario, rows[0]); err == nil {
			v.Metric, v.Better = metric, "higher"
			if contract.LowerIsBetter(metric) {
				v.Better = "lower"
			}
		}
	}
	if reason != "" {
		v.Warnings = append(v.Warnings, c.warnings...)
		c.needs(&v)
	}
	return v
}

// needs says how many blocks a verdict without any needs, and what those could detect.
func (c *comparison) needs(v *Verdict) {
	fewest := stats.FewestFor(c.alpha)
	if len(c.terms.Looks) > 0 {
		fewest = max(fewest, c.terms.Looks[0])
	}
	v.MoreBlocks = &fewest
	v.Reason += fmt.Sprintf("; at least %d blocks are needed", fewest)
	if mde := math.Expm1(stats.MDE(fewest, c.sd(), c.alpha, math.Log1p(c.terms.Delta))); !math.IsInf(mde, 0) {
		v.MDE, v.MDESource = &mde, c.sdSource()
		v.Reason += fmt.Sprintf(", with which a gain of %.2f %% would win four times in five, if launches vary as assumed", 100*mde)
	}
}

// fill writes a decision about log-ratios into the verdict, in the unit of the ratio.
func (c *comparison) fill(v *Verdict, d stats.Decision) {
	v.Verdict = d.Verdict
	ratio, interval := unoriented(v.Metric, d.Estimate, d.Lo, d.Hi)
	v.Ratio, v.Interval, v.Level, v.Blocks = &ratio, interval, &d.Level, d.N
	if !math.IsInf(d.MDE, 0) && !math.IsNaN(d.MDE) {
		mde := math.Expm1(d.MDE)
		v.MDE, v.MDESource = &mde, "blocks"
		if d.Assumed {
			v.MDESource = c.sdSource()
		}
	}
	if d.More >= 0 {
		v.MoreBlocks = &d.More
	}
	v.Reason = c.reason(d)
	if d.MDEAt != d.N {
		v.Warnings = append(v.Warnings, fmt.Sprintf("%d blocks cannot decide at error rate %.4g: the test needs %d, and the MDE is for those", d.N, c.alpha, d.MDEAt))
	}
}

func (c *comparison) reason(d stats.Decision) string {
	gain := 100 * math.Expm1(d.Estimate)
	delta := 100 * c.terms.Delta
	switch d.Verdict {
	case stats.Win:
		return fmt.Sprintf("%.2f %% better than the other side, by at least the threshold of %.3g %%, and the whole interval is above 0", gain, delta)
	case stats.Loss:
		return fmt.Sprintf("%.2f %% worse than the other side, by at least the threshold of %.3g %%, and the whole interval is below 0", -gain, delta)
	case stats.Equivalent:
		return fmt.Sprintf("the whole interval is within ±%.3g %%", delta)
	}
	reason := fmt.Sprintf("%+.2f %% in %d blocks is not decided", gain, d.N)
	if !math.IsInf(d.MDE, 0) {
		reason += fmt.Sprintf("; a gain of %.2f %% would win four times in five", 100*math.Expm1(d.MDE))
		if d.MDEAt != d.N {
			reason += fmt.Sprintf(" with %d blocks", d.MDEAt)
		}
	}
	switch {
	case d.More <= 0:
		return reason + "; more blocks are not likely to decide"
	case d.N+d.More > stats.MaxN:
		return reason + fmt.Sprintf("; about %s more would decide, and the exact test takes %d in all: quieter launches would, or a larger threshold", plural(d.More), stats.MaxN)
	}
	return reason + fmt.Sprintf("; about %s more would decide", plural(d.More))
}

func plural(blocks int) string {
	if blocks == 1 {
		return "1 block"
	}
	return fmt.Sprintf("%d blocks", blocks)
}

// standing of a side in the SLA over its launches.
type agreement int

const (
	disagree agreement = iota
	keeps
	breaks
)

// slaFirst overrides what the ratio says: a side's status is what ⌈5n/6⌉ of its n launches agree on.
func (c *comparison) slaFirst(v *Verdict, pairs []pair) {
	target := c.tally(pairs, func(p pair) *Row { return p.target })
	other := c.tally(pairs, func(p pair) *Row { return p.other })
	v.SLA = map[string]Tally{"candidate": target, "against": other}
	a, b := agreed(target), agreed(other)
	enough := len(pairs) >= stats.FewestFor(c.alpha) && (len(c.terms.Looks) == 0 || len(pairs) >= c.terms.Looks[0])
	decided := stats.Inconclusive
	switch {
	case a == keeps && b == keeps:
		return
	case a == breaks && b == breaks:
		v.Reason = "sla: both sides fail: " + why(target) + "; " + why(other)
	case target.Unknown+other.Unknown > 0 && (a == disagree || b == disagree):
		v.Reason = fmt.Sprintf("sla: whether it is kept is not known for %d of %d launches: %s", target.Unknown+other.Unknown, 2*len(pairs), why(silentest(target, other)))
	case a == disagree || b == disagree:
		v.Reason = fmt.Sprintf("sla: launches do not agree: %d of %d and %d of %d pass", target.Passed, len(pairs), other.Passed, len(pairs))
	case !enough:
		v.Reason = fmt.Sprintf("sla: one side fails, but %d launches a side are too few to decide", len(pairs))
	case a == breaks:
		decided, v.Reason = stats.Loss, "sla: "+v.Candidate+" fails: "+why(target)+" ("+RuleSLAFirst+")"
	default:
		decided, v.Reason = stats.Win, "sla: "+v.Against+" fails: "+why(other)+" ("+RuleSLAFirst+")"
	}
	v.Verdict = decided
	if v.Verdict == stats.Inconclusive {
		v.MoreBlocks = nil
		v.Reason += moreAgreement(len(pairs), target, other)
	}
}

func silentest(a, b Tally) Tally {
	if a.Unknown >= b.Unknown {
		return a
	}
	return b
}

// moreAgreement says how many blocks more could make a side's launches agree, where any could: if all of them went as
// most did.
func moreAgreement(n int, sides ...Tally) string {
	most := 0
	for _, t := range sides {
		most = max(most, blocksToAgree(t))
	}
	switch {
	case most == 0:
		return "; more blocks do not change that"
	case n+most > stats.MaxN:
		return fmt.Sprintf("; it would take %d blocks more, all alike, for them to agree: more than the test takes", most)
	}
	return fmt.Sprintf("; at least %d blocks more, all alike, would be needed for them to agree", most)
}

// blocksToAgree is the fewest launches more, all like the most of those there are, after which ⌈5n/6⌉ of n agree.
func blocksToAgree(t Tally) int {
	k, n := max(t.Passed, t.Failed), t.Passed+t.Failed+t.Unknown
	more := 0
	for k+more < (5*(n+more)+5)/6 {
		more++
	}
	return more
}

func (c *comparison) tally(pairs []pair, side func(pair) *Row) Tally {
	out := Tally{Why: []string{}}
	for _, p := range pairs {
		passed, reasons := c.reading.passes(side(p), c.limits(side(p)))
		if passed {
			out.Passed++
			continue
		}
		if c.reading.silent(side(p), c.limits(side(p))) {
			out.Unknown++
		} else {
			out.Failed++
		}
		for _, r := range reasons {
			if !slices.Contains(out.Why, r) && len(out.Why) < 6 {
				out.Why = append(out.Why, r)
			}
		}
	}
	return out
}

// limits are the contract's, or a foreign row's own.
func (c *comparison) limits(r *Row) contract.SLA {
	if c.terms.SLA != nil || c.terms.Campaign {
		return c.terms.SLA
	}
	return r.SLA.Limits
}

func agreed(t Tally) agreement {
	n := t.Passed + t.Failed + t.Unknown
	need := (5*n + 5) / 6
	switch {
	case t.Passed >= need:
		return keeps
	case t.Failed >= need:
		return breaks
	default:
		return disagree
	}
}

func why(t Tally) string {
	if len(t.Why) == 0 {
		return "no reason recorded"
	}
	return t.Why[0]
}

// effort shows what each side's search got, and says so when they are not equal.
func (c *comparison) effort(v *Verdict) {
	target, okA := c.terms.Effort[v.Side]
	other, okB := c.terms.Effort[v.AgainstSide]
	for side, e := range map[string]Effort{v.Side: target, v.AgainstSide: other} {
		if _, ok := c.terms.Effort[side]; ok {
			v.Effort = append(v.Effort, SideEffort{Side: side, Effort: e})
		}
	}
	slices.SortFunc(v.Effort, func(a, b SideEffort) int {
		if a.Side == v.Side {
			return -1
		}
		return 1
	})
	if okA && okB && other.Launches < target.Launches && other.Exhausted == "" {
		v.Warnings = append(v.Warnings, fmt.Sprintf("%s: %s got %d launches, %s %d: a win over it cannot be called SOTA", RuleEqualEffort, v.AgainstSide, other.Launches, v.Side, target.Launches))
	}
}
