package trace_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/trace"
)

// operatorTime is an operator's self time and calls.
type operatorTime struct {
	US    float64
	Calls int
}

// operatorsOf sums the rows of an analysis by operator.
func operatorsOf(a *trace.Analysis) map[string]operatorTime {
	sums := map[string]operatorTime{}
	for _, s := range a.Stages {
		for _, k := range s.Kernels {
			o := sums[k.Name]
			sums[k.Name] = operatorTime{o.US + k.TotalUS, o.Calls + k.Launches}
		}
	}
	return sums
}

// profilerRow matches a row of the table that vLLM writes: name, self share, self time, …, calls.
var profilerRow = regexp.MustCompile(`(?m)^\s*(\S.*?)\s+[\d.]+%\s+([\d.]+)(us|ms|s)\s.*\s(\d+)\s*$`)

// profilerTable reads vLLM's profiler_out_N.txt.
func profilerTable(t *testing.T, path string) map[string]operatorTime {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	rows := map[string]operatorTime{}
	for _, m := range profilerRow.FindAllStringSubmatch(string(text), -1) {
		value, err := strconv.ParseFloat(m[2], 64)
		require.NoError(t, err)
		calls, err := strconv.Atoi(m[4])
		require.NoError(t, err)
		rows[m[1]] = operatorTime{value * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[m[3]], calls}
	}
	return rows
}

// What vLLM prints of its own profile is met within 1 %, the steps' annotations included: what PyTorch
// calls their self time is the time outside operators.
func TestOperatorsMeetVLLMsOwnTable(t *testing.T) {
	t.Parallel()
	a := analyze(t, "testdata/cpu/vllm")
	got, want := operatorsOf(a), profilerTable(t, "testdata/cpu/vllm/profiler_out_0.txt")
	var total, sum, annotated, outside float64
	for name, w := range want {
		if strings.HasPrefix(name, "execute_") {
			annotated += w.US
			delete(want, name)
			continue
		}
		total += w.US
	}
	require.Len(t, got, len(want))
	for name, w := range want {
		require.Equal(t, w.Calls, got[name].Calls, name)
		if w.US > total/1000 {
			require.InEpsilon(t, w.US, got[name].US, 0.01, name)
		}
		sum += got[name].US
	}
	require.InEpsilon(t, total, sum, 0.001)
	for _, s := range a.Stages {
		outside += s.OutsideUS
	}
	require.InEpsilon(t, annotated, outside, 0.001)
}

func TestOperatorsEqualPyTorchs(t *testing.T) {
	t.Parallel()
	type truth struct {
		Operators map[string]operatorTime
	}
	read := func(path string, into any) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	want := map[string]truth{}
	read("testdata/cpu/sglang.json", &want)
	var threads truth
	read("testdata/cpu/threads.json", &threads)
	want["threads.trace.json.gz"] = threads
	require.Len(t, want, 4)
	for path, w := range want {
		got := operatorsOf(analyze(t, "testdata/cpu/"+path))
		require.Len(t, got, len(w.Operators), path)
		for name, o := range w.Operators {
			require.Equal(t, o.Calls, got[name].Calls, "%s: %s", path, name)
			require.InDelta(t, o.US, got[name].US, 0.002, "%s: %s", path, name)
		}
	}
}

func TestStagesOfCPUHosts(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		framework string
		steps     map[string]int
		mapped    float64
	}{
		"vllm":          {"vllm", map[string]int{trace.Prefill: 1, trace.Decode: 3, trace.Mixed: 1}, 1},
		"sglang_stack":  {"sglang", map[string]int{trace.Prefill: 1, trace.Decode: 3, trace.Unassigned: 0}, 1},
		"sglang_before": {"sglang", map[string]int{trace.Prefill: 1, trace.Decode: 6, trace.Unassigned: 0}, 0},
	} {
		a := analyze(t, "testdata/cpu/"+path)
		steps := map[string]int{}
		for _, s := range a.Stages {
			steps[s.Stage] = s.Steps
			require.Equal(t, trace.SourceCPU, s.Source)
			require.InDelta(t, want.mapped, s.MappedShare, 0.01, path)
			require.Equal(t, s.TotalUS, s.BusyUS, path)
			if s.Steps > 0 {
				require.InDelta(t, s.WallUS, s.TotalUS+s.OutsideUS, 0.01, path)
				require.Greater(t, s.OutsideUS, 0.1*s.WallUS, path)
			}
			for _, k := range s.Kernels {
				require.InDelta(t, 1/(1-k.TotalUS/s.WallUS)-1, k.Ceiling, 1e-9, k.ID)
			}
			require.Empty(t, s.Overlap)
			require.Empty(t, s.Fuse)
			require.Empty(t, s.Idle.Causes)
			require.Zero(t, s.Layers.Period)
		}
		require.Equal(t, want.steps, steps, path)
		require.Zero(t, a.Files[0].Rank)
		require.Equal(t, want.framework, a.Files[0].Framework)
		notes := strings.Join(a.Notes, "\n")
		require.Contains(t, notes, "no claim about a GPU")
		require.Contains(t, notes, "do not apply")
	}
	a := analyze(t, "testdata/cpu/sglang_stack")
	gemm := stageNamed(t, a, trace.Decode).Kernels[0]
	require.Equal(t, []string{"aten::mm", "gemm"}, []string{gemm.Name, gemm.Category})
	require.Equal(t, "python/sglang/srt/layers/quantization/unquant.py", gemm.Locations[0].Path)
	row, ok := a.Row(gemm.ID)
	require.True(t, ok)
	require.Equal(t, gemm.Ceiling, row.Ceiling)
}

// op adds an operator.
func (e *events) op(name string, tid any, ts, dur float64) {
	e.add("cpu_op", name, 1, tid, ts, dur, m{})
}

func TestWallTimeIsTheBaseOfCeilings(t *testing.T) {
	t.Parallel()
	var e events
	e.step("step[DECODE bs=1]", 100, 100)
	e.op("aten::linear", 1, 110, 40)
	e.op("aten::mm", 1, 120, 20)         // inside: linear keeps 20
	e.op("aten::copy_", 2, 120, 70)      // beside the step, on another thread
	e.op("aten::argmax", 1, 210, 10)     // after the step, part of it
	e.step("step[DECODE bs=1]", 300, 50) // runs no operator
	e.step("step[IDLE bs=0]", 400, 500)
	e.op("aten::sum", 1, 500, 30)
	a := analyze(t, e.write(t, "x.trace.json"))
	s := stageNamed(t, a, trace.Decode)
	require.Equal(t, []float64{120, 120, 10, 160, 110}, []float64{s.TotalUS, s.BusyUS, s.PostUS, s.WallUS, s.OutsideUS})
	mm := kernelNamed(t, a, "aten::mm")
	require.InDelta(t, 160.0/140-1, mm.Ceiling, 1e-9)
	require.Equal(t, 20.0, kernelNamed(t, a, "aten::linear").TotalUS)
	out := s.Families[len(s.Families)-1]
	require.Equal(t, []any{"(outside operators)", 110.0, 55.0}, []any{out.Name, out.TotalUS, out.PerStepUS})
	require.InDelta(t, 7.0710678, out.SDStepUS, 1e-6) // steps of 60 and 50 us
	rest := stageNamed(t, a, trace.Unassigned)
	require.Equal(t, []float64{30, 0}, []float64{rest.WallUS, rest.OutsideUS}) // waiting is no work
}

// A moment counts once, whatever crosses; annotations take their time as in PyTorch, asynchronous ones none.
func TestCrossingIntervals(t *testing.T) {
	t.Parallel()
	var e events
	e.op("outer", 1, 0, 20)
	e.op("early", 1, 1, 9)
	e.op("late", 1, 8, 4) // outlasts early, not outer
	e.op("last", 1, 19, 5)
	e.op("annotated", 2, 0, 20)
	e.add("user_annotation", "range", 1, 2, 5, 10, m{})
	e.op("inside", 2, 6, 4)
	e.add("user_annotation", "gloo:all_reduce", 1, 2, 18, 30, m{}) // ends on another thread
	e.op("next", 2, 25, 5)
	a := analyze(t, e.write(t, "x.trace.json"))
	for name, us := range map[string]float64{"outer": 1 + 7, "early": 7, "late": 4, "last": 5, "annotated": 10, "inside": 4, "next": 5} {
		require.Equal(t, us, kernelNamed(t, a, name).TotalUS, name)
	}
}

func TestGPUWorkAndOperatorsAreNotMixed(t *testing.T) {
	t.Parallel()
	const gpu, cpu = "testdata/tp2_decode-TP-0.trace.json.gz", "testdata/cpu/threads.trace.json.gz"
	refused := func(paths []string, opt trace.Options) {
		_, err := trace.Analyze(t.Context(), paths, opt)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
		require.ErrorContains(t, err, "threads")
		require.ErrorContains(t, err, "tp2_decode")
	}
	refused([]string{gpu, cpu}, trace.Options{})
	refused([]string{gpu}, trace.Options{Mapping: []string{cpu}})
	refused([]string{cpu}, trace.Options{Mapping: []string{gpu}})
	a, b := analyze(t, gpu), analyze(t, cpu)
	for _, err := range []error{trace.Comparable(a, b), trace.Comparable(b, a)} {
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	}
	require.Empty(t, trace.Diff(a, b))
	require.Empty(t, trace.Diff(b, a))
	require.NoError(t, trace.Comparable(a, a))
	require.NoError(t, trace.Comparable(b, b))
}

func TestDiffOfCPUHosts(t *testing.T) {
	t.Parallel()
	before, after := analyze(t, "testdata/cpu/sglang_before"), analyze(t, "testdata/cpu/sglang_after")
	require.NoError(t, trace.Comparable(before, after))
	wall := stageNamed(t, before, trace.Decode).WallUS / 6
	rows := map[string]trace.DiffRow{}
	var sum float64
	for _, r := range trace.Diff(before, after) {
		require.Equal(t, trace.SourceCPU, r.Source)
		if r.Stage != trace.Decode {
			continue
		}
		require.True(t, r.PerStep)
		require.NotNil(t, r.Interval, r.Family)
		require.InDelta(t, wall/(wall+r.DeltaUS)-1, r.Worth, 1e-9)
		rows[r.Family] = r
		sum += r.BeforeUS
	}
	require.InDelta(t, wall, sum, 0.01)                       // operators and what is outside of them are the step
	require.Equal(t, "changed", rows["aten::transpose"].Kind) // four requests, then two: half the views of its attention
	require.Negative(t, rows["aten::transpose"].DeltaUS)
	require.Contains(t, rows, "(outside operators)")
	kinds := map[string]string{}
	for _, r := range trace.Diff(before, analyze(t, "testdata/cpu/vllm")) {
		if r.Stage == trace.Decode {
			kinds[r.Family] = r.Kind
		}
	}
	require.Equal(t, []string{"gone", "new"}, []string{kinds["aten::mm"], kinds["_C::onednn_mm"]})
}

// On a host with a GPU operators are the dispatch of work that is missing.
func TestGPUHostWithoutGPUWork(t *testing.T) {
	t.Parallel()
	const text = `{"deviceProperties":[{"id":0,"name":"NVIDIA H200"}],"traceEvents":[{"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":1,"dur":5}]}`
	a := analyze(t, writeFile(t, "x.trace.json", []byte(text)))
	require.Contains(t, strings.Join(a.Notes, "\n"), "a host with a GPU (NVIDIA H200) but holds no GPU work")
	_, err := trace.Analyze(t.Context(), []string{writeFile(t, "x.trace.json", []byte(text[:len(text)-2]))}, trace.Options{})
	require.Equal(t, fault.Corrupt, fault.CodeOf(err)) // cut off before its kernels
	var e events
	e.launch(1, 1)
	e.op("aten::mm", 1, 1, 5)
	require.Contains(t, strings.Join(analyze(t, e.write(t, "x.trace.json")).Notes, "\n"), "its runtime was called")
}

func TestMarkdownOfACPUHost(t *testing.T) {
	t.Parallel()
	a, err := trace.Analyze(t.Context(), []string{"testdata/cpu/sglang_stack"}, trace.Options{MinShare: 0.03})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, trace.WriteMarkdown(&b, a))
	requireGolden(t, "testdata/cpu/sglang_stack.md", b.Bytes())
	require.NotContains(t, strings.ReplaceAll(b.String(), "claim about a GPU", ""), "GPU time")
	b.Reset()
	require.NoError(t, trace.WriteDiffMarkdown(&b, trace.Diff(a, a)))
	require.Contains(t, b.String(), "No claim about a GPU")
	require.Contains(t, b.String(), "| decode | 0 |") // one stage's many operators do not crowd out the next
}
