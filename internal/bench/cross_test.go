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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// The cross-check: the clients that the engines bring and ours against the same running server, in turn, by their own
// definitions. It needs the engines of e2e/cpu/setup.py, two cores (the engine has the first, every client the second:
// start it by taskset -c 1) and the right to read the loopback interface.
//
// A server on one core is up to 20 % faster in one run than in the next, so figures of different runs cannot agree within
// 2 %. Each is therefore divided by what the wire shows of the very same streams before it is compared.
const (
	enginesVariable = "SOTALOOP_CPU"
	crossInput      = 128
	crossOutput     = 32
	crossRounds     = 3
	crossTolerance  = 0.02
	// crossClock is how much later than its own clock's start a client may send its request: it is part of the time to
	// first token that it gives, and not of the server.
	crossClock = 5.0 // ms

	vllmClient   = "vllm bench serve"
	sglangClient = "sglang.bench_serving"
)

// crossFigures are what one client, or the wire, says of one run, by the definitions named: milliseconds and tokens a second.
type crossFigures struct {
	Throughput float64 `json:"output_tokens_per_s"`
	TTFT       float64 `json:"mean_ttft_ms"`
	TPOT       float64 `json:"mean_tpot_ms"`
}

// crossPair is what a client says of one run, and what the wire says of the same streams.
type crossPair struct{ Client, Wire crossFigures }

// over is a client's figures over the wire's.
func (p crossPair) over() crossFigures { return p.Client.over(p.Wire) }

func (f crossFigures) over(g crossFigures) crossFigures {
	return crossFigures{Throughput: f.Throughput / g.Throughput, TTFT: f.TTFT / g.TTFT, TPOT: f.TPOT / g.TPOT}
}

// crossServer is a real engine under test.
type crossServer struct {
	name, base, model string
	dir               string
	wire              *wire
	stop              func()
}

// crossLine compares one client with ours by that client's definitions: medians of the rounds.
type crossLine struct {
	Engine      string       `json:"engine"`
	Concurrency int          `json:"concurrency"`
	Client      string       `json:"client"`
	Theirs      crossFigures `json:"theirs"`
	Ours        crossFigures `json:"ours"`
	TheirsOver  crossFigures `json:"theirs_over_wire"` // of the same streams
	OursOver    crossFigures `json:"ours_over_wire"`
	Ratio       crossFigures `json:"ratio"`          // ours over theirs, each over its wire
	Raw         crossFigures `json:"raw_ratio"`      // ours over theirs, of different streams
	Server      crossFigures `json:"wire_range"`     // the wire's figures over all runs of both: largest over smallest, less 1
	Late        float64      `json:"theirs_late_ms"` // their time to first token less the wire's
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
		s.stop()
	}
	raw, err := json.MarshalIndent(map[string]any{"tolerance": crossTolerance, "clock_ms": crossClock, "rounds": crossRounds, "input_len": crossInput, "output_len": crossOutput, "lines": lines}, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "results"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "results", "cross.json"), append(raw, '\n'), 0o644))
	for _, l := range lines {
		off := func(ratio float64) bool { return max(ratio, 1/ratio)-1 > crossTolerance }
		for what, ratio := range map[string]float64{"throughput": l.Ratio.Throughput, "TPOT": l.Ratio.TPOT,
			"throughput on the wire": l.OursOver.Throughput, "TPOT on the wire": l.OursOver.TPOT, "TTFT on the wire": l.OursOver.TTFT} {
			if off(ratio) {
				t.Errorf("%s, concurrency %d, by the definitions of %s: our %s is %.2f %% off", l.Engine, l.Concurrency, l.Client, what, 100*(ratio-1))
			}
		}
		if off(l.Ratio.TTFT) && (l.Late < 0 || l.Late > crossClock) {
			t.Errorf("%s, concurrency %d: TTFT of %s is %.2f %% off ours, and %.2f ms after the wire's", l.Engine, l.Concurrency, l.Client, 100*(l.Ratio.TTFT-1), l.Late)
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
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	s := &crossServer{name: name, base: "http://127.0.0.1:" + port, model: "tiny", dir: dir, wire: listen(t, number)}
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
	s.stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the session that was started here
		_ = cmd.Wait()
		_ = log.Close()
	})
	t.Cleanup(s.stop)
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
	theirs, ours := map[string][]crossPair{}, map[string][]crossPair{}
	run := func(into map[string][]crossPair, said func() map[string]crossFigures) {
		s.wire.reset()
		clients := said()
		seen := s.wire.figures(t, prompts, crossOutput)
		for client, f := range clients {
			into[client] = append(into[client], crossPair{f, seen[client]})
		}
	}
	for round := range crossRounds {
		runs := []func(){
			func() {
				run(ours, func() map[string]crossFigures { return s.ours(t, slots, prompts, uint64(100+round)) })
			},
			func() {
				run(theirs, func() map[string]crossFigures {
					return map[string]crossFigures{vllmClient: s.vllmBench(t, slots, prompts, 1000*slots+round)}
				})
			},
			func() {
				run(theirs, func() map[string]crossFigures {
					return map[string]crossFigures{sglangClient: s.sglangBench(t, slots, prompts, 2000*slots+round)}
				})
			},
		}
		for i := range runs {
			runs[(i+round)%len(runs)]()
		}
	}
	var lines []crossLine
	for _, client := range slices.Sorted(maps.Keys(theirs)) {
		said := func(p crossPair) crossFigures { return p.Client }
		a, b := theirs[client], ours[client]
		l := crossLine{Engine: s.name, Concurrency: slots, Client: client, Theirs: middle(a, said), Ours: middle(b, said),
			TheirsOver: middle(a, crossPair.over), OursOver: middle(b, crossPair.over),
			Server: each(slices.Concat(a, b), func(p crossPair) crossFigures { return p.Wire }, func(v []float64) float64 { return v[len(v)-1]/v[0] - 1 }),
			Late:   middle(a, func(p crossPair) crossFigures { return crossFigures{TTFT: p.Client.TTFT - p.Wire.TTFT} }).TTFT}
		l.Ratio, l.Raw = l.OursOver.over(l.TheirsOver), l.Ours.over(l.Theirs)
		t.Logf("%s c=%d %s: ours/theirs %.4f, raw %.4f; over the wire: ours %.4f, theirs %.4f (late %.2f ms); the wire differs by %.4f", s.name, slots, client,
			l.Ratio, l.Raw, l.OursOver, l.TheirsOver, l.Late, l.Server)
		lines = append(lines, l)
	}
	return lines
}

// each reduces every figure of a list by itself.
func each(list []crossPair, pick func(crossPair) crossFigures, f func(sorted []float64) float64) crossFigures {
	column := func(one func(crossFigures) float64) float64 {
		var values []float64
		for _, p := range list {
			values = append(values, one(pick(p)))
		}
		slices.Sort(values)
		return f(values)
	}
	return crossFigures{column(func(x crossFigures) float64 { return x.Throughput }), column(func(x crossFigures) float64 { return x.TTFT }), column(func(x crossFigures) float64 { return x.TPOT })}
}

func middle(list []crossPair, pick func(crossPair) crossFigures) crossFigures {
	return each(list, pick, func(v []float64) float64 { return v[len(v)/2] })
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
		vllmClient:   {rate, vllm.TTFT / n, vllm.TPOT / n},
		sglangClient: {rate, sglang.TTFT / n, sglang.TPOT / n},
	}
}

func millis[T ~int64](d T) float64 { return float64(d) / 1e6 }

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
