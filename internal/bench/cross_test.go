//go:build linux

package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// The cross-check: the clients that the engines bring and ours against the same running server, in turn, by their own
// definitions. It needs the engines of e2e/cpu/setup.py and two cores: the engine has the first, every client the second
// (start it by taskset -c 1).
const (
	enginesVariable = "SOTALOOP_CPU"
	crossInput      = 128
	crossOutput     = 32
	crossRounds     = 3
	crossTolerance  = 0.02
)

// crossFigures are what one client says of one run, by the definitions named: seconds and tokens a second.
type crossFigures struct {
	Throughput float64 `json:"output_tokens_per_s"`
	TTFT       float64 `json:"mean_ttft_ms"`
	TPOT       float64 `json:"mean_tpot_ms"`
}

// crossServer is a real engine under test.
type crossServer struct {
	name, base, model string
	dir               string
}

// crossLine compares one client's figures with ours by that client's definitions: medians of the rounds.
type crossLine struct {
	Engine      string       `json:"engine"`
	Concurrency int          `json:"concurrency"`
	Client      string       `json:"client"`
	Theirs      crossFigures `json:"theirs"`
	Ours        crossFigures `json:"ours"`
	Ratio       crossFigures `json:"ratio"`  // ours over theirs
	Spread      crossFigures `json:"spread"` // of our own rounds: largest over smallest, less 1
}

func TestCPUCross(t *testing.T) {
	dir := os.Getenv(enginesVariable)
	if dir == "" {
		t.Skip("real engines: set " + enginesVariable + " to the folder of e2e/cpu/setup.py (make e2e-cpu)")
	}
	var lines []crossLine
	for _, engine := range []string{"sglang", "vllm"} {
		s := startEngine(t, dir, engine)
		for _, slots := range []int{1, 4} {
			lines = append(lines, s.cross(t, slots)...)
		}
	}
	raw, err := json.MarshalIndent(map[string]any{"tolerance": crossTolerance, "rounds": crossRounds, "input_len": crossInput, "output_len": crossOutput, "lines": lines}, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "results"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "results", "cross.json"), append(raw, '\n'), 0o644))
	for _, l := range lines {
		for what, ratio := range map[string][2]float64{"throughput": {l.Ratio.Throughput, l.Spread.Throughput}, "TTFT": {l.Ratio.TTFT, l.Spread.TTFT}, "TPOT": {l.Ratio.TPOT, l.Spread.TPOT}} {
			// Where our own rounds differ by more, the server's noise is all that a ratio shows.
			if off := max(ratio[0], 1/ratio[0]) - 1; off > max(crossTolerance, ratio[1]) {
				t.Errorf("%s, concurrency %d: %s of %s is %.2f %% off ours, whose rounds differ by %.2f %%", l.Engine, l.Concurrency, what, l.Client, 100*off, 100*ratio[1])
			}
		}
	}
}

// startEngine starts an engine on the first core without a prefix cache, so that no client profits from another's prompts.
func startEngine(t *testing.T, dir, name string) *crossServer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s := &crossServer{name: name, base: "http://127.0.0.1:" + port, model: "tiny", dir: dir}
	model := filepath.Join(dir, "model")
	argv := []string{filepath.Join(dir, "sglang/bin/python"), "-m", "sglang.launch_server", "--model-path", model, "--served-model-name", s.model, "--device", "cpu",
		"--max-total-tokens", "32768", "--context-length", "2048", "--disable-radix-cache", "--port", port}
	if name == "vllm" {
		argv = []string{filepath.Join(dir, "vllm/bin/vllm"), "serve", model, "--served-model-name", s.model, "--max-model-len", "2048", "--enforce-eager",
			"--kv-cache-memory-bytes", "1073741824", "--no-enable-prefix-caching", "--port", port}
	}
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	require.NoError(t, err)
	cmd := exec.Command("taskset", append([]string{"-c", "0"}, argv...)...) //nolint:noctx // ended by the cleanup
	cmd.Env = append(os.Environ(), "SGLANG_USE_CPU_ENGINE=1", "OMP_NUM_THREADS=1", "VLLM_CPU_OMP_THREADS_BIND=nobind", "HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the session that was started here
		_ = cmd.Wait()
		_ = log.Close()
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get(s.base + "/health") //nolint:noctx // a probe
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 5*time.Minute, time.Second, "%s", log.Name())
	return s
}

// cross runs the three clients in turn, in an order that rotates, and compares medians.
func (s *crossServer) cross(t *testing.T, slots int) []crossLine {
	t.Helper()
	prompts := max(24, 12*slots)
	s.ours(t, slots, prompts, 1) // the first load of a server is slower; nobody's figures are from it
	theirs, ours := map[string][]crossFigures{}, map[string][]crossFigures{}
	for round := range crossRounds {
		runs := []func(){
			func() {
				for client, f := range s.ours(t, slots, prompts, uint64(100+round)) {
					ours[client] = append(ours[client], f)
				}
			},
			func() {
				theirs["vllm bench serve"] = append(theirs["vllm bench serve"], s.vllmBench(t, slots, prompts, 1000*slots+round))
			},
			func() {
				theirs["sglang.bench_serving"] = append(theirs["sglang.bench_serving"], s.sglangBench(t, slots, prompts, 2000*slots+round))
			},
		}
		for i := range runs {
			runs[(i+round)%len(runs)]()
		}
	}
	var lines []crossLine
	for _, client := range slices.Sorted(maps.Keys(theirs)) {
		l := crossLine{Engine: s.name, Concurrency: slots, Client: client, Theirs: middle(theirs[client]), Ours: middle(ours[client]), Spread: apart(ours[client])}
		l.Ratio = crossFigures{Throughput: l.Ours.Throughput / l.Theirs.Throughput, TTFT: l.Ours.TTFT / l.Theirs.TTFT, TPOT: l.Ours.TPOT / l.Theirs.TPOT}
		t.Logf("%s c=%d %s: ours/theirs throughput %.4f, TTFT %.4f, TPOT %.4f; our rounds differ by %.4f, %.4f, %.4f", s.name, slots, client,
			l.Ratio.Throughput, l.Ratio.TTFT, l.Ratio.TPOT, l.Spread.Throughput, l.Spread.TTFT, l.Spread.TPOT)
		lines = append(lines, l)
	}
	return lines
}

func each(list []crossFigures, f func(sorted []float64) float64) crossFigures {
	column := func(pick func(crossFigures) float64) float64 {
		var values []float64
		for _, x := range list {
			values = append(values, pick(x))
		}
		slices.Sort(values)
		return f(values)
	}
	return crossFigures{column(func(x crossFigures) float64 { return x.Throughput }), column(func(x crossFigures) float64 { return x.TTFT }), column(func(x crossFigures) float64 { return x.TPOT })}
}

func middle(list []crossFigures) crossFigures {
	return each(list, func(v []float64) float64 { return v[len(v)/2] })
}

func apart(list []crossFigures) crossFigures {
	return each(list, func(v []float64) float64 { return v[len(v)-1]/v[0] - 1 })
}

// ours runs our client once and gives its figures by each of the others' definitions.
//
// vllm bench serve: first chunk with choices; end at the last chunk with choices. sglang.bench_serving: first chunk with
// text; end at [DONE]. Both: TPOT is (end - first) / (tokens - 1), throughput is tokens over the whole run.
func (s *crossServer) ours(t *testing.T, slots, prompts int, seed uint64) map[string]crossFigures {
	t.Helper()
	spec := bench.Spec{Seed: bench.MixSeed(seed, "cross", s.name, slots), Vocab: bench.TokenRange{Lo: 0, Hi: 4000}, Scenario: contract.Scenario{Name: "cross", Kind: contract.KindRandom,
		InputLen: crossInput, OutputLen: crossOutput, NumPrompts: prompts, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots, IgnoreEOS: true, Stream: true}}
	point, err := bench.Run(t.Context(), bench.Target{BaseURL: s.base, Path: bench.PathCompletions, Model: s.model}, spec, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusOK, point.Status, point.Reason)
	var vllm, sglang crossFigures
	began, ended, tokens, n := bench.Offset(1<<62), bench.Offset(0), 0, 0.0
	for _, r := range point.Recording.Records {
		if r.Role == bench.RoleWarmup {
			continue
		}
		require.Equal(t, crossOutput, r.Out)
		began, ended, tokens, n = min(began, r.Sent), max(ended, r.End), tokens+r.Out, n+1
		vllm.TTFT += millis(r.FirstChunk - r.Sent)
		vllm.TPOT += millis(r.Last-r.FirstChunk) / float64(r.Out-1)
		sglang.TTFT += millis(r.FirstText - r.Sent)
		sglang.TPOT += millis(r.End-r.FirstText) / float64(r.Out-1)
	}
	rate := float64(tokens) / (millis(ended-began) / 1000)
	return map[string]crossFigures{
		"vllm bench serve":     {rate, vllm.TTFT / n, vllm.TPOT / n},
		"sglang.bench_serving": {rate, sglang.TTFT / n, sglang.TPOT / n},
	}
}

func millis(d bench.Offset) float64 { return float64(d) / 1e6 }

// vllmBench runs vLLM's own client.
func (s *crossServer) vllmBench(t *testing.T, slots, prompts, seed int) crossFigures {
	t.Helper()
	out := filepath.Join(t.TempDir(), "vllm.json")
	s.client(t, filepath.Join(s.dir, "vllm/bin/vllm"), "bench", "serve", "--backend", "openai", "--base-url", s.base, "--endpoint", "/v1/completions", "--model", s.model,
		"--tokenizer", filepath.Join(s.dir, "model"), "--dataset-name", "random", "--random-input-len", strconv.Itoa(crossInput), "--random-output-len", strconv.Itoa(crossOutput),
		"--num-prompts", strconv.Itoa(prompts), "--max-concurrency", strconv.Itoa(slots), "--ignore-eos", "--temperature", "0", "--seed", strconv.Itoa(seed), "--disable-tqdm",
		"--save-result", "--result-dir", filepath.Dir(out), "--result-filename", filepath.Base(out))
	return readCross(t, out, prompts)
}

// sglangBench runs SGLang's own client.
func (s *crossServer) sglangBench(t *testing.T, slots, prompts, seed int) crossFigures {
	t.Helper()
	out := filepath.Join(t.TempDir(), "sglang.jsonl")
	s.client(t, filepath.Join(s.dir, "sglang/bin/python"), "-m", "sglang.bench_serving", "--backend", "sglang-oai", "--base-url", s.base, "--model", s.model,
		"--tokenizer", filepath.Join(s.dir, "model"), "--dataset-name", "random-ids", "--random-input-len", strconv.Itoa(crossInput), "--random-output-len", strconv.Itoa(crossOutput),
		"--random-range-ratio", "1.0", "--num-prompts", strconv.Itoa(prompts), "--max-concurrency", strconv.Itoa(slots), "--seed", strconv.Itoa(seed), "--disable-tqdm", "--output-file", out)
	return readCross(t, out, prompts)
}

func (s *crossServer) client(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "SGLANG_USE_CPU_ENGINE=1", "HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1", "VLLM_USE_RUST_BENCH=0", "OMP_NUM_THREADS=1")
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", program, args, text)
}

// readCross reads the figures that both clients write by the same names.
func readCross(t *testing.T, path string, prompts int) crossFigures {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var r struct {
		Completed  int     `json:"completed"`
		Tokens     int     `json:"total_output_tokens"`
		Input      int     `json:"total_input_tokens"`
		Throughput float64 `json:"output_throughput"`
		TTFT       float64 `json:"mean_ttft_ms"`
		TPOT       float64 `json:"mean_tpot_ms"`
	}
	raw = bytes.ReplaceAll(raw, []byte(": Infinity"), []byte(": null")) // a rate without a limit, as SGLang's client writes it
	require.NoError(t, json.Unmarshal(raw, &r), "%s", raw)
	require.Equal(t, prompts, r.Completed, "%s", raw)
	require.Equal(t, prompts*crossOutput, r.Tokens, "%s", raw)
	require.InDelta(t, prompts*crossInput, r.Input, 0.02*float64(prompts*crossInput), "the prompts are as long as ours: %s", raw)
	return crossFigures{Throughput: r.Throughput, TTFT: r.TTFT, TPOT: r.TPOT}
}
