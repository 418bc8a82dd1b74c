//go:build linux

package bench_test

import (
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
	crossInput  = 128
	crossOutput = 32
	crossRounds = 3
	// crossClock is how much later than its own clock's start a client may send its request: it is part of the time to
	// first token that it gives, and not of the server.
	crossClock = 5.0 // ms
)

// crossPair is what a client says of one run, and what the wire says of the same streams.
type crossPair struct{ Client, Wire bench.Figures }

// over is a client's figures over the wire's.
func (p crossPair) over() bench.Figures { return p.Client.Over(p.Wire) }

// crossServer is a real engine under test.
type crossServer struct {
	name, base, model string
	dir               string
	wire              *wire
	stop              func()
}

// crossLine compares one client with ours by that client's definitions: medians of the rounds.
type crossLine struct {
	Engine      string              `json:"engine"`
	Concurrency int                 `json:"concurrency"`
	Client      bench.ForeignClient `json:"client"`
	Theirs      bench.Figures       `json:"theirs"`
	Ours        bench.Figures       `json:"ours"`
	TheirsOver  bench.Figures       `json:"theirs_over_wire"` // of the same streams
	OursOver    bench.Figures       `json:"ours_over_wire"`
	Ratio       bench.Figures       `json:"ratio"`          // ours over theirs, each over its wire
	Raw         bench.Figures       `json:"raw_ratio"`      // ours over theirs, of different streams
	Server      bench.Figures       `json:"wire_range"`     // the wire's figures over all runs of both: largest over smallest, less 1
	Late        float64             `json:"theirs_late_ms"` // their time to first token less the wire's
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
	theirs, ours := map[bench.ForeignClient][]crossPair{}, map[bench.ForeignClient][]crossPair{}
	run := func(into map[bench.ForeignClient][]crossPair, said func() map[bench.ForeignClient]bench.Figures) {
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
				run(ours, func() map[bench.ForeignClient]bench.Figures { return s.ours(t, slots, prompts, uint64(100+round)) })
			},
			func() {
				run(theirs, func() map[bench.ForeignClient]bench.Figures {
					return map[bench.ForeignClient]bench.Figures{bench.ForeignVLLM: s.theirs(t, bench.ForeignVLLM, slots, prompts, 1000*slots+round)}
				})
			},
			func() {
				run(theirs, func() map[bench.ForeignClient]bench.Figures {
					return map[bench.ForeignClient]bench.Figures{bench.ForeignSGLang: s.theirs(t, bench.ForeignSGLang, slots, prompts, 2000*slots+round)}
				})
			},
		}
		for i := range runs {
			runs[(i+round)%len(runs)]()
		}
	}
	var lines []crossLine
	for _, client := range slices.Sorted(maps.Keys(theirs)) {
		said := func(p crossPair) bench.Figures { return p.Client }
		a, b := theirs[client], ours[client]
		l := crossLine{Engine: s.name, Concurrency: slots, Client: client, Theirs: middle(a, said), Ours: middle(b, said),
			TheirsOver: middle(a, crossPair.over), OursOver: middle(b, crossPair.over),
			Server: each(slices.Concat(a, b), func(p crossPair) bench.Figures { return p.Wire }, func(v []float64) float64 { return v[len(v)-1]/v[0] - 1 }),
			Late:   middle(a, func(p crossPair) bench.Figures { return bench.Figures{TTFT: p.Client.TTFT - p.Wire.TTFT} }).TTFT}
		l.Ratio, l.Raw = l.OursOver.Over(l.TheirsOver), l.Ours.Over(l.Theirs)
		t.Logf("%s c=%d %s: ours/theirs %.4f, raw %.4f; over the wire: ours %.4f, theirs %.4f (late %.2f ms); the wire differs by %.4f", s.name, slots, client,
			l.Ratio, l.Raw, l.OursOver, l.TheirsOver, l.Late, l.Server)
		lines = append(lines, l)
	}
	return lines
}

// each reduces every figure of a list by itself.
func each(list []crossPair, pick func(crossPair) bench.Figures, f func(sorted []float64) float64) bench.Figures {
	column := func(one func(bench.Figures) float64) float64 {
		var values []float64
		for _, p := range list {
			values = append(values, one(pick(p)))
		}
		slices.Sort(values)
		return f(values)
	}
	return bench.Figures{column(func(x bench.Figures) float64 { return x.Throughput }), column(func(x bench.Figures) float64 { return x.TTFT }), column(func(x bench.Figures) float64 { return x.TPOT })}
}

func middle(list []crossPair, pick func(crossPair) bench.Figures) bench.Figures {
	return each(list, pick, func(v []float64) float64 { return v[len(v)/2] })
}

// ours runs our client once and gives its figures by each of the others' definitions.
func (s *crossServer) ours(t *testing.T, slots, prompts int, seed uint64) map[bench.ForeignClient]bench.Figures {
	t.Helper()
	spec := bench.Spec{Seed: bench.MixSeed(seed, "cross", s.name, slots), Vocab: bench.TokenRange{Lo: 0, Hi: 4000}, Scenario: contract.Scenario{Name: "cross", Kind: contract.KindRandom,
		InputLen: crossInput, OutputLen: crossOutput, NumPrompts: prompts, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots, IgnoreEOS: true, Stream: true}}
	point, err := bench.Run(t.Context(), bench.Target{BaseURL: s.base, Path: bench.PathCompletions, Model: s.model}, spec, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusOK, point.Status, point.Reason)
	require.Equal(t, prompts, point.Counts.OK)
	out := map[bench.ForeignClient]bench.Figures{}
	for _, client := range bench.ForeignClients() {
		out[client], err = bench.AsForeign(point.Recording, client)
		require.NoError(t, err)
	}
	return out
}

func millis[T ~int64](d T) float64 { return float64(d) / 1e6 }

// theirs runs a foreign client once.
func (s *crossServer) theirs(t *testing.T, client bench.ForeignClient, slots, prompts, seed int) bench.Figures {
	t.Helper()
	run := runForeign(t, s.dir, client, bench.ForeignLoad{BaseURL: s.base, Model: s.model, Tokenizer: filepath.Join(s.dir, "model"), InputLen: crossInput, OutputLen: crossOutput,
		NumPrompts: prompts, MaxConcurrency: slots, Seed: seed})
	require.Equal(t, prompts, run.Completed)
	require.Equal(t, prompts*crossOutput, run.OutputTokens)
	require.InDelta(t, prompts*crossInput, run.InputTokens, 0.02*float64(prompts*crossInput), "the prompts are as long as ours")
	return run.Figures()
}
