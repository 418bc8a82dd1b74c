package trace_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// TestDefectsOfOtherAnalysers names what scripts for such tables get wrong, one line each, and shows it right here.
func TestDefectsOfOtherAnalysers(t *testing.T) {
	for _, list := range [][]defect{fileDefects(), eventDefects(), joinDefects(), stageDefects(), tableDefects(), fuseDefects(), layerDefects()} {
		for _, d := range list {
			t.Run(d.name, d.check)
		}
	}
}

// defect is what goes wrong elsewhere, and the check that it does not here.
type defect struct {
	name  string
	check func(t *testing.T)
}

// folder writes files, each older than the one before, and gives their folder.
func folder(t *testing.T, files map[string]*events, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		text, err := json.Marshal(m{"traceEvents": files[name].list})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		old := time.Now().Add(-time.Duration(i+1) * time.Hour)
		require.NoError(t, os.Chtimes(path, old, old))
	}
	return dir
}

// one is a trace of one kernel.
func one(name string, dur float64) *events {
	var e events
	e.launch(90, 1)
	e.kernel(name, 7, 100, dur, 1)
	return &e
}

// launched adds a launch and its kernel right after it.
func (e *events) launched(name string, at, dur float64) {
	corr := len(e.list) + 1
	e.launch(at, corr)
	e.kernel(name, 7, at+10, dur, corr)
}

// ranksOf lists stage, rank and total of each stage of an analysis.
func ranksOf(a *trace.Analysis) []string {
	var out []string
	for _, s := range a.Stages {
		out = append(out, fmt.Sprintf("%s %d %g", s.Stage, s.Rank, s.TotalUS))
	}
	return out
}

func fileDefects() []defect {
	return []defect{
		{"the rank of host_12-rank-0 is not read, or is 12", func(t *testing.T) {
			require.Equal(t, 0, trace.RankOfName("host_12-rank-0.1776.pt.trace.json.gz"))
			require.Equal(t, 3, trace.RankOfName("host_12-rank-3.trace.json"))
			require.Equal(t, -1, trace.RankOfName("host_12.trace.json"))
		}},
		{"the newest file is taken, whatever rank it is of", func(t *testing.T) {
			files := map[string]*events{"1-TP-1.trace.json": one("k", 20), "1-TP-0.trace.json": one("k", 10)}
			want := []string{"unassigned 0 10", "unassigned 1 20"}
			require.Equal(t, want, ranksOf(analyze(t, folder(t, files, "1-TP-1.trace.json", "1-TP-0.trace.json"))))
			require.Equal(t, want, ranksOf(analyze(t, folder(t, files, "1-TP-0.trace.json", "1-TP-1.trace.json"))))
		}},
		{"only the newest folder is read", func(t *testing.T) {
			files := map[string]*events{"new/a-TP-0.trace.json": one("k", 20), "old/decode/a-TP-0.trace.json": one("k", 10)}
			require.Equal(t, []string{"decode 0 10", "unassigned 0 20"}, ranksOf(analyze(t, folder(t, files, "new/a-TP-0.trace.json", "old/decode/a-TP-0.trace.json"))))
		}},
		{"one file per stage: the first, or the newest", func(t *testing.T) {
			files := map[string]*events{"1-TP-0-DECODE.trace.json": one("k", 10), "2-TP-0-DECODE.trace.json": one("k", 20)}
			require.Equal(t, []string{"decode 0 10", "decode 0 20"}, ranksOf(analyze(t, folder(t, files, "1-TP-0-DECODE.trace.json", "2-TP-0-DECODE.trace.json"))))
		}},
		{"a file of merged ranks is read as one rank", func(t *testing.T) {
			files := map[string]*events{"merged-1.trace.json": one("k", 99), "1-TP-0.trace.json": one("k", 10)}
			a := analyze(t, folder(t, files, "merged-1.trace.json", "1-TP-0.trace.json"))
			require.Equal(t, []string{"unassigned 0 10"}, ranksOf(a))
			require.Contains(t, strings.Join(a.Notes, "\n"), "merged-1.trace.json")
		}},
		{"what framework it is of is guessed", func(t *testing.T) {
			require.Empty(t, analyze(t, one("k", 10).write(t, "x.trace.json")).Files[0].Framework)
		}},
		{"the whole file is held in memory as objects", func(t *testing.T) {
			const frame = `,{"ph":"X","cat":"python_function","name":"torch/nn/modules/module.py(1783): _call_impl","pid":1,"tid":1,"ts":7,"dur":3,"args":{"Python id":8,"Python parent id":7,"Ev Idx":6}}`
			path := writeFile(t, "x.trace.json", []byte(`{"traceEvents":[`+kernelText("1", "5")+strings.Repeat(frame, 300_000)+`]}`))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			require.Equal(t, int64(300_001), analyze(t, path).Files[0].Events)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(300_000*len(frame)/2)) // all that was ever allocated
		}},
	}
}

func eventDefects() []defect {
	return []defect{
		{"a cuda_sync event counts as a kernel, as it has a stream", func(t *testing.T) {
			e := one("k", 10)
			e.add("cuda_sync", "Stream Synchronize", 0, 7, 200, 5000, m{"stream": 7, "correlation": 1})
			a := analyze(t, e.write(t, "x.trace.json"))
			require.Equal(t, 10.0, a.Files[0].TotalUS)
			require.Equal(t, 1, a.Stages[0].KernelsTotal)
		}},
		{"a step's annotation on the GPU's track counts as GPU work, or as a second step", func(t *testing.T) {
			e := one("k", 10)
			e.step("step[DECODE bs=1]", 80, 50)
			e.add("gpu_user_annotation", "step[DECODE bs=1]", 0, 7, 100, 500, m{"stream": 7})
			s := stageNamed(t, analyze(t, e.write(t, "x.trace.json")), trace.Decode)
			require.Equal(t, []float64{10, 1}, []float64{s.TotalUS, float64(s.Steps)})
		}},
		{"only the device with most time is analysed", func(t *testing.T) {
			e := one("k", 10)
			e.add("kernel", "k", 1, 7, 100, 30, m{"stream": 7})
			e.add("kernel", "k", "TP01", 7, 100, 500, m{"stream": 7})
			s := analyze(t, e.write(t, "x.trace.json")).Stages[0]
			require.Equal(t, []float64{540, 540}, []float64{s.TotalUS, s.BusyUS}) // devices do not hide each other
		}},
		{"only rank 0 is analysed, and imbalance is not seen", func(t *testing.T) {
			files := map[string]*events{"1-TP-0.trace.json": one("nvjet_a", 100), "1-TP-1.trace.json": one("nvjet_a", 110)}
			a := analyze(t, folder(t, files, "1-TP-0.trace.json", "1-TP-1.trace.json"))
			require.Equal(t, 1, a.Ranks[0].Straggler)
			require.InDelta(t, 0.1, a.Ranks[0].ComputeSkew, 1e-9)
		}},
		{"events without duration are dropped from the launches", func(t *testing.T) {
			e := one("k", 10)
			e.kernel("k", 7, 300, 0, 1)
			require.Equal(t, 2, kernelNamed(t, analyze(t, e.write(t, "x.trace.json")), "k").Launches)
		}},
	}
}

// joined is a trace of one kernel under an operator and a Python frame, joined as args say.
func joined(opArgs, launchArgs, kernelArgs m) *events {
	var e events
	e.add("python_function", forward, 1, 1, 80, 60, m{})
	e.add("python_function", sampler, 1, 2, 80, 60, m{}) // a better place in time, on another thread
	e.add("cpu_op", "aten::mm", 1, 1, 100, 20, opArgs)
	e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, 110, 4, launchArgs)
	kernelArgs["stream"] = 7
	e.add("kernel", "k", 0, 7, 500, 10, kernelArgs)
	return &e
}

// requireJoined checks that operator and source were found.
func requireJoined(t *testing.T, e *events) {
	t.Helper()
	k := kernelNamed(t, analyze(t, e.write(t, "x.trace.json")), "k")
	require.Equal(t, []string{"aten::mm", "trace", "python/sglang/srt/models/qwen2.py"}, []string{k.CPUOp, k.LocationSource, k.Locations[0].Path})
}

func joinDefects() []defect {
	return []defect{
		{"only \"External id\" is read, not \"external id\"", func(t *testing.T) {
			requireJoined(t, joined(m{"external id": 3}, m{}, m{"external id": 3}))
			requireJoined(t, joined(m{"External id": 3}, m{}, m{"External id": 3}))
		}},
		{"without External ids nothing is joined", func(t *testing.T) {
			requireJoined(t, joined(m{}, m{"correlation": 9}, m{"correlation": 9}))
		}},
		{"arrows (ac2g) are not read", func(t *testing.T) {
			e := joined(m{}, m{}, m{})
			e.list = append(e.list, m{"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 4, "pid": 1, "tid": 1, "ts": 110},
				m{"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 4, "pid": 0, "tid": 7, "ts": 500, "bp": "e"})
			requireJoined(t, e)
		}},
		{"launches are told by names that are lower-cased on one side only", func(t *testing.T) {
			for _, call := range []string{"cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "hipModuleLaunchKernel", "cudaLaunchCooperativeKernel", "cudaMemcpyAsync"} {
				e := joined(m{}, m{"correlation": 9}, m{"correlation": 9})
				e.list[3]["name"] = call
				requireJoined(t, e)
				require.NotEmpty(t, analyze(t, e.write(t, "x.trace.json")).Stages[0].Overlap[0].Locations, call)
			}
		}},
		{"of an id that repeats, a few neighbours are tried", func(t *testing.T) {
			var e events
			for i := range 12 {
				at := float64(100_000 * i)
				e.add("cpu_op", "aten::op_"+letter(i), 1, 1, at, 20, m{"External id": 3})
				e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, at+5, 4, m{"correlation": 8, "External id": 3})
				e.add("kernel", "k_"+letter(i), 0, 7, at+900, 10, m{"stream": 7, "correlation": 8, "External id": 3})
			}
			a := analyze(t, e.write(t, "x.trace.json"))
			for i := range 12 {
				require.Equal(t, "aten::op_"+letter(i), kernelNamed(t, a, "k_"+letter(i)).CPUOp)
			}
		}},
		{"work grows with the square of what shares an id", func(t *testing.T) {
			const n = 300_000
			call := `{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":1,"dur":1,"args":{"correlation":3}},`
			work := `{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":5,"dur":1,"args":{"correlation":3}},`
			begin := time.Now()
			a := analyze(t, writeFile(t, "x.trace.json", []byte(`{"traceEvents":[`+strings.Repeat(call+work, n)+`]}`)))
			require.Equal(t, n, kernelNamed(t, a, "k").Launches)
			require.Less(t, time.Since(begin), time.Minute) // it takes less than a second, or many minutes
		}},
		{"a replayed kernel is said to come from the graph runner's line", func(t *testing.T) {
			var e events
			e.add("python_function", sampler, 1, 1, 80, 60, m{})
			e.add("cuda_runtime", "cudaGraphLaunch", 1, 1, 100, 4, m{"correlation": 1})
			e.kernel("k", 7, 200, 10, 1)
			a := analyze(t, e.write(t, "x.trace.json"))
			require.Equal(t, "graph_launch", kernelNamed(t, a, "k").LocationSource)
			require.Zero(t, a.Stages[0].MappedShare)
		}},
		{"replays are torn where a node's id needs more than 32 bits", func(t *testing.T) {
			var e events
			for i := range 2 {
				at := float64(1000 * (i + 1))
				e.step([]string{"step[EXTEND bs=1]", "step[DECODE bs=1]"}[i], at, 100)
				e.add("cuda_runtime", "cudaGraphLaunch", 1, 1, at+20, 4, m{"correlation": i + 1})
				for node := range 9 {
					e.add("kernel", "k"+letter(i), 0, 7, at+30+float64(10*node), 5, m{"stream": 7, "graph id": 4, "graph node id": 4<<32 + node + 1, "correlation": 50 + 9*i + node})
				}
			}
			require.Equal(t, map[string]string{"ka": trace.Prefill, "kb": trace.Decode}, stagesOf(analyze(t, e.write(t, "x.trace.json"))))
		}},
		{"a kernel of no graph (graph id 0) is taken for part of a replay", func(t *testing.T) {
			var e events
			e.step("step[DECODE bs=1]", 80, 100)
			e.add("cuda_runtime", "cudaGraphLaunch", 1, 1, 100, 4, m{"correlation": 1})
			e.add("kernel", "eager", 0, 7, 200, 10, m{"stream": 7, "correlation": 77, "graph id": 0, "graph node id": 0})
			require.Equal(t, trace.Unassigned, stagesOf(analyze(t, e.write(t, "x.trace.json")))["eager"])
		}},
		{"of a mapping trace 16 launches a kernel are looked at", func(t *testing.T) {
			var eager, graphed events
			for i := range 100 {
				at := float64(1000 * i)
				frame := forward
				if i == 13 || i == 57 || i == 58 {
					frame = sampler
				}
				eager.add("python_function", frame, 1, 1, at, 60, m{})
				eager.launched("k", at+10, 5)
			}
			graphed.add("cuda_runtime", "cudaGraphLaunch", 1, 1, 100, 4, m{"correlation": 1})
			graphed.kernel("k", 7, 200, 10, 1)
			graphed.kernel("k_of_more", 7, 300, 10, 1)
			a, err := trace.Analyze(t.Context(), []string{graphed.write(t, "x.trace.json")}, trace.Options{Mapping: []string{eager.write(t, "m.trace.json")}})
			require.NoError(t, err)
			at := kernelNamed(t, a, "k").Locations
			require.Len(t, at, 2)
			require.InDelta(t, 0.97, at[0].Share, 1e-9)
			require.InDelta(t, 0.03, at[1].Share, 1e-9)
			require.Equal(t, "graph_launch", kernelNamed(t, a, "k_of_more").LocationSource) // a name within a name is another kernel
		}},
	}
}

// stageUnder gives the stage of a kernel launched in a step of this name.
func stageUnder(t *testing.T, step string) string {
	t.Helper()
	e := one("k", 10)
	e.step(step, 80, 50)
	return stagesOf(analyze(t, e.write(t, "x.trace.json")))["k"]
}

func stageDefects() []defect {
	return []defect{
		{"step[EXTEND …] is not known, so that its kernels go to decode", func(t *testing.T) {
			var e events
			e.step("step[EXTEND bs=1 toks=512]", 100, 50)
			e.launched("k_extend", 110, 5)
			e.step("step[DECODE bs=8]", 200, 50)
			e.launched("k_decode", 210, 5)
			require.Equal(t, map[string]string{"k_extend": trace.Prefill, "k_decode": trace.Decode}, stagesOf(analyze(t, e.write(t, "x.trace.json"))))
		}},
		{"execute_context_0(0)_generation_8(8) is not known, …_16(16) by accident", func(t *testing.T) {
			for _, n := range []string{"1", "8", "16", "20"} {
				require.Equal(t, trace.Decode, stageUnder(t, "execute_context_0(0)_generation_"+n+"("+n+")"))
				require.Equal(t, trace.Prefill, stageUnder(t, "execute_context_"+n+"(640)_generation_0(0)"))
				require.Equal(t, trace.Mixed, stageUnder(t, "execute_context_"+n+"(640)_generation_"+n+"("+n+")"))
			}
		}},
		{"TensorRT-LLM's counts of requests are not known", func(t *testing.T) {
			require.Equal(t, trace.Prefill, stageUnder(t, "[Executor] _forward_step 7: 2 ctx reqs, 0 gen reqs"))
			require.Equal(t, trace.Decode, stageUnder(t, "[Executor] _forward_step 7: 0 ctx reqs, 20 gen reqs"))
			require.Equal(t, trace.Mixed, stageUnder(t, "[Executor] _forward_step 7: 1 ctx reqs, 64 ctx tokens, 10 gen reqs"))
		}},
		{"any annotation with \"decode\" or \"prefill\" in its name is a step", func(t *testing.T) {
			require.Equal(t, trace.Unassigned, stageUnder(t, "decode_tokens_to_text"))
			require.Equal(t, trace.Unassigned, stageUnder(t, "prefill_helper"))
			require.Equal(t, trace.Prefill, stageUnder(t, "step[EXTEND bs=1 note=decode]"))
		}},
		{"what lies in no step goes to the nearest within 20 ms", func(t *testing.T) {
			var e events
			e.launched("k_before", 100, 5)
			e.step("step[EXTEND bs=1 toks=9]", 1000, 100)
			e.add("cuda_runtime", "cudaMemcpyAsync", 1, 2, 1200, 4, m{"correlation": 99}) // another thread, after the step
			e.kernel("k_other", 7, 1210, 5, 99)
			a := analyze(t, e.write(t, "x.trace.json"))
			require.Equal(t, map[string]string{"k_before": trace.Unassigned, "k_other": trace.Unassigned}, stagesOf(a))
			require.InDelta(t, 1, stageNamed(t, a, trace.Unassigned).Share, 1e-9) // shown with its share
		}},
		{"a kernel belongs to the step it runs in, though it was launched in the one before", func(t *testing.T) {
			var e events
			e.step("step[EXTEND bs=1]", 100, 100)
			e.launch(150, 1)
			e.step("step[DECODE bs=1]", 300, 400)
			e.kernel("k", 7, 350, 10, 1)
			require.Equal(t, trace.Prefill, stagesOf(analyze(t, e.write(t, "x.trace.json")))["k"])
		}},
		{"a step that ended before the recording began again owns what comes next", func(t *testing.T) {
			var e events
			for i := range 2 {
				e.add("Trace", "PyTorch Profiler (0)", "Spans", "PyTorch Profiler", float64(1_000_000*i), 500, m{})
			}
			e.step("step[DECODE bs=1]", 100, 100)
			e.launched("k_first", 110, 5)
			e.launched("k_post", 210, 5)
			e.launched("k_second", 1_000_010, 5)
			require.Equal(t, map[string]string{"k_first": trace.Decode, "k_post": trace.Decode, "k_second": trace.Unassigned}, stagesOf(analyze(t, e.write(t, "x.trace.json"))))
		}},
		{"another thread's launch is lost where the step around it holds a finished one", func(t *testing.T) {
			var e events
			e.step("step[TARGET_VERIFY bs=1]", 100, 200)
			e.step("draft step[DECODE bs=1]", 120, 30)
			e.add("cuda_runtime", "cudaLaunchKernel", 1, 2, 200, 4, m{"correlation": 9})
			e.kernel("k", 7, 210, 5, 9)
			require.Equal(t, trace.Decode, stagesOf(analyze(t, e.write(t, "x.trace.json")))["k"])
		}},
	}
}

func tableDefects() []defect {
	return []defect{
		{"\"prefill\" is taken for a fill, hence for memory", func(t *testing.T) {
			for _, name := range []string{"prefill_k", "BatchPrefillWithPagedKVCacheKernel", "prefill_attention_kernel"} {
				require.NotEqual(t, "memory", trace.Classify(name, ""), name)
			}
			require.Equal(t, "memory", trace.Classify("void at::native::fill_kernel(x)", ""))
		}},
		{"two classifiers disagree about one kernel", func(t *testing.T) {
			var e events
			for i, name := range []string{"triton_poi_fused_add_1", "flash_fwd_kernel", "ncclDevKernel_AllGather", "Memset (Device)"} {
				e.launched(name, float64(100*(i+1)), 20)
			}
			s := analyze(t, e.write(t, "x.trace.json")).Stages[0]
			require.Len(t, s.Overlap, 4)
			for _, o := range s.Overlap {
				k := s.Kernels[0]
				for _, k = range s.Kernels {
					if k.ID == o.KernelID {
						break
					}
				}
				require.Equal(t, []string{k.Name, k.Category}, []string{o.Name, o.Category})
			}
			for _, f := range s.Families {
				for _, k := range s.Kernels {
					if trace.FamilyName(k.Name) == f.Name {
						require.Equal(t, k.Category, f.Category)
					}
				}
			}
		}},
		{"overlap is computed with a second trace only", func(t *testing.T) {
			s := analyze(t, one("nvjet_a", 100).write(t, "x.trace.json")).Stages[0]
			require.Equal(t, []string{"headroom"}, []string{s.Overlap[0].Verdict})
			require.Equal(t, 100.0, s.Overlap[0].ExclusiveUS)
		}},
		{"shares of different wholes stand in one column", func(t *testing.T) {
			e := one("nvjet_a", 100)
			e.kernel("ncclDevKernel_AllReduce", 20, 150, 100, 1) // half of it hidden
			s := analyze(t, e.write(t, "x.trace.json")).Stages[0]
			require.Equal(t, []float64{200, 150}, []float64{s.TotalUS, s.BusyUS})
			require.InDelta(t, 0.5, kernelNamed(t, analyze(t, e.write(t, "x.trace.json")), "nvjet_a").Share, 1e-9) // of summed time
			require.InDelta(t, 100.0/150, s.Overlap[0].ShareOfBusy, 1e-9)                                          // of busy time, by name
		}},
		{"rows too small to show are left out of the totals, and cannot be cited", func(t *testing.T) {
			e := one("k_large", 1000)
			e.launched("k_small", 2000, 1)
			a, err := trace.Analyze(t.Context(), []string{e.write(t, "x.trace.json")}, trace.Options{MinShare: 0.01})
			require.NoError(t, err)
			s := a.Stages[0]
			require.Equal(t, []float64{1001, 1, 2}, []float64{s.TotalUS, float64(len(s.Kernels)), float64(s.KernelsTotal)})
			row, ok := a.Row("kernel:unassigned:2@" + s.Digest)
			require.True(t, ok)
			require.Equal(t, "k_small", row.Name)
		}},
		{"of the priorities some can never be given", func(t *testing.T) {
			var e events
			e.launched("ncclDevKernel_AllReduce", 100, 100) // alone
			e.launched("nvjet_a", 1000, 100)                // packed against the next
			e.launched("void at::native::vectorized_elementwise_kernel<AddFunctor>(x)", 1100, 100)
			e.kernel("Memset (Device)", 20, 1030, 50, 0) // under the GEMM
			got := map[string]bool{}
			for _, o := range analyze(t, e.write(t, "x.trace.json")).Stages[0].Overlap {
				got[o.Priority] = true
			}
			require.Equal(t, map[string]bool{"P1": true, "P2": true, "P4": true}, got)
		}},
		{"a wait is missed where the driver's call ends inside the runtime's", func(t *testing.T) {
			e := one("k", 10) // until 110
			e.add("cuda_runtime", "cudaDeviceSynchronize", 1, 1, 100, 80, m{})
			e.add("cuda_driver", "cuCtxSynchronize", 1, 1, 101, 4, m{}) // over before the gap begins
			e.launched("k", 190, 10)
			s := analyze(t, e.write(t, "x.trace.json")).Stages[0]
			require.Equal(t, []float64{70, 20}, []float64{s.Idle.SyncUS, s.Idle.HostUS})
		}},
		{"the spread between steps shrinks by what lies outside of them", func(t *testing.T) {
			e := one("k", 300)
			for i, us := range []float64{10, 20} {
				e.step("step[DECODE bs=1]", float64(1000*(i+1)), 100)
				e.launched("k", float64(1000*(i+1)+10), us)
			}
			s := stageNamed(t, analyze(t, e.write(t, "x-DECODE.trace.json")), trace.Decode)
			require.Equal(t, 2, s.Steps)
			require.InDelta(t, 7.0710678, s.Families[0].SDStepUS, 1e-6)
		}},
	}
}

func fuseDefects() []defect {
	const (
		allReduce = "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(x)"
		norm      = "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(x)"
		fused     = "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<x>(x)"
		key       = "vllm all-reduce + residual add + RMSNorm"
	)
	return []defect{
		{"a fusion that runs and one that is missed look alike", func(t *testing.T) {
			require.Equal(t, "active", patterns(t, trace.Server{TP: 2}, fused, norm)[key])
			require.Equal(t, "missed", patterns(t, trace.Server{TP: 2}, allReduce, norm)[key])
		}},
		{"an unknown tensor-parallel size counts as 1", func(t *testing.T) {
			require.Equal(t, "undecided", patterns(t, trace.Server{}, allReduce, norm)[key])
			require.NotContains(t, patterns(t, trace.Server{TP: 1}, allReduce, norm), key)
		}},
		{"only patterns of the trace's own framework are tried, so that \"they fuse, we do not\" is never found", func(t *testing.T) {
			const silu, mul, one = "void at::native::x_kernel<silu_kernel>(x)", "void at::native::elementwise_kernel<MulFunctor<float>>(x)", "void vllm::act_and_mul_kernel<x>(x)"
			times := map[string][]float64{silu: {5, 5}, mul: {5, 5}, one: {4, 4}}
			kinds := map[string]string{}
			for _, r := range trace.Diff(stepsOf(t, times, silu, mul), stepsOf(t, times, one)) {
				kinds[r.Family] = r.Kind
			}
			require.Equal(t, "fused_after", kinds["SiLU + multiply"])
		}},
		{"a kernel that one pattern takes is kept from the next", func(t *testing.T) {
			const add, rope = "void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<c10::BFloat16>>(x)", "void vllm::rotary_embedding_kernel<x>(x)"
			got := patterns(t, trace.Server{Model: "Qwen/Qwen3-8B"}, add, norm, norm, rope) // both want the first norm
			require.Equal(t, []string{"missed", "missed"}, []string{got["sglang residual add + RMSNorm"], got["sglang Q/K RMSNorm + RoPE"]})
		}},
	}
}

// chain adds passes of layers, each kernel right after the other; it gives the time after them.
func (e *events) chain(at float64, layers int, names []string, dur float64) float64 {
	for range layers {
		for _, name := range names {
			e.kernel(name, 7, at, dur, 0)
			at += dur
		}
	}
	return at
}

// layersOf gives period, passes and layers of a trace.
func layersOf(t *testing.T, e *events) []int {
	t.Helper()
	l := analyze(t, e.write(t, "x.trace.json")).Stages[0].Layers
	return []int{l.Period, l.Passes, l.PerPass}
}

func layerDefects() []defect {
	names := []string{"norm", "qkv", "attn", "reduce", "norm", "mlp", "reduce"} // two all-reduces, as dense models have
	return []defect{
		{"layers need an anchor, and a pass is believed above 8 ms a layer", func(t *testing.T) {
			for _, dur := range []float64{0.5, 10, 20_000} {
				var e events
				for pass := range 3 {
					at := e.chain(float64(pass)*1e7, 6, names, dur)
					e.kernel("logits", 7, at, dur, 0)
				}
				require.Equal(t, []int{7, 3, 6}, layersOf(t, &e), dur)
			}
		}},
		{"a draft model's layers, or a pass cut off, shift all that follow", func(t *testing.T) {
			var e events
			at := e.chain(0, 3, names, 10) // cut off
			for range 4 {
				e.kernel("embedding", 7, at, 10, 0)
				at = e.chain(at+10, 8, names, 10)
				e.kernel("logits", 7, at, 10, 0)
				at = e.chain(at+10, 1, names, 10) // the draft model
				e.kernel("sample", 7, at, 10, 0)
				at += 10
			}
			require.Equal(t, []int{7, 5, 8}, layersOf(t, &e))
		}},
		{"the kernels of all streams are counted as one row of layers", func(t *testing.T) {
			var e events
			for pass := range 3 {
				at := e.chain(float64(pass)*1e6, 6, names, 10)
				e.kernel("logits", 7, at, 10, 0)
			}
			for i := range 90 {
				e.kernel("copy_"+letter(i%13), 20, float64(i)*37, 1, 0)
			}
			require.Equal(t, []int{7, 3, 6}, layersOf(t, &e))
		}},
		{"no period above 119 is found", func(t *testing.T) {
			var long []string
			for i := range 200 {
				long = append(long, "k"+letter(i%26)+letter(i/26))
			}
			var e events
			for pass := range 2 {
				at := e.chain(float64(pass)*1e6, 5, long, 3)
				e.kernel("logits", 7, at, 10, 0)
			}
			require.Equal(t, []int{200, 2, 5}, layersOf(t, &e))
		}},
	}
}
