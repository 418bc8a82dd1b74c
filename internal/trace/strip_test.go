package trace_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// withStrips analyses paths with strips.
func withStrips(t *testing.T, paths ...string) *trace.Analysis {
	t.Helper()
	a, err := trace.Analyze(t.Context(), paths, trace.Options{Strip: true})
	require.NoError(t, err)
	return a
}

// stripOf analyses a synthetic trace and gives the strip of a stage.
func stripOf(t *testing.T, e *events, stage string) *trace.Strip {
	t.Helper()
	s := stageNamed(t, withStrips(t, e.write(t, "x.trace.json")), stage).Strip
	require.NotNil(t, s)
	return s
}

// spanUS sums what spans of a lane are busy.
func spanUS(l *trace.Lane) (us float64) {
	for _, s := range l.Spans {
		us += s.BusyUS
	}
	return us
}

// decodeStep adds a decode step of a GEMM and a copy that overlaps it, launched at begin, run from at.
func decodeStep(e *events, begin, at, dur float64) {
	n := len(e.list)
	e.step("step[DECODE bs=8]", begin, 50)
	e.launch(begin+1, n+1)
	e.kernel("nvjet_a", 7, at, dur, n+1)
	e.launch(begin+10, n+2)
	e.kernel("Memcpy DtoD", 20, at+dur-5, 10, n+2)
	e.launch(begin+60, n+3) // after the window: sampling
	e.kernel("argmax_x", 7, at+dur+20, 5, n+3)
}

func TestStripIsTheMedianStep(t *testing.T) {
	t.Parallel()
	var e events
	decodeStep(&e, 1000, 1100, 400)
	decodeStep(&e, 2000, 2100, 100)
	decodeStep(&e, 3000, 3100, 200)
	e.kernel("stray", 7, 3150, 10, 0) // belongs to no step
	s := stripOf(t, &e, trace.Decode)
	require.Equal(t, []any{2100.0, 2100.0 + 225, "step[DECODE bs=8]"}, []any{s.StartUS, s.EndUS, s.Step}) // 3100 on the clock
	require.Zero(t, s.MergedUS)
	require.Equal(t, []trace.Lane{
		{Name: "stream 7", BusyUS: 205, Spans: []trace.Span{
			{StartUS: 2100, DurUS: 200, BusyUS: 200, Category: "gemm", Name: "nvjet_a", Count: 1},
			{StartUS: 2150, DurUS: 10, BusyUS: 10, Category: "other", Name: "stray", Count: 1, Foreign: true},
			{StartUS: 2320, DurUS: 5, BusyUS: 5, Category: "sampling", Name: "argmax_x", Count: 1},
		}},
		{Name: "stream 20", BusyUS: 10, Spans: []trace.Span{
			{StartUS: 2295, DurUS: 10, BusyUS: 10, Category: "memory", Name: "Memcpy DtoD", Count: 1},
		}},
	}, s.Lanes)
}

// The spans of the only step are all of its stage: their union is the stage's busy time, their sum its time.
func TestStripHoldsTheWholeStep(t *testing.T) {
	t.Parallel()
	var e events
	decodeStep(&e, 1000, 1100, 400)
	stage := stageNamed(t, withStrips(t, e.write(t, "x.trace.json")), trace.Decode)
	var sum float64
	spans := map[float64]float64{}
	for i := range stage.Strip.Lanes {
		l := &stage.Strip.Lanes[i]
		require.Equal(t, l.BusyUS, spanUS(l))
		sum += l.BusyUS
		for _, s := range l.Spans {
			spans[s.StartUS] = s.DurUS
		}
	}
	require.Equal(t, stage.TotalUS, sum)
	require.Equal(t, stage.BusyUS, sum-5) // 5 us of the copy run under the GEMM
	require.Equal(t, stage.Idle.IdleUS, stage.Strip.EndUS-stage.Strip.StartUS-stage.BusyUS)
	require.Len(t, spans, 3)
}

// A draft step is part of the step it drafts for, and no step of its own.
func TestStripHoldsDraftSteps(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 3 {
		at := float64(1000 * (i + 1))
		e.step("step[TARGET_VERIFY bs=8]", at, 50)
		e.launch(at+1, 10*i+1)
		e.kernel("nvjet_a", 7, at+100, 100, 10*i+1)
		e.step("draft step[DRAFT_EXTEND bs=8]", at+60, 50)
		e.launch(at+61, 10*i+2)
		e.kernel("nvjet_draft", 7, at+250, 10, 10*i+2)
	}
	s := stripOf(t, &e, trace.Decode)
	require.Equal(t, []any{"step[TARGET_VERIFY bs=8]", 160.0}, []any{s.Step, s.EndUS - s.StartUS})
	require.Len(t, s.Lanes[0].Spans, 2)
	require.False(t, s.Lanes[0].Spans[1].Foreign)
}

func TestStripNamesLanes(t *testing.T) {
	t.Parallel()
	var e events
	e.add("kernel", "a", 0, 7, 1, 5, m{"stream": 7})
	e.add("kernel", "b", 1, 7, 2, 5, m{"stream": 7})
	e.add("kernel", "c", 1, "stream x", 3, 5, m{})
	s := stripOf(t, &e, trace.Unassigned)
	var names []string
	for _, l := range s.Lanes {
		names = append(names, l.Name)
	}
	require.Equal(t, []string{"device 0, stream 7", "device 1, stream x", "device 1, stream 7"}, names)
}

func TestStripWithoutSteps(t *testing.T) {
	t.Parallel()
	var e events
	e.add("Trace", "PyTorch Profiler (0)", "Spans", "PyTorch Profiler", 0, 500, m{})
	e.kernel("nvjet_a", 7, 100, 30_000, 0)
	e.kernel("nvjet_a", 7, 40_100, 30_000, 0) // cut at 50 ms
	e.kernel("nvjet_a", 7, 80_100, 1, 0)
	s := stripOf(t, &e, trace.Unassigned)
	require.Equal(t, []any{100.0, 50_100.0, ""}, []any{s.StartUS, s.EndUS, s.Step})
	require.Equal(t, 40_000.0, s.Lanes[0].BusyUS)
	e.add("Trace", "PyTorch Profiler (1)", "Spans", "PyTorch Profiler", 35_000, 9_000, m{})
	s = stripOf(t, &e, trace.Unassigned) // not into the next profiling window
	require.Equal(t, []float64{100, 35_000}, []float64{s.StartUS, s.EndUS})
}

func TestStripOfACPUHost(t *testing.T) {
	t.Parallel()
	var e events
	e.step("step[DECODE bs=1]", 100, 100)
	e.op("aten::linear", 1, 110, 40)
	e.op("aten::mm", 1, 120, 20)
	e.op("aten::copy_", 2, 190, 30) // outlasts the step
	e.op("aten::argmax", 1, 230, 10)
	s := stripOf(t, &e, trace.Decode)
	require.Equal(t, []any{0.0, 100.0, "step[DECODE bs=1]"}, []any{s.StartUS, s.EndUS, s.Step}) // 100 on the clock
	require.Len(t, s.Lanes, 2)
	l := s.Lanes[0]
	require.Equal(t, []any{"thread 1", 40.0, 40.0, 3}, []any{l.Name, l.BusyUS, spanUS(&l), len(l.Spans)})
	require.Equal(t, trace.Span{StartUS: 20, DurUS: 20, BusyUS: 20, Category: "gemm", Name: "aten::mm", Count: 1}, l.Spans[1])
	require.Equal(t, "aten::linear", l.Spans[2].Name) // the rest of it
	require.Equal(t, []any{"thread 2", 10.0}, []any{s.Lanes[1].Name, s.Lanes[1].BusyUS})
}

// A large step stays below the bound, loses no busy time, and keeps wide spans and wide gaps.
func TestStripIsBounded(t *testing.T) {
	t.Parallel()
	for name, kernels := range map[string][]string{"one category": {"nvjet_a", "nvjet_b"}, "several": {"nvjet_a", "rms_norm", "silu_x"}} {
		var e events
		for stream := range 40 {
			for i := range 500 {
				at := float64(1000 + 10*i)
				if i >= 250 {
					at += 20_000 // a gap that has to be seen
				}
				e.kernel(kernels[i%len(kernels)], 100+stream, at, 8, 0)
			}
			e.kernel("flash_fwd_kernel", 100+stream, 40_000, 10_000+float64(stream), 0)
		}
		s := stripOf(t, &e, trace.Unassigned)
		require.Len(t, s.Lanes, 32)
		require.Equal(t, 8, s.LanesLeftOut)
		require.Equal(t, []string{"stream 108", "stream 139"}, []string{s.Lanes[0].Name, s.Lanes[31].Name}) // the busiest, in order
		require.Positive(t, s.MergedUS)
		require.Equal(t, name == "several", s.Mixed, name)
		var spans int
		for i := range s.Lanes {
			l := &s.Lanes[i]
			spans += len(l.Spans)
			require.InDelta(t, l.BusyUS, spanUS(l), 1e-6)
			count, last := 0, &l.Spans[len(l.Spans)-1]
			for n := range l.Spans {
				p := &l.Spans[n]
				count += p.Count
				require.False(t, p.StartUS < 5000 && p.StartUS+p.DurUS > 20_000, "the gap is gone")
				if n > 0 {
					require.GreaterOrEqual(t, p.StartUS, l.Spans[n-1].StartUS+l.Spans[n-1].DurUS)
				}
			}
			require.Equal(t, 501, count)
			require.Equal(t, []any{"attention", 1}, []any{last.Category, last.Count})
		}
		require.LessOrEqual(t, spans, 4000)
	}
}

// Merged is what takes most of the time, and the longest of it gives its name.
func TestStripNamesWhatItMerges(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 6000 {
		e.kernel("rms_norm", 7, float64(10*i), 2, 0)
		e.kernel("nvjet_"+string(rune('a'+i%2)), 7, float64(10*i+3), 4+float64(i%2), 0)
	}
	s := stripOf(t, &e, trace.Unassigned)
	require.True(t, s.Mixed)
	for _, p := range s.Lanes[0].Spans[1:10] {
		require.Equal(t, []string{"gemm", "nvjet_b"}, []string{p.Category, p.Name})
		require.Greater(t, p.Count, 2)
		require.Less(t, p.BusyUS, p.DurUS)
	}
}

func TestStripOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"testdata/tp2_decode-TP-0.trace.json.gz", "testdata/cpu/vllm"} {
		plain, err := json.Marshal(analyze(t, path))
		require.NoError(t, err)
		require.False(t, bytes.Contains(plain, []byte(`"strip"`)))
		a := withStrips(t, path)
		text, err := json.Marshal(a)
		require.NoError(t, err)
		require.False(t, bytes.Contains(text, []byte(":null")))
		for i := range a.Stages {
			s := a.Stages[i].Strip
			require.NotNil(t, s, a.Stages[i].Stage)
			require.NotEmpty(t, s.Lanes)
			for n := range s.Lanes {
				l := &s.Lanes[n]
				require.LessOrEqual(t, l.BusyUS, (s.EndUS-s.StartUS)*(1+1e-12))
				for _, p := range l.Spans {
					require.GreaterOrEqual(t, p.StartUS, s.StartUS)
					require.LessOrEqual(t, p.StartUS+p.DurUS, math.Nextafter(s.EndUS, math.Inf(1))+1e-6)
				}
			}
			a.Stages[i].Strip = nil
		}
		rest, err := json.Marshal(a)
		require.NoError(t, err)
		require.Equal(t, string(plain), string(rest)) // nothing else changes
	}
}
