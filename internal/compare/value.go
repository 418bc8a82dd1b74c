package compare

import (
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// reading is how metrics are read from rows. Foreign rows may lack the user's times and the makespan; what stands in
// for them is noted.
type reading struct {
	foreign bool
	notes   map[string]bool
}

func newReading(foreign bool) *reading { return &reading{foreign: foreign, notes: map[string]bool{}} }

// value gives a row's metric and whether it was measured.
func (rd *reading) value(r *Row, metric string) (float64, bool) {
	if v, ok := r.Metrics.Get(metric); ok {
		return v, true
	}
	if !rd.foreign {
		return 0, false
	}
	if service := strings.Replace(metric, "_user_ms", "_ms", 1); service != metric {
		v, ok := r.Metrics.Get(service)
		if ok {
			rd.notes[fmt.Sprintf("%s is missing and read from %s, which starts when a request is sent, not when it was due", metric, service)] = true
		}
		return v, ok
	}
	if metric == "makespan_s" {
		return rd.makespan(r)
	}
	return 0, false
}

// makespan of a foreign burst: completed requests over their rate.
func (rd *reading) makespan(r *Row) (float64, bool) {
	rate, ok := r.Metrics.Get("request_throughput")
	share, has := r.Metrics.Get("success_rate")
	if !ok || !has || r.Workload.NumPrompts == nil || share == 0 {
		return 0, false
	}
	rd.notes["makespan_s is missing and read as num_prompts · success_rate / request_throughput"] = true
	return float64(*r.Workload.NumPrompts) * share / rate, true
}

// passes recomputes whether a row keeps its limits; why names what it broke.
func (rd *reading) passes(r *Row, limits contract.SLA) (passed bool, why []string) {
	if r.Status != StatusOK {
		reason := string(r.Status)
		if r.FailureReason != "" {
			reason += ": " + r.FailureReason
		}
		return false, []string{reason}
	}
	if r.Rate != nil {
		return r.ratePasses()
	}
	passed, why = limits.Judge(func(metric string) (float64, bool) { return rd.value(r, metric) })
	if r.Audit != nil && r.Audit.Overloaded {
		return false, append(why, bench.OverloadReason(r.Audit.LoadTest))
	}
	if r.Undecided() {
		return false, append(why, bench.OverloadReason(r.Audit.LoadTest))
	}
	return passed, why
}

// silent says whether a row that does not pass breaks no limit it can be held to: its window cannot tell whether its load
// is more than the engine can take, or, in foreign rows, it lacks the metric of a limit. A percentile that lies among
// failed requests is no gap: it never ended.
func (rd *reading) silent(r *Row, limits contract.SLA) bool {
	if r.Status == StatusOK && r.Rate == nil && r.Undecided() && !r.Audit.Overloaded {
		kept, _ := limits.Judge(func(metric string) (float64, bool) { return rd.value(r, metric) })
		return kept
	}
	if !rd.foreign || r.Status != StatusOK || (r.Audit != nil && r.Audit.Overloaded) {
		return false
	}
	known := contract.SLA{}
	for key, limit := range limits {
		metric := limits.Metric(key)
		_, measured := rd.value(r, metric)
		if measured || neverEnded(r, metric) {
			known[key] = limit
		}
	}
	if len(known) == len(limits) {
		return false
	}
	passed, _ := known.Judge(func(metric string) (float64, bool) { return rd.value(r, metric) })
	return passed
}

// neverEnded says whether so many requests failed that a percentile is infinite.
func neverEnded(r *Row, metric string) bool {
	success, ok := r.Metrics.Get("success_rate")
	for name, beyond := range map[string]float64{"p50_": 0.5, "p95_": 0.05, "p99_": 0.01} {
		if strings.HasPrefix(metric, name) {
			return ok && 1-success >= beyond
		}
	}
	return false
}

func (rd *reading) warnings() []string { return sortedKeys(rd.notes) }

// meanOutput is tokens a request, from the row or from its throughputs.
func meanOutput(r *Row) (float64, bool) {
	if v, ok := r.Metrics.Get("mean_output_tokens"); ok {
		return v, true
	}
	tokens, ok := r.Metrics.Get("output_token_throughput")
	requests, has := r.Metrics.Get("request_throughput")
	if !ok || !has {
		return 0, false
	}
	return tokens / requests, true
}

// needsEqualOutput says whether a metric means something only when both sides generate equally much.
func needsEqualOutput(metric string) bool {
	return strings.Contains(metric, "e2e") || metric == "request_throughput" || metric == "makespan_s" || metric == "goodput_rps" || metric == "max_rate_under_sla"
}
