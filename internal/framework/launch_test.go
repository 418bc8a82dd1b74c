package framework_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// knobs are a candidate's flags in each framework's terms: by the other spelling, a layout, a switch, a list, JSON.
var knobs = map[contract.Framework]map[string]map[string]any{
	contract.SGLang: {
		"knobs":  {"chunked_prefill_size": -1.0, "attention-backend": "triton", "schedule_conservativeness": 0.3, "mem-fraction-static": 0.82, "disable-radix-cache": true},
		"layout": {"tp-size": 2.0, "dp_size": 2.0}, "switches": {"disable-cuda-graph": false, "enable-mixed-chunk": true, "max-running-requests": nil},
		"list": {"cuda-graph-bs": []any{1.0, 2.0, 4.0, 8.0}},
	},
	contract.VLLM: {
		"knobs":  {"max_num_seqs": 256.0, "attention-backend": "TRITON_ATTN", "gpu-memory-utilization": 0.9, "max-num-batched-tokens": "8k"},
		"layout": {"tp": 2.0, "data-parallel-size": 2.0}, "switches": {"enable-chunked-prefill": false, "enable_prefix_caching": true, "enforce-eager": nil},
		"list": {"cudagraph-capture-sizes": []any{1.0, 2.0}}, "json": {"compilation-config": `{"cudagraph_mode":"FULL","pass_config":{"fuse_norm_quant":true}}`},
		"object": {"compilation-config": map[string]any{"mode": 3.0, "compile_sizes": []any{1.0, 2.0}}},
	},
	contract.TensorRTLLM: {
		"knobs": {"max-batch-size": 128.0, "kv_cache_free_gpu_memory_fraction": 0.75}, "layout": {"tp_size": 2.0, "ep_size": 2.0},
		"switches": {"enable-chunked-prefill": true, "max-num-tokens": nil},
	},
	contract.TokenSpeed: {
		"knobs":  {"max_num_seqs": 64.0, "moe-backend": "triton", "block-size": 32.0},
		"layout": {"attn-tp-size": 2.0, "data_parallel_size": 2.0}, "switches": {"enable-prefix-caching": true, "enforce_eager": false},
		"list": {"cudagraph-capture-sizes": []any{1.0, 2.0}},
	},
}

func terms() *contract.Contract {
	return &contract.Contract{Precision: "bfloat16", Quantization: "fp8", KVDtype: "fp8_e4m3", MaxContext: 12288, Seed: 7_000_042,
		Model: contract.Model{Tokenizer: "/models/tokenizer"}}
}

func spec(t *testing.T, name string, of contract.Framework) framework.Spec {
	help := helpOf(t, name, of)
	return framework.Spec{
		Engine: framework.Engine{Entry: "main", Type: of, Venv: "/opt/" + string(of)}, ModelPath: "/models/qwen3", ServedName: "Qwen/Qwen3-8B",
		Device: "cuda", GPUs: []int{0}, Help: &help,
	}
}

func TestLaunchGolden(t *testing.T) {
	t.Parallel()
	for _, h := range helps {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			fw := adapter(t, h.of)
			out := map[string]framework.Launch{}
			add := func(name string, change func(*framework.Spec)) {
				s := spec(t, h.name, h.of)
				change(&s)
				l, err := fw.Launch(s)
				require.NoError(t, err, name)
				out[name] = l
			}
			add("plain", func(*framework.Spec) {})
			add("contract", func(s *framework.Spec) {
				s.Contract = terms()
				if h.of == contract.TensorRTLLM {
					s.Contract.KVDtype = "auto"
				}
			})
			add("automatic terms", func(s *framework.Spec) { s.Contract = &contract.Contract{Precision: "auto", KVDtype: "auto", Seed: 1} })
			add("code of the checkpoint", func(s *framework.Spec) {
				s.Contract = &contract.Contract{Precision: "auto", KVDtype: "auto", TrustRemoteCode: true}
			})
			add("four gpus", func(s *framework.Spec) { s.GPUs = []int{4, 5, 6, 7} })
			add("folder of executables", func(s *framework.Spec) { s.Engine.Venv, s.Engine.Command = "", "/usr/local/bin" })
			add("search path", func(s *framework.Spec) { s.Engine.Venv = "" })
			add("cpu", func(s *framework.Spec) { s.Device, s.GPUs = "cpu", nil })
			add("capture", func(s *framework.Spec) { s.Capture, s.Steps = true, 5 })
			add("cpu capture", func(s *framework.Spec) { s.Device, s.GPUs, s.Capture, s.Steps = "cpu", nil, true, 5 })
			for name, flags := range knobs[h.of] {
				add(name, func(s *framework.Spec) { s.Flags, s.GPUs = flags, []int{0, 1, 2, 3} })
			}
			raw, err := json.MarshalIndent(out, "", " ")
			require.NoError(t, err)
			golden(t, "launch/"+string(h.of)+".json", append(raw, '\n'))
		})
	}
}

// TestLaunchWithoutHelp spells flags as the framework does, whatever way they were written.
func TestLaunchWithoutHelp(t *testing.T) {
	t.Parallel()
	for of, want := range map[contract.Framework]string{
		contract.SGLang: "--page-size 16", contract.VLLM: "--page-size 16", contract.TokenSpeed: "--page-size 16", contract.TensorRTLLM: "--page_size 16",
	} {
		for _, spelling := range []string{"page-size", "page_size", "--page-size"} {
			l, err := adapter(t, of).Launch(framework.Spec{ModelPath: "/m", ServedName: "m", Flags: map[string]any{spelling: 16.0}})
			require.NoError(t, err)
			require.Contains(t, strings.Join(l.Argv, " "), want)
		}
	}
}

// TestMemoryOnACPU is bounded by us, unless the candidate bounds it, lets the engine decide, or the build lacks the flag.
func TestMemoryOnACPU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of      contract.Framework
		flags   map[string]any
		context int
		want    string // of the bound's arguments
	}{
		{contract.SGLang, nil, 0, "--max-total-tokens 65536"},
		{contract.SGLang, nil, 131072, "--max-total-tokens 131072"},
		{contract.SGLang, map[string]any{"max_total_tokens": 4096.0}, 0, "--max-total-tokens 4096"},
		{contract.SGLang, map[string]any{"max-total-tokens": nil}, 0, ""},
		{contract.SGLang, map[string]any{"mem-fraction-static": 0.5}, 0, ""},
		{contract.VLLM, nil, 0, "--kv-cache-memory-bytes 4294967296"},
		{contract.VLLM, map[string]any{"kv_cache_memory_bytes": "1G"}, 0, "--kv-cache-memory-bytes 1G"},
		{contract.VLLM, map[string]any{"gpu-memory-utilization": 0.5}, 0, ""},
		{contract.VLLM, map[string]any{"num-gpu-blocks-override": 64.0}, 0, ""},
	} {
		for _, h := range helps[:2] {
			if h.of != c.of {
				continue
			}
			s := spec(t, h.name, h.of)
			s.Device, s.GPUs, s.Flags = "cpu", nil, c.flags
			s.Contract = &contract.Contract{MaxContext: c.context}
			l, err := adapter(t, c.of).Launch(s)
			require.NoError(t, err)
			var bound []string
			for i, a := range l.Argv {
				if a == "--max-total-tokens" || a == "--kv-cache-memory-bytes" {
					bound = append(bound, l.Argv[i:i+2]...)
				}
			}
			require.Equal(t, c.want, strings.Join(bound, " "), "%s %v", c.of, c.flags)
		}
	}
	s := spec(t, "vllm_serve_all", contract.VLLM)
	s.Device, s.Help.Flags = "cpu", s.Help.Flags[:3]
	l, err := adapter(t, contract.VLLM).Launch(s)
	require.NoError(t, err)
	require.NotContains(t, l.Argv, "--kv-cache-memory-bytes")
}

func TestLaunchRefuses(t *testing.T) {
	t.Parallel()
	rule := map[string]string{"unknown": "flow.unknown-flag", "class": "flow.flag-class", "value": ""}
	cases := []struct {
		of    contract.Framework
		why   string
		name  string
		value any
		says  string
	}{
		{contract.SGLang, "unknown", "chunked-prefil-size", 1.0, "chunked-prefill-size"},
		{contract.SGLang, "unknown", "max-num-seqs", 1.0, "not in the captured help"},
		{contract.SGLang, "class", "model", "/x", "contract"},
		{contract.SGLang, "class", "model_path", "/x", "contract"},
		{contract.SGLang, "class", "speculative-algo", nil, ""},
		{contract.SGLang, "class", "port", 80.0, "host"},
		{contract.SGLang, "class", "chat-template", "x.jinja", "forbidden"},
		{contract.SGLang, "class", "kv-cache-dtype", nil, "contract"},
		{contract.SGLang, "value", "attention-backend", "my_backend", "choices"},
		{contract.SGLang, "value", "attention-backend", "--port", "dash"},
		{contract.SGLang, "value", "page-size", "16\x00", "control character"},
		{contract.SGLang, "value", "page-size", "16\n--port 1", "control character"},
		{contract.SGLang, "value", "page-size", "many", "whole number"},
		{contract.SGLang, "value", "page-size", 1.5, "whole number"},
		{contract.SGLang, "value", "page-size", true, "not a switch"},
		{contract.SGLang, "value", "page-size", []any{1.0}, "not a list"},
		{contract.SGLang, "value", "page-size", map[string]any{"a": 1.0}, "not an object"},
		{contract.SGLang, "value", "mem-fraction-static", "NaN", "a number"},
		{contract.SGLang, "value", "mem-fraction-static", "0x1p-2", "a number"},
		{contract.SGLang, "value", "disable-cuda-graph", "yes", "switch"},
		{contract.SGLang, "value", "disable-cuda-graph", 1.0, "switch"},
		{contract.SGLang, "value", "cuda-graph-bs", []any{1.0, "--port"}, "dash"},
		{contract.SGLang, "value", "cuda-graph-bs", []any{1.0, []any{2.0}}, "plain values"},
		{contract.SGLang, "value", "cuda-graph-bs", []any{}, "at least one"},
		{contract.VLLM, "class", "middleware", "evil.Class", "forbidden"},
		{contract.VLLM, "class", "logits_processors", []any{"evil:Class"}, "forbidden"},
		{contract.VLLM, "class", "q", "fp8", "contract"},
		{contract.VLLM, "value", "attention-backend", "A\rB", "control character"},
		{contract.VLLM, "value", "compilation-config", "{", "JSON"},
		{contract.VLLM, "value", "compilation-config", `{"backend":"evil.module.compile"}`, "backend"},
		{contract.VLLM, "value", "compilation-config", `{"debug_dump_path":"/root"}`, "debug_dump_path"},
		{contract.VLLM, "value", "compilation-config", `{"inductor_passes":{"p":"evil.fn"}}`, "inductor_passes"},
		{contract.VLLM, "value", "compilation-config", map[string]any{"inductor_compile_config": map[string]any{}}, "inductor_compile_config"},
		{contract.VLLM, "value", "compilation-config", `{"pass_config":{"x":"evil"}}`, "pass_config"},
		{contract.VLLM, "value", "compilation-config", `[1]`, "object"},
		{contract.VLLM, "unknown", "compilation-config.backend", "evil", ""},
		{contract.TensorRTLLM, "class", "backend", "tensorrt", "contract"},
		{contract.TensorRTLLM, "class", "extra-llm-api-options", "/tmp/x.yaml", "forbidden"},
		{contract.TensorRTLLM, "class", "config", "/tmp/x.yaml", "forbidden"},
		{contract.TokenSpeed, "class", "ext_yaml", "/tmp/x.yaml", "forbidden"},
	}
	byType := map[contract.Framework]string{}
	for _, h := range helps {
		byType[h.of] = h.name
	}
	for _, c := range cases {
		s := spec(t, byType[c.of], c.of)
		s.Flags = map[string]any{c.name: c.value}
		if c.name == "speculative-algo" { // an abbreviation: the help knows whole names only
			c.why = "unknown"
		}
		_, err := adapter(t, c.of).Launch(s)
		require.Error(t, err, "%s --%s %v", c.of, c.name, c.value)
		f, ok := fault.As(err)
		require.True(t, ok)
		require.Equal(t, rule[c.why], f.Rule, "%s: %v", c.name, err)
		require.ErrorContains(t, err, c.says, "%s --%s", c.of, c.name)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestLaunchRefusesTheSameFlagTwice(t *testing.T) {
	t.Parallel()
	for _, flags := range []map[string]any{{"tp-size": 2.0, "tensor_parallel_size": 4.0}, {"page-size": 1.0, "page_size": 2.0}} {
		s := spec(t, "sglang_launch_server", contract.SGLang)
		s.Flags = flags
		_, err := adapter(t, contract.SGLang).Launch(s)
		require.ErrorContains(t, err, "the same flag")
	}
}

func TestLaunchRefusesWordsThatReadAsFlags(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		for _, bad := range []string{"--config=/tmp/x", "/models/a\nb", "/models/a\x00", "\xff"} {
			_, err := fw.Launch(framework.Spec{ModelPath: bad, ServedName: "m"})
			require.Error(t, err, "%s %q", fw.Type(), bad)
			_, err = fw.Launch(framework.Spec{ModelPath: "/m", ServedName: bad})
			require.Error(t, err, "%s %q", fw.Type(), bad)
		}
	}
}

func TestLaunchRefusesTermsItCannotKeep(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		for name, c := range map[string]contract.Contract{
			"speculation": {Speculation: "eagle3"}, "precision": {Precision: "--config"}, "quantization": {Quantization: "fp8\n--port"},
			"kv_dtype": {KVDtype: "-x"}, "tokenizer": {Model: contract.Model{Tokenizer: "--middleware"}},
		} {
			_, err := fw.Launch(framework.Spec{ModelPath: "/m", ServedName: "m", Contract: &c})
			f, ok := fault.As(err)
			require.True(t, ok, "%s %s", fw.Type(), name)
			require.Equal(t, name, f.Field)
		}
	}
}

// TestTensorRTKVDtype: a type of the KV cache that this build cannot be told is refused, never left out in silence.
func TestTensorRTKVDtype(t *testing.T) {
	t.Parallel()
	s := spec(t, "trtllm_serve", contract.TensorRTLLM)
	s.Contract = terms()
	_, err := adapter(t, contract.TensorRTLLM).Launch(s)
	require.ErrorContains(t, err, "KV cache")
	s.Help.Flags = append(s.Help.Flags, framework.Flag{Name: "--kv_cache_dtype", Kind: framework.KindEnum})
	l, err := adapter(t, contract.TensorRTLLM).Launch(s)
	require.NoError(t, err)
	require.Contains(t, strings.Join(l.Argv, " "), "--kv_cache_dtype fp8_e4m3")
}

func TestTensorRTHasOneBackend(t *testing.T) {
	t.Parallel()
	s := spec(t, "trtllm_serve", contract.TensorRTLLM)
	for _, flags := range knobs[contract.TensorRTLLM] {
		s.Flags = flags
		l, err := adapter(t, contract.TensorRTLLM).Launch(s)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(strings.Join(l.Argv, " "), "--backend"))
		require.Contains(t, strings.Join(l.Argv, " "), "--backend pytorch")
	}
}

// TestEagerFlags are launched by every framework that has them.
func TestEagerFlags(t *testing.T) {
	t.Parallel()
	for _, h := range helps {
		flags, err := framework.EagerFlags(h.of)
		if h.of == contract.TensorRTLLM {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		s := spec(t, h.name, h.of)
		s.Flags = flags
		_, err = adapter(t, h.of).Launch(s)
		require.NoError(t, err)
	}
	_, err := framework.EagerFlags("nonsense")
	require.Error(t, err)
	_, err = framework.Of("nonsense")
	require.ErrorContains(t, err, "unknown framework")
}
