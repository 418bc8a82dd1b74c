package framework

import (
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// VariablePrefix begins the name of a variable of the environment where flags are named: env:NAME.
const VariablePrefix = "env:"

// groupVariables is the group that variables stand in beside captured flags.
const groupVariables = "environment"

// Variables are the variables of a framework's environment that a search may set, as flags named env:NAME. None of them
// loads code, names a file, an address or a key, or changes what is computed or answered. No help lists variables, so an
// adapter has to name each; read from vllm/envs.py and sglang/srt/environ.py.
func Variables(t contract.Framework) []Flag {
	onOff := func(name, doc string) Flag {
		return Flag{Name: VariablePrefix + name, Kind: KindEnum, Choices: []string{"0", "1"}, Doc: doc, Group: groupVariables}
	}
	number := func(name, standard, doc string) Flag {
		return Flag{Name: VariablePrefix + name, Kind: KindInt, Default: standard, Doc: doc, Group: groupVariables}
	}
	choice := func(name, doc string, choices ...string) Flag {
		return Flag{Name: VariablePrefix + name, Kind: KindEnum, Choices: choices, Doc: doc, Group: groupVariables}
	}
	switch t {
	case contract.SGLang:
		return []Flag{
			onOff("SGLANG_ENABLE_TORCH_INFERENCE_MODE", "run the model in torch.inference_mode instead of no_grad"),
			onOff("SGLANG_ENABLE_JIT_DEEPGEMM", "take DeepGEMM's kernels for FP8 matrix products"),
			onOff("SGLANG_USE_MESSAGE_QUEUE_BROADCASTER", "broadcast between ranks through shared memory"),
			onOff("SGLANG_USE_PICKLE_IPC", "serialise messages between processes with pickle instead of msgpack"),
		}
	case contract.VLLM:
		return []Flag{
			onOff("VLLM_USE_FLASHINFER_SAMPLER", "sample with FlashInfer's kernels"),
			choice("VLLM_FLASH_ATTN_VERSION", "version of FlashAttention", "2", "3"),
			onOff("VLLM_USE_DEEP_GEMM", "take DeepGEMM's kernels for FP8 matrix products"),
			onOff("VLLM_USE_FLASHINFER_MOE_FP8", "take FlashInfer's kernels for FP8 experts"),
			choice("VLLM_KV_CACHE_LAYOUT", "order of heads and tokens in the KV cache", "NHD", "HND"),
			number("VLLM_FUSED_MOE_CHUNK_SIZE", "65536", "tokens a chunk of the fused experts"),
			number("VLLM_MOE_DP_CHUNK_SIZE", "256", "tokens a chunk of experts under data parallelism"),
			number("VLLM_V1_OUTPUT_PROC_CHUNK_SIZE", "128", "outputs that the front end handles at a time"),
			number("VLLM_MSGPACK_ZERO_COPY_THRESHOLD", "256", "bytes from which messages are not copied"),
			number("VLLM_MQ_MAX_CHUNK_BYTES_MB", "16", "largest message of the shared-memory queue in MB"),
			onOff("VLLM_SLEEP_WHEN_IDLE", "let an idle engine sleep instead of spin"),
		}
	case contract.TensorRTLLM:
		return []Flag{onOff("TRTLLM_ENABLE_PDL", "overlap the ends of kernels with the beginnings of the next")}
	}
	return nil
}

// WithVariables is a captured help with the variables that a search may set, for looking names up and listing them. The help
// itself stays what was captured.
func (h *Help) WithVariables(t contract.Framework) *Help {
	return &Help{Flags: slices.Concat(h.Flags, Variables(t)), Digest: h.Digest}
}

// IsVariable says whether a name is of a variable and not of a flag.
func IsVariable(name string) bool { return strings.HasPrefix(name, VariablePrefix) }

// launched is a launch with the variables that the candidate sets.
func launched(t contract.Framework, s Spec, argv []string, env map[string]string) (Launch, error) {
	set, err := variables(t, s)
	if err != nil {
		return Launch{}, err
	}
	maps.Copy(env, set)
	return Launch{Argv: argv, Env: env}, nil
}

// variables gives what a candidate sets in the engine's environment: names that the adapter lists, values that fit them.
func variables(t contract.Framework, s Spec) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		v := s.Flags[name]
		if !IsVariable(name) || v == nil {
			continue
		}
		i := slices.IndexFunc(Variables(t), func(f Flag) bool { return f.Name == name })
		if i < 0 {
			return nil, fault.New(fault.RuleViolation, "%s is no variable that a search may set", name).ByRule("flow.flag-class").At(name, name)
		}
		if err := Variables(t)[i].Accepts(v); err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "value %q of %s", Render(v), name).At(name, Render(v), Variables(t)[i].Choices...)
		}
		out[strings.TrimPrefix(name, VariablePrefix)] = Render(v)
	}
	return out, nil
}
