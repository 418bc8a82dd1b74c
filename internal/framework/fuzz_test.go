package framework_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func FuzzParseHelp(f *testing.F) {
	for _, h := range helps {
		text := helpText(f, h.name)
		f.Add(text[:min(len(text), 3000)])
		f.Add(text[len(text)-min(len(text), 3000):])
	}
	f.Add("options:\n  --a {, -b\n  --c [d|e] / --f\n  -g, --h-i {x,y} [{x,y} ...]  z (default: (default: ))\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, fw := range framework.All {
			help, err := fw.ParseHelp(text)
			if err != nil {
				continue
			}
			for _, flag := range help.Flags {
				require.True(t, strings.HasPrefix(flag.Name, "--"), flag.Name)
				require.NotEmpty(t, flag.Kind)
				found, ok := help.Find(flag.Name)
				require.True(t, ok)
				require.NotEmpty(t, found.Name)
				require.NotEmpty(t, fw.Class(flag))
				_ = flag.Accepts(text)
			}
		}
	})
}

// FuzzLaunch: whatever a candidate holds, each value stays one argument behind a flag that the help has.
func FuzzLaunch(f *testing.F) {
	help := helpOf(f, "vllm_serve_all", contract.VLLM)
	f.Add("attention-backend", "TRITON_ATTN")
	f.Add("compilation-config", `{"mode":3}`)
	f.Add("max-num-seqs", "-1")
	f.Fuzz(func(t *testing.T, name, value string) {
		fw := adapter(t, contract.VLLM)
		plain, err := fw.Launch(framework.Spec{ModelPath: "/m", ServedName: "m", Help: &help})
		require.NoError(t, err)
		l, err := fw.Launch(framework.Spec{ModelPath: "/m", ServedName: "m", Help: &help, Flags: map[string]any{name: value}})
		if err != nil {
			return
		}
		require.Len(t, l.Argv, len(plain.Argv)+2)
		given := l.Argv[len(plain.Argv):]
		flag, ok := help.Find(given[0])
		require.True(t, ok)
		require.Contains(t, []framework.FlagClass{framework.ClassSearch, framework.ClassPinned, framework.ClassUnlisted}, fw.Class(flag))
		require.Equal(t, value, given[1])
		require.False(t, strings.ContainsFunc(given[1], unicode.IsControl))
	})
}

func FuzzParseCommand(f *testing.F) {
	f.Add("python -m sglang.launch_server --model-path m --tp 2 --cuda-graph-bs 1 2 4")
	f.Add(`vllm serve m -tp 2 -cc.mode=3 --compilation-config '{"a": "b"}' --no-x`)
	f.Add("vllm serve \"a\\\nb\" '")
	f.Fuzz(func(t *testing.T, text string) {
		for _, fw := range framework.All {
			flags, err := framework.ParseCommand(fw.Type(), text)
			if err != nil {
				continue
			}
			for name, v := range flags {
				require.NotEmpty(t, name)
				require.NotContains(t, name, " ")
				require.Equal(t, strings.ToLower(name), name)
				if s, ok := v.(string); ok {
					require.NotContains(t, s, "\x00")
				}
			}
			_, _ = fw.Launch(framework.Spec{ModelPath: "/m", ServedName: "m", Flags: flags})
		}
	})
}

func FuzzLastError(f *testing.F) {
	for _, c := range failureLogs {
		f.Add(c.log)
	}
	f.Fuzz(func(t *testing.T, log string) {
		got := framework.LastError(log)
		require.LessOrEqual(t, len(got), 300)
		require.True(t, utf8.ValidString(got))
		require.False(t, strings.ContainsFunc(got, unicode.IsControl))
	})
}

func FuzzParseVersion(f *testing.F) {
	f.Add("0.26.1.dev123+g0a1b2c3d4\n{\"commit_id\": \"0123456789abcdef0123456789abcdef01234567\"}")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := adapter(t, contract.SGLang).ParseVersion(text)
		if err == nil {
			require.NotEmpty(t, v.Version)
		}
	})
}
