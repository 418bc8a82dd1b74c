//go:build unix

package sim_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

func TestVersionQueries(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{})
	e := h.Layout().Engines
	for _, c := range []struct {
		name   string
		argv   []string
		want   string
		status int
	}{
		{"distribution", []string{e["sglang"].Python, "-c", "import importlib.metadata as m; print(m.version('sglang'))"}, "0.5.15.post1\n", 0},
		{"torch beside it", []string{e["vllm"].Python, "-c", `from importlib.metadata import version; print(version("torch"))`}, "2.11.0\n", 0},
		{"another framework", []string{e["vllm"].Python, "-c", "import importlib.metadata as m; print(m.version('sglang'))"}, "PackageNotFoundError", 1},
		{"attribute", []string{e["sglang"].Python, "-c", "import sglang; print(sglang.__version__)"}, "0.5.15.post1\n", 0},
		{"file", []string{e["sglang"].Python, "-c", "import sglang; print(sglang.__file__)"}, filepath.Join(e["sglang"].SitePackages, "sglang/__init__.py") + "\n", 0},
		{"vllm", []string{e["vllm"].Executable, "--version"}, "0.26.0\n", 0},
		{"trtllm", []string{e["tensorrt_llm"].Executable, "--version"}, "1.2.1\n", 0},
		{"tokenspeed", []string{e["tokenspeed"].Executable, "version"}, "tokenspeed 0.1.1\n", 0},
		{"interpreter", []string{e["sglang"].Python, "--version"}, "Python 3.12.11\n", 0},
		{"anything else", []string{e["sglang"].Python, "-c", "import os; os.system('id')"}, "not one of the version queries", 1},
		{"a script", []string{e["sglang"].Python, "train.py"}, "runs no scripts", 2},
		{"a module", []string{e["sglang"].Python, "-m", "http.server"}, "No module named http.server", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, status := output(t, nil, c.argv...)
			require.Equal(t, c.status, status, out)
			require.Contains(t, out, c.want)
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{})
	e := h.Layout().Engines
	wide := []string{"COLUMNS=1000"}
	option := regexp.MustCompile(`(?m)^  (-\S+)`)
	for _, c := range []struct {
		name  string
		argv  []string
		flags int
		has   []string
		not   string
	}{
		{"sglang", []string{e["sglang"].Python, "-m", "sglang.launch_server", "--help"}, 110,
			[]string{"usage: launch_server.py [-h] [--model-path MODEL_PATH]", "\n  --model-path MODEL_PATH, --model MODEL_PATH\n                        The path", "\n  --tensor-parallel-size TENSOR_PARALLEL_SIZE, --tp-size TENSOR_PARALLEL_SIZE\n",
				"\n  --kv-cache-dtype {auto,fp8_e5m2,fp8_e4m3,bf16,bfloat16,fp4_e2m1}\n"}, ""},
		{"sglang serve", []string{e["sglang"].Executable, "serve", "--help"}, 110, []string{"--- Help for Standard Language Model Server ---"}, ""},
		{"vllm groups", []string{e["vllm"].Executable, "serve", "--help"}, 0, []string{"Config Groups:", "\n  ModelConfig "}, "--max-num-seqs"},
		{"vllm all", []string{e["vllm"].Executable, "serve", "--help=all"}, 80,
			[]string{"ModelConfig:\n  Configuration for the model.\n", "\n  --tensor-parallel-size TENSOR_PARALLEL_SIZE, -tp TENSOR_PARALLEL_SIZE\n", "Number of tensor parallel groups. (default: 1)", "\n  --enable-prefix-caching, --no-enable-prefix-caching\n", "When passing JSON CLI arguments"}, ""},
		{"vllm group", []string{e["vllm"].Executable, "serve", "--help=schedulerconfig"}, 10, []string{"SchedulerConfig:", "--max-num-seqs MAX_NUM_SEQS"}, "CacheConfig"},
		{"vllm search", []string{e["vllm"].Executable, "serve", "--help=max"}, 5, []string{"Arguments matching 'max':", "--max-model-len"}, "--dtype"},
		{"vllm no match", []string{e["vllm"].Executable, "serve", "--help=zebra"}, 0, []string{"No group or arguments matching 'zebra'."}, ""},
		{"trtllm", []string{e["tensorrt_llm"].Executable, "serve", "--help"}, 35, []string{"Usage: trtllm-serve serve [OPTIONS] MODEL", "--tp_size, --tensor_parallel_size INTEGER", ":tag:`beta` Tensor parallelism size.", "--backend [pytorch|tensorrt|_autodeploy]"}, ""},
		{"tokenspeed", []string{e["tokenspeed"].Executable, "serve", "--help"}, 2, []string{"--headless"}, "--max-num-seqs"},
		{"tokenspeed engine", []string{e["tokenspeed"].Python, "-c", "from tokenspeed.runtime.utils.server_args import prepare_server_args as p; p(['--help'])"}, 55, []string{"--max-num-seqs MAX_NUM_SEQS"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, status := output(t, wide, c.argv...)
			require.Zero(t, status, out)
			require.GreaterOrEqual(t, len(option.FindAllString(out, -1)), c.flags, out)
			for _, want := range c.has {
				require.Contains(t, out, want)
			}
			if c.not != "" {
				require.NotContains(t, out, c.not)
			}
			narrow, _ := output(t, nil, c.argv...)
			for line := range strings.SplitSeq(narrow, "\n") {
				if text, ok := strings.CutPrefix(line, strings.Repeat(" ", 24)); ok && strings.Contains(text, " ") && text[0] != '[' {
					require.LessOrEqual(t, len(line), 80, line)
				}
			}
		})
	}
}

// The demo's patch has to apply to the source by itself, and the laid-out test has to tell a good tree from a bad one.
func TestDemoPatchAndTests(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{})
	source := string(sim.SourceFiles()[sim.SwitchFile])
	patch := string(sim.DemoPatch())
	var before, after strings.Builder
	hunk := false
	for line := range strings.SplitSeq(patch, "\n") {
		switch {
		case strings.HasPrefix(line, "@@"):
			hunk = true
		case !hunk || line == "":
			if hunk && line == "" {
				continue
			}
		case line[0] == ' ':
			before.WriteString(line[1:] + "\n")
			after.WriteString(line[1:] + "\n")
		case line[0] == '-':
			before.WriteString(line[1:] + "\n")
		case line[0] == '+':
			after.WriteString(line[1:] + "\n")
		}
	}
	require.Equal(t, 1, strings.Count(source, before.String()), patch)
	require.Contains(t, after.String(), "ENABLE_FUSED_QK_NORM_ROPE = True")

	tree := t.TempDir()
	for name, data := range sim.SourceFiles() {
		path := filepath.Join(tree, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if name == sim.SwitchFile {
			data = []byte(strings.Replace(source, before.String(), after.String(), 1))
		}
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	pytest := []string{h.Layout().Engines["sglang"].Python, "-m", "pytest", "-q", filepath.Join(tree, "test")}
	env := []string{"PYTHONPATH=" + filepath.Join(tree, "python")}
	out, status := output(t, env, pytest...)
	require.Zero(t, status, out)
	require.Contains(t, out, "3 passed, 0 failed, 0 skipped (simulated)")

	path := filepath.Join(tree, filepath.FromSlash(sim.SwitchFile))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), "(64, 128, 256)", "(64, 256)", 1)), 0o644))
	out, status = output(t, env, pytest...)
	require.Equal(t, 1, status)
	require.Contains(t, out, "test_head_dims_of_released_models_are_supported FAILED - assert 128 in")
}
