package trace_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// fuseRow is the test row of a registry entry: kernel names as profilers record them, or as they are
// declared, without those arguments ("...") that tell nothing.
type fuseRow struct {
	Framework, Pattern string
	Active             []string
	Op                 string // the operator of the active kernels, where only it tells the fused one
	Parts              []string
	Facts              struct {
		Model, Quantization string
		TP                  int
	}
	PrecisionInNames bool `json:"precision_in_names"` // the parts' names tell the precision, whatever the server's arguments say
}

func (r fuseRow) key() string { return r.Framework + " " + r.Pattern }

func (r fuseRow) server() trace.Server {
	return trace.Server{Model: r.Facts.Model, TP: r.Facts.TP, Quantization: r.Facts.Quantization}
}

// fuseRows pairs the registry's entries with their test rows.
func fuseRows(t *testing.T) map[string]fuseRow {
	t.Helper()
	text, err := os.ReadFile("testdata/fusions.json")
	require.NoError(t, err)
	var list []fuseRow
	require.NoError(t, json.Unmarshal(text, &list))
	rows := map[string]fuseRow{}
	for _, r := range list {
		rows[r.key()] = r
	}
	require.Len(t, rows, len(list), "a pattern has two rows")
	return rows
}

func keyOf(f trace.Fusion) string { return f.Framework + " " + f.Pattern }

func TestRegistryIsSourceBacked(t *testing.T) {
	t.Parallel()
	counts, sources := map[string]int{}, map[string]bool{}
	patterns := map[string]trace.Fusion{}
	for _, f := range trace.Fusions() {
		key := keyOf(f)
		require.NotContains(t, patterns, key)
		patterns[key] = f
		require.Contains(t, []string{"sglang", "vllm", "tensorrt_llm", "tokenspeed"}, f.Framework, key)
		require.Regexp(t, `^[\w./-]+/[\w-]+\.(py|cu|cuh)$`, f.SourcePath, key)
		source := f.Pattern + " " + f.Framework + " " + f.SourcePath
		require.False(t, sources[source], key)
		sources[source] = true
		switch f.Upstream {
		case "mainline":
			require.Regexp(t, `^[\w.-]+/[\w.-]+@[0-9a-f]{8}$`, f.Provenance, key)
		case "in_flight": // an open pull request
			require.Regexp(t, `^[\w.-]+/[\w.-]+#[1-9][0-9]*$`, f.Provenance, key)
		default:
			require.Fail(t, "unknown state upstream", key)
		}
		require.GreaterOrEqual(t, len(f.Parts), 2, key)
		require.NotEmpty(t, f.Hint, key)
		counts[f.Framework]++
		counts[f.Upstream]++
	}
	require.GreaterOrEqual(t, len(patterns), 47)
	for name, least := range map[string]int{"sglang": 27, "vllm": 11, "tokenspeed": 5, "tensorrt_llm": 4, "in_flight": 3} {
		require.GreaterOrEqual(t, counts[name], least, name)
	}
	for _, f := range patterns {
		for _, small := range f.Subsumes {
			require.Contains(t, patterns, f.Framework+" "+small, "%s subsumes an unknown pattern", keyOf(f))
			require.NotContains(t, patterns[f.Framework+" "+small].Subsumes, f.Pattern)
		}
	}
}

func TestRegistryRefusesWhatTellsNothing(t *testing.T) {
	t.Parallel()
	read := func(active, part string) error {
		entry := m{"pattern": "p", "framework": "f", "active": []string{active}, "parts": [][]string{{part}, {"b"}}}
		text, err := json.Marshal(m{"groups": m{"g": []string{"one", "two & !three"}, "none": []string{}}, "fusions": []m{entry}})
		require.NoError(t, err)
		_, err = trace.ReadFusions(text)
		return err
	}
	require.NoError(t, read("a", "@g"))
	for _, bad := range []string{"", " ", "::", "a & ", "!a", "a & !", "@h", "@none"} {
		require.Error(t, read(bad, "a"), bad)
		require.Error(t, read("a", bad), bad)
	}
	_, err := trace.ReadFusions([]byte("["))
	require.Error(t, err)
}

// Each entry has a row: what it calls active, missed and undecided holds of kernels with real names.
func TestEveryFusionOnItsRow(t *testing.T) {
	t.Parallel()
	rows := fuseRows(t)
	seen := map[string]bool{}
	for _, f := range trace.Fusions() {
		row, ok := rows[keyOf(f)]
		require.True(t, ok, "%s has no row", keyOf(f))
		seen[keyOf(f)] = true
		t.Run(keyOf(f), func(t *testing.T) {
			t.Parallel()
			requireFusion(t, f, row)
		})
	}
	require.Len(t, seen, len(rows), "a row has no entry")
}

func requireFusion(t *testing.T, f trace.Fusion, row fuseRow) {
	t.Helper()
	key := row.key()
	require.NotEmpty(t, row.Active)
	for _, name := range row.Active {
		require.Equal(t, "active", statesOf(t, row.server(), row.Op, name)[key], "%q is the fused kernel", name)
	}
	require.Equal(t, "missed", patterns(t, row.server(), row.Parts...)[key])
	want := "undecided"
	if len(f.Model)+len(f.ModelExclude)+f.MinTP == 0 && (len(f.Precision) == 0 || row.PrecisionInNames) {
		want = "missed"
	}
	require.Equal(t, want, patterns(t, trace.Server{}, row.Parts...)[key], "no facts")
	for name, server := range wrongFacts(f, row) {
		require.NotContains(t, patterns(t, server, row.Parts...), key, "%s: %+v", name, server)
	}
	short := slices.Concat(row.Parts[:len(row.Parts)-1], []string{"a", "b", "c", "d", "e"})
	require.NotContains(t, patterns(t, row.server(), short...), key, "without its last part")
}

// wrongFacts are the row's facts with one of the entry's gates broken.
func wrongFacts(f trace.Fusion, row fuseRow) map[string]trace.Server {
	out := map[string]trace.Server{}
	server := row.server()
	if len(f.Model) > 0 {
		server.Model = "mistralai/Mistral-7B-Instruct-v0.3"
		out["model"] = server
	}
	for _, model := range f.ModelExclude {
		server := row.server()
		server.Model += "/" + model
		out["model excluded: "+model] = server
	}
	if f.MinTP > 0 {
		server := row.server()
		server.TP = f.MinTP - 1
		out["tensor-parallel size"] = server
	}
	if len(f.Precision) > 0 && !row.PrecisionInNames {
		server := row.server()
		server.Quantization = "none"
		out["precision"] = server
	}
	return out
}

// statesOf is patterns for kernels that an operator launched.
func statesOf(t *testing.T, server trace.Server, op string, kernels ...string) map[string]string {
	t.Helper()
	if op == "" {
		return patterns(t, server, kernels...)
	}
	var e events
	for i, name := range kernels {
		at := float64(100 * (i + 1))
		e.add("cpu_op", op, 1, 1, at, 50, m{"External id": i + 1})
		e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, at+10, 4, m{"correlation": i + 1, "External id": i + 1})
		e.kernel(name, 7, at+20, 10, i+1)
	}
	return statesIn(analyze(t, e.write(t, "x.trace.json")))
}

// statesIn maps each pattern of the first stage to its state.
func statesIn(a *trace.Analysis) map[string]string {
	out := map[string]string{}
	for _, f := range a.Stages[0].Fuse {
		out[f.Framework+" "+f.Pattern] = f.State
		for _, also := range f.Also {
			out[also.Framework+" "+f.Pattern] = f.State
		}
	}
	return out
}

// rowOf gives names of a row.
func rowOf(t *testing.T, key string) fuseRow {
	t.Helper()
	row, ok := fuseRows(t)[key]
	require.True(t, ok, key)
	return row
}

func TestUnrelatedKernelsFuseNothing(t *testing.T) {
	t.Parallel()
	require.Empty(t, patterns(t, trace.Server{Model: "Qwen/Qwen3-8B", TP: 2, Quantization: "fp8"},
		"nvjet_sm90_tst_64x8_64x16_4x1_v_bz_TNT", "void flash::flash_fwd_kernel<x>(x)", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)",
		"Memcpy HtoD (Pinned -> Device)", "void at::native::vectorized_gather_kernel<16, long>(x)", "void at::native::index_elementwise_kernel<x>(x)",
		"void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4>>(x)"))
}

// The name of a larger fused kernel holds the words of smaller ones, which do not run.
func TestFusedKernelsAreNotTheirParts(t *testing.T) {
	t.Parallel()
	for key, others := range map[string][]string{
		"sglang RMSNorm in one kernel": {
			"sglang residual add + RMSNorm", "vllm residual add + RMSNorm", "vllm residual add + RMSNorm + FP8 quantization", "sglang Q/K RMSNorm",
			"sglang Q/K RMSNorm + RoPE", "vllm RMSNorm + FP8 quantization", "vllm Q/K RMSNorm across ranks", "sglang Q/K/V RMSNorm",
			"tokenspeed Q/K RMSNorm", "tokenspeed residual add + RMSNorm + NVFP4 quantization", "sglang all-reduce + residual add + RMSNorm",
		},
		"sglang residual add + RMSNorm": {
			"sglang RMSNorm in one kernel", "vllm residual add + RMSNorm + FP8 quantization", "tokenspeed residual add + RMSNorm + NVFP4 quantization",
			"sglang residual add + RMSNorm + FP8 quantization",
		},
		"vllm RMSNorm + FP8 quantization":                        {"vllm residual add + RMSNorm", "vllm residual add + RMSNorm + FP8 quantization"},
		"sglang SiLU + multiply":                                 {"sglang GELU + multiply", "vllm GELU + multiply", "vllm activation + FP8 quantization", "vllm activation + NVFP4 quantization"},
		"sglang GELU + multiply":                                 {"sglang SiLU + multiply", "vllm SiLU + multiply"},
		"sglang rotary embedding in one kernel":                  {"sglang RoPE + KV cache write", "sglang Q/K RMSNorm + RoPE", "tokenspeed MLA RoPE + KV cache write"},
		"sglang Q/K RMSNorm":                                     {"sglang Q/K RMSNorm + RoPE", "tokenspeed Q/K RMSNorm + RoPE", "sglang Q/K RMSNorm across ranks"},
		"vllm Q/K RMSNorm + RoPE":                                {"vllm Q/K RMSNorm + RoPE + KV cache write"},
		"sglang all-reduce + residual add + RMSNorm":             {"tensorrt_llm MoE finalize + all-reduce + RMSNorm", "sglang MoE finalize + all-reduce + RMSNorm", "sglang residual add + RMSNorm"},
		"sglang attention output gate":                           {"sglang shared expert gate"},
		"sglang KV cache write in one kernel":                    {"sglang KV quantization + cache write", "sglang MLA KV cache write", "tokenspeed MLA RoPE + KV cache write"},
		"sglang MoE top-k softmax":                               {"sglang MoE top-k sigmoid"},
		"vllm activation + FP8 quantization":                     {"vllm SiLU + multiply", "vllm activation + NVFP4 quantization"},
		"tokenspeed residual add + RMSNorm + NVFP4 quantization": {"sglang residual add + RMSNorm"},
	} {
		for _, other := range others {
			require.NotContains(t, patterns(t, trace.Server{}, rowOf(t, other).Active...), key, "by the kernel of %q", other)
		}
	}
	// TensorRT-LLM's one-shot kernel without an epilogue is an all-reduce like any other.
	alone := rowOf(t, "tensorrt_llm all-reduce + residual add + RMSNorm").Parts[0]
	require.NotContains(t, patterns(t, trace.Server{}, alone), "tensorrt_llm all-reduce + residual add + RMSNorm")
}

// Of two missed patterns over the same kernels the larger is told; one that is undecided hides none that is missed.
func TestLargerFusionsSubsumeSmaller(t *testing.T) {
	t.Parallel()
	add := rowOf(t, "vllm residual add + RMSNorm").Parts
	reduced := append([]string{"ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)"}, add...)
	const small, large = "vllm residual add + RMSNorm", "vllm all-reduce + residual add + RMSNorm"
	both := func(tp int, kernels ...string) []string {
		states := patterns(t, trace.Server{TP: tp}, kernels...)
		return []string{states[small], states[large]}
	}
	require.Equal(t, []string{"missed", ""}, both(2, add...))
	require.Equal(t, []string{"", "missed"}, both(2, reduced...))
	require.Equal(t, []string{"missed", "undecided"}, both(0, reduced...))
	require.Equal(t, []string{"missed", ""}, both(1, reduced...))
	gap := []string{"a", "b", "c", "d", "e"}
	require.Equal(t, []string{"missed", "missed"}, both(2, slices.Concat(reduced, gap, add, gap)...)) // elsewhere it is not part of the larger one

	for _, f := range trace.Fusions() {
		row := rowOf(t, keyOf(f))
		states := patterns(t, row.server(), row.Parts...)
		for _, s := range f.Subsumes {
			require.NotEqual(t, "missed", states[f.Framework+" "+s], "%s beside %s", s, keyOf(f))
		}
	}
}

// A matrix product, attention, experts or communication in between on the same stream: no kernel can hold both parts.
func TestPartsMustFollowEachOther(t *testing.T) {
	t.Parallel()
	const gelu, rope, gemm = "sglang GELU + multiply", "sglang rotary embedding in one kernel", "nvjet_sm90_tst_64x8_64x16_4x1_v_bz_TNT"
	pad := []string{"p", "q", "r", "s", "t", "u"}
	state := func(key, between string) string {
		parts := rowOf(t, key).Parts
		return patterns(t, trace.Server{}, slices.Concat([]string{parts[0], between}, parts[1:], pad)...)[key]
	}
	for _, between := range []string{gemm, "void flash::flash_fwd_kernel<x>(x)", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)", "fused_moe_kernel"} {
		require.Empty(t, state(rope, between), between)
	}
	require.Equal(t, "missed", state(rope, "void at::native::vectorized_gather_kernel<16, long>(x)"))
	require.Equal(t, "missed", state(gelu, gemm)) // the up projection: one product could give both halves
	require.Empty(t, state(gelu, "fused_moe_kernel"))

	on := func(stream int, last int) string {
		var e events
		parts := rowOf(t, rope).Parts
		for i := range 40 {
			at := float64(100 * i)
			e.kernel(parts[0], 7, at, 10, 0)
			e.kernel(parts[1], 7, at+10, 10, 0)
			e.kernel(gemm, stream, at+15, 10, 0)
			e.kernel(parts[2], last, at+20, 10, 0)
			for n, name := range pad {
				e.kernel(name, 7, at+float64(40+5*n), 5, 0)
			}
		}
		return statesIn(analyze(t, e.write(t, "x.trace.json")))[rope]
	}
	require.Equal(t, "missed", on(9, 7)) // another stream's work
	require.Empty(t, on(7, 7))
	require.Empty(t, on(7, 9))
	require.Empty(t, on(9, 9))
}

// The name of a checkpoint's format says nothing about the precision.
func TestFormatsLeaveThePrecisionOpen(t *testing.T) {
	t.Parallel()
	const key = "sglang per-token-group quantization in one kernel"
	parts := rowOf(t, key).Parts
	for quantization, want := range map[string]string{
		"fp8": "missed", "w8a8_int8": "missed", "compressed-tensors": "undecided", "modelopt": "undecided", "modelopt_fp4": "", "awq": "", "none": "",
	} {
		require.Equal(t, want, patterns(t, trace.Server{Quantization: quantization}, parts...)[key], quantization)
	}
}

// What real traces show: plain PyTorch models of their own norm, rotary embedding and activation. Some of
// the traces are of single operators or of two ranks. Every pattern found is in the traced code.
func TestFusionsOfRealTraces(t *testing.T) {
	t.Parallel()
	qwen := []string{"missed RMSNorm in one kernel", "missed SiLU + multiply", "missed residual add + RMSNorm", "missed rotary embedding in one kernel"}
	ranks := []string{"active RMSNorm in one kernel", "missed residual add + RMSNorm", "undecided all-reduce + residual add + RMSNorm"}
	for name, want := range map[string][]string{
		"decode_64-TP-0": qwen, "llama_prefill_nostack-TP-0": qwen, "tp2_prefill-TP-0": ranks, "tp2_decode-TP-0": ranks,
		"graph_decode-TP-0": {"active RMSNorm in one kernel"},
	} {
		found := map[string]bool{}
		for _, s := range analyze(t, filepath.Join("testdata", name+".trace.json.gz")).Stages {
			for _, f := range s.Fuse {
				found[f.State+" "+f.Pattern] = true
			}
		}
		require.Equal(t, want, slices.Sorted(maps.Keys(found)), name)
	}
}
