package trace_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

func TestCorpusOfKernelNames(t *testing.T) {
	t.Parallel()
	seen := corpus(t, "testdata/kernels.tsv", func(name string) string { return trace.Classify(name, "") })
	for _, c := range trace.Categories() {
		require.True(t, seen[c], "no kernel of category %s", c)
	}
}

func TestCorpusOfOperatorNames(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(corpus(t, "testdata/cpu/operators.tsv", trace.ClassifyOperator)), 13)
}

// corpus checks a file of names with their categories and returns the categories seen.
func corpus(t *testing.T, path string, classify func(name string) string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		want, name, ok := strings.Cut(line, "\t")
		require.True(t, ok, line)
		got := classify(name)
		require.Contains(t, strings.Split(want, "|"), got, name)
		seen[got] = true
	}
	return seen
}

func TestGroupedGEMMIsMoEWhereSomethingSaysSo(t *testing.T) {
	t.Parallel()
	grouped := "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cutlass::gemm::GroupProblemShape<cute::tuple<int, int, int> >>>(Params)"
	dense := "nvjet_sm90_tst_128x64_64x8_1x2_h_bz_TNT"
	moe := trace.Location{Path: "python/sglang/srt/layers/moe/ep_moe/layer.py", Func: "forward"}
	require.Equal(t, "gemm", trace.Classify(grouped, ""))
	require.Equal(t, "gemm", trace.Classify(grouped, "aten::_grouped_mm"))
	require.Equal(t, "moe", trace.Classify(grouped, "vllm::moe_forward"))
	require.Equal(t, "moe", trace.Classify(grouped, "", moe))
	require.Equal(t, "gemm", trace.Classify(dense, "", moe)) // the gate's GEMM is no expert
}

func TestAnUnknownNameIsWhatItsOperatorIs(t *testing.T) {
	t.Parallel()
	require.Equal(t, "other", trace.Classify("kernel_7", ""))
	require.Equal(t, "gemm", trace.Classify("kernel_7", "aten::mm"))
	require.Equal(t, "other", trace.Classify("kernel_7", "cudaGraphLaunch"))
}

func TestRegistryIsSourceBacked(t *testing.T) {
	t.Parallel()
	list := trace.Fusions()
	require.GreaterOrEqual(t, len(list), 10)
	for _, f := range list {
		require.Contains(t, []string{"sglang", "vllm", "tensorrt_llm", "tokenspeed"}, f[1], f[0])
		require.True(t, strings.Contains(f[2], "/") && strings.Contains(f[2], "."), f[0])
		require.Regexp(t, `^[\w.-]+/[\w.-]+@[0-9a-f]{8}$`, f[3], f[0])
		require.True(t, slices.Contains([]string{"mainline", "in_flight"}, f[4]), f[0])
		require.GreaterOrEqual(t, f[5], "2", f[0])
	}
}
