package contract_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
)

func TestRateSearchBounds(t *testing.T) {
	t.Parallel()
	full := contract.RateSearch{Low: 2, High: 64}.Complete()
	require.Equal(t, contract.RateSearch{Low: 2, High: 64, Tolerance: 0.03, Points: 12}, full)
	require.Equal(t, 9, full.FewestPoints(), "7 halvings of 117 steps, and a confirmation of either end")
	require.NoError(t, full.Validate())
	require.NoError(t, contract.RateSearch{Low: 0.01, High: 0.02}.Validate())
	for says, r := range map[string]contract.RateSearch{
		"begins at low > 0":                   {High: 4},
		"begins at low > 0 requests":          {Low: math.NaN(), High: 4},
		"high must be above low (4)":          {Low: 4, High: 4},
		"high must be above low (5)":          {Low: 5, High: math.Inf(1)},
		"high is 2000 times low":              {Low: 1, High: 2000},
		"tolerance must be a ratio":           {Low: 1, High: 4, Tolerance: 0.5},
		"tolerance must be a ratio from 0.00": {Low: 1, High: 4, Tolerance: -1},
		"within the tolerance":                {Low: 1, High: 1.02},
		"it takes 8":                          {Low: 1, High: 4, Points: 7},
		"at most 60 points":                   {Low: 1, High: 4, Points: 61},
	} {
		require.ErrorContains(t, r.Validate(), says)
	}
}

func TestRateScenario(t *testing.T) {
	t.Parallel()
	rate, slots := 3.0, 4
	honest := contract.Scenario{Name: "chat", Kind: contract.KindRandom, InputLen: 4, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalPoisson,
		RateSearch: &contract.RateSearch{Low: 1, High: 9}}
	require.NoError(t, honest.Validate())
	require.Equal(t, contract.MaxRateUnderSLA, honest.DefaultPrimary())
	require.False(t, contract.LowerIsBetter(honest.DefaultPrimary()))
	for says, edit := range map[string]func(*contract.Scenario){
		"an open loop":               func(s *contract.Scenario) { s.Arrival = contract.ArrivalClosed },
		"the search finds the rate":  func(s *contract.Scenario) { s.RequestRate = &rate },
		"hides queueing":             func(s *contract.Scenario) { s.RequestRate, s.MaxConcurrency = &rate, &slots },
		"have max_concurrency":       func(s *contract.Scenario) { s.MaxConcurrency = &slots },
		"is max_rate_under_sla":      func(s *contract.Scenario) { s.Primary = "goodput_rps" },
		"random prompts":             func(s *contract.Scenario) { s.Kind, s.Dataset = contract.KindText, "sha256:x" },
		"high must be above low":     func(s *contract.Scenario) { s.RateSearch = &contract.RateSearch{Low: 1} },
		"needs rate_search with low": func(s *contract.Scenario) { s.RateSearch, s.Primary = nil, contract.MaxRateUnderSLA },
		"needs request_rate > 0":     func(s *contract.Scenario) { s.RateSearch = nil },
	} {
		s := honest
		edit(&s)
		require.ErrorContains(t, s.Validate(), says)
	}
}

// TestRateSearchIsOptional keeps contracts of before as they were.
func TestRateSearchIsOptional(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(contract.Scenario{Name: "chat"})
	require.NoError(t, err)
	require.NotContains(t, string(raw), "rate_search")
}

// TestNeedsFor draws how many arrivals fall into a window: with so many planned, the quantile is there nearly always.
func TestNeedsFor(t *testing.T) {
	t.Parallel()
	for q, need := range map[float64]int{0.5: 46, 0.95: 265, 0.99: 1135} {
		n := contract.NeedsFor(q)
		require.Equal(t, need, n)
		least := 10 / (1 - q)
		require.Greater(t, (float64(n)-least)/math.Sqrt(float64(n)), 3.7, "standard deviations of a Poisson count")
	}
}
