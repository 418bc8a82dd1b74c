package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// vllmCPUCache is the KV cache on a CPU in bytes: what vLLM took before it asked for nearly all of the memory, and failed
// where other processes have some. A host's VLLM_CPU_KVCACHE_SPACE (GiB) wins over the flag.
const vllmCPUCache = 4 << 30

// vllm speaks to `vllm serve`.
type vllm struct{ *table }

func (vllm) Type() contract.Framework { return contract.VLLM }

func (vllm) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "vllm"), "bench", "serve", "--help=all"}, nil
	}
	return []string{exe(e, "vllm"), "serve", "--help=all"}, nil
}

func (vllm) VersionCommand(e Engine) []string { return []string{exe(e, "vllm"), "--version"} }

func (vllm) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "vllm"), "serve", s.ModelPath, "--served-model-name", s.ServedName, "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil {
		argv = set(argv, "--tokenizer", c.Model.Tokenizer)
		argv = when(c.TrustRemoteCode, argv, "--trust-remote-code")
		argv = set(argv, "--dtype", c.Precision)
		argv = set(argv, "--quantization", c.Quantization)
		argv = set(argv, "--kv-cache-dtype", c.KVDtype)
		if c.MaxContext > 0 {
			argv = append(argv, "--max-model-len", strconv.Itoa(c.MaxContext))
		}
		argv = append(argv, "--seed", seedOf(c.Seed))
	}
	argv = when(cached(s, "enable-prompt-tokens-details"), argv, "--enable-prompt-tokens-details")
	if len(s.GPUs) > 1 && s.Device != "cpu" && !laidOut(&vllmFlags, s) {
		argv = append(argv, "--tensor-parallel-size", strconv.Itoa(len(s.GPUs)))
	}
	if s.Device == "cpu" && knows(s, "kv-cache-memory-bytes") && !gives(s, "kv-cache-memory-bytes", "gpu-memory-utilization", "num-gpu-blocks-override") {
		argv = append(argv, "--kv-cache-memory-bytes", strconv.Itoa(vllmCPUCache))
	}
	if s.Capture {
		argv = append(argv, "--profiler-config", `{"profiler":"torch","torch_profiler_dir":"`+OutputPlaceholder+`","ignore_frontend":true,"max_iterations":`+strconv.Itoa(s.Steps)+`}`)
	}
	knobs, err := flags(&vllmFlags, s, false)
	if err != nil {
		return Launch{}, err
	}
	env := offline()
	env["VLLM_SERVER_DEV_MODE"] = "1" // /reset_prefix_cache and /server_info
	env["VLLM_NO_USAGE_STATS"], env["VLLM_USE_MODELSCOPE"] = "1", "False"
	env["VLLM_CACHE_ROOT"] = CachePlaceholder + "/vllm"
	if s.Device == "cpu" {
		env["VLLM_CPU_OMP_THREADS_BIND"] = "nobind" // it would leave the cores that the process was given
	}
	return launched(contract.VLLM, s, append(argv, knobs...), env)
}

func (vllm) Protocol(Spec) Protocol {
	return Protocol{
		ReadyPath: "/health", ReadyLog: "Application startup complete.",
		Phases: []LogPhase{{"weights", "Loading weights took"}, {"jit", "torch.compile took"}, {"jit", "Warming up done."}, {"graphs", "Graph capturing finished"}, {"ready", "Application startup complete."}},
		Failures: failures(
			FailurePattern{FailContext, "greater than the derived max_model_len"},
			FailurePattern{FailContext, "which is larger than the available kv cache memory"},
			FailurePattern{FailContext, "larger than the maximum number of tokens that can be stored in kv cache"},
			FailurePattern{FailOOM, "no available memory for the cache blocks"}, FailurePattern{FailOOM, "less than desired gpu memory utilization"},
			FailurePattern{FailOOM, "available memory on node"}, FailurePattern{FailBadValue, "unknown attention backend:"},
			FailurePattern{FailModel, "invalid repository id or local directory specified"},
		),
		Flush:     &Call{Method: "POST", Path: "/reset_prefix_cache"},
		InfoPaths: []string{"/server_info?config_format=json", "/version"}, Metrics: "/metrics",
		Profile: Profile{Start: &Call{Method: "POST", Path: "/start_profile"}, Stop: &Call{Method: "POST", Path: "/stop_profile"}, StopMayFail: true, DirAtLaunch: true, OneStage: true, FilePatterns: profileFiles},
	}
}
