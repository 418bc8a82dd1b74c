package contract

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// SLA is the set of limits a row must keep, by key: max_p50_ttft_ms, max_p50_tpot_ms, max_p50_e2e_ms, the same for
// p95 and p99, and min_success_rate. An empty SLA means that `none` was said.
type SLA map[string]float64

var slaKey = regexp.MustCompile(`^max_p(50|95|99)_(ttft|tpot|e2e)_ms$`)

// SLAKeys lists the valid keys.
func SLAKeys() []string {
	keys := []string{"min_success_rate"}
	for _, p := range []string{"50", "95", "99"} {
		for _, m := range []string{"ttft", "tpot", "e2e"} {
			keys = append(keys, "max_p"+p+"_"+m+"_ms")
		}
	}
	return keys
}

// Validate refuses unknown keys (bare max_ttft_ms among them) and limits that cannot be.
func (s SLA) Validate() error {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		v := s[key]
		switch {
		case key == "min_success_rate" && v > 0 && v <= 1:
		case key == "min_success_rate":
			return fault.New(fault.InvalidInput, "sla %s must be in (0, 1]", key).At("sla."+key, fmt.Sprint(v))
		case !slaKey.MatchString(key):
			return fault.New(fault.InvalidInput, "unknown sla key %q", key).At("sla."+key, key, SLAKeys()...).
				Hint("name the statistic first, for example max_p50_ttft_ms")
		case v <= 0 || math.IsInf(v, 0) || math.IsNaN(v):
			return fault.New(fault.InvalidInput, "sla %s must be a positive number of milliseconds", key).At("sla."+key, fmt.Sprint(v))
		}
	}
	return nil
}

// Metric gives the metric that a key limits: TTFT and end-to-end limits are judged on the user's times.
func (s SLA) Metric(key string) string {
	if key == "min_success_rate" {
		return "success_rate"
	}
	m := strings.TrimPrefix(key, "max_")
	m = strings.Replace(m, "_ttft_ms", "_ttft_user_ms", 1)
	return strings.Replace(m, "_e2e_ms", "_e2e_user_ms", 1)
}

// Judge recomputes whether metrics keep every limit. get gives a metric's value; a metric that was not measured
// breaks its limit. The reasons name key, limit and value, in key order.
func (s SLA) Judge(get func(metric string) (float64, bool)) (passed bool, reasons []string) {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		limit := s[key]
		v, ok := get(s.Metric(key))
		switch {
		case !ok:
			reasons = append(reasons, fmt.Sprintf("%s: not measured", key))
		case key == "min_success_rate" && v < limit:
			reasons = append(reasons, fmt.Sprintf("%s: %.4g < %.4g", key, v, limit))
		case key != "min_success_rate" && v > limit:
			reasons = append(reasons, fmt.Sprintf("%s: %.4g > %.4g", key, v, limit))
		}
	}
	return len(reasons) == 0, reasons
}

// Goodput is the per-request limits that decide whether a request counts, in milliseconds; 0 = no limit.
type Goodput struct {
	TTFTUserMS float64 `json:"ttft_user_ms,omitempty"`
	TPOTMS     float64 `json:"tpot_ms,omitempty"`
	E2EUserMS  float64 `json:"e2e_user_ms,omitempty"`
}
