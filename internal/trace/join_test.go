package trace_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

const (
	forward = "/sgl-workspace/sglang/python/sglang/srt/models/qwen2.py(90): forward"
	sampler = "sglang/srt/layers/sampler.py(77): forward"
)

func TestSites(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		forward: "python/sglang/srt/models/qwen2.py:90 forward 300",
		sampler: "python/sglang/srt/layers/sampler.py:77 forward 290",
		"/usr/lib/python3/dist-packages/vllm/worker.py(12): run":                "vllm/worker.py:12 run 285",
		"tensorrt_llm/_torch/modules/linear.py(276): apply":                     "tensorrt_llm/_torch/modules/linear.py:276 apply 280",
		"python/sglang/srt/model_executor/cuda_graph_runner.py(5): replay":      "python/sglang/srt/model_executor/cuda_graph_runner.py:5 replay 220",
		"transformers/models/qwen2/modeling_qwen2.py(46): forward":              "transformers/models/qwen2/modeling_qwen2.py:46 forward 45",
		"/opt/venv/lib/python3.12/site-packages/transformers/models/a.py(4): f": "transformers/models/a.py:4 f 45",
		"/home/me/bench.py(3): main":                                            "/home/me/bench.py:3 main 110",
		"probe.py(34): prof":                                                    "probe.py:34 prof 35",
		"sglang/srt/layers/linear.py(9): __call__":                              "python/sglang/srt/layers/linear.py:9 __call__ 210",
	} {
		path, line, fn, rank := trace.Site(name)
		require.Equal(t, want, path+":"+itoa(line)+" "+fn+" "+itoa(rank), name)
	}
	for _, name := range []string{"<built-in method rsqrt of type object at 0x7f>", "torch/nn/modules/module.py(1783): _call_impl", "nn.Module: Linear_0",
		"threading.py(5): run", "<frozen importlib>(3): f", "", "x.py(y): f", "/usr/lib/python3.12/contextlib.py(81): inner"} {
		_, _, _, rank := trace.Site(name)
		require.LessOrEqual(t, rank, 0, name)
	}
}

// The best frame is the innermost of the most telling package on the launching thread.
func TestLocationOfALaunch(t *testing.T) {
	t.Parallel()
	var e events
	e.add("python_function", forward, 1, 1, 100, 100, m{})
	e.add("python_function", "torch/nn/modules/linear.py(130): forward", 1, 1, 110, 80, m{})
	e.add("python_function", "/sgl-workspace/sglang/python/sglang/srt/layers/linear.py(50): apply", 1, 1, 120, 60, m{})
	e.add("python_function", "flashinfer/gemm.py(8): mm", 1, 1, 125, 50, m{})
	e.add("python_function", sampler, 1, 2, 100, 100, m{}) // another thread
	e.add("cpu_op", "aten::mm", 1, 1, 130, 20, m{"External id": 5})
	e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, 135, 4, m{"correlation": 9, "external id": 5})
	e.kernel("nvjet_x", 7, 900, 10, 9)
	k := kernelNamed(t, analyze(t, e.write(t, "x.trace.json")), "nvjet_x")
	require.Equal(t, "aten::mm", k.CPUOp) // found through the launch's id, in its other spelling
	require.Equal(t, []trace.Location{{Path: "python/sglang/srt/layers/linear.py", Line: 50, Func: "apply", Share: 1}}, k.Locations)
}

// Where two profiling windows were merged, ids repeat: the launch nearest before the kernel counts.
func TestRepeatedIdsAreJoinedByTime(t *testing.T) {
	t.Parallel()
	var e events
	for i, mode := range []string{"EXTEND bs=1 toks=4", "DECODE bs=4"} {
		at := float64(1000 + 100_000*i)
		e.step("step["+mode+"]", at, 500)
		e.add("cpu_op", "aten::op"+itoa(i), 1, 1, at+10, 50, m{"External id": 3})
		e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, at+20, 4, m{"correlation": 8, "External id": 3})
		e.add("kernel", "k"+itoa(i), 0, 7, at+900, 10, m{"stream": 7, "correlation": 8, "External id": 3})
	}
	a := analyze(t, e.write(t, "x.trace.json"))
	require.Equal(t, map[string]string{"k0": trace.Prefill, "k1": trace.Decode}, stagesOf(a))
	require.Equal(t, "aten::op0", kernelNamed(t, a, "k0").CPUOp)
	require.Equal(t, "aten::op1", kernelNamed(t, a, "k1").CPUOp)
}

func TestArrowsJoinWhereIdsAreMissing(t *testing.T) {
	t.Parallel()
	var e events
	e.step("step[DECODE bs=4]", 100, 100)
	e.add("cpu_op", "aten::mm", 1, 1, 110, 20, m{})
	e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, 120, 4, m{})
	e.list = append(e.list, m{"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 4, "pid": 1, "tid": 1, "ts": 120})
	e.add("kernel", "k", 0, 7, 500, 10, m{"stream": 7})
	e.list = append(e.list, m{"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 4, "pid": 0, "tid": 7, "ts": 500, "bp": "e"})
	a := analyze(t, e.write(t, "x.trace.json"))
	require.Equal(t, trace.Decode, stagesOf(a)["k"])
	require.Equal(t, "aten::mm", kernelNamed(t, a, "k").CPUOp) // the operator around the launch
}

// Newer profilers give replayed kernels node ids; a decreasing one starts a new replay.
func TestReplaysByNodeIds(t *testing.T) {
	t.Parallel()
	var e events
	corr := 100
	for i, mode := range []string{"EXTEND bs=1 toks=4", "DECODE bs=4"} {
		at := float64(1000 * (i + 1))
		e.step("step["+mode+"]", at, 500)
		e.add("cuda_runtime", "cudaGraphLaunch", 1, 1, at+20, 4, m{"correlation": i + 1})
		for node := range 3 {
			corr++
			args := m{"stream": 7, "graph id": 2, "graph node id": 10 + node, "correlation": corr} // its own, unknown id
			e.add("kernel", "k"+itoa(i), 0, 7, at+600+float64(10*node), 5, args)
		}
	}
	a := analyze(t, e.write(t, "x.trace.json"))
	require.Equal(t, map[string]string{"k0": trace.Prefill, "k1": trace.Decode}, stagesOf(a))
	require.Equal(t, 1, stageNamed(t, a, trace.Decode).GraphReplays)
}

func TestMappingGivesSourcesToReplayedKernels(t *testing.T) {
	t.Parallel()
	var eager, graphed events
	eager.add("python_function", forward, 1, 1, 100, 100, m{})
	eager.add("cpu_op", "aten::mm", 1, 1, 110, 50, m{"External id": 3})
	eager.add("cuda_runtime", "cudaLaunchKernel", 1, 1, 120, 4, m{"correlation": 1, "External id": 3})
	eager.kernel("nvjet_sm90_tst_64x8_a", 7, 200, 99, 1)
	graphed.add("python_function", sampler, 1, 1, 100, 100, m{})
	graphed.add("cuda_runtime", "cudaGraphLaunch", 1, 1, 120, 4, m{"correlation": 1})
	graphed.kernel("nvjet_sm90_tst_64x8_a", 7, 200, 10, 1)
	graphed.kernel("nvjet_sm90_tst_128x8_b", 7, 220, 10, 1) // another tile of the same family
	graphed.kernel("unseen", 7, 240, 10, 1)
	formal, mapping := graphed.write(t, "formal.trace.json"), eager.write(t, "mapping.trace.json")
	a, err := trace.Analyze(t.Context(), []string{formal}, trace.Options{Mapping: []string{mapping}})
	require.NoError(t, err)
	for _, name := range []string{"nvjet_sm90_tst_64x8_a", "nvjet_sm90_tst_128x8_b"} {
		k := kernelNamed(t, a, name)
		require.Equal(t, "mapping", k.LocationSource, name)
		require.Equal(t, "python/sglang/srt/models/qwen2.py", k.Locations[0].Path)
		require.Equal(t, "aten::mm", k.CPUOp)
		require.Equal(t, 10.0, k.TotalUS) // the mapping trace times nothing
	}
	require.Equal(t, "graph_launch", kernelNamed(t, a, "unseen").LocationSource)
	require.InDelta(t, 2.0/3, a.Stages[0].MappedShare, 1e-9)
}

// On a CPU host operators stand in for kernels, by their own time.
func TestOperatorsOfACPUHost(t *testing.T) {
	t.Parallel()
	var e events
	e.step("step[DECODE bs=1]", 100, 400)
	e.add("cpu_op", "aten::linear", 1, 1, 110, 100, m{})
	e.add("cpu_op", "aten::mm", 1, 1, 120, 70, m{})
	e.add("cpu_op", "aten::copy_", 1, 2, 120, 30, m{}) // another thread counts for itself
	e.add("cpu_op", "aten::add", 1, 1, 600, 5, m{})
	a := analyze(t, e.write(t, "x.trace.json"))
	require.Equal(t, "cpu", a.Stages[0].Source)
	require.Equal(t, 30.0, kernelNamed(t, a, "aten::linear").TotalUS)
	require.Equal(t, 70.0, kernelNamed(t, a, "aten::mm").TotalUS)
	require.Equal(t, "gemm", kernelNamed(t, a, "aten::mm").Category)
	require.Equal(t, 30.0, kernelNamed(t, a, "aten::copy_").TotalUS)
	require.Equal(t, 5.0, kernelNamed(t, a, "aten::add").PostUS)
}
