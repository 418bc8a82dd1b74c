//go:build unix

package sim_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

// chrome is a trace as a reader sees it.
type chrome struct {
	Simulated   bool `json:"simulated"`
	Distributed struct {
		Rank  int `json:"rank"`
		World int `json:"world_size"`
	} `json:"distributedInfo"`
	Events []chromeEvent `json:"traceEvents"`
}

type chromeEvent struct {
	Ph, Cat, Name string
	Ts, Dur       float64
	Args          map[string]any
}

func readTrace(t *testing.T, path string) chrome {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		r, err = gzip.NewReader(f)
		require.NoError(t, err)
	}
	var c chrome
	require.NoError(t, json.NewDecoder(r).Decode(&c))
	require.True(t, c.Simulated)
	return c
}

func (c chrome) of(cat string) []chromeEvent {
	out := []chromeEvent{}
	for _, e := range c.Events {
		if e.Cat == cat && e.Ph == "X" {
			out = append(out, e)
		}
	}
	return out
}

// generateSome keeps n requests of a shape running to their ends.
func generateSome(t *testing.T, url, model string, n, in, out int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, _ = ask(t.Context(), url+"/v1/completions", completion(model, prompt(in, 100+i), out)) })
	}
	wg.Wait()
}

func captured(t *testing.T, pattern string) []string {
	t.Helper()
	var files []string
	require.Eventually(t, func() bool {
		files, _ = filepath.Glob(pattern)
		return len(files) > 0
	}, waitFor, tick)
	return files
}

func TestSGLangProfileByStage(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	dir := t.TempDir()
	p := launch(t, h, "sglang", nil, "--disable-cuda-graph")
	status, body := post(t, p.url+"/start_profile", fmt.Sprintf(`{"output_dir":%q,"num_steps":3,"profile_by_stage":true,"record_shapes":true,"profile_prefix":"base","activities":["CPU","GPU"]}`, dir))
	require.Equal(t, 200, status, body)
	require.Equal(t, "Start profiling.\n", body)
	status, body = post(t, p.url+"/start_profile", `{}`)
	require.Equal(t, 400, status)
	require.Contains(t, body, "Profiling is already in progress")
	for range 3 {
		generateSome(t, p.url, "m", 4, 64, 4)
	}
	decode := readTrace(t, captured(t, dir+"/base-*-TP-0-DECODE.trace.json.gz")[0])
	extend := readTrace(t, captured(t, dir+"/base-*-TP-0-EXTEND.trace.json.gz")[0])

	steps := decode.of("user_annotation")
	require.Len(t, steps, 3)
	require.Regexp(t, `^step\[DECODE bs=\d\]$`, steps[0].Name)
	require.Regexp(t, `^step\[EXTEND bs=\d toks=\d+\]$`, extend.of("user_annotation")[0].Name)

	ropes, wrong := 0, []chromeEvent{}
	launches := map[any]chromeEvent{}
	for _, cat := range []string{"cuda_runtime", "cuda_driver"} {
		for _, e := range decode.of(cat) {
			launches[e.Args["correlation"]] = e
		}
	}
	for _, k := range decode.of("kernel") {
		l, ok := launches[k.Args["correlation"]]
		if !ok || l.Args["External id"] != k.Args["External id"] || k.Ts < l.Ts {
			wrong = append(wrong, k)
		}
		if strings.Contains(k.Name, "ApplyRotary") {
			ropes++
		}
	}
	require.Empty(t, wrong, "kernels without a launch before them")
	require.Equal(t, 3*36, ropes, "one a layer and step")
	requireFrames(t, decode, h)
	requireNested(t, decode)
	require.NotEmpty(t, decode.of("cpu_op")[1].Args["Input Dims"])
}

// requireFrames checks that frames name functions of the source that is really installed, at their lines.
func requireFrames(t *testing.T, c chrome, h *sim.Host) {
	t.Helper()
	frame := regexp.MustCompile(`^(sglang/\S+)\((\d+)\): (\w+)$`)
	seen := map[string]bool{}
	for _, e := range c.of("python_function") {
		m := frame.FindStringSubmatch(e.Name)
		if m == nil || seen[e.Name] {
			continue
		}
		seen[e.Name] = true
		b, err := os.ReadFile(filepath.Join(h.Layout().Engines["sglang"].SitePackages, m[1]))
		require.NoError(t, err)
		var line int
		_, err = fmt.Sscan(m[2], &line)
		require.NoError(t, err)
		require.Contains(t, strings.Split(string(b), "\n")[line-1], "def "+m[3]+"(", e.Name)
	}
	for _, want := range []string{"qwen3.py", "fused_norm_rope.py", "qk_norm_rope_reference", "layernorm.py", "scheduler.py", "sampler.py"} {
		require.Regexp(t, want, fmt.Sprint(seen))
	}
}

// requireNested checks that Python functions contain one another or lie apart, and steps do not overlap on the GPU.
func requireNested(t *testing.T, c chrome) {
	t.Helper()
	frames := c.of("python_function")
	byID := map[any]chromeEvent{}
	for _, f := range frames {
		byID[f.Args["Python id"]] = f
	}
	wrong := []string{}
	for _, f := range frames {
		if p, ok := byID[f.Args["Python parent id"]]; ok && (p.Ts > f.Ts || p.Ts+p.Dur+0.002 < f.Ts+f.Dur) {
			wrong = append(wrong, f.Name+" in "+p.Name)
		}
	}
	last := 0.0
	for _, k := range c.Events {
		if k.Ph == "X" && (k.Cat == "kernel" || k.Cat == "gpu_memcpy") {
			if k.Ts < last-0.002 {
				wrong = append(wrong, k.Name)
			}
			last = k.Ts + k.Dur
		}
	}
	require.Empty(t, wrong)
}

func TestGraphReplayAndRanks(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	dir := t.TempDir()
	p := launch(t, h, "sglang", nil, "--tp-size", "2")
	status, body := post(t, p.url+"/start_profile", fmt.Sprintf(`{"output_dir":%q}`, dir))
	require.Equal(t, 200, status, body)
	generateSome(t, p.url, "m", 2, 32, 5)
	status, body = post(t, p.url+"/stop_profile", "")
	require.Equal(t, 200, status, body)
	status, _ = post(t, p.url+"/stop_profile", "")
	require.Equal(t, 400, status)
	for rank := range 2 {
		c := readTrace(t, captured(t, fmt.Sprintf("%s/*-TP-%d.trace.json.gz", dir, rank))[0])
		require.Equal(t, rank, c.Distributed.Rank)
		require.Equal(t, 2, c.Distributed.World)
		nodes, reduces := 0, 0
		for _, k := range c.of("kernel") {
			if k.Args["graph node id"] != nil {
				nodes++
				require.Nil(t, k.Args["External id"])
			}
			if strings.Contains(k.Name, "cross_device_reduce_1stage") {
				reduces++
			}
		}
		require.Greater(t, nodes, 36*10)
		require.GreaterOrEqual(t, reduces, 2*36*4)
		requireNested(t, c)
	}
}

func TestVLLMProfile(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	dir := t.TempDir()
	p := launch(t, h, "vllm", nil, "--profiler-config.profiler", "torch", "--profiler-config.torch_profiler_dir", dir, "--profiler-config.max_iterations", "4")
	status, body := post(t, p.url+"/start_profile", "")
	require.Equal(t, 200, status, body)
	generateSome(t, p.url, h.Layout().ModelPath, 4, 64, 6)
	c := readTrace(t, captured(t, dir+"/dp0_pp0_tp0_dcp0_ep0_rank0.*.pt.trace.json.gz")[0])
	steps := c.of("user_annotation")
	require.Len(t, steps, 4)
	require.Regexp(t, `^execute_context_\d\(\d+\)_generation_\d\(\d\)$`, steps[0].Name)
	text := fmt.Sprint(c.of("kernel"))
	require.Contains(t, text, "fusedQKNormRopeKernel")
	require.NotContains(t, text, "ApplyRotary")
}

func TestTRTLLMProfileByEnvironment(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	path := filepath.Join(t.TempDir(), "trace.json")
	p := launch(t, h, "tensorrt_llm", []string{"TLLM_PROFILE_START_STOP=2-4", "TLLM_TORCH_PROFILE_TRACE=" + path})
	status, _ := post(t, p.url+"/start_profile", "")
	require.Equal(t, 404, status, "there is no such route")
	generateSome(t, p.url, h.Layout().ModelPath, 2, 32, 8)
	c := readTrace(t, captured(t, path)[0])
	require.Len(t, c.of("user_annotation"), 3)
	require.Regexp(t, `^\[Executor\] _forward_step 2: \d+ ctx reqs, \d+ ctx tokens, \d+ gen reqs$`, c.of("user_annotation")[0].Name)
}
