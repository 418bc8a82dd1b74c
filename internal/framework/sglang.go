package framework

import (
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// sglangCPUTokens bounds the KV cache on a CPU. Left alone, SGLang takes most of the memory that is free and writes every
// page of it before it is ready; where less is free than this many tokens need, it takes what it would have.
const sglangCPUTokens = 65536

// sglang speaks to `python -m sglang.launch_server`.
type sglang struct{ *table }

func (sglang) Type() contract.Framework { return contract.SGLang }

func (sglang) HelpCommand(e Engine, command string) ([]string, error) {
	if command == "bench" {
		return []string{exe(e, "python"), "-m", "sglang.bench_serving", "--help"}, nil
	}
	return []string{exe(e, "python"), "-m", "sglang.launch_server", "--help"}, nil
}

func (sglang) VersionCommand(e Engine) []string {
	return []string{exe(e, "python"), "-c", versionProgram("sglang")}
}

func (sglang) Launch(s Spec) (Launch, error) {
	argv := []string{exe(s.Engine, "python"), "-m", "sglang.launch_server", "--model-path", s.ModelPath, "--served-model-name", s.ServedName, "--host", "127.0.0.1", "--port", PortPlaceholder}
	if c := s.Contract; c != nil {
		argv = set(argv, "--tokenizer-path", c.Model.Tokenizer)
		argv = when(c.TrustRemoteCode, argv, "--trust-remote-code")
		argv = set(argv, "--dtype", c.Precision)
		argv = set(argv, "--quantization", c.Quantization)
		argv = set(argv, "--kv-cache-dtype", c.KVDtype)
		if c.MaxContext > 0 {
			argv = append(argv, "--context-length", strconv.Itoa(c.MaxContext))
		}
		argv = append(argv, "--random-seed", seedOf(c.Seed))
	}
	argv = when(cached(s, "enable-cache-report"), argv, "--enable-cache-report")
	if s.Device == "cpu" {
		argv = append(argv, "--device", "cpu")
		if !gives(s, "max-total-tokens", "mem-fraction-static") {
			argv = append(argv, "--max-total-tokens", strconv.Itoa(max(sglangCPUTokens, contextOf(s))))
		}
		if s.Capture && knows(s, "sleep-on-idle") {
			argv = append(argv, "--sleep-on-idle") // an idle scheduler spins, and a trace with stacks records every turn
		}
	} else if len(s.GPUs) > 1 && !laidOut(&sglangFlags, s) {
		argv = append(argv, "--tp-size", strconv.Itoa(len(s.GPUs)))
	}
	knobs, err := flags(&sglangFlags, s, false)
	if err != nil {
		return Launch{}, err
	}
	env := offline()
	env["SGLANG_USE_MODELSCOPE"], env["SGLANG_CACHE_DIR"], env["SGLANG_DG_CACHE_DIR"] = "false", CachePlaceholder+"/sglang", CachePlaceholder+"/deep_gemm"
	env["SGLANG_CUDA_COREDUMP_BEFORE_CRASH"] = "false" // it would wait a minute for dumps of the GPUs before it dies with a child
	if s.Device == "cpu" {
		env["SGLANG_USE_CPU_ENGINE"] = "1"
	}
	return launched(contract.SGLang, s, append(argv, knobs...), env)
}

func (sglang) Protocol(s Spec) Protocol {
	activities := `["CPU","GPU"]`
	if s.Device == "cpu" {
		activities = `["CPU"]`
	}
	return Protocol{
		ReadyPath: "/health", ReadyLog: "The server is fired up and ready to roll!",
		Phases: []LogPhase{{"distributed", "Init torch distributed ends"}, {"weights", "Load weight end"}, {"graphs", "Capture cuda graph end"}, {"graphs", "CUDA graph end."},
			{"ready", "The server is fired up and ready to roll!"}},
		Failures: failures(
			FailurePattern{FailContext, "set the env var sglang_allow_overwrite_longer_context_len=1"},
			FailurePattern{FailOOM, "try to increase --mem-fraction-static"}, FailurePattern{FailOOM, "try to reduce --mem-fraction-static"},
			FailurePattern{FailOOM, "increase --mem-fraction-static,"}, FailurePattern{FailOOM, "or increase --mem-fraction-static"},
			FailurePattern{FailOOM, "leave no gpu memory for the kv cache"}, FailurePattern{FailArch, "flashattention v3 backend requires"},
		),
		Flush:     &Call{Method: "POST", Path: "/flush_cache"},
		InfoPaths: []string{"/server_info", "/get_server_info"},
		Profile: Profile{
			Start: &Call{Method: "POST", Path: "/start_profile", Body: `{"output_dir":"` + OutputPlaceholder + `","num_steps":` + StepsPlaceholder +
				`,"activities":` + activities + `,"with_stack":true,"record_shapes":true,"profile_by_stage":false,"profile_prefix":"` + StagePlaceholder + `"}`},
			Stop: &Call{Method: "POST", Path: "/stop_profile"}, StopMayFail: true, ExtraSteps: 1, FilePatterns: profileFiles,
		},
	}
}
