package bench

import (
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Measure computes every metric of a recording. It is a pure function: the same records give the same bits.
func Measure(r *Recording) Metrics {
	m := Metrics{}
	var window []*Record
	for _, rec := range r.Records {
		if rec.Role == RoleWindow {
			window = append(window, rec)
		}
	}
	m.counts(window)
	m.rates(r.Header, window)
	m.latencies(window)
	m.goodput(r.Header, window)
	return m
}

// counts stores how many requests were offered in the window and how they went.
func (m Metrics) counts(window []*Record) {
	var ok, in, out, cached, told, toldCached int64
	k1Unknown := 0
	for _, r := range window {
		if !r.OK() {
			continue
		}
		ok++
		in, out, cached = in+int64(r.In), out+int64(r.Out), cached+int64(r.Cached)
		if r.CacheTold {
			told, toldCached = told+int64(r.In), toldCached+int64(r.Cached)
		}
		if r.K1Unknown {
			k1Unknown++
		}
	}
	m.set("requests_offered", float64(len(window)))
	m.set("requests_ok", float64(ok))
	m.ratio("success_rate", float64(ok), float64(len(window)))
	m.ratio("mean_input_tokens", float64(in), float64(ok))
	m.ratio("mean_output_tokens", float64(out), float64(ok))
	m.ratio("cached_token_share", float64(cached), float64(in))
	m.ratio("k1_unknown_share", float64(k1Unknown), float64(ok))
	if told > 0 {
		m.ratio("prefix_cache_hit_rate", float64(toldCached), float64(told))
	}
}

// ratio stores a/b, null for b = 0.
func (m Metrics) ratio(name string, a, b float64) {
	if b == 0 {
		m.null(name)
		return
	}
	m.set(name, a/b)
}

// rates stores throughputs, or a burst's makespan. A makespan of work that was not done is none.
func (m Metrics) rates(h Header, window []*Record) {
	var requests, in, out int64
	for _, r := range window {
		if r.OK() {
			requests, in, out = requests+1, in+int64(r.In), out+int64(r.Out)
		}
	}
	m.null("request_throughput", "output_token_throughput", "total_token_throughput", "makespan_s", "window_s")
	seconds := h.Window.Seconds()
	switch {
	case seconds <= 0 || len(window) == 0:
	case h.Scenario.Arrival == contract.ArrivalBurst && int(requests) < len(window):
	case h.Scenario.Arrival == contract.ArrivalBurst:
		m.set("makespan_s", seconds)
	default:
		m.set("window_s", seconds)
		m.set("request_throughput", float64(requests)/seconds)
		m.set("output_token_throughput", float64(out)/seconds)
		m.set("total_token_throughput", float64(in+out)/seconds)
	}
}

// sample is one latency over the requests of a window, in nanoseconds.
type sample struct {
	values []float64
	sum    float64
	failed int // requests that count as +∞
}

func (s *sample) add(ns float64) {
	s.values = append(s.values, ns)
	s.sum += ns
}

// latencies stores mean and quantiles of every latency.
func (m Metrics) latencies(window []*Record) {
	samples := map[string]*sample{}
	for _, name := range Latencies() {
		samples[name] = &sample{}
	}
	oneToken := oneTokenPerEvent(window)
	for _, r := range window {
		if !r.OK() {
			for _, s := range samples {
				s.failed++
			}
			continue
		}
		r.latencies(func(name string, ns float64) { samples[name].add(ns) })
		for _, gap := range r.Gaps {
			samples["icl_ms"].add(float64(gap) * 1e3)
			if oneToken {
				samples["itl_ms"].add(float64(gap) * 1e3)
			}
		}
	}
	for name, s := range samples {
		pooled := name == "itl_ms" || name == "icl_ms"
		m.statistics(name, s, len(window), pooled)
	}
}

// latencies gives the request's latencies that are defined, in nanoseconds.
func (r *Record) latencies(add func(name string, ns float64)) {
	add("e2e_ms", float64(r.End-r.Sent))
	add("e2e_user_ms", float64(r.End-r.Sched))
	if !r.First.Happened() {
		return
	}
	add("ttft_ms", float64(r.First-r.Sent))
	add("ttft_user_ms", float64(r.First-r.Sched))
	if tpot, ok := r.TPOT(); ok {
		add("tpot_ms", tpot)
	}
}

// TPOT is the time per output token after the first event, in nanoseconds; undefined for n_out ≤ k1.
func (r *Record) TPOT() (float64, bool) {
	if !r.First.Happened() || r.Out <= r.K1 {
		return 0, false
	}
	return float64(r.Last-r.First) / float64(r.Out-r.K1), true
}

// statistics stores mean and quantiles of a sample over n offered requests. Gaps are pooled over requests: failed
// requests have none, so that only per-request latencies carry +∞.
func (m Metrics) statistics(name string, s *sample, n int, pooled bool) {
	m.null("mean_" + name)
	for _, st := range quantiles() {
		m.null(st.name + "_" + name)
	}
	if len(s.values) > 0 {
		m.set("mean_"+name, s.sum/float64(len(s.values))/1e6)
	}
	values := slices.Clone(s.values)
	if !pooled {
		for range s.failed {
			values = append(values, math.Inf(1))
		}
		n = len(values)
	}
	if len(s.values) == 0 {
		return
	}
	slices.Sort(values)
	for _, st := range quantiles() {
		if enough(n, st.q) {
			m.set(st.name+"_"+name, quantile7(values, st.q)/1e6)
		}
	}
}

// oneTokenPerEvent says whether every successful request of the window had as many content events as tokens.
func oneTokenPerEvent(window []*Record) bool {
	some := false
	for _, r := range window {
		if r.OK() && r.Events != r.Out {
			return false
		}
		some = some || (r.OK() && r.Out > 0)
	}
	return some
}

// goodput stores how many requests met every per-request limit; null without limits.
func (m Metrics) goodput(h Header, window []*Record) {
	m.null("goodput_rps", "sla_attainment")
	g := h.Goodput
	if g == nil || *g == (contract.Goodput{}) || len(window) == 0 {
		return
	}
	met := 0
	for _, r := range window {
		if r.Meets(*g) {
			met++
		}
	}
	m.set("sla_attainment", float64(met)/float64(len(window)))
	if seconds := h.Window.Seconds(); seconds > 0 && h.Scenario.Arrival != contract.ArrivalBurst {
		m.set("goodput_rps", float64(met)/seconds)
	}
}

// Meets says whether a request kept every per-request limit. A latency that is not defined (TPOT of a single token)
// breaks none.
func (r *Record) Meets(g contract.Goodput) bool {
	if !r.OK() {
		return false
	}
	kept := true
	r.latencies(func(name string, ns float64) {
		limit := map[string]float64{"ttft_user_ms": g.TTFTUserMS, "tpot_ms": g.TPOTMS, "e2e_user_ms": g.E2EUserMS}[name]
		if limit > 0 && ns/1e6 > limit {
			kept = false
		}
	})
	return kept
}
