package contract_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func field(err error) string {
	f, ok := fault.As(err)
	if !ok {
		return ""
	}
	return f.Field
}

func TestSLAKeys(t *testing.T) {
	t.Parallel()
	for _, key := range contract.SLAKeys() {
		require.NoError(t, contract.SLA{key: 0.5}.Validate(), key)
	}
	require.Len(t, contract.SLAKeys(), 10)
	for key, v := range map[string]float64{
		"max_ttft_ms": 10, "max_p90_ttft_ms": 10, "max_p50_itl_ms": 10, "p50_ttft_ms": 10, "MAX_P50_TTFT_MS": 10, "": 1,
		"min_success_rate": 1.01, "max_p50_ttft_ms": 0, "max_p95_ttft_ms": -1, "max_p99_ttft_ms": math.NaN(), "max_p50_e2e_ms": math.Inf(1),
	} {
		err := contract.SLA{key: v}.Validate()
		require.Error(t, err, "%s: %v", key, v)
		require.Equal(t, "sla."+key, field(err))
	}
	f, ok := fault.As(contract.SLA{"max_ttft_ms": 10}.Validate())
	require.True(t, ok)
	require.Contains(t, f.Want, "max_p50_ttft_ms", "the right names are listed")
	require.NotEmpty(t, f.Hints)
	require.NoError(t, contract.SLA{}.Validate())
	require.Error(t, contract.SLA{"min_success_rate": 0}.Validate())
}

func TestSLAIsJudgedOnTheUsersTimes(t *testing.T) {
	t.Parallel()
	s := contract.SLA{}
	for key, metric := range map[string]string{"max_p50_ttft_ms": "p50_ttft_user_ms", "max_p99_ttft_ms": "p99_ttft_user_ms", "max_p95_e2e_ms": "p95_e2e_user_ms",
		"max_p50_tpot_ms": "p50_tpot_ms", "min_success_rate": "success_rate"} {
		require.Equal(t, metric, s.Metric(key))
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	s := contract.SLA{"max_p50_ttft_ms": 100, "max_p50_tpot_ms": 10, "min_success_rate": 0.99}
	for name, c := range map[string]struct {
		metrics map[string]float64
		reasons []string
	}{
		"kept":         {map[string]float64{"p50_ttft_user_ms": 99, "p50_tpot_ms": 9, "success_rate": 1}, nil},
		"just kept":    {map[string]float64{"p50_ttft_user_ms": 100, "p50_tpot_ms": 10, "success_rate": 0.99}, nil},
		"broken":       {map[string]float64{"p50_ttft_user_ms": 100.1, "p50_tpot_ms": 10, "success_rate": 0.98}, []string{"max_p50_ttft_ms: 100.1 > 100", "min_success_rate: 0.98 < 0.99"}},
		"not measured": {map[string]float64{"p50_ttft_ms": 1, "success_rate": 1}, []string{"max_p50_tpot_ms: not measured", "max_p50_ttft_ms: not measured"}},
		"nothing":      {nil, []string{"max_p50_tpot_ms: not measured", "max_p50_ttft_ms: not measured", "min_success_rate: not measured"}},
	} {
		passed, reasons := s.Judge(func(m string) (float64, bool) { v, ok := c.metrics[m]; return v, ok })
		require.Equal(t, c.reasons, reasons, name)
		require.Equal(t, len(c.reasons) == 0, passed, name)
	}
	passed, reasons := contract.SLA{}.Judge(func(string) (float64, bool) { return 0, false })
	require.True(t, passed, "without limits every finished row passes")
	require.Empty(t, reasons)
}
