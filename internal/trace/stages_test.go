package trace_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

func TestStepNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"step[EXTEND bs=1 toks=512]":                                        trace.Prefill,
		"step[DECODE bs=8]":                                                 trace.Decode,
		"step[DECODE bs=8 foo=bar]":                                         trace.Decode,
		"step[MIXED bs=3 toks=40]":                                          trace.Mixed,
		"step[TARGET_VERIFY bs=4]":                                          trace.Decode,
		"step[SPLIT_PREFILL bs=1 toks=8]":                                   trace.Prefill,
		"step[DLLM_EXTEND bs=1]":                                            trace.Prefill,
		"draft step[DRAFT_EXTEND_V2 bs=4]":                                  trace.Decode + " draft",
		"draft step[DECODE bs=4]":                                           trace.Decode + " draft",
		"step[DRAFT_EXTEND bs=4]":                                           trace.Decode + " draft",
		"step[IDLE bs=0]":                                                   "",
		"step[PREBUILT bs=2]":                                               "",
		"step[NEW_MODE bs=2]":                                               " unknown",
		"execute_context_1(64)_generation_0(0)":                             trace.Prefill,
		"execute_context_0(0)_generation_16(16)":                            trace.Decode,
		"execute_context_0(0)_generation_8(8)":                              trace.Decode,
		"execute_72_context_1(64)_generation_8(8)":                          trace.Mixed,
		"execute_8_context_0(sq0sk0)_generation_8(sq8sk900)":                trace.Decode,
		"execute_context_0(0)_generation_0(0)":                              "",
		"[Executor] _forward_step 12: 2 ctx reqs, 0 gen reqs":               trace.Prefill,
		"[Executor] _forward_step 12: 0 ctx reqs, 8 gen reqs":               trace.Decode,
		"[Executor] _forward_step 1: 1 ctx reqs, 64 ctx tokens, 3 gen reqs": trace.Mixed,
	} {
		stage, draft, unknown, ok := trace.Step(name)
		require.True(t, ok, name)
		if draft {
			stage += " draft"
		}
		if unknown {
			stage += " unknown"
		}
		require.Equal(t, want, stage, name)
	}
	for _, name := range []string{"", "step", "step[", "step[]", "step[DECODE", "prefill", "execute_", "execute_model", "execute_x_context_1(1)_generation_1(1)",
		"execute_context_-1(1)_generation_0(0)", "execute_context_1(1)", "[Executor] _forward_step 3", "[Executor] _forward_step 3: x ctx reqs, 1 gen reqs", "nccl:all_reduce"} {
		_, _, _, ok := trace.Step(name)
		require.False(t, ok, name)
	}
}

// A kernel belongs to the step around its launch, however late it runs.
func TestStageFollowsTheLaunch(t *testing.T) {
	t.Parallel()
	var e events
	launch := func(name string, at float64) {
		n := len(e.list) + 1
		e.launch(at, n)
		e.kernel(name, 7, at+5000, 10, n)
	}
	launch("k_before", 50)
	e.step("step[EXTEND bs=1 toks=9]", 100, 100)
	e.add("gpu_user_annotation", "step[EXTEND bs=1 toks=9]", 0, 7, 5100, 100, m{})
	launch("k_extend", 150)
	e.step("step[DECODE bs=8]", 300, 100)
	e.add("gpu_user_annotation", "step[DECODE bs=8]", 0, 7, 5300, 100, m{})
	launch("k_decode", 350)
	launch("k_sampling", 450)
	e.step("step[IDLE bs=0]", 500, 100)
	launch("k_idle", 550)
	e.step("step[NEW bs=1]", 700, 100)
	launch("k_new", 750)
	e.step("step[MIXED bs=2]", 900, 100)
	launch("k_mixed", 950)
	a := analyze(t, e.write(t, "x-TP-0.trace.json"))
	require.Equal(t, map[string]string{
		"k_before": trace.Unassigned, "k_extend": trace.Prefill, "k_decode": trace.Decode, "k_sampling": trace.Decode,
		"k_idle": trace.Unassigned, "k_new": trace.Unassigned, "k_mixed": trace.Mixed,
	}, stagesOf(a))
	require.Equal(t, 10.0, kernelNamed(t, a, "k_sampling").PostUS)
	require.Zero(t, kernelNamed(t, a, "k_decode").PostUS)
	decode := stageNamed(t, a, trace.Decode)
	require.Equal(t, 1, decode.Steps) // not the same step on the GPU's track again
	require.Equal(t, 20.0, decode.PerStepUS)
	require.Contains(t, a.Notes[0], `"NEW"`)
	var sum float64
	for _, s := range a.Stages {
		sum += s.TotalUS
	}
	require.Equal(t, a.Files[0].TotalUS, sum)
	require.Equal(t, "sglang", a.Files[0].Framework)
}

func TestLaunchesOfOtherThreads(t *testing.T) {
	t.Parallel()
	var e events
	e.step("step[DECODE bs=8]", 100, 100)
	e.add("cuda_runtime", "cudaMemcpyAsync", 1, 2, 150, 4, m{"correlation": 1}) // inside the step, another thread
	e.kernel("k_inside", 7, 160, 10, 1)
	e.add("cuda_runtime", "cudaMemcpyAsync", 1, 2, 250, 4, m{"correlation": 2}) // after it, another thread
	e.kernel("k_outside", 7, 260, 10, 2)
	e.kernel("k_unknown", 7, 290, 10, 99) // no launch in the trace
	require.Equal(t, map[string]string{"k_inside": trace.Decode, "k_outside": trace.Unassigned, "k_unknown": trace.Unassigned},
		stagesOf(analyze(t, e.write(t, "x.trace.json"))))
}

func TestDraftStepsAreCountedApart(t *testing.T) {
	t.Parallel()
	var e events
	for i, name := range []string{"step[TARGET_VERIFY bs=1]", "draft step[DECODE bs=1]", "draft step[DECODE bs=1]", "step[TARGET_VERIFY bs=1]", "draft step[DECODE bs=1]"} {
		at := float64(100 + 100*i)
		e.step(name, at, 80)
		e.launch(at+10, i+1)
		e.kernel("k", 7, at+20, 10, i+1)
	}
	s := stageNamed(t, analyze(t, e.write(t, "x.trace.json")), trace.Decode)
	require.Equal(t, 2, s.Steps)
	require.Equal(t, 3, s.DraftSteps)
	require.Equal(t, 25.0, s.PerStepUS)
	require.InDelta(t, 7.0710678, s.Families[0].SDStepUS, 1e-6) // steps of 30 and 20 us
}

func TestLabelHoldsWhereStepsSayNothing(t *testing.T) {
	t.Parallel()
	var e events
	e.launch(50, 1)
	e.kernel("k_before", 7, 60, 10, 1)
	e.step("step[EXTEND bs=1 toks=4]", 100, 50)
	e.launch(110, 2)
	e.kernel("k_extend", 7, 120, 10, 2)
	require.Equal(t, map[string]string{"k_before": trace.Decode, "k_extend": trace.Prefill}, stagesOf(analyze(t, e.write(t, "1-TP-0-DECODE.trace.json"))))
	path := e.write(t, "plain.trace.json")
	a, err := trace.Analyze(t.Context(), []string{path}, trace.Options{Labels: map[string]string{path: trace.Prefill}})
	require.NoError(t, err)
	require.Equal(t, trace.Prefill, stagesOf(a)["k_before"])
}

// Without CPU events the GPU's own step windows decide, counted on one stream.
func TestStepsOfTheGPUTrackAlone(t *testing.T) {
	t.Parallel()
	var e events
	for _, stream := range []int{7, 20} {
		e.add("gpu_user_annotation", "step[DECODE bs=8]", 0, stream, 100, 50, m{})
	}
	e.kernel("k_before", 7, 50, 10, 0)
	e.kernel("k_in", 7, 110, 10, 0)
	e.kernel("k_other_stream", 20, 120, 10, 0)
	e.kernel("k_after", 7, 170, 10, 0)
	a := analyze(t, e.write(t, "x.trace.json"))
	require.Equal(t, map[string]string{"k_before": trace.Unassigned, "k_in": trace.Decode, "k_other_stream": trace.Decode, "k_after": trace.Decode}, stagesOf(a))
	require.Equal(t, 1, stageNamed(t, a, trace.Decode).Steps)
	require.Equal(t, 10.0, kernelNamed(t, a, "k_after").PostUS)
}

func TestTensorRTStepsFromPythonFrames(t *testing.T) {
	t.Parallel()
	var e events
	for i := range 3 {
		at := float64(100 * (i + 1))
		e.add("python_function", "tensorrt_llm/_torch/pyexecutor/py_executor.py(900): _forward_step", 1, 1, at, 50, m{})
		e.launch(at+10, i+1)
		e.kernel("k", 7, at+20, 10, i+1)
	}
	s := stageNamed(t, analyze(t, e.write(t, "trace-decode.json")), trace.Decode)
	require.Equal(t, 3, s.Steps)
	require.Equal(t, 10.0, s.PerStepUS)
}
