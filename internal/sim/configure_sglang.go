package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// configureSGLang applies SGLang's own defaults and checks (python/sglang/srt/server_args.py).
func configureSGLang(v *values, m Model, gpu GPU) (*settings, error) {
	s := &settings{engine: "sglang", model: m, host: v.or("host", "127.0.0.1"), port: v.integer("port", 30000),
		tp: v.integer("tensor_parallel_size", 1), firstGPU: v.integer("base_gpu_id", 0), weightBytes: 2, computeScale: 1, kvBytes: 2,
		maxRunning: v.integer("max_running_requests", 2048), mixed: v.boolean("enable_mixed_chunk", false),
		maxTotalTokens: v.integer("max_total_tokens", 0), contextLen: v.integer("context_length", m.MaxPosition),
		graphs: !v.boolean("disable_cuda_graph", false), overlap: !v.boolean("disable_overlap_schedule", false),
		compiled: v.boolean("enable_torch_compile", false), decodeSteps: max(1, v.integer("num_continuous_decode_steps", 1)),
		customAllReduce: !v.boolean("disable_custom_all_reduce", false), prefixCache: !v.boolean("disable_radix_cache", false),
		streamInterval: max(1, v.integer("stream_interval", 1)), cacheReport: v.boolean("enable_cache_report", false),
		metrics: v.boolean("enable_metrics", false), skipTokenizer: v.boolean("skip_tokenizer_init", false),
		seed: uint64(v.integer("random_seed", 0)), withStack: true}
	s.served = []string{v.or("served_model_name", v.text("model_path"))}
	if d := v.or("device", "cuda"); d != "cuda" {
		return nil, raised("RuntimeError", "the simulated host has CUDA devices only, not %s", d)
	}
	if err := s.precision(v); err != nil {
		return nil, err
	}
	if err := s.parallel(m); err != nil {
		return nil, err
	}
	s.chunked, s.stepTokens = true, v.integer("chunked_prefill_size", defaultChunk(gpu))
	if s.stepTokens <= 0 {
		s.chunked, s.stepTokens = false, max(v.integer("max_prefill_tokens", 16384), s.contextLen)
	}
	s.memFraction = v.number("mem_fraction_static", s.autoFraction(gpu))
	if s.memFraction <= 0 || s.memFraction >= 1 {
		return nil, raised("AssertionError", "mem_fraction_static must be in (0, 1), got %v", s.memFraction)
	}
	s.graphSizes = v.integers("cuda_graph_bs")
	slices.Sort(s.graphSizes)
	if len(s.graphSizes) == 0 {
		limit := 256
		if s.tp >= 4 {
			limit = 512
		}
		s.graphSizes = captureSizes(min(v.integer("cuda_graph_max_bs", limit), s.maxRunning))
	}
	return s, s.sglangAttention(v)
}

// defaultChunk is what SGLang picks by memory: 2048 below 35 GB, 4096 below 60 GB, 8192 for an H100, 16384 above.
func defaultChunk(gpu GPU) int {
	switch {
	case gpu.MemoryMiB < 35*1024:
		return 2048
	case gpu.MemoryMiB < 60*1024:
		return 4096
	case gpu.MemoryMiB < 160*1024:
		return 8192
	}
	return 16384
}

// autoFraction leaves room for activations and graphs, to three digits as SGLang does.
func (s *settings) autoFraction(gpu GPU) float64 {
	reserve := 1.5*gib + float64(s.stepTokens)*1.5*(1<<20)/1.3 + float64(min(256, s.maxRunning))*2*(1<<20)*math.Max(1, float64(s.tp)/2)
	return math.Round((1-reserve/gpu.bytes())*1000) / 1000
}

// precision reads dtype, quantization and cache type, spelled alike by SGLang, vLLM and TokenSpeed.
func (s *settings) precision(v *values) error {
	switch v.or("dtype", "auto") {
	case "float", "float32":
		s.weightBytes, s.computeScale, s.kvBytes = 4, 0.5, 4
	}
	switch q := v.text("quantization"); q {
	case "", "None":
	case "fp8", "w8a8_fp8", "modelopt_fp8":
		s.weightBytes, s.computeScale = 1, 1.9
	default:
		return raised("ValueError", "Cannot find the config file for %s", q)
	}
	switch v.or("kv_cache_dtype", "auto") {
	case "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc":
		s.kvBytes = 1
	case "fp4_e2m1", "nvfp4":
		return raised("ValueError", "kv_cache_dtype %s needs compute capability 10.0, this GPU has 9.0", v.text("kv_cache_dtype"))
	}
	return nil
}

// parallel checks the tensor parallel size against the heads.
func (s *settings) parallel(m Model) error {
	if s.tp < 1 || m.Heads%s.tp != 0 {
		return raised("ValueError", "Total number of attention heads (%d) must be divisible by tensor parallel size (%d).", m.Heads, s.tp)
	}
	return nil
}

func (s *settings) sglangAttention(v *values) error {
	both := v.or("attention_backend", "fa3")
	s.prefillAttention, s.decodeAttention = v.or("prefill_attention_backend", both), v.or("decode_attention_backend", both)
	for _, b := range []string{s.prefillAttention, s.decodeAttention} {
		switch b {
		case "fa3", "flashinfer", "triton", "torch_native", "flex_attention":
		case "trtllm_mha", "trtllm_mla", "fa4":
			return raised("ValueError", "%s backend is only supported on Blackwell GPUs (SM100). Please use a different backend.", map[string]string{"trtllm_mha": "TRTLLM MHA", "trtllm_mla": "TRTLLM MLA", "fa4": "FA4"}[b])
		case "aiter", "wave":
			return raised("ModuleNotFoundError", "No module named '%s'", b)
		default:
			return raised("ValueError", "Attention backend %s is not supported for %s on this device.", b, "Qwen3ForCausalLM")
		}
	}
	if s.decodeAttention == "torch_native" || s.decodeAttention == "flex_attention" {
		s.graphs = false // SGLang disables graphs for them
	}
	return nil
}

// sglangArgs is the line that a launch starts with.
func (s *settings) sglangArgs() string {
	keys := []string{"model_path", "host", "port", "tensor_parallel_size", "mem_fraction_static", "chunked_prefill_size", "max_running_requests",
		"attention_backend", "disable_cuda_graph", "cuda_graph_max_bs", "stream_interval", "random_seed"}
	parts := []string{}
	for _, k := range keys {
		parts = append(parts, strings.Replace(k, "tensor_parallel_size", "tp_size", 1)+"="+pythonLiteral(s.resolved[k]))
	}
	return "server_args=ServerArgs(" + strings.Join(parts, ", ") + ")"
}

// pythonLiteral spells a value as Python's repr does.
func pythonLiteral(v any) string {
	switch x := v.(type) {
	case nil:
		return "None"
	case bool:
		if x {
			return "True"
		}
		return "False"
	case string:
		return "'" + x + "'"
	}
	return fmt.Sprint(v)
}

// resolve puts what the engine decided itself into the arguments that it shows.
func (s *settings) resolve() {
	if s.engine != "sglang" {
		return
	}
	chunk := s.stepTokens
	if !s.chunked {
		chunk = -1
	}
	s.resolved["mem_fraction_static"], s.resolved["chunked_prefill_size"] = s.memFraction, chunk
	s.resolved["attention_backend"] = s.decodeAttention
	if s.prefillAttention != s.decodeAttention {
		s.resolved["prefill_attention_backend"], s.resolved["decode_attention_backend"] = s.prefillAttention, s.decodeAttention
	}
	s.resolved["cuda_graph_max_bs"] = s.graphSizes[len(s.graphSizes)-1]
	s.resolved["random_seed"] = s.seed
	s.resolved["served_model_name"] = s.served[0]
}
