package sim

import (
	"fmt"
	"maps"
	"math"
	"net/http"
)

// info is the resolved arguments, as SGLang's /server_info gives them: arguments at the top, state beside them.
func (e *engine) info(w http.ResponseWriter, _ *http.Request) {
	p, _ := productOf(e.id)
	out := map[string]any{}
	maps.Copy(out, e.set.resolved)
	s := e.set
	chunk := s.stepTokens
	if !s.chunked {
		chunk = -1
	}
	effective := map[string]any{
		"tp_size": s.tp, "mem_fraction_static": s.memFraction, "max_running_requests": s.maxRunning, "chunked_prefill_size": chunk,
		"context_length": s.contextLen, "attention_backend": s.decodeAttention, "prefill_attention_backend": s.prefillAttention,
		"decode_attention_backend": s.decodeAttention, "cuda_graph": s.graphs, "enable_mixed_chunk": s.mixed, "prefix_cache": s.prefixCache,
	}
	out["effective"] = effective
	out["status"] = "ready"
	out["version"] = p.version
	out["max_total_num_tokens"] = e.mem.tokens
	out["simulated"] = true
	out["internal_states"] = []map[string]any{{"last_gen_throughput": math.Float64frombits(e.sched.lastTPS.Load()),
		"effective_max_running_requests_per_dp": s.maxRunning, "simulated": true, "simulated_busy_s": float64(e.sched.busyUS.Load()) / 1e6, "simulated_steps": e.sched.steps.Load(),
		"memory_usage": map[string]any{"weight": e.mem.weights / gib, "kvcache": e.mem.kv / gib, "token_capacity": e.mem.tokens, "graph": s.graphBytes() / gib}}}
	answer(w, http.StatusOK, out)
}

func (e *engine) modelInfo(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"model_path": e.set.resolved["model_path"], "tokenizer_path": e.set.resolved["model_path"],
		"is_generation": true, "weight_version": "default", "simulated": true})
}

// flushCache empties the prefix cache unless requests are running.
func (e *engine) flushCache(w http.ResponseWriter, _ *http.Request) {
	status, text := http.StatusOK, "Cache flushed.\nPlease check backend logs for more details. (When there are running or waiting requests, the operation will not be performed.)\n"
	if !e.sched.flush() {
		status, text = http.StatusBadRequest, "Flush cache failed: there are running or waiting requests.\n"
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, text)
}

func (e *engine) loads(w http.ResponseWriter, _ *http.Request) {
	l := e.sched.load()
	answer(w, http.StatusOK, []map[string]any{{"dp_rank": 0, "num_reqs": l.running + l.waiting, "num_waiting_reqs": l.waiting, "num_tokens": l.used}})
}

// iterationStats is TensorRT-LLM's /metrics: JSON, not Prometheus.
func (e *engine) iterationStats(w http.ResponseWriter, _ *http.Request) {
	l := e.sched.load()
	answer(w, http.StatusOK, []map[string]any{{"iter": e.sched.steps.Load(), "numActiveRequests": l.running, "numQueuedRequests": l.waiting,
		"kvCacheStats": map[string]any{"usedNumBlocks": l.used / 32, "maxNumBlocks": l.pool / 32, "tokensPerBlock": 32,
			"cacheHitRate": hitRate(l)}}})
}

func hitRate(l load) float64 {
	if l.cacheAsked == 0 {
		return 0
	}
	return float64(l.cacheFound) / float64(l.cacheAsked)
}

// metric is one line of the Prometheus text format.
type metric struct {
	name, kind string
	value      float64
}

func (e *engine) prometheus(w http.ResponseWriter, label string, metrics []metric) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, m := range metrics {
		_, _ = fmt.Fprintf(w, "# TYPE %s %s\n%s{model_name=%q%s} %g\n", m.name, m.kind, m.name, e.set.served[0], label, m.value)
	}
}

func (e *engine) vllmMetrics(w http.ResponseWriter, _ *http.Request) {
	l := e.sched.load()
	e.prometheus(w, `,engine="0"`, []metric{
		{"vllm:num_requests_running", "gauge", float64(l.running)},
		{"vllm:num_requests_waiting", "gauge", float64(l.waiting)},
		{"vllm:kv_cache_usage_perc", "gauge", float64(l.used) / math.Max(1, float64(l.pool))},
		{"vllm:prefix_cache_queries_total", "counter", float64(l.cacheAsked)},
		{"vllm:prefix_cache_hits_total", "counter", float64(l.cacheFound)},
		{"vllm:prompt_tokens_total", "counter", float64(e.sched.prompted.Load())},
		{"vllm:generation_tokens_total", "counter", float64(e.sched.generated.Load())},
		{"vllm:request_success_total", "counter", float64(e.sched.finished.Load())},
	})
}

func (e *engine) sglangMetrics(w http.ResponseWriter, _ *http.Request) {
	l := e.sched.load()
	e.prometheus(w, "", []metric{
		{"sglang:num_running_reqs", "gauge", float64(l.running)},
		{"sglang:num_queue_reqs", "gauge", float64(l.waiting)},
		{"sglang:num_used_tokens", "gauge", float64(l.used)},
		{"sglang:token_usage", "gauge", float64(l.used) / math.Max(1, float64(l.pool))},
		{"sglang:gen_throughput", "gauge", math.Float64frombits(e.sched.lastTPS.Load())},
		{"sglang:cache_hit_rate", "gauge", hitRate(l)},
		{"sglang:prompt_tokens_total", "counter", float64(e.sched.prompted.Load())},
		{"sglang:generation_tokens_total", "counter", float64(e.sched.generated.Load())},
	})
}
