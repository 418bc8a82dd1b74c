package bench

import (
	"errors"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// RateTerms is what a search for the highest request rate under the SLA is bound to. The search is a pure function of
// them and of what was tried: Next of the same history gives the same rate.
type RateTerms struct {
	Search        contract.RateSearch `json:"search"` // complete: no field is 0
	SLA           contract.SLA        `json:"sla"`
	MinAttainment float64             `json:"min_attainment,omitempty"`
	// Seed shifts where in a bracket the next rate lies. It is equal for every side of a block and differs between
	// blocks, so that what the grid of rates adds to a launch's figure is no constant.
	Seed uint64 `json:"seed,string"`
	// ArrivalSeed, where it is not 0, gives every load point the same arrivals, stretched to its rate. All sides of a
	// block have it: how lucky the draw is then cancels in their ratio.
	ArrivalSeed uint64 `json:"arrival_seed,string,omitempty"`
}

// Validate refuses terms that lack a part or cannot be searched by.
func (t RateTerms) Validate() error {
	if t.Search != t.Search.Complete() {
		return fault.New(fault.InvalidInput, "the terms of a rate search name no tolerance or no number of points").At("search", "")
	}
	if len(t.SLA) == 0 && t.MinAttainment == 0 {
		return fault.New(fault.InvalidInput, "a rate search needs limits to search under").At("sla", "", contract.SLAKeys()...)
	}
	return errors.Join(t.Search.Validate(), t.SLA.Validate())
}

// RateEdge says between what a search's rate lies.
type RateEdge string

// The edges.
const (
	RateBetween RateEdge = "between"  // a rate that passes and one that fails
	RateAtLeast RateEdge = "at_least" // every rate tried passes: the highest is a lower bound
	RateBelow   RateEdge = "below"    // every rate tried fails: the lowest is an upper bound
	RateLimited RateEdge = "limited"  // what does not pass above was limited by the client or unsettled: no result
)

// RateResult is what a search found.
type RateResult struct {
	Edge  RateEdge    `json:"edge"`
	Rate  *float64    `json:"rate"`  // requests/s, the estimate; only between two rates
	Pass  *float64    `json:"pass"`  // highest rate that passes
	Fail  *float64    `json:"fail"`  // lowest rate above it that does not
	Ended string      `json:"ended"` // tolerance, edge, points or unfit
	Tried []RateTried `json:"tried"` // in order
}

// Why a search ended.
const (
	RateEndTolerance = "tolerance" // the bracket is narrow, and either end was confirmed
	RateEndEdge      = "edge"      // the bound was reached and confirmed
	RateEndPoints    = "points"    // no load points are left
	RateEndUnfit     = "unfit"     // so many load points in a row could not count
)

// Next is the rate to measure next, in requests/s; 0 where the search has ended.
//
// Rates are halved on a logarithmic scale. Which of them pass is an antitonic fit over all measurements (a majority of
// those that monotony pools), so that a single lucky or unlucky point does not decide; where the fit is undecided, and
// at either end of the narrow bracket, a rate is measured once more. The search is over when two measurements at or
// above the passing rate passed, two at or below the failing one failed, and the two are within the tolerance.
func (t RateTerms) Next(tried []RateTried) float64 {
	next, _ := t.step(tried)
	return next
}

// Result is what the measurements so far say; its Ended is "" where Next has another rate.
func (t RateTerms) Result(tried []RateTried) RateResult {
	next, ended := t.step(tried)
	if next > 0 {
		ended = ""
	}
	out := RateResult{Edge: RateBelow, Ended: ended, Tried: tried}
	f := fitRates(tried)
	if f.pass != nil {
		out.Edge, out.Pass = RateAtLeast, &f.pass.rate
	}
	if f.fail == nil {
		return out
	}
	out.Fail = &f.fail.rate
	switch {
	case !f.fail.fit:
		out.Edge = RateLimited
	case f.pass != nil:
		rate := between(f.pass, f.fail)
		out.Edge, out.Rate = RateBetween, &rate
	}
	return out
}

// Passes says whether some rate keeps the SLA.
func (r RateResult) Passes() bool { return r.Pass != nil && r.Edge != RateLimited }

// Chosen is the index of the load point that stands for the search: the newest that passed at the highest passing rate,
// else the newest at the lowest rate tried; −1 where nothing was.
func (r RateResult) Chosen() int {
	at := -1
	for i, x := range r.Tried {
		switch {
		case r.Pass != nil:
			if x.Rate == *r.Pass && x.Passes() {
				at = i
			}
		case at < 0 || x.Rate <= r.Tried[at].Rate:
			at = i
		}
	}
	return at
}

// mostUnfit is how many load points in a row may be unfit, their repetitions too, before a search gives up: a client or a
// server in such a state has no rate to be found.
const mostUnfit = 4

func (t RateTerms) step(tried []RateTried) (next float64, ended string) {
	f := fitRates(tried)
	low, high := t.Search.Low, t.Search.High
	near := math.Log1p(t.Search.Tolerance) * (1 + 1e-9)
	switch {
	case len(tried) >= t.Search.Points:
		return 0, RateEndPoints
	case len(tried) >= mostUnfit && !slices.ContainsFunc(tried[len(tried)-mostUnfit:], func(x RateTried) bool { return x.Unfit == "" }):
		return 0, RateEndUnfit
	case f.undecided != nil:
		return f.undecided.rate, ""
	case f.pass == nil && f.fail == nil:
		return t.inside(low, high, tried), ""
	case f.fail == nil && f.pass.rate >= high:
		return f.confirm(f.pass, nil, RateEndEdge)
	case f.pass == nil && f.fail.rate <= low:
		return f.confirm(nil, f.fail, RateEndEdge)
	case f.fail == nil && math.Log(high/f.pass.rate) <= near:
		return high, ""
	case f.pass == nil && math.Log(f.fail.rate/low) <= near:
		return low, ""
	case f.fail == nil:
		return t.inside(f.pass.rate, high, tried), ""
	case f.pass == nil:
		return t.inside(low, f.fail.rate, tried), ""
	case math.Log(f.fail.rate/f.pass.rate) > near:
		return t.inside(f.pass.rate, f.fail.rate, tried), ""
	}
	return f.confirm(f.pass, f.fail, RateEndTolerance)
}

// off is how far from a bracket's middle the next rate may lie, as a share of the bracket's logarithm.
const off = 0.1

// inside is a rate between two others, near their geometric mean; where exactly follows from the seed.
func (t RateTerms) inside(low, high float64, tried []RateTried) float64 {
	u := float64(stream(t.Seed, "rate", len(tried)).Uint64()>>11) / (1 << 53)
	return low * math.Exp((0.5+off*(2*u-1))*math.Log(high/low))
}

// triedRate is every measurement at one rate.
type triedRate struct {
	rate   float64
	n      int
	passed int
	margin float64 // sum of the margins
	known  bool    // every measurement has a margin
	fit    bool    // some measurement that did not pass was fit to say so
}

// rateFit is what all measurements say together.
type rateFit struct {
	pass, fail, undecided *triedRate // highest passing, lowest failing, and the undecided one with the fewest measurements
	passes, fails         int        // measurements at or above pass that passed, at or below fail that failed
}

// confirm is an end of the bracket that only one measurement speaks for, the passing one first; next is 0 where there is
// none.
func (f rateFit) confirm(pass, fail *triedRate, end string) (next float64, ended string) {
	switch {
	case pass != nil && f.passes < 2:
		return pass.rate, ""
	case fail != nil && f.fails < 2:
		return fail.rate, ""
	}
	return 0, end
}

// fitRates pools the measurements by rate and fits them. One that is unfit counts as not passed.
func fitRates(tried []RateTried) rateFit {
	rates := groupRates(tried)
	share, weight := make([]float64, len(rates)), make([]float64, len(rates))
	for i, r := range rates {
		share[i], weight[i] = float64(r.passed)/float64(r.n), float64(r.n)
	}
	var f rateFit
	for i, p := range stats.Antitonic(share, weight) {
		r := rates[i]
		switch {
		case math.Abs(p-0.5) < 1e-9:
			if f.undecided == nil || r.n < f.undecided.n {
				f.undecided = r
			}
		case p > 0.5:
			f.pass = r
		case f.fail == nil:
			f.fail = r
		}
	}
	for _, r := range rates {
		if f.pass != nil && r.rate >= f.pass.rate {
			f.passes += r.passed
		}
		if f.fail != nil && r.rate <= f.fail.rate {
			f.fails += r.n - r.passed
		}
	}
	return f
}

// groupRates joins measurements at the same rate, ascending.
func groupRates(tried []RateTried) []*triedRate {
	var rates []*triedRate
	for _, x := range tried {
		at := slices.IndexFunc(rates, func(r *triedRate) bool { return r.rate == x.Rate })
		if at < 0 {
			at, rates = len(rates), append(rates, &triedRate{rate: x.Rate, known: true})
		}
		r := rates[at]
		r.n++
		switch {
		case x.Passes():
			r.passed++
		case x.Unfit == "":
			r.fit = true
		}
		if x.Margin == nil || x.Unfit != "" {
			r.known = false
		} else {
			r.margin += *x.Margin
		}
	}
	slices.SortFunc(rates, func(a, b *triedRate) int {
		if a.rate < b.rate {
			return -1
		}
		return 1
	})
	return rates
}

// between estimates where in a bracket the SLA is met exactly: where the mean margins of its ends cross 0, else its
// geometric mean.
func between(pass, fail *triedRate) float64 {
	share := 0.5
	above, below := pass.margin/float64(pass.n), fail.margin/float64(fail.n)
	if pass.known && fail.known && above > 0 && below < 0 {
		share = above / (above - below)
	}
	return pass.rate * math.Exp(share*math.Log(fail.rate/pass.rate))
}
