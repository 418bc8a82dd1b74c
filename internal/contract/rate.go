package contract

import (
	"fmt"
	"math"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// MaxRateUnderSLA is the primary metric of a rate search: the highest request rate, in requests/s, that keeps the SLA.
const MaxRateUnderSLA = "max_rate_under_sla"

// RateSearch bounds a search for the highest request rate under the SLA. Every launch of the blocks runs it.
type RateSearch struct {
	Low       float64 `json:"low,omitempty"`       // requests/s; a side that fails here has no rate
	High      float64 `json:"high,omitempty"`      // requests/s; what passes here is at least this
	Tolerance float64 `json:"tolerance,omitempty"` // ratio: the search ends when the failing rate is within 1 + it of the passing one; 0 = 0.03
	Points    int     `json:"points,omitempty"`    // most load points of a launch; 0 = FewestPoints and three
}

// The bounds of a rate search's terms.
const (
	DefaultRateTolerance = 0.03
	minRateTolerance     = 0.005
	maxRateTolerance     = 0.25
	maxRate              = 100_000
	maxRateSpan          = 1000 // high over low
	mostRatePoints       = 60
	sparePoints          = 3 // beyond FewestPoints, for rates that are measured once more
)

// Complete fills in the defaults.
func (r RateSearch) Complete() RateSearch {
	if r.Tolerance == 0 {
		r.Tolerance = DefaultRateTolerance
	}
	if r.Points == 0 {
		r.Points = r.FewestPoints() + sparePoints
	}
	return r
}

// String says what is searched.
func (r RateSearch) String() string {
	r = r.Complete()
	return fmt.Sprintf("rate search from %g to %g requests/s to %.3g %%, at most %d load points a launch", r.Low, r.High, 100*r.Tolerance, r.Points)
}

// FewestPoints is how many load points the search needs where no two measurements disagree: halvings until the bracket
// is as narrow as the tolerance, and one confirmation of either end.
func (r RateSearch) FewestPoints() int {
	if !(r.Low > 0 && r.High > r.Low && r.Tolerance > 0) {
		return 0
	}
	halvings := math.Ceil(math.Log2(math.Log(r.High/r.Low)/math.Log1p(r.Tolerance)) - 1e-9)
	return int(max(halvings, 1)) + 2
}

// Validate refuses bounds that cannot be searched; the fault names the field.
func (r RateSearch) Validate() error {
	bad := func(field string, got any, format string, args ...any) *fault.Error {
		return fault.New(fault.InvalidInput, format, args...).At("scenarios.rate_search."+field, fmt.Sprint(got))
	}
	r = r.Complete()
	switch {
	case !(r.Low > 0) || r.Low > maxRate:
		return bad("low", r.Low, "a rate search begins at low > 0 requests/s, at most %d", maxRate).
			Hint("give low and high; for models that the cookbook knows, both may be left out")
	case !(r.High > r.Low) || r.High > maxRate:
		return bad("high", r.High, "high must be above low (%g) and at most %d requests/s", r.Low, maxRate)
	case r.High/r.Low > maxRateSpan:
		return bad("high", r.High, "high is %.4g times low: bounds that far apart waste load points", r.High/r.Low).
			Hint("give bounds within a factor of %d; the cookbook has them for known models", maxRateSpan)
	case !(r.Tolerance >= minRateTolerance) || r.Tolerance > maxRateTolerance:
		return bad("tolerance", r.Tolerance, "tolerance must be a ratio from %g to %g", minRateTolerance, maxRateTolerance)
	case r.High/r.Low < 1+r.Tolerance:
		return bad("high", r.High, "high %g is within the tolerance of low %g: nothing is left to search", r.High, r.Low)
	case r.Points < r.FewestPoints():
		return bad("points", r.Points, "%d points cannot narrow %g to %g requests/s to %.3g %%: it takes %d", r.Points, r.Low, r.High, 100*r.Tolerance, r.FewestPoints()).
			Hint("leave points out, raise tolerance, or give closer bounds")
	case r.Points > mostRatePoints:
		return bad("points", r.Points, "at most %d points a launch", mostRatePoints)
	}
	return nil
}

// validateRate checks a scenario whose primary metric is the highest rate under the SLA.
func (s Scenario) validateRate(bad func(field, got, format string, args ...any) error) error {
	switch {
	case s.RateSearch == nil:
		return bad("rate_search", "", "primary %s needs rate_search with low and high", MaxRateUnderSLA)
	case s.Arrival != ArrivalPoisson:
		return bad("arrival", string(s.Arrival), "a rate search is an open loop: arrival %s", ArrivalPoisson)
	case s.MaxConcurrency != nil:
		return bad("max_concurrency", fmt.Sprint(*s.MaxConcurrency), "a rate search cannot have max_concurrency: its arrivals are never gated")
	case s.RequestRate != nil:
		return bad("request_rate", fmt.Sprint(*s.RequestRate), "request_rate and rate_search: the search finds the rate")
	case s.Primary != "" && s.Primary != MaxRateUnderSLA:
		return bad("primary", s.Primary, "the primary metric of a rate search is %s", MaxRateUnderSLA)
	case s.Kind != KindRandom:
		return bad("kind", s.Kind, "a rate search sends random prompts: every rate needs rows of its own, which a dataset does not have")
	}
	return s.RateSearch.Validate()
}

// DefaultPrimary is the primary metric of a scenario that names none: that of its arrival mode, but where answers end by
// themselves the time of a token, since sides whose answers differ in length differ in everything else.
func (s Scenario) DefaultPrimary() string {
	if s.RateSearch != nil {
		return MaxRateUnderSLA
	}
	if s.NaturalEnd() {
		return "p50_tpot_ms"
	}
	return PrimaryMetric(s.Arrival)
}

// NeedsFor says how many requests a load point must offer so that a percentile key of the SLA is judged: (1 − q)·n ≥ 10,
// and four standard deviations of a Poisson count more, since how many arrivals fall into the window is drawn.
func NeedsFor(q float64) int {
	n := math.Ceil(10/(1-q) - 1e-9)
	return int(math.Ceil(n + 4*math.Sqrt(n) + 8))
}
