package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// sglang speaks to `python -m sglang.launch_server`.
type sglang struct{}

var sglangFlags = table{
	contract: []string{"model-path", "model", "revision", "tokenizer-path", "tokenizer-mode", "skip-tokenizer-init", "load-format", "trust-remote-code", "dtype", "quantization",
		"quantization-param-path", "kv-cache-dtype", "json-model-override-args", "context-length", "is-embedding", "enable-multimodal", "model-impl", "served-model-name",
		"speculative-algorithm", "speculative-algo", "speculative-draft-model-path", "speculative-draft-model", "speculative-num-steps", "speculative-eagle-topk", "speculative-num-draft-tokens",
		"device", "random-seed", "cpu-offload-gb", "lora-paths", "enable-lora", "model-loader-extra-config"},
	host: []string{"host", "port", "nccl-port", "nccl-init-addr", "dist-init-addr", "nnodes", "node-rank", "api-key", "admin-api-key", "log-level", "log-level-http", "log-requests",
		"log-requests-level", "file-storage-path", "fastapi-root-path", "ssl-keyfile", "ssl-certfile", "base-gpu-id", "gpu-id-step", "download-dir", "show-time-cost", "enable-metrics",
		"crash-dump-folder", "decode-log-interval", "stream-interval"},
	forbidden: []string{"config", "chat-template", "completion-template", "custom-weight-loader", "enable-custom-logit-processor", "forward-hooks", "tool-server", "weight-loader-disable-mmap",
		"warmups", "tool-call-parser", "reasoning-parser", "hicache-storage-backend-extra-config", "export-metrics-to-file", "sampling-defaults"},
	pinned: []string{"mem-fraction-static", "schedule-policy"},
	search: map[string]string{
		"attention-backend": "", "prefill-attention-backend": "", "decode-attention-backend": "", "sampling-backend": "", "chunked-prefill-size": KindInt, "max-prefill-tokens": KindInt,
		"max-running-requests": KindInt, "max-total-tokens": KindInt, "schedule-conservativeness": KindFloat, "cuda-graph-max-bs": KindInt, "cuda-graph-bs": KindList, "page-size": KindInt,
		"tensor-parallel-size": KindInt, "tp-size": KindInt, "data-parallel-size": KindInt, "dp-size": KindInt, "pipeline-parallel-size": KindInt, "pp-size": KindInt, "expert-parallel-size": KindInt,
		"ep-size": KindInt, "num-continuous-decode-steps": KindInt, "max-queued-requests": KindInt, "triton-attention-num-kv-splits": KindInt,
	},
	roles: map[string]string{"tensor-parallel-size": "tp", "tp-size": "tp", "tp": "tp", "data-parallel-size": "dp", "dp-size": "dp", "dp": "dp", "pipeline-parallel-size": "pp", "pp-size": "pp",
		"expert-parallel-size": "ep", "ep-size": "ep", "ep": "ep", "context-length": "context"},
}

func (sglang) Type() contract.Framework { return contract.SGLang }

func (sglang) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "python"), "-m", "sglang.bench_serving", "--help"}, nil
	}
	return []string{exe(e, "python"), "-m", "sglang.launch_server", "--help"}, nil
}

func (sglang) ParseHelp(text string) (Help, error) {
	h, err := parseHelp(text)
	return sglangFlags.refine(h), err
}

func (sglang) VersionCommand(e Engine) []string {
	return []string{exe(e, "python"), "-c", versionProgram("sglang")}
}

func (sglang) ParseVersion(text string) (Version, error) { return parseVersion(text) }

func (sglang) Class(f Flag) FlagClass { return sglangFlags.class(f) }

func (sglang) Role(name string) string { return sglangFlags.role(name) }

func (sglang) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "python"), "-m", "sglang.launch_server", "--model-path", s.ModelPath, "--served-model-name", s.ServedName, "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil {
		argv = set(argv, "--dtype", c.Precision)
		argv = set(argv, "--quantization", c.Quantization)
		argv = set(argv, "--kv-cache-dtype", c.KVDtype)
		if c.MaxContext > 0 {
			argv = append(argv, "--context-length", strconv.Itoa(c.MaxContext))
		}
		argv = append(argv, "--random-seed", strconv.FormatUint(c.Seed%1_000_000, 10))
	}
	if s.Device == "cpu" {
		argv = append(argv, "--device", "cpu")
	} else if len(s.GPUs) > 1 && !laidOut(sglangFlags, s) {
		argv = append(argv, "--tp-size", strconv.Itoa(len(s.GPUs)))
	}
	knobs, err := flags(sglangFlags, s, false)
	env := offline()
	if s.Device == "cpu" {
		env["SGLANG_USE_CPU_ENGINE"] = "1"
	}
	return Launch{Argv: append(argv, knobs...), Env: env}, err
}

func (sglang) Protocol(Spec) Protocol {
	return Protocol{
		ReadyPath: "/health", ReadyLog: "The server is fired up and ready to roll!",
		Phases:    []LogPhase{{"distributed", "Init torch distributed ends"}, {"weights", "Load weight end"}, {"graphs", "Capture cuda graph end"}, {"ready", "The server is fired up and ready to roll!"}},
		Failures:  commonFailures(FailurePattern{FailOOM, "please try to increase --mem-fraction-static"}, FailurePattern{FailOOM, "please try to reduce --mem-fraction-static"}, FailurePattern{FailArch, "flashattention v3 backend requires"}),
		Flush:     &Call{Method: "POST", Path: "/flush_cache"},
		InfoPaths: []string{"/server_info", "/get_server_info"},
		Profile: Profile{
			Start: &Call{Method: "POST", Path: "/start_profile", Body: `{"output_dir":"` + OutputPlaceholder + `","num_steps":` + StepsPlaceholder +
				`,"activities":["CPU","GPU"],"with_stack":true,"record_shapes":true,"profile_by_stage":false,"profile_prefix":"` + StagePlaceholder + `"}`},
			Stop: &Call{Method: "POST", Path: "/stop_profile"}, StopMayFail: true, ExtraSteps: 1, FilePatterns: profileFiles,
		},
	}
}
