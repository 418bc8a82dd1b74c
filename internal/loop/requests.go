package loop

import (
	"fmt"
	"math"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// vetRequests refuses terms that are judged by a percentile which the planned requests cannot carry: a launch would have
// no such figure. It holds for limits of the SLA and for primary metrics; vetRates knows what a rate search is judged by.
func vetRequests(c *contract.Contract) error {
	for _, s := range c.Scenarios {
		if s.RateSearch != nil {
			continue
		}
		terms := append(sortedKeys(c.SLA), s.Primary)
		for _, term := range terms {
			need := requestsFor(s, percentileOf(term))
			if have := inWindow(s); have < need {
				return fault.New(fault.InvalidInput, "%s needs %d requests a launch in the measured window, scenario %q has %d", term, need, s.Name, max(0, have)).
					At("scenarios.num_prompts", fmt.Sprint(s.NumPrompts), fmt.Sprintf("at least %d", need+unmeasured(s))).
					Hint("raise num_prompts or judge a lower percentile")
			}
		}
	}
	return nil
}

// percentileOf is the quantile that a limit or metric is about, 0 for none: 0.95 for max_p95_ttft_ms and p95_ttft_ms.
func percentileOf(term string) float64 {
	for prefix, q := range map[string]float64{"p50_": 0.5, "p95_": 0.95, "p99_": 0.99} {
		if strings.HasPrefix(strings.TrimPrefix(term, "max_"), prefix) {
			return q
		}
	}
	return 0
}

// requestsFor is how many requests a scenario has to plan for a quantile. How many Poisson arrivals fall into a window is
// drawn, so that they need more than the quantile itself.
func requestsFor(s contract.Scenario, q float64) int {
	switch {
	case q == 0:
		return 0
	case s.Arrival == contract.ArrivalPoisson:
		return contract.NeedsFor(q)
	}
	return stats.QuantileNeeds(q)
}

// inWindow is how many requests a launch is planned to measure. An open loop at a rate goes on for the default window,
// also where its prompts would end before.
func inWindow(s contract.Scenario) int {
	n := s.NumPrompts - unmeasured(s)
	if s.RequestRate != nil && (s.Arrival == contract.ArrivalPoisson || s.Arrival == contract.ArrivalConstant) {
		n = max(n, int(math.Floor(*s.RequestRate*bench.DefaultWindow.Seconds()+1e-9)))
	}
	return n
}
