package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// tensorRTLLM speaks to `trtllm-serve serve --backend pytorch`; no other backend is ever launched.
type tensorRTLLM struct{ *table }

func (tensorRTLLM) Type() contract.Framework { return contract.TensorRTLLM }

func (tensorRTLLM) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "python"), "-m", "tensorrt_llm.serve.scripts.benchmark_serving", "--help"}, nil
	}
	return []string{exe(e, "trtllm-serve"), "serve", "--help"}, nil
}

func (tensorRTLLM) VersionCommand(e Engine) []string {
	return []string{exe(e, "python"), "-c", versionProgram("tensorrt_llm")}
}

func (tensorRTLLM) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "trtllm-serve"), "serve", s.ModelPath, "--backend", "pytorch", "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil {
		argv = set(argv, "--tokenizer", c.Model.Tokenizer)
		argv = when(c.TrustRemoteCode, argv, "--trust_remote_code")
	}
	if c := s.Contract; c != nil && c.MaxContext > 0 {
		argv = append(argv, "--max_seq_len", strconv.Itoa(c.MaxContext))
	}
	if len(s.GPUs) > 1 && !laidOut(&tensorRTFlags, s) {
		argv = append(argv, "--tp_size", strconv.Itoa(len(s.GPUs)))
	}
	if c := s.Contract; c != nil && c.KVDtype != "" && c.KVDtype != "auto" {
		f := Flag{Name: "--kv_cache_dtype"}
		if s.Help != nil {
			known, ok := s.Help.Find(f.Name)
			if !ok {
				return Launch{}, fault.New(fault.InvalidInput, "this build of TensorRT-LLM cannot be told the KV cache's type %q on its command line", c.KVDtype).At("kv_dtype", c.KVDtype, "auto")
			}
			f = known
		}
		argv = append(argv, f.Name, c.KVDtype)
	}
	knobs, err := flags(&tensorRTFlags, s, true)
	if err != nil {
		return Launch{}, err
	}
	env := offline()
	if s.Capture {
		env["TLLM_PROFILE_START_STOP"] = "12-" + strconv.Itoa(12+s.Steps)
		env["TLLM_TORCH_PROFILE_TRACE"] = OutputPlaceholder + "/trace.json"
	}
	return launched(contract.TensorRTLLM, s, append(argv, knobs...), env)
}

func (tensorRTLLM) Protocol(Spec) Protocol {
	return Protocol{
		ReadyPath: "/health", ReadyLog: "Application startup complete.",
		Phases:   []LogPhase{{"weights", "Loading weights took"}, {"ready", "Application startup complete."}},
		Failures: failures(FailurePattern{FailOOM, "outofmemory"}),
		Flush:    nil, InfoPaths: []string{"/server_info", "/version"},
		Profile: Profile{Start: &Call{Method: "POST", Path: "/start_profile"}, Stop: &Call{Method: "POST", Path: "/stop_profile"}, DirAtLaunch: true, OneStage: true, FilePatterns: profileFiles},
	}
}
