package loop

import (
	"fmt"
	"math"
	"path"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// A rate search runs where a verdict is taken from: in blocks, in a revalidation, and in an A/A. It takes many load points a launch;
// elsewhere a closed loop stands in for it.

// The slots of a stand-in: what arrives in so many seconds at the geometric mean of the bounds.
const (
	standInSeconds  = 12
	fewestStandIns  = 8
	mostStandIns    = 64
	promptsAStandIn = 5 // prompts a slot
)

// standIn is what a scenario is measured as where no rate is searched: itself, or for a rate search a saturating closed
// loop of the same requests. Its throughput ranks candidates; it supports no claim about a rate, and its SLA is not
// looked at: a saturated engine keeps none.
func standIn(s contract.Scenario) contract.Scenario {
	if s.RateSearch == nil {
		return s
	}
	middle := math.Sqrt(s.RateSearch.Low * s.RateSearch.High)
	n := min(max(int(math.Ceil(standInSeconds*middle)), fewestStandIns), mostStandIns)
	s.Arrival, s.MaxConcurrency, s.NumPrompts, s.RateSearch = contract.ArrivalClosed, &n, promptsAStandIn*n, nil
	s.Primary = contract.PrimaryMetric(contract.ArrivalClosed)
	return s
}

// SearchMetric is what the search ranks candidates by in a scenario.
func (s *State) SearchMetric(scenario string) string {
	sc, _ := s.Contract.Scenario(scenario)
	return standIn(sc).Primary
}

// simulatedWindow is the shortest window of a rate search on a simulated host, whose time runs many times faster.
const simulatedWindow = 2 * time.Second

// ratePoint is a scenario's rate search in one launch. All sides of a block have its arrivals, stretched to the rate.
func ratePoint(c *contract.Contract, p worker.Point) worker.Point {
	s := p.Spec.Scenario
	p.Rate = &bench.RateTerms{
		Search: s.RateSearch.Complete(), SLA: c.SLA, MinAttainment: c.MinAttainment,
		Seed: bench.MixSeed(p.Spec.Seed, "rates", s.Name, 0), ArrivalSeed: bench.MixSeed(p.Spec.Seed, "arrivals", s.Name, 0),
	}
	if c.Host.Simulated {
		p.Spec.Window.Min = simulatedWindow
	}
	return p
}

// searchesRates says whether launches of a phase carry rate searches: those of verdicts, and of an A/A, which says how
// much the metric of a verdict deviates by itself.
func searchesRates(phase string) bool {
	return slices.Contains([]compare.Phase{compare.PhaseBlock, compare.PhaseRevalidate, compare.PhaseAA}, compare.Phase(phase))
}

// judgedBy is what a rate passes by.
func judgedBy(c *contract.Contract) bench.RateTerms {
	return bench.RateTerms{SLA: c.SLA, MinAttainment: c.MinAttainment}
}

// vetRates refuses a rate search whose terms could never let a rate pass, or not be judged at its lowest rate.
func vetRates(c *contract.Contract) error {
	if c.MinAttainment < 0 || c.MinAttainment > 1 {
		return fault.New(fault.InvalidInput, "min_attainment %v is no share", c.MinAttainment).At("min_attainment", fmt.Sprint(c.MinAttainment), "above 0, at most 1")
	}
	for _, s := range c.Scenarios {
		if s.RateSearch == nil {
			continue
		}
		terms := judgedBy(c)
		if err := terms.CheckLimits(c.Goodput); err != nil {
			return err
		}
		key, need := terms.Needs()
		if s.NumPrompts < need {
			return fault.New(fault.InvalidInput, "%s needs %d requests in every load point of the rate search, scenario %q has %d", key, need, s.Name, s.NumPrompts).
				At("scenarios.num_prompts", fmt.Sprint(s.NumPrompts), fmt.Sprintf("at least %d", need)).
				Hint("how many arrivals fall into a window is drawn, so that it takes more than the percentile itself; leave num_prompts out for %d, or judge a lower percentile", need)
		}
	}
	return nil
}

// rateSearch completes the terms of a scenario that searches its rate; bounds that were left out are the cookbook's.
func (d *drafting) rateSearch(c *contract.Contract, s *contract.Scenario) {
	if s.RateSearch == nil {
		return
	}
	r := *s.RateSearch
	if r.Low == 0 && r.High == 0 && d.match != nil {
		r.Low, r.High = d.match.Entry.Rate.Lower, d.match.Entry.Rate.Upper
		d.assume("scenario %s: rate_search from %g to %g requests/s, from the cookbook's entry %s", s.Name, r.Low, r.High, d.match.Entry.ID)
	}
	if full := r.Complete(); full != r && r.Low > 0 {
		r = full
		d.assume("scenario %s: %s", s.Name, r)
	}
	s.RateSearch = &r
	d.assume("scenario %s: the search ranks candidates by the throughput of a closed loop; the rate is searched in every launch of the blocks", s.Name)
	if _, need := judgedBy(c).Needs(); s.NumPrompts == 0 {
		s.NumPrompts = max(need, 1)
		d.assume("scenario %s: num_prompts %d in every load point", s.Name, s.NumPrompts)
	}
}

// loadSeconds estimates what one launch of a phase spends under load; usual is what a scenario takes without a rate
// search. A load point is settled by at least two waves of ten seconds, led up to, and drained for a fifth of its window.
func loadSeconds(c *contract.Contract, phase string, usual float64) float64 {
	sum := 0.0
	for _, s := range c.Scenarios {
		if s.RateSearch == nil || !searchesRates(phase) {
			sum += usual
			continue
		}
		window, settling := bench.DefaultWindow.Seconds(), 25.0
		if c.Host.Simulated {
			window, settling = simulatedWindow.Seconds(), 1
		}
		window = max(window, float64(s.NumPrompts)/math.Sqrt(s.RateSearch.Low*s.RateSearch.High))
		sum += float64(s.RateSearch.Complete().Points) * (settling + max(window/10, min(15, window/4)) + 1.2*window)
	}
	return sum
}

// RateRecords is the records of one load point of a rate search, and those of its first try where it was repeated.
type RateRecords struct {
	Records *ledger.Artifact `json:"records,omitempty"`
	First   *ledger.Artifact `json:"first,omitempty"`
}

// rated puts a rate search's result into its row: the metrics are those of the load point that stands for it. A search
// that ended at what the client could not offer, or what did not settle, has none.
func rated(row *compare.Row, r *bench.RateResult) {
	row.Rate = r
	if r.Rate != nil {
		row.Metrics[contract.MaxRateUnderSLA] = *r.Rate
	}
	a := row.Audit
	a.ClientLimited, a.Unsettled = false, false
	for _, x := range r.Tried {
		if r.Edge == bench.RateLimited && x.Unfit != "" && x.Rate == *r.Fail {
			switch x.Unfit {
			case "client limited":
				a.ClientLimited = true
			case "unsettled":
				a.Unsettled = true
			default:
				a.Untrusted = true
			}
			a.Reasons = append(a.Reasons, fmt.Sprintf("%s at %.4g requests/s, where the rate search ended", x.Unfit, x.Rate))
		}
	}
}

// RatedMetrics are the metrics of a rate search's row: of the load point that stands for it, and the rate itself.
func RatedMetrics(chosen *bench.Recording, r *bench.RateResult) compare.Metrics {
	m := MeasuredMetrics(chosen)
	if r.Rate != nil {
		m[contract.MaxRateUnderSLA] = *r.Rate
	}
	return m
}

// rateFile takes a fetched file of a rate search into its place.
func (m *PointMeasured) rateFile(f worker.File, art ledger.Artifact) {
	for len(m.Rates) < f.Tried {
		m.Rates = append(m.Rates, RateRecords{})
	}
	if f.Role == worker.RoleFirstRecords {
		m.Rates[f.Tried-1].First = &art
		return
	}
	m.Rates[f.Tried-1].Records = &art
	if r := m.Row.Rate; r != nil && r.Chosen() == f.Tried-1 {
		m.Records, m.Row.RawSHA256, m.Row.Artifacts.RawResult = &art, art.SHA256, art.Name
	}
}

// recordsName is where a point's records are kept.
func recordsName(launch, point string, f worker.File) string {
	name := "benchmark/records/" + launch + "." + point
	if f.Tried > 0 {
		name += fmt.Sprintf("@rate-%02d", f.Tried)
	}
	if f.Role == worker.RoleFirstRecords {
		name += ".first"
	}
	return name + path.Ext(f.Name)
}
