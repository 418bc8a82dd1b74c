package framework_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func TestVariablesAreHarmless(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		seen := map[string]bool{}
		for _, v := range framework.Variables(fw.Type()) {
			name, ok := strings.CutPrefix(v.Name, framework.VariablePrefix)
			require.True(t, ok, v.Name)
			require.False(t, seen[name], name)
			seen[name] = true
			require.False(t, framework.IsLoader(name), name)
			require.Contains(t, []string{framework.KindEnum, framework.KindInt}, v.Kind, "%s takes no free text", name)
			require.Equal(t, framework.ClassSearch, fw.Class(v))
			for _, word := range []string{"PATH", "DIR", "FILE", "PLUGIN", "HOST", "PORT", "KEY", "URL", "LOG", "PACKAGE", "MODEL_REDIRECT", "CACHE_ROOT", "TRACE", "PROFILE", "QUANTIZATION", "CONFIG"} {
				require.NotContains(t, strings.Split(name, "_"), word, name)
			}
			for _, bad := range []any{"/etc/passwd", "1;id", "$(id)", true, []any{1.0}, map[string]any{}, "-1x"} {
				require.Error(t, v.Accepts(bad), "%s=%v", name, bad)
			}
		}
	}
}

func TestVariablesOfALaunch(t *testing.T) {
	t.Parallel()
	fw, err := framework.Of(contract.VLLM)
	require.NoError(t, err)
	spec := framework.Spec{Engine: framework.Engine{Entry: "vllm", Type: contract.VLLM, Venv: "/v"}, ModelPath: "/m", ServedName: "m", Device: "cuda", GPUs: []int{0},
		Help:  (&framework.Help{Flags: []framework.Flag{{Name: "--max-num-seqs", Kind: framework.KindInt}}}).WithVariables(contract.VLLM),
		Flags: map[string]any{"env:VLLM_USE_DEEP_GEMM": "1", "env:VLLM_FUSED_MOE_CHUNK_SIZE": 32768.0, "env:VLLM_FLASH_ATTN_VERSION": nil, "max-num-seqs": 64.0}}
	l, err := fw.Launch(spec)
	require.NoError(t, err)
	require.Equal(t, "1", l.Env["VLLM_USE_DEEP_GEMM"])
	require.Equal(t, "32768", l.Env["VLLM_FUSED_MOE_CHUNK_SIZE"])
	require.NotContains(t, l.Env, "VLLM_FLASH_ATTN_VERSION", "null leaves it as shipped")
	require.NotContains(t, strings.Join(l.Argv, " "), "DEEP_GEMM")
	require.Contains(t, strings.Join(l.Argv, " "), "--max-num-seqs 64")

	for name, v := range map[string]any{
		"env:LD_PRELOAD": "/tmp/x.so", "env:PYTHONPATH": "/tmp", "env:BASH_ENV": "x", "env:VLLM_PLUGINS": "evil", "env:VLLM_NO_SUCH": "1", "env:SGLANG_USE_PICKLE_IPC": "1",
		"env:": "1", "env:vllm_use_deep_gemm": "1", "env:VLLM_USE_DEEP_GEMM ": "1", "env:VLLM_USE_DEEP_GEMM": "2",
	} {
		spec.Flags = map[string]any{name: v}
		_, err := fw.Launch(spec)
		require.Error(t, err, "%s=%v", name, v)
	}
}

func TestClassesOfVariables(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		for name, want := range map[string]framework.FlagClass{
			"env:LD_PRELOAD": framework.ClassForbidden, "env:ld_preload": framework.ClassForbidden, "env:LD_LIBRARY_PATH": framework.ClassForbidden, "env:PYTHONSTARTUP": framework.ClassForbidden,
			"env:BASH_ENV": framework.ClassForbidden, "env:PATH": framework.ClassForbidden, "env:NODE_OPTIONS": framework.ClassForbidden, "env:CUDA_VISIBLE_DEVICES": framework.ClassHost,
			"env:HF_TOKEN": framework.ClassHost, "env:OMP_NUM_THREADS": framework.ClassHost, "env:NCCL_DEBUG": framework.ClassHost,
		} {
			require.Equal(t, want, fw.Class(framework.Flag{Name: name, Kind: framework.KindString}), name)
		}
	}
}

// TestNoKnobLoadsCode reads every flag of the real helps: a knob is no free text, and its name has none of the words of
// flags that name files, addresses or code, unless it is known by name and takes only numbers, switches and choices.
func TestNoKnobLoadsCode(t *testing.T) {
	t.Parallel()
	for _, h := range helps {
		fw := adapter(t, h.of)
		known := []framework.FlagClass{framework.ClassSearch, framework.ClassContract, framework.ClassHost, framework.ClassForbidden, framework.ClassPinned, framework.ClassUnlisted}
		for _, f := range helpOf(t, h.name, h.of).Flags {
			c := fw.Class(f)
			require.Contains(t, known, c, "%s %s", h.name, f.Name)
			if c != framework.ClassSearch && c != framework.ClassPinned {
				continue
			}
			require.NotRegexp(t, `(^|[-_])(path|file|dir|folder|plugin|module|cls|class|middleware|script|url|uri|socket|token-id|key|hook|loader|callback|config-file)s?([-_]|$)`, strings.TrimLeft(f.Name, "-"), "%s", h.name)
			switch f.Kind {
			case framework.KindBool, framework.KindInt, framework.KindFloat, framework.KindEnum, framework.KindList:
			case framework.KindJSON:
				require.NotEmpty(t, f.Keys, "%s: %s is a JSON knob without a schema", h.name, f.Name)
			default:
				require.Contains(t, plainWords, strings.TrimLeft(f.Name, "-"), "%s: %s takes free text", h.name, f.Name)
			}
		}
	}
}

// plainWords are the knobs of free text that adapters list: names of backends and algorithms, which a rule holds to one
// plain word.
var plainWords = []string{"attention-backend", "all2all-backend", "moe-backend", "mamba-backend", "mamba-scheduler-strategy", "eplb-algorithm"}
