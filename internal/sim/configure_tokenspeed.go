package sim

import "slices"

// configureTokenSpeed applies TokenSpeed's defaults and checks.
func configureTokenSpeed(v *values, m Model, _ GPU) (*settings, error) {
	s := &settings{engine: "tokenspeed", model: m, host: v.or("host", "127.0.0.1"), port: v.integer("port", 8000),
		tp: max(v.integer("tensor_parallel_size", 1), v.integer("world_size", 1)), weightBytes: 2, computeScale: 1, kvBytes: 2,
		mixed: v.boolean("enable_mixed_batch", true), maxRunning: v.integer("max_num_seqs", 256),
		stepTokens: v.integer("chunked_prefill_size", 8192), chunked: true, contextLen: v.integer("max_model_len", m.MaxPosition),
		maxTotalTokens: v.integer("max_total_tokens", 0), memFraction: v.number("gpu_memory_utilization", 0.9),
		graphs: !v.boolean("enforce_eager", false), overlap: !v.boolean("disable_overlap_schedule", false), decodeSteps: 1,
		fusedNormRope: true, customAllReduce: true, prefixCache: v.boolean("enable_prefix_caching", true),
		streamInterval: max(1, v.integer("stream_interval", 1)), metrics: v.boolean("enable_metrics", false),
		seed: uint64(v.integer("seed", 0)), withStack: true}
	s.served = []string{v.or("served_model_name", v.text("model"))}
	if err := s.precision(v); err != nil {
		return nil, err
	}
	if err := s.parallel(m); err != nil {
		return nil, err
	}
	if s.stepTokens <= 0 {
		return nil, raised("ValueError", "chunked_prefill_size must be positive, got %d", s.stepTokens)
	}
	if s.memFraction <= 0 || s.memFraction > 1 {
		return nil, raised("ValueError", "gpu_memory_utilization must be in (0, 1], got %v", s.memFraction)
	}
	backend := v.or("attention_backend", "fa3")
	switch backend {
	case "mha", "fa3":
		backend = "fa3"
	case "flashinfer", "triton":
	default:
		return nil, raised("ValueError", "attention backend %s is not available on compute capability 9.0", backend)
	}
	s.prefillAttention, s.decodeAttention = backend, backend
	s.graphSizes = v.integers("cudagraph_capture_sizes")
	slices.Sort(s.graphSizes)
	if len(s.graphSizes) == 0 {
		s.graphSizes = captureSizes(min(v.integer("max_cudagraph_capture_size", 256), s.maxRunning))
	}
	return s, nil
}
