package sim

import (
	"os"
	"slices"

	"github.com/goccy/go-yaml"
)

// trtllmExtra is what of --config the simulation knows. TensorRT-LLM lets the file overwrite the command line.
type trtllmExtra struct {
	MaxBatchSize   *int     `yaml:"max_batch_size"`
	MaxNumTokens   *int     `yaml:"max_num_tokens"`
	MaxSeqLen      *int     `yaml:"max_seq_len"`
	TP             *int     `yaml:"tensor_parallel_size"`
	ChunkedPrefill *bool    `yaml:"enable_chunked_prefill"`
	Attention      string   `yaml:"attn_backend"`
	NoOverlap      bool     `yaml:"disable_overlap_scheduler"`
	Print          bool     `yaml:"print_iter_log"`
	StreamInterval int      `yaml:"stream_interval"`
	KV             *trtKV   `yaml:"kv_cache_config"`
	Graph          trtGraph `yaml:"cuda_graph_config"`
}

type trtKV struct {
	Fraction *float64 `yaml:"free_gpu_memory_fraction"`
	Reuse    *bool    `yaml:"enable_block_reuse"`
	DType    string   `yaml:"dtype"`
	Max      int      `yaml:"max_tokens"`
}

// trtGraph tells "cuda_graph_config: null" (graphs off) from an absent key (graphs on).
type trtGraph struct {
	off     bool
	Sizes   []int `yaml:"batch_sizes"`
	MaxSize int   `yaml:"max_batch_size"`
}

// UnmarshalYAML accepts null.
func (g *trtGraph) UnmarshalYAML(unmarshal func(any) error) error {
	var raw map[string]any
	if err := unmarshal(&raw); err != nil {
		return err
	}
	if raw == nil {
		g.off = true
		return nil
	}
	type plain trtGraph
	return unmarshal((*plain)(g))
}

// configureTRTLLM applies trtllm-serve's defaults (PyTorch backend) and its YAML file.
func configureTRTLLM(v *values, m Model, _ GPU) (*settings, error) {
	s := &settings{engine: "tensorrt_llm", model: m, host: v.or("host", "localhost"), port: v.integer("port", 8000),
		tp: v.integer("tp_size", 1), weightBytes: 2, computeScale: 1, kvBytes: 2, mixed: true, maxRunning: v.integer("max_batch_size", 2048),
		stepTokens: v.integer("max_num_tokens", 8192), chunked: v.boolean("enable_chunked_prefill", false),
		contextLen: v.integer("max_seq_len", m.MaxPosition), memFraction: v.number("free_gpu_memory_fraction", 0.9),
		graphs: true, overlap: true, decodeSteps: 1, fusedNormRope: true, customAllReduce: true, prefixCache: true,
		streamInterval: 1, metrics: true, prefillAttention: "trtllm", decodeAttention: "trtllm", withStack: true}
	s.served = []string{v.or("served_model_name", v.text("model_tag"))}
	if b := v.or("backend", "pytorch"); b != "pytorch" {
		return nil, raised("NotImplementedError", "the simulated GPU host has the pytorch backend only, not %s", b)
	}
	if err := s.precision(v); err != nil {
		return nil, err
	}
	var x trtllmExtra
	if path := v.text("config"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, raised("FileNotFoundError", "[Errno 2] No such file or directory: '%s'", path)
		}
		if err := yaml.Unmarshal(b, &x); err != nil {
			return nil, raised("yaml.scanner.ScannerError", "%s: %v", path, err)
		}
	}
	s.applyExtra(x)
	if s.memFraction <= 0 || s.memFraction >= 1 {
		return nil, raised("pydantic_core._pydantic_core.ValidationError", "1 validation error for KvCacheConfig\nfree_gpu_memory_fraction\n  Value error, kv_cache_config.free_gpu_memory_fraction must be a float between 0 and 1, got %v", s.memFraction)
	}
	s.stepTokens = max(s.stepTokens, 1)
	return s, s.parallel(m)
}

func (s *settings) applyExtra(x trtllmExtra) {
	set := func(to *int, from *int) {
		if from != nil {
			*to = *from
		}
	}
	set(&s.maxRunning, x.MaxBatchSize)
	set(&s.stepTokens, x.MaxNumTokens)
	set(&s.contextLen, x.MaxSeqLen)
	set(&s.tp, x.TP)
	if x.ChunkedPrefill != nil {
		s.chunked = *x.ChunkedPrefill
	}
	if x.Attention == "FLASHINFER" {
		s.prefillAttention, s.decodeAttention = "flashinfer", "flashinfer"
	}
	s.overlap = !x.NoOverlap
	s.streamInterval = max(1, x.StreamInterval)
	if kv := x.KV; kv != nil {
		if kv.Fraction != nil {
			s.memFraction = *kv.Fraction
		}
		if kv.Reuse != nil {
			s.prefixCache = *kv.Reuse
		}
		if kv.DType == "fp8" {
			s.kvBytes = 1
		}
		s.maxTotalTokens = kv.Max
	}
	s.graphs = !x.Graph.off
	s.graphSizes = x.Graph.Sizes
	if len(s.graphSizes) == 0 {
		limit := 128
		if x.Graph.MaxSize > 0 {
			limit = x.Graph.MaxSize
		}
		s.graphSizes = captureSizes(min(limit, s.maxRunning))
	}
	slices.Sort(s.graphSizes)
}
