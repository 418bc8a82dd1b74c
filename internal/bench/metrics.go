package bench

import (
	"encoding/json"
	"math"
)

// Metrics are the figures of a window by their JSON name; a nil value is null: not defined, or too few requests.
type Metrics map[string]*float64

// Get gives a metric. A quantile that falls on failed requests is +Inf here and null in JSON.
func (m Metrics) Get(name string) (float64, bool) {
	v := m[name]
	if v == nil {
		return 0, false
	}
	return *v, true
}

// MarshalJSON writes the metrics in the order of their names; what is not finite is null.
func (m Metrics) MarshalJSON() ([]byte, error) {
	finite := make(map[string]*float64, len(m))
	for name, v := range m {
		if v != nil && (math.IsInf(*v, 0) || math.IsNaN(*v)) {
			v = nil
		}
		finite[name] = v
	}
	return json.Marshal(finite)
}

// set stores a value.
func (m Metrics) set(name string, v float64) { m[name] = &v }

// null stores that a metric is not defined.
func (m Metrics) null(names ...string) {
	for _, name := range names {
		m[name] = nil
	}
}

// Latencies lists the latency metrics, each of which has the statistics mean, p50, p95 and p99.
func Latencies() []string {
	return []string{"ttft_ms", "ttft_user_ms", "tpot_ms", "itl_ms", "icl_ms", "e2e_ms", "e2e_user_ms"}
}

// statistic is a quantile with its name.
type statistic struct {
	name string
	q    float64
}

// quantiles lists the quantiles of every latency.
func quantiles() [3]statistic { return [3]statistic{{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}} }
