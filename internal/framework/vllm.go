package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// vllm speaks to `vllm serve`.
type vllm struct{}

var vllmFlags = table{
	contract: []string{"model", "revision", "code-revision", "tokenizer", "tokenizer-mode", "tokenizer-revision", "skip-tokenizer-init", "load-format", "trust-remote-code", "dtype", "quantization",
		"kv-cache-dtype", "hf-overrides", "max-model-len", "seed", "served-model-name", "speculative-config", "runner", "convert", "task", "model-impl", "cpu-offload-gb", "enable-lora",
		"override-generation-config", "generation-config", "calculate-kv-scales", "rope-scaling", "rope-theta", "limit-mm-per-prompt", "device"},
	host: []string{"host", "port", "uds", "api-key", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "root-path", "uvicorn-log-level", "disable-uvicorn-access-log", "download-dir", "log-config-file",
		"disable-log-stats", "enable-log-requests", "disable-log-requests", "max-log-len", "profiler-config", "otlp-traces-endpoint", "headless", "api-server-count", "data-parallel-address",
		"data-parallel-rpc-port", "master-addr", "master-port", "node-rank", "nnodes", "stream-interval", "otlp-traces"},
	forbidden: []string{"middleware", "tool-parser-plugin", "reasoning-parser-plugin", "logits-processors", "config", "chat-template", "allowed-local-media-path", "worker-cls",
		"worker-extension-cls", "scheduler-cls", "lora-modules", "tool-server", "response-role", "kv-transfer-config", "io-processor-plugin", "tool-call-parser", "reasoning-parser",
		"distributed-executor-backend", "model-loader-extra-config", "additional-config", "structured-outputs-config"},
	pinned: []string{"gpu-memory-utilization"},
	search: map[string]string{
		"max-num-seqs": KindInt, "max-num-batched-tokens": KindInt, "block-size": "", "tensor-parallel-size": KindInt, "pipeline-parallel-size": KindInt, "data-parallel-size": KindInt,
		"attention-backend": "", "compilation-config": KindJSON, "long-prefill-token-threshold": KindInt, "max-num-partial-prefills": KindInt, "num-gpu-blocks-override": KindInt,
		"cuda-graph-sizes": KindList, "max-seq-len-to-capture": KindInt, "kv-cache-memory-bytes": KindInt,
	},
	roles: map[string]string{"tensor-parallel-size": "tp", "tp": "tp", "pipeline-parallel-size": "pp", "pp": "pp", "data-parallel-size": "dp", "dp": "dp", "max-model-len": "context"},
}

func (vllm) Type() contract.Framework { return contract.VLLM }

func (vllm) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "vllm"), "bench", "serve", "--help=all"}, nil
	}
	return []string{exe(e, "vllm"), "serve", "--help=all"}, nil
}

func (vllm) ParseHelp(text string) (Help, error) {
	h, err := parseHelp(text)
	return vllmFlags.refine(h), err
}

func (vllm) VersionCommand(e Engine) []string { return []string{exe(e, "vllm"), "--version"} }

func (vllm) ParseVersion(text string) (Version, error) { return parseVersion(text) }

func (vllm) Class(f Flag) FlagClass { return vllmFlags.class(f) }

func (vllm) Role(name string) string { return vllmFlags.role(name) }

func (vllm) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "vllm"), "serve", s.ModelPath, "--served-model-name", s.ServedName, "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil {
		argv = set(argv, "--dtype", c.Precision)
		argv = set(argv, "--quantization", c.Quantization)
		argv = set(argv, "--kv-cache-dtype", c.KVDtype)
		if c.MaxContext > 0 {
			argv = append(argv, "--max-model-len", strconv.Itoa(c.MaxContext))
		}
		argv = append(argv, "--seed", strconv.FormatUint(c.Seed%1_000_000, 10))
	}
	if len(s.GPUs) > 1 && s.Device != "cpu" && !laidOut(vllmFlags, s) {
		argv = append(argv, "--tensor-parallel-size", strconv.Itoa(len(s.GPUs)))
	}
	if s.Capture {
		argv = append(argv, "--profiler-config", `{"profiler":"torch","torch_profiler_dir":"`+OutputPlaceholder+`","ignore_frontend":true,"max_iterations":`+strconv.Itoa(s.Steps)+`}`)
	}
	knobs, err := flags(vllmFlags, s, false)
	env := offline()
	env["VLLM_SERVER_DEV_MODE"] = "1"
	env["VLLM_CACHE_ROOT"] = CachePlaceholder + "/vllm"
	return Launch{Argv: append(argv, knobs...), Env: env}, err
}

func (vllm) Protocol(Spec) Protocol {
	return Protocol{
		ReadyPath: "/health", ReadyLog: "Application startup complete.",
		Phases:    []LogPhase{{"weights", "Loading weights took"}, {"jit", "torch.compile takes"}, {"graphs", "Graph capturing finished"}, {"ready", "Application startup complete."}},
		Failures:  commonFailures(FailurePattern{FailOOM, "no available memory for the cache blocks"}, FailurePattern{FailContext, "kv cache is needed, which is larger than the available kv cache memory"}),
		Flush:     &Call{Method: "POST", Path: "/reset_prefix_cache"},
		InfoPaths: []string{"/server_info?config_format=json", "/version"}, Metrics: "/metrics",
		Profile: Profile{Start: &Call{Method: "POST", Path: "/start_profile"}, Stop: &Call{Method: "POST", Path: "/stop_profile"}, StopMayFail: true, DirAtLaunch: true, OneStage: true, FilePatterns: profileFiles},
	}
}
