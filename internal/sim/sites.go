package sim

import "fmt"

// frameRef names a function by its file below the package and Class.function.
type frameRef struct{ file, function string }

// stackOf is the Python stack of a launch, outermost first. Frames of the simulated SGLang carry the lines of the source
// that was really read; a module frame comes before a layer's functions as PyTorch writes them.
func (e *engine) stackOf(site string, layer int, prefill, graph bool) []string {
	if e.id != "sglang" {
		return e.foreignStack(site, layer, graph)
	}
	f := func(file, function string) string { return e.src.frame(file, function) }
	sched := []string{f("srt/managers/scheduler.py", "Scheduler.event_loop_overlap"), f("srt/managers/scheduler.py", "Scheduler.run_batch")}
	runner := "srt/model_executor/model_runner.py"
	if site == "sample" {
		return append(sched, f(runner, "ModelRunner.sample"), "nn.Module: Sampler_0", f("srt/layers/sampler.py", "Sampler.forward"))
	}
	sched = append(sched, f(runner, "ModelRunner.forward"))
	if graph {
		return append(sched, f("srt/model_executor/cuda_graph_runner.py", "CudaGraphRunner.replay"))
	}
	mode := "ModelRunner.forward_decode"
	if prefill {
		mode = "ModelRunner.forward_extend"
	}
	out := append(sched, f(runner, mode), "nn.Module: Qwen3ForCausalLM_0", f("srt/models/qwen3.py", "Qwen3ForCausalLM.forward"))
	for _, ref := range sglangSites(site) {
		if ref.file == "" {
			out = append(out, fmt.Sprintf("nn.Module: %s_%d", ref.function, max(layer, 0)))
			continue
		}
		out = append(out, f(ref.file, ref.function))
	}
	return out
}

// sglangSites is the part of the stack below Qwen3ForCausalLM.forward; a reference without file is a module frame.
func sglangSites(site string) []frameRef {
	const qwen, linear, norm = "srt/models/qwen3.py", "srt/layers/linear.py", "srt/layers/layernorm.py"
	join := func(a []frameRef, b ...frameRef) []frameRef { return append(append([]frameRef{}, a...), b...) }
	model := []frameRef{{"", "Qwen3Model"}, {qwen, "Qwen3Model.forward"}}
	layer := join(model, frameRef{"", "Qwen3DecoderLayer"}, frameRef{qwen, "Qwen3DecoderLayer.forward"})
	attn := join(layer, frameRef{"", "Qwen3Attention"}, frameRef{qwen, "Qwen3Attention.forward"})
	prepare := join(attn, frameRef{qwen, "Qwen3Attention.forward_prepare"})
	mlp := join(layer, frameRef{"", "Qwen3MLP"}, frameRef{qwen, "Qwen3MLP.forward"})
	column := []frameRef{{"", "ColumnParallelLinear"}, {linear, "ColumnParallelLinear.forward"}, {linear, "UnquantizedLinearMethod.apply"}}
	row := []frameRef{{"", "RowParallelLinear"}, {linear, "RowParallelLinear.forward"}, {linear, "UnquantizedLinearMethod.apply"}}
	const fused = "srt/layers/fused_norm_rope.py"
	switch site {
	case "embed":
		return join(model, frameRef{"", "Embedding"})
	case "input_norm", "post_norm":
		return join(layer, frameRef{norm, "RMSNorm.forward_cuda"})
	case "final_norm":
		return join(model, frameRef{norm, "RMSNorm.forward_cuda"})
	case "qkv":
		return join(prepare, column...)
	case "qk_copy", "qk_norm", "rope":
		return join(prepare, frameRef{fused, "qk_norm_rope"}, frameRef{fused, "qk_norm_rope_reference"})
	case "fused_norm_rope":
		return join(prepare, frameRef{fused, "qk_norm_rope"}, frameRef{fused, "fused_qk_norm_rope"})
	case "store_kv", "attention":
		return join(attn, frameRef{"", "RadixAttention"}, frameRef{"srt/layers/radix_attention.py", "RadixAttention.forward"})
	case "o_proj":
		return join(attn, row...)
	case "gate_up":
		return join(mlp, column...)
	case "act":
		return join(mlp, frameRef{"srt/layers/activation.py", "SiluAndMul.forward_cuda"})
	case "down":
		return join(mlp, row...)
	case "lm_head":
		return []frameRef{{"", "LogitsProcessor"}, {"srt/layers/logits_processor.py", "LogitsProcessor.forward"}, {"srt/layers/logits_processor.py", "LogitsProcessor._get_logits"}}
	}
	return nil
}

// foreignStack is a plausible stack of an engine whose source is not laid out; its lines are those of real releases.
func (e *engine) foreignStack(site string, layer int, graph bool) []string {
	root := map[string][]string{
		"vllm":         {"vllm/v1/engine/core.py(1012): run_busy_loop", "vllm/v1/worker/gpu_worker.py(610): execute_model", "vllm/v1/worker/gpu_model_runner.py(3201): execute_model"},
		"tensorrt_llm": {"tensorrt_llm/_torch/pyexecutor/py_executor.py(1507): _executor_loop_overlap", "tensorrt_llm/_torch/pyexecutor/py_executor.py(1931): _forward_step", "tensorrt_llm/_torch/pyexecutor/model_engine.py(2480): forward"},
		"tokenspeed":   {"tokenspeed/runtime/engine/event_loop.py(233): run", "tokenspeed/runtime/execution/model_executor.py(418): execute"},
	}[e.id]
	pkg := map[string]string{"vllm": "vllm/model_executor/models/qwen3.py", "tensorrt_llm": "tensorrt_llm/_torch/models/modeling_qwen3.py", "tokenspeed": "tokenspeed/models/qwen3.py"}[e.id]
	out := append([]string{}, root...)
	switch {
	case site == "sample":
		if e.id == "vllm" {
			return append(out[:2], "vllm/v1/worker/gpu_model_runner.py(3420): sample_tokens", "vllm/v1/sample/sampler.py(67): forward")
		}
		return append(out[:1], "sampler.py(120): sample")
	case graph:
		return append(out, map[string]string{"vllm": "vllm/compilation/cuda_graph.py(224): __call__", "tensorrt_llm": "tensorrt_llm/_torch/pyexecutor/cuda_graph_runner.py(312): replay", "tokenspeed": "tokenspeed/runtime/execution/cuda_graph.py(188): replay"}[e.id])
	}
	out = append(out, "nn.Module: Qwen3ForCausalLM_0", pkg+"(317): forward")
	if layer < 0 {
		return out
	}
	out = append(out, fmt.Sprintf("nn.Module: Qwen3DecoderLayer_%d", layer), pkg+"(214): forward")
	switch site {
	case "qkv", "fused_norm_rope", "store_kv", "attention", "o_proj":
		out = append(out, fmt.Sprintf("nn.Module: Qwen3Attention_%d", layer), pkg+"(137): forward")
	case "gate_up", "act", "down":
		out = append(out, fmt.Sprintf("nn.Module: Qwen2MLP_%d", layer), map[string]string{"vllm": "vllm/model_executor/models/qwen2.py(109): forward"}[e.id])
	}
	if out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}
