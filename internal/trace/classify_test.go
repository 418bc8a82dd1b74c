package trace_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

func TestCorpusOfKernelNames(t *testing.T) {
	t.Parallel()
	rows := readCorpus(t, "testdata/kernels.tsv")
	require.GreaterOrEqual(t, len(rows), 300)
	names, sections, categories := map[string]bool{}, map[string]int{}, map[string]int{}
	var misses []string
	for _, r := range rows {
		require.Regexp(t, sourceForm, r.source, r.name)
		require.False(t, names[r.name], "twice: %s", r.name)
		names[r.name] = true
		sections[r.section]++
		got := trace.Classify(r.name, "")
		if !slices.Contains(r.categories, got) {
			misses = append(misses, fmt.Sprintf("%s, not %v: %s", got, r.categories, r.name))
			continue
		}
		categories[got]++
	}
	for _, c := range trace.Categories() {
		t.Logf("%-14s %3d", c, categories[c])
		require.NotZero(t, categories[c], "no kernel of category %s", c)
	}
	for _, f := range families() {
		require.NotZero(t, sections[f], "no kernel of %s", f)
	}
	t.Logf("right: %d of %d", len(rows)-len(misses), len(rows))
	require.Empty(t, misses)
}

func TestCorpusOfOperatorNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range readCorpus(t, "testdata/cpu/operators.tsv") {
		got := trace.ClassifyOperator(r.name)
		require.Contains(t, r.categories, got, r.name)
		seen[got] = true
	}
	require.GreaterOrEqual(t, len(seen), 13)
}

// families are the sections that the corpus of kernels cannot lack.
func families() []string {
	return []string{
		"SGLang", "vLLM", "TensorRT-LLM", "TokenSpeed", "cuBLAS", "cuDNN", "CUTLASS", "Triton", "TorchInductor", "NCCL", "FlashInfer",
		"FlashAttention 2", "FlashAttention 3", "FlashAttention 4", "FlashMLA", "DeepGEMM", "DeepEP", "Marlin",
		"Mamba and linear attention", "Quantization", "Sampling", "PyTorch", "Unknown",
	}
}

// sourceForm is how a corpus says where a name was found: a trace, a file that declares it, an issue or a page.
const sourceForm = `^(profile [\w/]+|[\w.-]+/[\w.-]+ [\w./-]+|[\w.-]+/[\w.-]+#\d+|https://\S+)$`

// corpusRow is a name of a corpus, the categories that are right, and the section it stands in.
type corpusRow struct {
	categories            []string
	source, name, section string
}

// readCorpus reads rows of categories, source (if the corpus has any) and name under section comments.
func readCorpus(t *testing.T, path string) []corpusRow {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var rows []corpusRow
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			section = comment
		} else if line != "" {
			categories, rest, ok := strings.Cut(line, "\t")
			require.True(t, ok, line)
			source, name, ok := strings.Cut(rest, "\t")
			if !ok {
				source, name = "", rest
			}
			rows = append(rows, corpusRow{strings.Split(categories, "|"), source, name, section})
		}
	}
	return rows
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
