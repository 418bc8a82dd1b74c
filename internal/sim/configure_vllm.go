package sim

import (
	"encoding/json"
	"slices"
)

// configureVLLM applies vLLM's defaults for the API server on a GPU of 70 GiB and more, and its checks.
func configureVLLM(v *values, m Model, _ GPU) (*settings, error) {
	s := &settings{engine: "vllm", model: m, host: v.or("host", "0.0.0.0"), port: v.integer("port", 8000),
		tp: v.integer("tensor_parallel_size", 1), weightBytes: 2, computeScale: 1, kvBytes: 2, mixed: true,
		maxRunning: v.integer("max_num_seqs", 1024), stepTokens: v.integer("max_num_batched_tokens", 8192),
		chunked: v.boolean("enable_chunked_prefill", true), contextLen: v.integer("max_model_len", m.MaxPosition),
		memFraction: v.number("gpu_memory_utilization", 0.9), graphs: !v.boolean("enforce_eager", false), overlap: v.boolean("async_scheduling", true),
		decodeSteps: 1, fusedNormRope: true, customAllReduce: !v.boolean("disable_custom_all_reduce", false),
		prefixCache: v.boolean("enable_prefix_caching", true), streamInterval: max(1, v.integer("stream_interval", 1)),
		cacheReport: v.boolean("enable_prompt_tokens_details", false), metrics: true, skipTokenizer: v.boolean("skip_tokenizer_init", false),
		seed: uint64(v.integer("seed", 0)), withStack: true}
	s.served = v.given["served_model_name"]
	if len(s.served) == 0 {
		s.served = []string{v.text("model_tag")}
	}
	if n := v.integer("num_gpu_blocks_override", 0); n > 0 {
		s.maxTotalTokens = n * 16
	}
	if n := v.integer("kv_cache_memory_bytes", 0); n > 0 {
		s.maxTotalTokens = int(float64(n) / s.kvPerToken())
	}
	for _, step := range []func() error{func() error { return s.precision(v) }, func() error { return s.parallel(m) },
		func() error { return s.vllmChecks(v) }, func() error { return s.vllmAttention(v) }, func() error { return s.vllmProfiler(v) }} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s.graphSizes = v.integers("cudagraph_capture_sizes")
	slices.Sort(s.graphSizes)
	if len(s.graphSizes) == 0 {
		s.graphSizes = captureSizes(min(v.integer("max_cudagraph_capture_size", 512), 2*s.maxRunning))
	}
	return s, s.vllmCompilation(v)
}

func (s *settings) vllmChecks(v *values) error {
	const head = "1 validation error for "
	switch {
	case s.memFraction <= 0 || s.memFraction > 1:
		return raised("pydantic_core._pydantic_core.ValidationError", head+"CacheConfig\ngpu_memory_utilization\n  Input should be less than or equal to 1 [type=less_than_equal, input_value=%v, input_type=float]", s.memFraction)
	case s.maxRunning < 1:
		return raised("pydantic_core._pydantic_core.ValidationError", head+"SchedulerConfig\nmax_num_seqs\n  Input should be greater than or equal to 1 [type=greater_than_equal, input_value=%d, input_type=int]", s.maxRunning)
	case s.stepTokens < s.maxRunning && v.has("max_num_batched_tokens"):
		return raised("pydantic_core._pydantic_core.ValidationError", head+"SchedulerConfig\n  Value error, max_num_batched_tokens (%d) must be greater than or equal to max_num_seqs (%d).", s.stepTokens, s.maxRunning)
	case !s.chunked && s.stepTokens < s.contextLen && v.has("max_num_batched_tokens"):
		return raised("pydantic_core._pydantic_core.ValidationError", head+"SchedulerConfig\n  Value error, max_num_batched_tokens (%d) is smaller than max_model_len (%d). This effectively limits the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences. Please increase max_num_batched_tokens or decrease max_model_len.", s.stepTokens, s.contextLen)
	case s.contextLen > s.model.MaxPosition:
		return raised("pydantic_core._pydantic_core.ValidationError", head+"ModelConfig\n  Value error, User-specified max_model_len (%d) is greater than the derived max_model_len (max_position_embeddings=%d.0 or model_max_length=None in model's config.json).", s.contextLen, s.model.MaxPosition)
	}
	if !s.chunked {
		s.stepTokens = max(s.stepTokens, s.contextLen)
	}
	return nil
}

func (s *settings) vllmAttention(v *values) error {
	backends := map[string]string{"": "fa3", "None": "fa3", "FLASH_ATTN": "fa3", "FLASHINFER": "flashinfer", "TRITON_ATTN": "triton", "FLEX_ATTENTION": "flex_attention"}
	b, ok := backends[v.text("attention_backend")]
	if !ok {
		return raised("ValueError", "Selected backend AttentionBackendEnum.%s is not valid for this configuration. Reason: ['not supported on this device']", v.text("attention_backend"))
	}
	s.prefillAttention, s.decodeAttention = b, b
	return nil
}

// vllmProfiler reads --profiler-config, as JSON or by dotted keys; without a torch profiler there are no endpoints.
func (s *settings) vllmProfiler(v *values) error {
	if !v.has("profiler_config") {
		return nil
	}
	c := struct {
		Profiler  string `json:"profiler"`
		Dir       string `json:"torch_profiler_dir"`
		WithStack *bool  `json:"torch_profiler_with_stack"`
		Shapes    bool   `json:"torch_profiler_record_shapes"`
		Max       int    `json:"max_iterations"`
	}{}
	if err := json.Unmarshal([]byte(v.text("profiler_config")), &c); err != nil {
		return raised("pydantic_core._pydantic_core.ValidationError", "1 validation error for ProfilerConfig\n  %v", err)
	}
	switch {
	case c.Profiler == "":
		return nil
	case c.Profiler != "torch":
		return raised("NotImplementedError", "the simulated GPU host has the torch profiler only, not %q", c.Profiler)
	case c.Dir == "":
		return raised("pydantic_core._pydantic_core.ValidationError", "1 validation error for ProfilerConfig\n  Value error, torch_profiler_dir must be set when profiler is 'torch'")
	}
	s.profilerDir, s.profileSteps, s.recordShapes = c.Dir, c.Max, c.Shapes
	if c.WithStack != nil {
		s.withStack = *c.WithStack
	}
	return nil
}

// vllmCompilation reads the parts of --compilation-config that change how steps are launched.
func (s *settings) vllmCompilation(v *values) error {
	if !v.has("compilation_config") {
		return nil
	}
	c := struct {
		Mode  *int   `json:"mode"`
		Graph string `json:"cudagraph_mode"`
		Sizes []int  `json:"cudagraph_capture_sizes"`
	}{}
	if err := json.Unmarshal([]byte(v.text("compilation_config")), &c); err != nil {
		return raised("pydantic_core._pydantic_core.ValidationError", "1 validation error for CompilationConfig\n  %v", err)
	}
	if c.Graph == "NONE" || (c.Mode != nil && *c.Mode == 0) {
		s.graphs = false
	}
	if len(c.Sizes) > 0 {
		s.graphSizes = c.Sizes
		slices.Sort(s.graphSizes)
	}
	return nil
}
