package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Metrics is a row's measured values by name (MetricNames). An absent name was not measured and is written as null.
// A percentile that is infinite, because too many requests never ended, is absent as well: it keeps no limit.
type Metrics map[string]float64

var (
	statistics = []string{"mean", "p50", "p95", "p99"}
	latencies  = []string{"ttft", "ttft_user", "tpot", "itl", "icl", "e2e", "e2e_user"}
	scalars    = []string{
		"request_throughput", "output_token_throughput", "total_token_throughput", "success_rate", "goodput_rps",
		"sla_attainment", "makespan_s", "max_rate_under_sla", "mean_input_tokens", "mean_output_tokens", "window_s", "peak_gpu_mem_mib",
	}
)

// PeakRSS is the peak of the memory resident in the engine's process tree, in MiB: where a host without GPUs has what
// peak_gpu_mem_mib is elsewhere. It is written only where it was measured; Memory.PeakRSSMethod says how.
const PeakRSS = "peak_rss_mib"

// PrefixCacheHit is the share of the window's prompt tokens that the server found in its prefix cache. It is written only
// where the server told.
const PrefixCacheHit = "prefix_cache_hit_rate"

// MetricNames lists the metrics a row may carry, in the order in which they are written: rates in requests/s and
// tokens/s, then {mean,p50,p95,p99}_{ttft,ttft_user,tpot,itl,icl,e2e,e2e_user}_ms.
func MetricNames() []string {
	names := slices.Clone(scalars)
	for _, l := range latencies {
		for _, s := range statistics {
			names = append(names, s+"_"+l+"_ms")
		}
	}
	return names
}

// Get gives a metric and whether it was measured. What is not finite counts as not measured, in memory as on disk.
func (m Metrics) Get(name string) (float64, bool) {
	v, ok := m[name]
	if !ok || !finite(v) {
		return 0, false
	}
	return v, true
}

// Set notes a metric; nil is "not measured".
func (m Metrics) Set(name string, v *float64) {
	if v != nil {
		m[name] = *v
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (m Metrics) without(name string) Metrics {
	out := maps.Clone(m)
	delete(out, name)
	return out
}

// MarshalJSON writes every known metric, null where it was not measured, then unknown ones by name.
func (m Metrics) MarshalJSON() ([]byte, error) {
	known := MetricNames()
	names := slices.Clone(known)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(known, name) {
			names = append(names, name)
		}
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", name)
		v, ok := m.Get(name)
		if !ok {
			b.WriteString("null")
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
		b.Write(raw)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON drops nulls: not measured.
func (m *Metrics) UnmarshalJSON(raw []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	*m = Metrics{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var v *float64
		if err := json.Unmarshal(all[name], &v); err != nil {
			return fmt.Errorf("metrics.%s: %.40s is no number (null = not measured)", name, all[name])
		}
		m.Set(name, v)
	}
	return nil
}

// check refuses values that cannot have been measured. A gap quantile of 0 is real where several tokens arrive in
// one read, as long as the mean gap is not 0 too.
func (m Metrics) check() error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v := m[name]
		switch {
		case !finite(v) || v < 0:
			return fmt.Errorf("metrics.%s: %v cannot have been measured", name, v)
		case v == 0 && m.zeroIsPlaceholder(name):
			return ruled{RuleNotMeasured, fmt.Errorf("metrics.%s: 0 is no measurement; write null for not measured", name)}
		case (name == "success_rate" || name == "sla_attainment") && v > 1:
			return fmt.Errorf("metrics.%s: %v is not a share between 0 and 1", name, v)
		}
	}
	return nil
}

func (m Metrics) zeroIsPlaceholder(name string) bool {
	switch name {
	case "success_rate", "sla_attainment", "goodput_rps":
		return false
	}
	for _, gap := range []string{"_itl_ms", "_icl_ms"} {
		if stat, ok := strings.CutSuffix(name, gap); ok && stat != "mean" {
			return m["mean"+gap] == 0
		}
	}
	return strings.HasSuffix(name, "_ms") || slices.Contains(scalars, name)
}
