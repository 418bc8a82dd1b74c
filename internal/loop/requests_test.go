package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
)

func TestPercentilesNeedRequests(t *testing.T) {
	t.Parallel()
	slots := 4
	closed := contract.Scenario{Name: "x", InputLen: 9, OutputLen: 9, NumPrompts: 40, MaxConcurrency: &slots}
	open := func(arrival contract.Arrival, rate float64, prompts int) contract.Scenario {
		return contract.Scenario{Name: "x", InputLen: 9, OutputLen: 9, NumPrompts: prompts, Arrival: arrival, RequestRate: &rate}
	}
	p95 := contract.SLA{"max_p95_ttft_ms": 100}
	primary := func(metric string, s contract.Scenario) contract.Scenario { s.Primary = metric; return s }
	for name, c := range map[string]struct {
		scenario contract.Scenario
		sla      contract.SLA
		refused  string
	}{
		"a closed loop of few":           {closed, p95, `max_p95_ttft_ms needs 200 requests a launch in the measured window, scenario "x" has 32`},
		"a rate that brings enough":      {open(contract.ArrivalPoisson, 20, 80), p95, ""}, // 1,200 in a minute
		"a rate with enough on average":  {open(contract.ArrivalPoisson, 4, 80), p95, "needs 265 requests"},
		"an even rate with just enough":  {open(contract.ArrivalConstant, 200.0/60, 80), p95, ""},
		"an even rate with one too few":  {open(contract.ArrivalConstant, 199.0/60, 80), p95, "has 199"},
		"a burst of few":                 {contract.Scenario{Name: "x", InputLen: 9, OutputLen: 9, NumPrompts: 199, Arrival: contract.ArrivalBurst}, p95, "has 199"},
		"a slow rate judged by a median": {open(contract.ArrivalPoisson, 0.2, 10), nil, "p50_e2e_user_ms needs 46 requests"},
		"a primary percentile of few":    {primary("p95_e2e_user_ms", closed), nil, "p95_e2e_user_ms needs 200 requests"},
		"a mean needs none":              {primary("mean_tpot_ms", closed), nil, ""},
	} {
		r := request()
		r.Scenarios, r.Plan = []contract.Scenario{c.scenario}, true
		if c.sla != nil {
			r.SLANone, r.SLA = false, c.sla
		}
		_, err := newLoop(t, t.TempDir(), newHost()).Open(t.Context(), r)
		if c.refused == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.refused, name)
	}
}
