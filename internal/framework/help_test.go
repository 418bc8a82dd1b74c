package framework_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// helps are the captured help texts of server commands.
var helps = []struct {
	name string
	of   contract.Framework
	n    int // flags that its parser has
}{
	{"sglang_launch_server", contract.SGLang, 434},
	{"vllm_serve_all", contract.VLLM, 274},
	{"tokenspeed_engine", contract.TokenSpeed, 185},
	{"trtllm_serve", contract.TensorRTLLM, 32},
}

func adapter(t testing.TB, of contract.Framework) framework.Framework {
	t.Helper()
	fw, err := framework.Of(of)
	require.NoError(t, err)
	return fw
}

func helpText(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "help", name+".txt"))
	require.NoError(t, err)
	return string(raw)
}

func helpOf(t testing.TB, name string, of contract.Framework) framework.Help {
	t.Helper()
	h, err := adapter(t, of).ParseHelp(helpText(t, name))
	require.NoError(t, err)
	return h
}

// golden compares with a file under testdata, or writes it under UPDATE=1.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	path = filepath.Join("testdata", path)
	if os.Getenv("UPDATE") == "1" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "UPDATE=1 rewrites %s", path)
}

func TestParsedFlagsGolden(t *testing.T) {
	t.Parallel()
	names := map[string]contract.Framework{
		"trtllm_serve_grouped": contract.TensorRTLLM, "sglang_bench_serving": contract.SGLang, "vllm_bench_serve_all": contract.VLLM,
	}
	for _, h := range helps {
		names[h.name] = h.of
	}
	for name, of := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			for _, f := range helpOf(t, name, of).Flags {
				f.Doc = f.Doc[:min(len(f.Doc), 40)]
				f.Default = f.Default[:min(len(f.Default), 40)]
				f.Keys = nil
				line, err := json.Marshal(f)
				require.NoError(t, err)
				b.Write(append(line, '\n'))
			}
			golden(t, "flags/"+name+".jsonl", b.Bytes())
		})
	}
}

// action is what the framework's own parser knows of a flag.
type action struct {
	Kind    string   `json:"kind"`
	Type    string   `json:"type"`
	Names   []string `json:"names"`
	Choices []string `json:"choices"`
}

// TestAgainstTheParsersThemselves holds what is read from the text against the parser that printed it.
func TestAgainstTheParsersThemselves(t *testing.T) {
	t.Parallel()
	for _, h := range helps[:3] {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join("testdata", "help", h.name+".actions.json"))
			require.NoError(t, err)
			var truth map[string]action
			require.NoError(t, json.Unmarshal(raw, &truth))
			help := helpOf(t, h.name, h.of)
			require.Len(t, help.Flags, h.n)
			require.Len(t, truth, h.n)
			for name, a := range truth {
				f, ok := help.Find(name)
				require.True(t, ok, name)
				for _, n := range a.Names {
					other, ok := help.Find(n)
					require.True(t, ok, n)
					require.Equal(t, f.Name, other.Name, n)
				}
				if a.Choices != nil && f.Choices != nil { // a metavar may hide them
					require.ElementsMatch(t, plainChoices(a.Choices), f.Choices, name)
				}
				require.True(t, kindFits(a, f), "%s: the parser's type is %s (%s), ours %s", name, a.Kind, a.Type, f.Kind)
			}
		})
	}
}

// plainChoices are choices without those that hold a comma, which argparse prints as if they were two.
func plainChoices(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return strings.Contains(c, ",") })
}

// kindFits says whether our kind lets through what the parser takes and no other kind of value. Choices that a parser
// hides behind a metavar, and types of its own, may be read as text or as an enumeration.
func kindFits(a action, f framework.Flag) bool {
	switch a.Kind {
	case framework.KindBool, framework.KindInt, framework.KindFloat, framework.KindList:
		return f.Kind == a.Kind
	case framework.KindEnum:
		return f.Kind == framework.KindEnum || f.Kind == framework.KindString
	case framework.KindJSON:
		return f.Kind == framework.KindJSON || f.Kind == framework.KindString
	}
	return !slices.Contains([]string{framework.KindBool, framework.KindInt, framework.KindFloat}, f.Kind) || f.Name == "--optimization-level" // 0 to 3, given as text
}

// TestWidth80 reads the same flags from a help wrapped for a narrow terminal.
func TestWidth80(t *testing.T) {
	t.Parallel()
	for _, h := range helps[:3] {
		wide, narrow := helpOf(t, h.name, h.of), helpOf(t, h.name+".80", h.of)
		require.Len(t, narrow.Flags, len(wide.Flags), h.name)
		for i, f := range wide.Flags {
			n := narrow.Flags[i]
			f.Doc, n.Doc, f.Default, n.Default = "", "", "", ""
			slices.Sort(f.Choices) // SGLang prints some from a set, in the order of the process's hash seed
			slices.Sort(n.Choices)
			require.Equal(t, f, n, h.name)
		}
		require.NotEqual(t, wide.Digest, narrow.Digest)
	}
}

func TestPython313(t *testing.T) {
	t.Parallel()
	old, now := helpOf(t, "tokenspeed_engine", contract.TokenSpeed), helpOf(t, "tokenspeed_engine.py313", contract.TokenSpeed)
	require.Equal(t, old.Flags, now.Flags)
}

// TestSGLangServe reads the first of the two parsers in `sglang serve --help`.
func TestSGLangServe(t *testing.T) {
	t.Parallel()
	one := helpText(t, "sglang_launch_server")
	both := "Usage: sglang serve --model-path <model-name-or-path> [additional-arguments]\n\nOptional override: --model-type {auto,llm,diffusion}\n\n" +
		"--- Help for Standard Language Model Server ---\n" + one +
		"\n--- Help for Diffusion Model Server ---\nusage: sglang serve [-h]\n\noptions:\n  --vae-precision {fp32,fp16}\n                        VAE.\n  --num-gpus NUM_GPUS   GPUs.\n"
	fw := adapter(t, contract.SGLang)
	want, err := fw.ParseHelp(one)
	require.NoError(t, err)
	got, err := fw.ParseHelp(both)
	require.NoError(t, err)
	require.Equal(t, want.Flags, got.Flags)
	_, found := got.Find("vae-precision")
	require.False(t, found)
}

func TestNoiseAroundHelp(t *testing.T) {
	t.Parallel()
	fw := adapter(t, contract.SGLang)
	one := helpText(t, "sglang_launch_server")
	want, err := fw.ParseHelp(one)
	require.NoError(t, err)
	noisy := "/opt/venv/lib/python3.12/site-packages/sglang/launch_server.py:52: UserWarning: 'python -m sglang.launch_server' is still supported, but 'sglang serve' is the recommended entrypoint.\n" +
		"  Example: sglang serve --model-path <model> [options]\n  warnings.warn(\n" + strings.ReplaceAll(one, "\n", "\r\n")
	got, err := fw.ParseHelp(noisy)
	require.NoError(t, err)
	require.Equal(t, want.Flags, got.Flags)

	coloured := strings.ReplaceAll(one, "  --model-path", "  \x1b[1;36m--model-path\x1b[0m")
	coloured = strings.ReplaceAll(coloured, "options:", "\x1b[1;34moptions:\x1b[0m")
	got, err = fw.ParseHelp(coloured)
	require.NoError(t, err)
	require.Equal(t, want.Flags, got.Flags)
}

func TestNoHelp(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain vllm":   helpText(t, "vllm_serve_plain"),
		"empty":        "",
		"a traceback":  "Traceback (most recent call last):\n  File \"x\", line 1, in <module>\nModuleNotFoundError: No module named 'vllm'\n",
		"no match":     "No group or arguments matching 'x'.\n",
		"two flags":    "options:\n  --a A\n  --b B\n",
		"usage only":   "usage: x [-h]\n\n  --a A\n  --b B\n  --c C\n",
		"orchestrator": "usage: tokenspeed serve [-h] [--headless]\n\noptions:\n  -h, --help  show this help message and exit\n  --headless  Run the engine only.\n",
	} {
		_, err := adapter(t, contract.VLLM).ParseHelp(text)
		require.Error(t, err, name)
		require.Equal(t, fault.FrameworkFailed, fault.CodeOf(err), name)
	}
}

func TestInvocations(t *testing.T) {
	t.Parallel()
	cases := []struct {
		line string
		want framework.Flag
	}{
		{"  --tp-size TP, --tensor-parallel-size TP", framework.Flag{Name: "--tensor-parallel-size", Aliases: []string{"--tp-size"}, Kind: "int"}},
		{"  -tp, --tensor-parallel-size TP", framework.Flag{Name: "--tensor-parallel-size", Aliases: []string{"-tp"}, Kind: "int"}},
		{"  --flag-x, --no-flag-x  Does.", framework.Flag{Name: "--flag-x", Kind: "bool", Negation: "--no-flag-x", Doc: "Does."}},
		{"  --no-color            Alone.", framework.Flag{Name: "--no-color", Kind: "bool", Doc: "Alone."}},
		{"  --mode {a,b}, -m {a,b}", framework.Flag{Name: "--mode", Aliases: []string{"-m"}, Kind: "enum", Choices: []string{"a", "b"}}},
		{"  --level {0,1,2}       Level. (default: 1)", framework.Flag{Name: "--level", Kind: "enum", Choices: []string{"0", "1", "2"}, Doc: "Level.", Default: "1"}},
		{"  --names [N ...]", framework.Flag{Name: "--names", Kind: "list"}},
		{"  --names N [N ...]", framework.Flag{Name: "--names", Kind: "list"}},
		{"  --parts [{a,b} ...]", framework.Flag{Name: "--parts", Kind: "list", Choices: []string{"a", "b"}}},
		{"  --maybe [MAYBE]", framework.Flag{Name: "--maybe", Kind: "string"}},
		{`  --extra {"key1": "value1", "key2": "value2"}`, framework.Flag{Name: "--extra", Kind: "string"}},
		{"  --header KEY=VALUE [KEY=VALUE ...]", framework.Flag{Name: "--header", Kind: "list"}},
		{"  --format ['auto', 'hf']", framework.Flag{Name: "--format", Kind: "enum", Choices: []string{"auto", "hf"}}},
		{"  --json-arg.key X", framework.Flag{Name: "--json-arg.key", Kind: "string"}},
		{"  --pick [a|b]  Pick.  [default: b; required]", framework.Flag{Name: "--pick", Kind: "enum", Choices: []string{"a", "b"}, Doc: "Pick.", Default: "b"}},
		{"  --count INTEGER RANGE  :tag:`deprecated` Count.", framework.Flag{Name: "--count", Kind: "int", Doc: "Count.", Deprecated: true}},
		{"  --share FLOAT  :tag:`beta` Share.", framework.Flag{Name: "--share", Kind: "float", Doc: "Share."}},
		{"  --on / --off  Pair.", framework.Flag{Name: "--on", Kind: "bool", Negation: "--off", Doc: "Pair."}},
		{"  --yes BOOLEAN", framework.Flag{Name: "--yes", Kind: "enum", Choices: []string{"true", "false"}}},
		{"  --old OLD             [Deprecated] Use --new.", framework.Flag{Name: "--old", Kind: "string", Doc: "[Deprecated] Use --new.", Deprecated: true}},
		{"  --part PART           Part. (--old is a deprecated alias.)", framework.Flag{Name: "--part", Kind: "string", Doc: "Part. (--old is a deprecated alias.)"}},
		{"  --x X                 One (default: 5) or another. (default: None)", framework.Flag{Name: "--x", Kind: "string", Doc: "One (default: 5) or another.", Default: "None"}},
		{"  --y Y                 Why. (default: 0.5)", framework.Flag{Name: "--y", Kind: "float", Doc: "Why.", Default: "0.5"}},
		{"  --z Z                 Set. (default: {'a': (1, 2)})", framework.Flag{Name: "--z", Kind: "json", Doc: "Set.", Default: "{'a': (1, 2)}"}},
	}
	for _, c := range cases {
		text := "usage: x [--a A]\n\noptions:\n  -h, --help            show this help message and exit\n" + c.line +
			"\n  --other OTHER         Other.\n  --another ANOTHER     Another.\n  --third               Third.\n"
		help, err := adapter(t, contract.VLLM).ParseHelp(text)
		require.NoError(t, err, c.line)
		require.Len(t, help.Flags, 4, c.line)
		c.want.Group = "options"
		require.Equal(t, c.want, help.Flags[0], c.line)
	}
}

func TestMultiParagraphHelp(t *testing.T) {
	t.Parallel()
	help := helpOf(t, "vllm_serve_all", contract.VLLM)
	f, ok := help.Find("enable_log_requests")
	require.True(t, ok)
	require.Equal(t, "Enable logging request information, dependent on log level: - INFO: Request ID, parameters and LoRA request. - DEBUG: Prompt inputs (e.g: text, token IDs). You can set the minimum log level via `VLLM_LOGGING_LEVEL`.", f.Doc)
	require.Equal(t, "False", f.Default)
	require.Equal(t, "--no-enable-log-requests", f.Negation)
	_, ok = help.Find("json-arg")
	require.False(t, ok, "the tips below the options are no options")
	f, _ = help.Find("-tp")
	require.Equal(t, "--tensor-parallel-size", f.Name)
	require.Equal(t, "ParallelConfig", f.Group)
}

func TestNearest(t *testing.T) {
	t.Parallel()
	help := helpOf(t, "sglang_launch_server", contract.SGLang)
	require.Contains(t, help.Nearest("chunked-prefil-size", 3), "chunked-prefill-size")
	require.Contains(t, help.Nearest("tp_siz", 3), "tensor-parallel-size")
	require.Len(t, help.Nearest("max-model-len", 3), 3)
	require.Empty(t, help.Nearest("zzz", 3))
	require.Empty(t, help.Nearest("", 3))
}
