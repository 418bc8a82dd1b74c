//go:build unix

package sim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

// overlay is the source tree with the demo's change, as a patch branch would leave it.
func overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range sim.SourceFiles() {
		if name == sim.SwitchFile {
			data = []byte(strings.Replace(string(data), "ENABLE_FUSED_QK_NORM_ROPE = False", "ENABLE_FUSED_QK_NORM_ROPE = True", 1))
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(parentOf(path), 0o755))
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	return filepath.Join(dir, "python")
}

// The story of the demo: vLLM is ahead by 15 % or more, the patch turns that round, the output stays the same, and the
// process proves what it loaded. Timing is measured, so this test runs beside no other.
func TestSwitchDecidesWhoIsAhead(t *testing.T) {
	h := newHost(t, sim.Config{Seed: 7})
	model := h.Layout().ModelPath
	proofs, text := t.TempDir(), map[string]string{}
	patched := []string{"PYTHONPATH=" + overlay(t), "SOTALOOP_PROOF_DIR=" + proofs}
	point := func(name, engine string, env ...string) time.Duration {
		p := launch(t, h, engine, env)
		took := min(closedLoop(t, p.url, model, 16, 8, 64, 16), closedLoop(t, p.url, model, 16, 8, 65, 16))
		a, err := ask(t.Context(), p.url+"/v1/completions", completion(model, prompt(32, 500), 12))
		require.NoError(t, err)
		text[name] = a.text
		require.Zero(t, p.stop(t))
		return took
	}
	within(t, func() (float64, bool) {
		got := float64(point("base", "sglang")) / float64(point("vllm", "vllm"))
		return got, got > 1.15
	})
	within(t, func() (float64, bool) {
		got := float64(point("base", "sglang")) / float64(point("patched", "sglang", patched...))
		return got, got > 1.15
	})
	require.Equal(t, text["base"], text["patched"])
	require.Equal(t, text["base"], text["vllm"])
	proveLoaded(t, proofs, patched[0])
}

func proveLoaded(t *testing.T, dir, pythonPath string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "proof-*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var proof struct {
		PID     int `json:"pid"`
		Modules map[string]struct{ File, SHA256 string }
	}
	require.NoError(t, json.Unmarshal(b, &proof))
	loaded := proof.Modules[sim.SwitchModule]
	require.True(t, strings.HasPrefix(loaded.File, strings.TrimPrefix(pythonPath, "PYTHONPATH=")), loaded.File)
	source, err := os.ReadFile(loaded.File)
	require.NoError(t, err)
	sum := sha256.Sum256(source)
	require.Equal(t, hex.EncodeToString(sum[:]), loaded.SHA256)
}

// measured is the simulated time of 8 requests at once, as the engine accounts for it; what else the machine does shows
// in it only where requests come too late for a common step.
func measured(t *testing.T, h *sim.Host, in, out int, flags ...string) float64 {
	t.Helper()
	p := launch(t, h, "sglang", nil, flags...)
	closedLoop(t, p.url, h.Layout().ModelPath, 8, 8, in, out)
	_, body, _ := get(t, p.url+"/server_info")
	var info struct {
		States []struct {
			Busy float64 `json:"simulated_busy_s"`
		} `json:"internal_states"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &info))
	require.Zero(t, p.stop(t))
	require.Positive(t, info.States[0].Busy)
	return info.States[0].Busy
}

func TestFlagsChangeTimes(t *testing.T) {
	h := newHost(t, sim.Config{Speed: 0.5})
	base := map[int]float64{}
	for _, c := range []struct {
		name     string
		in, out  int
		flags    []string
		min, max float64 // of the time over the default's
	}{
		{"eager decode is bound by the host", 64, 10, []string{"--disable-cuda-graph"}, 1.3, 3},
		{"two ranks share weights", 64, 10, []string{"--tp-size", "2"}, 0.4, 0.93},
		{"half the batch takes two waves", 64, 10, []string{"--max-running-requests", "4"}, 1.5, 2.3},
		{"eight-bit weights are read faster", 64, 10, []string{"--quantization", "fp8"}, 0.4, 0.93},
		{"host work is exposed", 64, 10, []string{"--disable-overlap-schedule"}, 1.03, 1.3},
		{"triton attention is slower on long prompts", 2000, 4, []string{"--attention-backend", "triton"}, 1.02, 1.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			within(t, func() (float64, bool) {
				if base[c.in] == 0 {
					base[c.in] = measured(t, h, c.in, c.out)
				}
				got := measured(t, h, c.in, c.out, c.flags...) / base[c.in]
				if got <= c.min || got >= c.max {
					base[c.in] = 0 // either of the two may have been disturbed
					return got, false
				}
				return got, true
			})
		})
	}
}

// within repeats a measurement that a busy machine may spoil.
func within(t *testing.T, measure func() (float64, bool)) {
	t.Helper()
	seen := []float64{}
	for range 3 {
		got, ok := measure()
		seen = append(seen, got)
		if ok {
			t.Logf("%.3f", seen)
			return
		}
	}
	require.Fail(t, "out of bounds", "%.3f", seen)
}

// A running request stalls for one step of a long prompt: for all of it, or for a chunk.
func TestChunkedPrefillBoundsStalls(t *testing.T) {
	h := newHost(t, sim.Config{})
	stall := func(engine string, flags ...string) time.Duration {
		p := launch(t, h, engine, nil, flags...)
		defer p.stop(t)
		short := make(chan answer, 1)
		go func() {
			a, err := ask(t.Context(), p.url+"/v1/completions", completion(h.Layout().ModelPath, prompt(16, 4), 30))
			if err == nil {
				short <- a
			}
			close(short)
		}()
		time.Sleep(60 * time.Millisecond) // the short request has to be decoding
		long, err := ask(t.Context(), p.url+"/v1/completions", completion(h.Layout().ModelPath, prompt(8000, 3), 2))
		require.NoError(t, err)
		require.Equal(t, 2, long.events)
		a := <-short
		require.Equal(t, 30, a.events)
		return a.gap
	}
	var seen []string
	for range 5 { // the short request has to be decoding when the long one comes: a busy machine may miss that
		whole, chunked := stall("vllm", "--max-num-batched-tokens", "16384"), stall("vllm", "--max-num-batched-tokens", "1024")
		alone := stall("sglang", "--chunked-prefill-size", "1024") // SGLang's default lets prompts go first, chunk after chunk
		seen = append(seen, fmt.Sprintf("longest stall: %v whole, %v chunked, %v chunked without mixing", whole, chunked, alone))
		if whole > 150*time.Millisecond && chunked < whole/2 && alone > 150*time.Millisecond {
			t.Log(seen)
			return
		}
	}
	require.Fail(t, "chunks do not bound the stall", "%v", seen)
}

func TestLaunchesThatFail(t *testing.T) {
	t.Parallel()
	busy := sim.Config{Busy: []sim.BusyGPU{{Index: 1, PID: 999999, Name: "somebody", MemoryMiB: 60000}}}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { taken.Close() })
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	for _, c := range []struct {
		name, engine string
		env, flags   []string
		status       int
		says         string
	}{
		{"cache leaves nothing for graphs", "sglang", nil, []string{"--mem-fraction-static", "0.98"}, 1, "Capture cuda graph failed: CUDA out of memory"},
		{"weights do not fit the fraction", "sglang", nil, []string{"--mem-fraction-static", "0.1"}, 1, "Not enough memory. Please try to increase --mem-fraction-static"},
		{"no room for cache", "vllm", nil, []string{"--gpu-memory-utilization", "0.2"}, 1, "No available memory for the cache blocks"},
		{"somebody's GPU", "vllm", []string{"CUDA_VISIBLE_DEVICES=1"}, nil, 1, "on startup is less than desired GPU memory utilization"},
		{"graphs beside a full GPU", "vllm", nil, []string{"--gpu-memory-utilization", "0.995"}, 1, "CUDA out of memory"},
		{"cache takes all", "tensorrt_llm", nil, []string{"--free_gpu_memory_fraction", "0.995"}, 1, "CUDA out of memory"},
		{"port in use", "sglang", nil, []string{"--port", port}, 1, "address already in use"},
		{"port in use, trtllm", "tensorrt_llm", nil, []string{"--port", port}, 1, "Failed to bind socket"},
		{"unknown flag", "sglang", nil, []string{"--cuda-graph-max-batch", "8"}, 2, "launch_server.py: error: unrecognized arguments: --cuda-graph-max-batch 8"},
		{"unknown flag, vllm", "vllm", nil, []string{"--tp-size", "2"}, 2, "vllm serve: error: unrecognized arguments: --tp-size 2"},
		{"unknown flag, click", "tensorrt_llm", nil, []string{"--tp-size", "2"}, 2, "Error: No such option: --tp-size"},
		{"unknown flag, gateway", "tokenspeed", nil, []string{"--tpsize", "2"}, 2, "error: unexpected argument '--tpsize' found"},
		{"choice", "sglang", nil, []string{"--attention-backend", "fa9"}, 2, "invalid choice: 'fa9' (choose from 'triton', "},
		{"number", "vllm", nil, []string{"--max-num-seqs", "many"}, 2, "argument --max-num-seqs: invalid int value: 'many'"},
		{"click's number", "tensorrt_llm", nil, []string{"--max_batch_size", "many"}, 2, "'many' is not a valid integer."},
		{"Blackwell only", "sglang", nil, []string{"--attention-backend", "trtllm_mha"}, 1, "only supported on Blackwell GPUs"},
		{"heads do not divide", "vllm", nil, []string{"--tensor-parallel-size", "3"}, 1, "must be divisible by tensor parallel size (3)"},
		{"more ranks than GPUs", "sglang", nil, []string{"--tp-size", "8"}, 1, "invalid device ordinal"},
		{"batch below sequences", "vllm", nil, []string{"--max-num-batched-tokens", "64", "--max-num-seqs", "128"}, 1, "max_num_batched_tokens (64) must be greater than or equal to max_num_seqs (128)"},
		{"not modelled", "sglang", nil, []string{"--speculative-algorithm", "EAGLE3"}, 1, "does not model --speculative-algorithm"},
		{"no such model", "sglang", nil, []string{"--model-path", "/nowhere/llama"}, 1, "couldn't find them in the cached files"},
		{"broken source", "sglang", []string{"PYTHONPATH=" + brokenOverlay(t)}, nil, 1, "SyntaxError: invalid syntax"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, busy) // of its own: launches that fail late hold memory for a moment
			status, log := fails(t, h, c.engine, c.env, c.flags...)
			require.Equal(t, c.status, status, log)
			require.Contains(t, log, c.says)
		})
	}
}

func brokenOverlay(t *testing.T) string {
	t.Helper()
	dir := overlay(t)
	path := filepath.Join(parentOf(dir), filepath.FromSlash(sim.SwitchFile))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(b, "\ndef broken(:\n    return (1\n"...), 0o644))
	return dir
}

func TestNoiseIsPerLaunch(t *testing.T) {
	h := newHost(t, sim.Config{Seed: 5, NoiseSD: 0.4})
	within(t, func() (float64, bool) {
		got := measured(t, h, 16, 8) / measured(t, h, 16, 8)
		return got, got < 0.95 || got > 1.05 // two launches of a seed differ
	})
}
