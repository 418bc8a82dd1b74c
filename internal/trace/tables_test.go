package trace_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

func TestHiddenTimeIsExact(t *testing.T) {
	t.Parallel()
	var e events
	for i, k := range []struct {
		name    string
		stream  int
		ts, dur float64
	}{
		{"ncclDevKernel_AllReduce_x", 20, 0, 100}, // 40 under the GEMM, 20 under the copy, 50 alone: they overlap each other by 10
		{"nvjet_a", 7, 20, 40},
		{"memcpy32_post", 21, 50, 20},
		{"nvjet_a", 7, 200, 10}, // alone
		{"nvjet_a", 7, 210, 0},  // no time at all
	} {
		e.launch(-100, i+1)
		e.kernel(k.name, k.stream, 1000+k.ts, k.dur, i+1)
	}
	s := analyze(t, e.write(t, "x.trace.json")).Stages[0]
	require.Equal(t, 110.0, s.BusyUS)
	rows := map[string]trace.Overlap{}
	for _, o := range s.Overlap {
		rows[o.Name] = o
	}
	nccl := rows["ncclDevKernel_AllReduce_x"]
	require.Equal(t, []float64{100, 50, 40, 50}, []float64{nccl.TotalUS, nccl.HiddenUS, nccl.HiddenByComputeUS, nccl.ExclusiveUS})
	require.Equal(t, "headroom", nccl.Verdict)
	require.InDelta(t, 100.0/110, nccl.ShareOfBusy, 1e-9)
	require.InDelta(t, 110.0/60-1, nccl.Ceiling, 1e-9) // 50 of 110 us are its alone
	copies := rows["memcpy32_post"]
	require.Equal(t, "low_roi_hidden", copies.Verdict)
	require.Equal(t, []float64{20, 10}, []float64{copies.HiddenUS, copies.HiddenByComputeUS})
	require.NotContains(t, rows, "nvjet_a") // neither mostly alone nor light work
	gemm := kernelNamed(t, analyze(t, e.write(t, "x.trace.json")), "nvjet_a")
	require.InDelta(t, 110.0/60-1, gemm.Ceiling, 1e-9)
	require.Equal(t, []float64{0, 10, 40}, []float64{min(gemm.P50US, 0), gemm.P50US, gemm.P99US})
}

func TestIdleIsSplitByCause(t *testing.T) {
	t.Parallel()
	var e events
	kernel := func(launched, at float64) {
		n := len(e.list) + 1
		e.launch(launched, n)
		e.kernel("k", 7, at, 10, n)
	}
	kernel(90, 100)  // runs until 110
	kernel(100, 130) // queued before the gap [110,130): something else held it
	kernel(170, 180) // gap [140,180): launched at 170, 30 late, 10 of latency
	e.add("cuda_runtime", "cudaStreamSynchronize", 1, 1, 185, 40, m{"correlation": 99})
	kernel(230, 240) // gap [190,240): waiting in the call until 225, then 15 of the host
	n := len(e.list) + 1
	e.kernel("k", 7, 300, 10, n) // gap [250,300): its launch is not in the trace
	s := analyze(t, e.write(t, "x.trace.json")).Stages[0]
	require.Equal(t, []float64{20, 40 + 15, 35, 50}, []float64{s.Idle.DependencyUS, s.Idle.HostUS, s.Idle.SyncUS, s.Idle.UnknownUS})
	require.Equal(t, 160.0, s.Idle.IdleUS)
	require.InDelta(t, 160.0/210, s.Idle.ShareOfWall, 1e-9)
	require.Equal(t, "host", s.Idle.Causes[0].Cause)
	require.Equal(t, 40.0, s.Idle.Causes[0].LongestUS)
	require.Equal(t, 50.0, s.Idle.Causes[0].LongestAtUS) // 140 on the clock, the first event at 90
}

// Between two profiling windows nothing was recorded: that is not idle.
func TestGapsBetweenWindowsAreNotIdle(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 2 {
		at := float64(1_000_000 * i)
		e.add("Trace", "PyTorch Profiler (0)", "Spans", "PyTorch Profiler", at, 500, m{})
		for n := range 2 {
			e.launch(at+float64(20*n), 10*i+n+1)
			e.kernel("k", 7, at+100+float64(20*n), 10, 10*i+n+1)
		}
	}
	require.Equal(t, 20.0, analyze(t, e.write(t, "x.trace.json")).Stages[0].Idle.IdleUS)
}

func TestLayersByPeriod(t *testing.T) {
	t.Parallel()
	var e events
	at := 0.0
	run := func(name string, dur float64) {
		e.kernel(name, 7, at, dur, 0)
		at += dur + 1
	}
	for pass := range 3 {
		run("embedding", 2)
		for layer := range 6 {
			run("norm", 1)
			run("attention", 5)
			run("norm", 1)
			mlp := 3.0
			if layer == 4 {
				mlp = 9
			}
			run("mlp", mlp)
		}
		run("logits", 4)
		run("sample", float64(pass+1))
	}
	l := analyze(t, e.write(t, "x.trace.json")).Stages[0].Layers
	require.Equal(t, []int{4, 3, 6}, []int{l.Period, l.Passes, l.PerPass})
	require.Equal(t, []float64{13, 10}, []float64{l.WallUS, l.SumUS})
	require.Equal(t, "norm", l.Anchor)
	require.Equal(t, []string{"first", "steady", "last", "slowest"}, []string{l.Rows[0].Role, l.Rows[1].Role, l.Rows[2].Role, l.Rows[3].Role})
	require.Equal(t, 4, l.Rows[3].Index)
	require.Equal(t, 16.0, l.Rows[3].SumUS)
}

func TestNoLayersWithoutRepetition(t *testing.T) {
	t.Parallel()
	var same, different events
	for i := range 60 {
		same.kernel("k", 7, float64(20*i), 10, 0)
		different.kernel("k"+itoa(i), 7, float64(20*i), 10, 0)
	}
	require.Zero(t, analyze(t, same.write(t, "x.trace.json")).Stages[0].Layers.Period)
	require.Zero(t, analyze(t, different.write(t, "x.trace.json")).Stages[0].Layers.Period)
}

// patterns maps each fuse pattern of a trace to its state.
func patterns(t *testing.T, server trace.Server, kernels ...string) map[string]string {
	t.Helper()
	var e events
	for i := range 40 {
		for n, name := range kernels {
			e.kernel(name, 7, float64(100*i+10*n), 10, 0)
		}
	}
	a, err := trace.Analyze(t.Context(), []string{e.write(t, "x.trace.json")}, trace.Options{Server: server})
	require.NoError(t, err)
	out := map[string]string{}
	for _, f := range a.Stages[0].Fuse {
		out[f.Framework+" "+f.Pattern] = f.State
		for _, also := range f.Also {
			out[also.Framework+" "+f.Pattern] = f.State
		}
	}
	return out
}

func TestFusePatternsAndTheirGates(t *testing.T) {
	t.Parallel()
	const (
		allReduce = "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(x)"
		norm      = "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(x)"
		fused     = "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<x>(x)"
		silu      = "void vllm::act_and_mul_kernel<c10::BFloat16>(x)"
		quant     = "void vllm::dynamic_per_token_scaled_fp8_quant_kernel<c10::BFloat16>(x)"
		key       = "vllm all-reduce + residual add + RMSNorm"
	)
	require.Equal(t, "undecided", patterns(t, trace.Server{}, allReduce, norm)[key])
	require.Equal(t, "missed", patterns(t, trace.Server{TP: 2}, allReduce, norm)[key])
	require.NotContains(t, patterns(t, trace.Server{TP: 1}, allReduce, norm), key)
	require.Equal(t, "active", patterns(t, trace.Server{}, fused, norm)[key])
	require.NotContains(t, patterns(t, trace.Server{TP: 2}, norm), key)
	require.NotContains(t, patterns(t, trace.Server{TP: 2}, allReduce, "a", "b", "c", "d", "e", "f", norm, "g", "h", "i", "j", "k", "l"), key) // not near each other
	require.Equal(t, "missed", patterns(t, trace.Server{}, silu, quant)["vllm activation + FP8 quantization"])                                 // precision from the name
	qk := "sglang Q/K RMSNorm + RoPE"
	parts := []string{norm, norm, "void vllm::rotary_embedding_kernel<x>(x)"}
	require.Equal(t, "undecided", patterns(t, trace.Server{}, parts...)[qk])
	require.Equal(t, "missed", patterns(t, trace.Server{Model: "Qwen/Qwen3-8B"}, parts...)[qk])
	require.NotContains(t, patterns(t, trace.Server{Model: "meta-llama/Llama-3.1-8B"}, parts...), qk)
}

// stepsOf makes a trace of decode steps; times gives each family's time in each step.
func stepsOf(t *testing.T, times map[string][]float64, order ...string) *trace.Analysis {
	t.Helper()
	var e events
	n := 0
	for _, name := range order {
		for i, us := range times[name] {
			n++
			at := float64(1000 * (i + 1))
			e.launch(at+10, n)
			e.kernel(name, 7, at+50*float64(n), us, n)
		}
	}
	for i := range times[order[0]] {
		e.step("step[DECODE bs=8]", float64(1000*(i+1)), 500)
	}
	return analyze(t, e.write(t, "x-TP-0.trace.json"))
}

func TestDiffPerStep(t *testing.T) {
	t.Parallel()
	before := stepsOf(t, map[string][]float64{"attention": {10, 11, 9, 10}, "slow_gemm": {40, 41, 39, 40}, "old": {5, 5, 5, 5}}, "attention", "slow_gemm", "old")
	after := stepsOf(t, map[string][]float64{"attention": {10, 9, 11, 10}, "slow_gemm": {30, 31, 29, 30}, "fresh": {2, 2, 2, 2}}, "attention", "slow_gemm", "fresh")
	rows := map[string]trace.DiffRow{}
	list := trace.Diff(before, after)
	for _, r := range list {
		rows[r.Family] = r
	}
	require.Equal(t, "slow_gemm", list[0].Family) // the largest difference first
	gemm := rows["slow_gemm"]
	require.Equal(t, "changed", gemm.Kind)
	require.Equal(t, []float64{40, 30, -10}, []float64{gemm.BeforeUS, gemm.AfterUS, gemm.DeltaUS})
	require.Greater(t, gemm.Interval[0], -12.0) // sd 0.816 on each side, four steps each: ±1.41
	require.InDelta(t, -10-1.4129, gemm.Interval[0], 1e-3)
	require.InDelta(t, 55.0/45-1, gemm.Worth, 1e-9)
	require.Equal(t, "same", rows["attention"].Kind)
	require.Equal(t, "gone", rows["old"].Kind)
	require.Equal(t, "new", rows["fresh"].Kind)
	text, err := json.Marshal(before)
	require.NoError(t, err)
	var stored trace.Analysis
	require.NoError(t, json.Unmarshal(text, &stored))
	require.Equal(t, list, trace.Diff(&stored, after)) // an analysis read back compares alike
	_, ok := stored.Row(before.Stages[0].Kernels[0].ID)
	require.True(t, ok)
}

func TestDiffSaysWhatTheOtherFuses(t *testing.T) {
	t.Parallel()
	parts := stepsOf(t, map[string][]float64{"void at::native::x_kernel<silu_kernel>(x)": {5, 5}, "void at::native::elementwise_kernel<MulFunctor<float>>(x)": {5, 5}},
		"void at::native::x_kernel<silu_kernel>(x)", "void at::native::elementwise_kernel<MulFunctor<float>>(x)")
	fused := stepsOf(t, map[string][]float64{"void vllm::act_and_mul_kernel<x>(x)": {4, 4}}, "void vllm::act_and_mul_kernel<x>(x)")
	find := func(before, after *trace.Analysis) string {
		for _, r := range trace.Diff(before, after) {
			if r.Family == "SiLU + multiply" {
				return r.Kind
			}
		}
		return ""
	}
	require.Equal(t, "fused_after", find(parts, fused))
	require.Equal(t, "fused_before", find(fused, parts))
	require.Empty(t, find(fused, fused))
}

// requireGolden compares with a golden file, or writes it where UPDATE says so.
func requireGolden(t *testing.T, golden string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE") == "1" {
		require.NoError(t, os.WriteFile(golden, got, 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	a, err := trace.Analyze(t.Context(), []string{"testdata/tp2_prefill-TP-0.trace.json.gz", "testdata/tp2_prefill-TP-1.trace.json.gz"}, trace.Options{MinShare: 0.01})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, trace.WriteMarkdown(&b, a))
	requireGolden(t, "testdata/tp2_prefill.md", b.Bytes())
}

// Names come from a foreign file: they must not break out of a cell.
func TestMarkdownEscapesNames(t *testing.T) {
	t.Parallel()
	var e events
	e.kernel("evil | `x` \n# heading <script>", 7, 1, 10, 0)
	var b bytes.Buffer
	require.NoError(t, trace.WriteMarkdown(&b, analyze(t, e.write(t, "x.trace.json"))))
	require.Contains(t, b.String(), "`evil ¦ 'x'  # heading <script>`")
	require.NotContains(t, b.String(), "\n# heading")
}

func TestJSONHasNoNullLists(t *testing.T) {
	t.Parallel()
	var e events
	e.kernel("k", 7, 1, 10, 0)
	text, err := json.Marshal(analyze(t, e.write(t, "x.trace.json")))
	require.NoError(t, err)
	require.NotContains(t, string(text), "null")
}
