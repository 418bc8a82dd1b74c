package framework_test

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// classify does what the worker does: the first pattern in list order that occurs anywhere, without case.
func classify(log string, patterns []framework.FailurePattern) framework.FailureClass {
	low := strings.ToLower(log)
	for _, p := range patterns {
		if strings.Contains(low, strings.ToLower(p.Contains)) {
			return p.Class
		}
	}
	return ""
}

const (
	vllmEnd   = "\n(EngineCore pid=811) ERROR 11-23 10:00:09 [core.py:1330] EngineCore failed to start.\n(APIServer pid=700) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}\n"
	sglangEnd = "\n[2026-11-23 10:00:09] Received sigquit from a child process. It usually means the child failed.\nKilled\n"
	tokenEnd  = "\nts serve: engine subprocess exited with rc=1 during startup; see [engine] log lines above for the cause\n"
)

// failureLogs are ends of logs as the frameworks' own sources word them, the consequences with the cause.
var failureLogs = []struct {
	of   contract.Framework
	want framework.FailureClass
	log  string
}{
	{contract.SGLang, framework.FailOOM, "[2026-11-23 10:00:08 TP0] Scheduler hit an exception: Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB\n" + sglangEnd},
	{contract.SGLang, framework.FailOOM, "[2026-11-23 10:00:08 TP0] Scheduler hit an exception: Traceback (most recent call last):\nRuntimeError: Not enough memory. Please try to increase --mem-fraction-static.\n" + sglangEnd},
	{contract.SGLang, framework.FailOOM, "Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 20.00 MiB.\nPossible solutions:\n1. set --mem-fraction-static to a smaller value (e.g., 0.8 or 0.7)\n2. set --cuda-graph-max-bs to a smaller value\n" + sglangEnd},
	{contract.SGLang, framework.FailPort, "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 30000): [errno 98] address already in use\n"},
	{contract.SGLang, framework.FailUnknownFlag, "usage: launch_server.py [-h] --model-path MODEL_PATH\nlaunch_server.py: error: unrecognized arguments: --max-num-seqs 8\n"},
	{contract.SGLang, framework.FailBadValue, "launch_server.py: error: argument --attention-backend: invalid choice: 'x' (choose from 'triton', 'fa3')\n"},
	{contract.SGLang, framework.FailBadValue, "launch_server.py: error: argument --tp-size/--tensor-parallel-size: invalid int value: 'two'\n"},
	{contract.SGLang, framework.FailContext, "ValueError: User-specified context_length (65536) is greater than the derived context_length (40960). This may lead to incorrect model outputs or CUDA errors. Note that the derived context_length may differ from max_position_embeddings in the model's config. To allow overriding this maximum, set the env var SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1\n"},
	{contract.SGLang, framework.FailModel, "OSError: /models/x does not appear to have a file named config.json. Checkout 'https://huggingface.co//models/x/tree/None' for available files.\n"},
	{contract.SGLang, framework.FailArch, "[2026-11-23 10:00:08 TP0] Scheduler hit an exception: Traceback (most recent call last):\nAssertionError: FlashAttention v3 Backend requires SM>=80 and SM<=90. Please use `--attention-backend flashinfer`.\n" + sglangEnd},
	{contract.SGLang, framework.FailABI, "ImportError: /opt/v/lib/python3.12/site-packages/sgl_kernel/sm90/common_ops.abi3.so: undefined symbol: _ZN3c104cuda9SetDeviceEab\n"},
	{contract.SGLang, framework.FailNCCL, "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\n" + sglangEnd},
	{contract.SGLang, framework.FailChild, "Process terminated" + sglangEnd},
	{contract.SGLang, framework.FailChild, "[2026-11-23 10:00:08] Initialization failed. warmup error: Traceback (most recent call last):\nAssertionError: res.status_code=500\n"},

	{contract.VLLM, framework.FailOOM, "(EngineCore pid=811) ValueError: Free memory on device cuda:0 (3.10/79.10 GiB) on startup is less than desired GPU memory utilization (0.92, 72.77 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes." + vllmEnd},
	{contract.VLLM, framework.FailOOM, "(EngineCore pid=811) ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine" + vllmEnd},
	{contract.VLLM, framework.FailOOM, "(EngineCore pid=811) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 594.00 MiB." + vllmEnd},
	{contract.VLLM, framework.FailContext, "(EngineCore pid=811) ValueError: To serve at least one request with the model's max seq len (40960), (5.62 GiB KV cache is needed, which is larger than the available KV cache memory (3.20 GiB). Based on the available memory, the estimated maximum model length is 23296." + vllmEnd},
	{contract.VLLM, framework.FailContext, "(APIServer pid=700) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, User-specified max_model_len (65536) is greater than the derived max_model_len (max_position_embeddings=40960 or model_max_length=None in model's config.json).\n"},
	{contract.VLLM, framework.FailBadValue, "(APIServer pid=700) pydantic_core._pydantic_core.ValidationError: 1 validation error for SchedulerConfig\nmax_num_seqs\n  Input should be greater than or equal to 1\n"},
	{contract.VLLM, framework.FailModel, "(APIServer pid=700) Value error, Invalid repository ID or local directory specified: '/models/x'.\nPlease verify the following requirements:\n"},
	{contract.VLLM, framework.FailModel, "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and outgoing traffic has been disabled.\n"},
	{contract.VLLM, framework.FailModel, "(EngineCore pid=811) RuntimeError: Cannot find any model weights with `/models/x`" + vllmEnd},
	{contract.VLLM, framework.FailPort, "(APIServer pid=700) OSError: [Errno 98] Address already in use\n"},
	{contract.VLLM, framework.FailUnknownFlag, "usage: vllm serve [model_tag] [options]\nvllm serve: error: unrecognized arguments: --chunked-prefill-size 8192\n"},
	{contract.VLLM, framework.FailBadValue, "vllm serve: error: argument --tensor-parallel-size/-tp: expected one argument\n"},
	{contract.VLLM, framework.FailArch, "(EngineCore pid=811) torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device" + vllmEnd},
	{contract.VLLM, framework.FailArch, "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG`\n"},
	{contract.VLLM, framework.FailABI, "ImportError: /opt/v/lib/python3.12/site-packages/vllm/_C.abi3.so: undefined symbol: _ZNK3c106SymInt6sym_neERKS0_\n"},
	{contract.VLLM, framework.FailNCCL, "(EngineCore pid=811) torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:94, remote process exited" + vllmEnd},
	{contract.VLLM, framework.FailChild, "(EngineCore pid=811) Traceback (most recent call last):\nsomething" + vllmEnd},

	{contract.TensorRTLLM, framework.FailOOM, "[TRT-LLM] [E] Failed to initialize executor on rank 0: CUDA out of memory. Tried to allocate 1.16 GiB.\n"},
	{contract.TensorRTLLM, framework.FailPort, "RuntimeError: Failed to bind socket to 127.0.0.1:8000: [Errno 98] Address already in use\n"},
	{contract.TensorRTLLM, framework.FailUnknownFlag, "Usage: trtllm-serve serve [OPTIONS] MODEL\nTry 'trtllm-serve serve --help' for help.\n\nError: No such option: --max-num-seqs\n"},
	{contract.TensorRTLLM, framework.FailBadValue, "Error: Invalid value for '--backend': 'x' is not one of 'pytorch', 'tensorrt', '_autodeploy'.\n"},
	{contract.TensorRTLLM, framework.FailBadValue, "pydantic_core._pydantic_core.ValidationError: 2 validation errors for TorchLlmArgs\nkv_cache_config\n"},
	{contract.TensorRTLLM, framework.FailNCCL, "[TensorRT-LLM][ERROR] Failed, NCCL error in /src/tensorrt_llm/common/opUtils.cpp:115 'unhandled cuda error (run with NCCL_DEBUG=INFO for details)'\n"},

	{contract.TokenSpeed, framework.FailOOM, "[engine] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB." + tokenEnd},
	{contract.TokenSpeed, framework.FailPort, "[engine] OSError: [Errno 98] Address already in use" + tokenEnd},
	{contract.TokenSpeed, framework.FailUnknownFlag, "[engine] error: unrecognized arguments: --gpu-mem 0.9" + tokenEnd},
	{contract.TokenSpeed, framework.FailUnknownFlag, "[gateway] error: unexpected argument '--gpu-mem' found" + tokenEnd},
	{contract.TokenSpeed, framework.FailChild, "[engine] RuntimeError: boom" + tokenEnd},
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range failureLogs {
		p := adapter(t, c.of).Protocol(framework.Spec{})
		require.Equal(t, c.want, classify(c.log, p.Failures), "%s: %s", c.of, c.log)
	}
}

// healthy are lines of servers that came up; none of them is a failure.
var healthy = map[contract.Framework]string{
	contract.SGLang: `UserWarning: 'python -m sglang.launch_server' is still supported
[2026-11-23 10:00:00] server_args=ServerArgs(model_path='/m', mem_fraction_static=0.82, watchdog_timeout=300, context_length=None, quantization=None)
[2026-11-23 10:00:01] Init torch distributed begin.
[2026-11-23 10:00:01] Warning: User-specified context_length (65536) is greater than the derived context_length (40960). This may lead to incorrect model outputs or CUDA errors.
[2026-11-23 10:00:02] Init torch distributed ends. elapsed=0.32 s, mem usage=0.10 GB
[2026-11-23 10:00:02] MOE_RUNNER_BACKEND is not initialized, the backend will be automatically selected
[2026-11-23 10:00:03] Intel AMX is not supported on this platform, will fallback to torch_native
[2026-11-23 10:00:05] Load weight end. elapsed=3.01 s, type=Qwen3ForCausalLM, avail mem=61.02 GB
[2026-11-23 10:00:06] KV Cache is allocated. #tokens: 400000, K size: 20.00 GB, V size: 20.00 GB
[2026-11-23 10:00:07] Capture target decode CUDA graph end. elapsed=5.20 s, mem usage=1.00 GB
[2026-11-23 10:00:08] max_total_num_tokens=400000, chunked_prefill_size=8192, max_running_requests=4096, context_len=40960
[2026-11-23 10:00:09] INFO:     Uvicorn running on http://127.0.0.1:30000 (Press CTRL+C to quit)
[2026-11-23 10:00:10] The server is fired up and ready to roll!
`,
	contract.VLLM: `INFO 11-23 10:00:00 [importing.py:53] Triton is installed but 0 active driver(s) found (expected 1). Disabling Triton to prevent runtime errors.
(APIServer pid=700) INFO 11-23 10:00:01 [api_server.py:1] non-default args: {'model_tag': '/m', 'port': 8000}
(EngineCore pid=811) INFO 11-23 10:00:02 [core.py:99] Initializing a V1 LLM engine (v0.26.0) with config: max_seq_len=40960, quantization=None
(EngineCore pid=811) WARNING 11-23 10:00:02 [interface.py:1] Failed to import from vllm._flashmla_C: No module named 'vllm._flashmla_C'
(EngineCore pid=811) INFO 11-23 10:00:05 [default_loader.py:431] Loading weights took 2.01 seconds
(EngineCore pid=811) INFO 11-23 10:00:06 [monitor.py:20] torch.compile took 8.12 s in total
(EngineCore pid=811) INFO 11-23 10:00:06 [kv_cache_utils.py:1] GPU KV cache size: 400,000 tokens
(EngineCore pid=811) INFO 11-23 10:00:09 [gpu_model_runner.py:6845] Graph capturing finished in 3 secs, took 0.52 GiB
(APIServer pid=700) INFO:     Application startup complete.
`,
	contract.TensorRTLLM: "[TensorRT-LLM] TensorRT LLM version: 1.2.1\n[11/23/2026-10:00:00] [TRT-LLM] [I] Using LLM with PyTorch backend\nLoading weights took 3.1 seconds\nINFO:     Application startup complete.\n",
	contract.TokenSpeed:  "[engine] Load weight begin. avail mem=78.2 GB\n[engine] Load weight end. type=Qwen3ForCausalLM, dtype=torch.bfloat16, avail mem=61.0 GB\nts serve ready on http://127.0.0.1:8000\nts control server ready on http://127.0.0.1:8001\n",
}

func TestHealthyLogs(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		p, log := fw.Protocol(framework.Spec{}), healthy[fw.Type()]
		require.Empty(t, classify(log, p.Failures), fw.Type())
		require.Contains(t, log, p.ReadyLog)
		for _, phase := range p.Phases {
			if phase.Contains == "Capture cuda graph end" || phase.Contains == "Warming up done." { // before 0.5.15; on a CPU
				continue
			}
			require.Contains(t, log, phase.Contains, "%s %s", fw.Type(), phase.Name)
		}
		require.Equal(t, "ready", p.Phases[len(p.Phases)-1].Name)
	}
}

// TestPatternsCanMatch: a pattern behind one that it contains would never decide.
func TestPatternsCanMatch(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		list := fw.Protocol(framework.Spec{}).Failures
		for i, p := range list {
			require.Equal(t, strings.ToLower(p.Contains), p.Contains)
			require.NotEmpty(t, p.Contains)
			for _, before := range list[:i] {
				if before.Class != p.Class {
					require.NotContains(t, p.Contains, before.Contains, "%s: %q never decides", fw.Type(), p.Contains)
				}
			}
		}
	}
}

// TestCallsAreValid fills the placeholders as the worker does.
func TestCallsAreValid(t *testing.T) {
	t.Parallel()
	fill := strings.NewReplacer(framework.OutputPlaceholder, "/tmp/run-1/traces/c1", framework.StepsPlaceholder, "6", framework.StagePlaceholder, "decode")
	for _, fw := range framework.All {
		for _, device := range []string{"cuda", "cpu"} {
			p := fw.Protocol(framework.Spec{Device: device})
			require.True(t, strings.HasPrefix(p.ReadyPath, "/"))
			require.NotEmpty(t, p.InfoPaths)
			require.NotNil(t, p.Profile.Start)
			for _, c := range []*framework.Call{p.Flush, p.Profile.Start, p.Profile.Stop} {
				if c == nil {
					continue
				}
				require.Equal(t, "POST", c.Method)
				if c.Body == "" {
					continue
				}
				var body map[string]any
				require.NoError(t, json.Unmarshal([]byte(fill.Replace(c.Body)), &body), fw.Type())
				require.Equal(t, "/tmp/run-1/traces/c1", body["output_dir"])
				require.Equal(t, 6.0, body["num_steps"])
				require.NotContains(t, fill.Replace(c.Body), "{num_steps}")
			}
			for _, pattern := range p.Profile.FilePatterns {
				_, err := path.Match(pattern, "x")
				require.NoError(t, err)
			}
		}
	}
	var cpu map[string]any
	require.NoError(t, json.Unmarshal([]byte(fill.Replace(adapter(t, contract.SGLang).Protocol(framework.Spec{Device: "cpu"}).Profile.Start.Body)), &cpu))
	require.Equal(t, []any{"CPU"}, cpu["activities"])
	require.Equal(t, true, cpu["with_stack"]) // where a kernel was called from is what a profile is for
}

// TestVLLMProfilerConfig has fields that vLLM's ProfilerConfig knows.
func TestVLLMProfilerConfig(t *testing.T) {
	t.Parallel()
	l, err := adapter(t, contract.VLLM).Launch(framework.Spec{ModelPath: "/m", ServedName: "m", Capture: true, Steps: 4})
	require.NoError(t, err)
	var config map[string]any
	for i, a := range l.Argv {
		if a == "--profiler-config" {
			require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(l.Argv[i+1], framework.OutputPlaceholder, "/tmp/t")), &config))
		}
	}
	require.Equal(t, map[string]any{"profiler": "torch", "torch_profiler_dir": "/tmp/t", "ignore_frontend": true, "max_iterations": 4.0}, config)
}

// TestCommands ask the engine's own executables.
func TestCommands(t *testing.T) {
	t.Parallel()
	for of, want := range map[contract.Framework][3]string{
		contract.SGLang:      {"/v/bin/python -m sglang.launch_server --help", "/v/bin/python -m sglang.bench_serving --help", "/v/bin/python -c "},
		contract.VLLM:        {"/v/bin/vllm serve --help=all", "/v/bin/vllm bench serve --help=all", "/v/bin/vllm --version"},
		contract.TensorRTLLM: {"/v/bin/trtllm-serve serve --help", "/v/bin/python -m tensorrt_llm.serve.scripts.benchmark_serving --help", "/v/bin/python -c "},
		contract.TokenSpeed:  {"/v/bin/python -c from tokenspeed.", "/v/bin/tokenspeed bench serve --help", "/v/bin/python -c "},
	} {
		fw, e := adapter(t, of), framework.Engine{Venv: "/v"}
		serve, err := fw.HelpCommand(e, "serve")
		require.NoError(t, err)
		bench, err := fw.HelpCommand(e, "bench")
		require.NoError(t, err)
		for i, argv := range [][]string{serve, bench, fw.VersionCommand(e)} {
			require.True(t, strings.HasPrefix(strings.Join(argv, " "), want[i]), "%s %v", of, argv)
		}
	}
}
