package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// tensorRTLLM speaks to `trtllm-serve serve --backend pytorch`; no other backend is ever launched.
type tensorRTLLM struct{}

var tensorRTFlags = table{
	contract:  []string{"backend", "tokenizer", "max-seq-len", "trust-remote-code", "revision", "model", "kv-cache-dtype"},
	host:      []string{"host", "port", "log-level", "metadata-server-config-file", "server-role", "fail-fast-on-attention-window-too-large"},
	forbidden: []string{"config", "extra-llm-api-options", "custom-module-dirs", "chat-template", "reasoning-parser", "tool-parser", "media-io-kwargs"},
	pinned:    []string{"kv-cache-free-gpu-memory-fraction", "free-gpu-memory-fraction"},
	search:    map[string]string{"max-batch-size": KindInt, "max-num-tokens": KindInt, "max-beam-width": KindInt, "tp-size": KindInt, "pp-size": KindInt, "ep-size": KindInt, "cluster-size": KindInt, "num-postprocess-workers": KindInt},
	roles:     map[string]string{"tp-size": "tp", "tensor-parallel-size": "tp", "pp-size": "pp", "ep-size": "ep", "max-seq-len": "context", "backend": "backend"},
}

func (tensorRTLLM) Type() contract.Framework { return contract.TensorRTLLM }

func (tensorRTLLM) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "python"), "-m", "tensorrt_llm.serve.scripts.benchmark_serving", "--help"}, nil
	}
	return []string{exe(e, "trtllm-serve"), "serve", "--help"}, nil
}

func (tensorRTLLM) ParseHelp(text string) (Help, error) {
	h, err := parseHelp(text)
	return tensorRTFlags.refine(h), err
}

func (tensorRTLLM) VersionCommand(e Engine) []string {
	return []string{exe(e, "python"), "-c", versionProgram("tensorrt_llm")}
}

func (tensorRTLLM) ParseVersion(text string) (Version, error) { return parseVersion(text) }

func (tensorRTLLM) Class(f Flag) FlagClass { return tensorRTFlags.class(f) }

func (tensorRTLLM) Role(name string) string { return tensorRTFlags.role(name) }

func (tensorRTLLM) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "trtllm-serve"), "serve", s.ModelPath, "--backend", "pytorch", "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil && c.MaxContext > 0 {
		argv = append(argv, "--max_seq_len", strconv.Itoa(c.MaxContext))
	}
	if len(s.GPUs) > 1 && !laidOut(tensorRTFlags, s) {
		argv = append(argv, "--tp_size", strconv.Itoa(len(s.GPUs)))
	}
	knobs, err := flags(tensorRTFlags, s, true)
	env := offline()
	if s.Capture {
		env["TLLM_PROFILE_START_STOP"] = "12-" + strconv.Itoa(12+s.Steps)
		env["TLLM_TORCH_PROFILE_TRACE"] = OutputPlaceholder + "/trace.json"
	}
	return Launch{Argv: append(argv, knobs...), Env: env}, err
}

func (tensorRTLLM) Protocol(Spec) Protocol {
	return Protocol{
		ReadyPath: "/health", ReadyLog: "Application startup complete.",
		Phases:   []LogPhase{{"ready", "Application startup complete."}},
		Failures: commonFailures(),
		Flush:    nil, InfoPaths: []string{"/server_info", "/version"},
		Profile: Profile{Start: &Call{Method: "POST", Path: "/start_profile"}, Stop: &Call{Method: "POST", Path: "/stop_profile"}, DirAtLaunch: true, OneStage: true, FilePatterns: profileFiles},
	}
}
