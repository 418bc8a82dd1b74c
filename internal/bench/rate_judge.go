package bench

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// RateTried is one load point of a rate search.
type RateTried struct {
	Rate       float64            `json:"rate"` // requests/s offered
	Passed     bool               `json:"passed"`
	Status     Status             `json:"status"`
	Overloaded bool               `json:"overloaded"`
	Undecided  bool               `json:"undecided,omitempty"` // the window cannot tell the rate from more than the engine can take: it does not pass
	Unfit      string             `json:"unfit,omitempty"`     // why the point cannot count, its repetition neither: client limited, unsettled
	Repeated   string             `json:"repeated,omitempty"`  // why its first try could not
	Reasons    []string           `json:"reasons"`             // what it broke
	Margin     *float64           `json:"margin"`              // how far within the tightest limit, below 0 beyond it; null: not a matter of degree
	Metrics    map[string]float64 `json:"metrics"`             // that it was judged by, what is not finite left out
	Requests   int                `json:"requests"`            // offered in the window
	WindowS    float64            `json:"window_s"`
	// ShortWindow says that the window spans less than five of its median latencies.
	ShortWindow bool `json:"short_window,omitempty"`
}

// Passes says whether the measurement speaks for its rate.
func (t RateTried) Passes() bool { return t.Passed && t.Unfit == "" }

// Unfit says why a measured point cannot count by its own audit; "" where it can.
func Unfit(p *Point) string {
	switch {
	case p == nil || p.Status != StatusOK:
		return ""
	case !p.Settling.Settled:
		return "unsettled"
	case p.Audit.ClientLimited:
		return "client limited"
	}
	return ""
}

// Judge says whether a point's rate passes: attainment reaches the least that was said, or, without one, every limit of
// the SLA holds in the window. An overloaded point fails, and one without status ok. Everything but Unfit and Repeated,
// which rest on the client's audit, follows from the records.
func (t RateTerms) Judge(rate float64, p *Point) RateTried {
	out := RateTried{Rate: rate, Status: p.Status, Overloaded: p.Overloaded, Reasons: []string{}, Metrics: map[string]float64{}, WindowS: p.Window.Seconds()}
	if n, ok := p.Metrics.Get("requests_offered"); ok {
		out.Requests = int(n)
	}
	if e2e, ok := p.Metrics.Get("p50_e2e_ms"); ok && !math.IsInf(e2e, 0) {
		out.ShortWindow = DefaultE2EFactor*e2e/1e3 > out.WindowS
	}
	if p.Status != StatusOK {
		out.Reasons = append(out.Reasons, string(p.Status))
	}
	if p.Overloaded {
		out.Reasons = append(out.Reasons, OverloadReason(p.Load))
	}
	if p.Load != nil && p.Load.State == LoadUndecided {
		out.Undecided, out.Reasons = true, append(out.Reasons, OverloadReason(p.Load))
	}
	out.Reasons = append(out.Reasons, t.broken(p.Metrics)...)
	out.Passed = len(out.Reasons) == 0
	for _, name := range t.Shown() {
		if v, ok := p.Metrics.Get(name); ok && !math.IsInf(v, 0) && !math.IsNaN(v) {
			out.Metrics[name] = v
		}
	}
	if m := t.margin(p.Metrics); m != nil && (*m >= 0) == out.Passed {
		out.Margin = m
	}
	return out
}

// CheckLimits refuses limits by which no rate could pass or fail.
func (t RateTerms) CheckLimits(g *contract.Goodput) error {
	latency := false
	for key := range t.SLA {
		latency = latency || key != "min_success_rate"
	}
	switch {
	case t.MinAttainment < 0 || t.MinAttainment > 1:
		return fault.New(fault.InvalidInput, "min_attainment %v is no share", t.MinAttainment).At("min_attainment", fmt.Sprint(t.MinAttainment), "above 0, at most 1")
	case t.MinAttainment > 0 && (g == nil || *g == (contract.Goodput{})):
		return fault.New(fault.InvalidInput, "min_attainment counts the requests within goodput limits, and there are none").At("goodput", "").
			Hint(`give goodput limits, for example ttft_user_ms 1000 and tpot_ms 50, or leave min_attainment out`)
	case t.MinAttainment == 0 && !latency:
		return fault.New(fault.InvalidInput, "a rate search looks for the highest rate under an SLA, and the SLA has no limit on a latency").At("sla", "", contract.SLAKeys()...).
			Hint(`give one, for example max_p95_ttft_ms 1000, or goodput limits with min_attainment`)
	}
	return nil
}

// Needs is how many requests a load point needs so that what a rate is judged by is there, and what asks for them.
func (t RateTerms) Needs() (key string, requests int) {
	if t.MinAttainment > 0 {
		return "min_attainment", contract.NeedsFor(min(t.MinAttainment, 0.99))
	}
	for _, k := range slices.Sorted(maps.Keys(t.SLA)) {
		q, ok := map[string]float64{"max_p50": 0.5, "max_p95": 0.95, "max_p99": 0.99}[k[:min(len(k), 7)]]
		if n := contract.NeedsFor(q); ok && n > requests {
			key, requests = k, n
		}
	}
	return key, requests
}

// broken lists the limits that metrics break.
func (t RateTerms) broken(m Metrics) []string {
	if t.MinAttainment == 0 {
		_, reasons := t.SLA.Judge(m.Get)
		return reasons
	}
	got, ok := m.Get("sla_attainment")
	switch {
	case !ok:
		return []string{"min_attainment: not measured"}
	case got < t.MinAttainment:
		return []string{fmt.Sprintf("min_attainment: %.4g < %.4g", got, t.MinAttainment)}
	}
	return nil
}

// Shown are the metrics that a load point's line shows.
func (t RateTerms) Shown() []string {
	names := []string{"request_throughput", "success_rate"}
	if t.MinAttainment > 0 {
		names = append(names, "sla_attainment")
	}
	for _, key := range slices.Sorted(maps.Keys(t.SLA)) {
		if name := t.SLA.Metric(key); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// margin is the smallest ln(limit/value) over the latency limits, or attainment over the least attainment, less 1. A
// success rate is passed or not, and no matter of degree.
func (t RateTerms) margin(m Metrics) *float64 {
	if t.MinAttainment > 0 {
		got, ok := m.Get("sla_attainment")
		if !ok {
			return nil
		}
		margin := got/t.MinAttainment - 1
		return &margin
	}
	least := math.Inf(1)
	for key, limit := range t.SLA {
		if key == "min_success_rate" {
			continue
		}
		v, ok := m.Get(t.SLA.Metric(key))
		if !ok || v <= 0 || math.IsInf(v, 0) {
			return nil
		}
		least = min(least, math.Log(limit/v))
	}
	if math.IsInf(least, 0) {
		return nil
	}
	return &least
}

// longestLimit is the longest latency that a limit allows.
func (t RateTerms) longestLimit(g *contract.Goodput) time.Duration {
	longest := 0.0
	for key, limit := range t.SLA {
		if key != "min_success_rate" {
			longest = max(longest, limit)
		}
	}
	if g != nil {
		longest = max(longest, g.TTFTUserMS, g.E2EUserMS)
	}
	return time.Duration(longest * float64(time.Millisecond))
}

// Probe is the load point of the n-th rate tried, from 0: the scenario at that rate, with prompts of its own, so
// that no prefix cache knows them. What has not ended a window, and twice the longest limit, after the window is given
// up: an engine that is offered ten times its capacity would need ten windows to answer.
func (t RateTerms) Probe(base Spec, n int, rate float64) Spec {
	s := base
	s.Scenario.RequestRate, s.Scenario.RateSearch, s.Scenario.Arrival = &rate, nil, contract.ArrivalPoisson
	s.Scenario.Primary = contract.PrimaryMetric(contract.ArrivalPoisson)
	s.Drain = max(openWindow(s.Scenario, s.Window), 2*t.longestLimit(base.Goodput))
	s.Seed, s.ArrivalSeed = MixSeed(base.Seed, "rate", s.Scenario.Name, n), t.ArrivalSeed
	return s
}
