package compare

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// bounded gives a row's metric for a ratio. The highest rate of a search that met its bounds is not known: the bound
// stands for it, and edges says what a verdict may make of that.
func (c *comparison) bounded(r *Row, metric string) (float64, bool) {
	if metric == contract.MaxRateUnderSLA && r.Rate != nil {
		switch {
		case r.Rate.Edge == bench.RateAtLeast && r.Rate.Pass != nil:
			return *r.Rate.Pass, true
		case r.Rate.Edge == bench.RateBelow && r.Rate.Fail != nil:
			return *r.Rate.Fail, true
		}
	}
	return c.reading.value(r, metric)
}

// ratePasses says whether a rate search found a rate that keeps the SLA, else why not.
func (r *Row) ratePasses() (passed bool, why []string) {
	if r.Rate.Passes() {
		return true, nil
	}
	if r.Rate.Fail != nil {
		why = append(why, fmt.Sprintf("no rate passes, %.4g requests/s does not", *r.Rate.Fail))
	}
	if at := r.Rate.Chosen(); at >= 0 {
		why = append(why, r.Rate.Tried[at].Reasons...)
	}
	return false, why
}

// ends counts a side's searches that met a bound.
type ends struct{ above, below, n int }

func (e *ends) add(r *Row) {
	e.n++
	switch {
	case r.Rate == nil:
	case r.Rate.Edge == bench.RateAtLeast:
		e.above++
	case r.Rate.Edge == bench.RateBelow:
		e.below++
	}
}

func (e ends) text(side string) string {
	switch {
	case e.above > 0 && e.below > 0:
		return fmt.Sprintf("%s passes at every rate tried in %d of %d launches and at none in %d", side, e.above, e.n, e.below)
	case e.above > 0:
		return fmt.Sprintf("%s passes at every rate tried in %d of %d launches", side, e.above, e.n)
	case e.below > 0:
		return fmt.Sprintf("%s passes at no rate tried in %d of %d launches", side, e.below, e.n)
	}
	return side + " lies between the bounds"
}

// edges takes back what a verdict on the highest rates cannot know. Where a search met a bound, the bound is in the
// ratio. A larger value in any block only ever strengthens a win of its side: one-sided, the sign-flip test's p falls
// with each of its values. So a win holds where every such bound understates the candidate or overstates the other
// side, a loss where it is the other way round, and nothing else does. The ratio is a bound itself then, which only the
// reason says.
func (c *comparison) edges(v *Verdict, pairs []pair) {
	var target, other ends
	for _, p := range pairs {
		target.add(p.target)
		other.add(p.other)
	}
	if v.Metric != contract.MaxRateUnderSLA || target.above+target.below+other.above+other.below == 0 {
		return
	}
	said := target.text(v.Candidate) + "; " + other.text(v.Against)
	v.Ratio, v.Interval, v.MDE, v.MDESource, v.MoreBlocks = nil, nil, nil, "", nil
	switch {
	case v.Verdict == stats.Win && target.below+other.above == 0:
		v.Reason = "at least: " + v.Reason + "; " + said
	case v.Verdict == stats.Loss && target.above+other.below == 0:
		v.Reason = "at most: " + v.Reason + "; " + said
	default:
		v.Verdict = stats.Inconclusive
		v.Reason = "rate_search: the bounds do not hold the rates: " + said + "; a campaign with other bounds would tell"
	}
}
