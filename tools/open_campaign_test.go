package tools

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
)

func TestRequestCarriesEveryTerm(t *testing.T) {
	t.Parallel()
	rate := 4.0
	in := OpenCampaignIn{
		Model: "m", Host: "h", Study: "ab", Target: "a", Against: []string{"b"}, Incumbent: "serve", Commands: map[string]string{"a": "x"},
		GPUs: []int{1}, Precision: "p", Quantization: "q", KVDtype: "k", Speculation: "s", MaxContext: 2, Revision: "r", Tokenizer: "t", Endpoint: "e",
		Scenarios: []Scenario{{Name: "chat", Kind: "random", InputLen: 10, Arrival: contract.ArrivalPoisson, RequestRate: &rate}},
		SLA:       SLA{"max_p50_ttft_ms": 5}, Goodput: &Goodput{TPOTMS: 3}, MinAttainment: 0.9, RankBy: "request_throughput", Delta: 0.01, MaxBlocks: 8,
		BudgetLaunches: 4, MaxGPUHours: 2, CapacityStudy: true, Accuracy: "acc", From: "f", Plan: true, Key: "key",
	}
	r := in.request()
	require.Equal(t, []contract.Scenario{{Name: "chat", Kind: "random", InputLen: 10, Arrival: contract.ArrivalPoisson, RequestRate: &rate}}, r.Scenarios)
	require.Equal(t, contract.SLA{"max_p50_ttft_ms": 5}, r.SLA)
	require.False(t, r.SLANone)
	require.Equal(t, &contract.Goodput{TPOTMS: 3}, r.Goodput)
	r.Scenarios, r.SLA, r.Goodput = nil, nil, nil
	require.Equal(t, in.Commands, r.Commands)
	requireNoZero(t, r, "Scenarios", "SLA", "SLANone", "Goodput")
}

func TestNoLimitsMustBeSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sla  SLA
		none bool
		left contract.SLA
	}{
		"not said":        {nil, false, nil},
		"empty":           {SLA{}, false, contract.SLA{}},
		"said":            {SLA{"none": 1}, true, nil},
		"limits":          {SLA{"min_success_rate": 0.99}, false, contract.SLA{"min_success_rate": 0.99}},
		"both, a mistake": {SLA{"none": 1, "min_success_rate": 0.99}, false, contract.SLA{"none": 1, "min_success_rate": 0.99}},
	} {
		left, none := c.sla.limits()
		require.Equal(t, c.none, none, name)
		require.Equal(t, c.left, left, name)
	}
	var s SLA
	require.NoError(t, s.UnmarshalText([]byte("none")))
	require.Equal(t, SLA{"none": 1}, s)
	require.ErrorContains(t, s.UnmarshalText([]byte("no")), `"none"`)
}

// requireNoZero wants every field of a struct set, so that a new field of the domain is not forgotten here.
func requireNoZero(t *testing.T, v any, but ...string) {
	t.Helper()
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		if name := s.Type().Field(i).Name; s.Type().Field(i).IsExported() && !slices.Contains(but, name) {
			require.False(t, s.Field(i).IsZero(), name)
		}
	}
}
