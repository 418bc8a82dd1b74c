package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
)

const (
	decodeTrace  = "../../internal/trace/testdata/tp2_decode-TP-0.trace.json.gz"
	prefillTrace = "../../internal/trace/testdata/tp2_prefill-TP-0.trace.json.gz"
	cpuTraces    = "../../internal/trace/testdata/cpu/"
)

// traceOut runs `sotaloop trace` and returns what it printed.
func traceOut(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := runTrace(t.Context(), streams{In: strings.NewReader(""), Out: &out, Err: &errs}, args)
	return out.String(), err
}

func TestTraceAnalyzeJSON(t *testing.T) {
	t.Parallel()
	out, err := traceOut(t, "analyze", "--json", decodeTrace, "--min-share", "0")
	require.NoError(t, err)
	var doc struct {
		Stages []struct {
			Stage   string
			Kernels []struct{ ID, Name, Category string }
		}
		Incomplete *bool
	}
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Equal(t, "decode", doc.Stages[0].Stage)
	require.Len(t, doc.Stages[0].Kernels, 8)
	require.Regexp(t, "^kernel:decode:1@[0-9a-f]{16}$", doc.Stages[0].Kernels[0].ID)
	require.False(t, *doc.Incomplete)
}

func TestTraceAnalyzeForPeople(t *testing.T) {
	t.Parallel()
	out, err := traceOut(t, "analyze", decodeTrace)
	require.NoError(t, err)
	require.Contains(t, out, "## decode, rank 0")
	require.Contains(t, out, "| gemm |")
	diff, err := traceOut(t, "analyze", decodeTrace, "--diff", decodeTrace, "--json")
	require.NoError(t, err)
	require.Contains(t, diff, `"diff":[{"stage":"decode"`)
	text, err := traceOut(t, "analyze", prefillTrace, "--diff", prefillTrace, "--mapping", prefillTrace)
	require.NoError(t, err)
	require.Contains(t, text, "# Diff")
}

func TestTraceOfACPUHost(t *testing.T) {
	t.Parallel()
	out, err := traceOut(t, "analyze", cpuTraces+"vllm")
	require.NoError(t, err)
	require.Contains(t, out, "### Operators")
	require.Contains(t, out, "no claim about a GPU")
	require.NotContains(t, out, "GPU time")
	diff, err := traceOut(t, "analyze", cpuTraces+"sglang_before", "--diff", cpuTraces+"vllm")
	require.NoError(t, err)
	require.Contains(t, diff, "(outside operators)")
	for _, args := range [][]string{{cpuTraces + "vllm", "--diff", decodeTrace}, {decodeTrace, "--diff", cpuTraces + "vllm"}, {decodeTrace, cpuTraces + "vllm"}} {
		_, err := traceOut(t, append([]string{"analyze"}, args...)...)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), args)
		require.ErrorContains(t, err, "holds no GPU work")
	}
}

func TestTraceWritesAPage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	page := filepath.Join(folder, "page.html")
	plain, err := traceOut(t, "analyze", decodeTrace)
	require.NoError(t, err)
	var out, errs bytes.Buffer
	require.NoError(t, runTrace(t.Context(), streams{In: strings.NewReader(""), Out: &out, Err: &errs}, []string{"analyze", decodeTrace, "--html", page}))
	require.Equal(t, plain, out.String()) // what is printed stays the same
	require.Equal(t, "wrote "+page+"\n", errs.String())
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "decode, rank 0</h2>")
	require.Contains(t, string(text), "<rect class=\"c-gemm\"")
	info, err := os.Stat(page)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())

	asJSON, err := traceOut(t, "analyze", decodeTrace, "--html", page, "--json", "--diff", decodeTrace) // over the old one
	require.NoError(t, err)
	require.True(t, json.Valid([]byte(asJSON)))
	text, err = os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "What changed (after minus before)</h2>")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestTraceRefusesPlacesForAPage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	trace, err := os.ReadFile(decodeTrace)
	require.NoError(t, err)
	own := filepath.Join(folder, "trace")
	require.NoError(t, os.WriteFile(own, trace, 0o600))
	for place, why := range map[string]string{
		filepath.Join(folder, "none", "page.html"): "page.html\": no such file or directory",
		folder:                                   "is no regular file",
		own:                                      "is the trace to read",
		filepath.Join(folder, "x.trace.json.gz"): "is a trace's name",
	} {
		out, err := traceOut(t, "analyze", own, "--html", place)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), place)
		require.ErrorContains(t, err, why)
		f, ok := fault.As(err)
		require.True(t, ok)
		require.NotEmpty(t, f.Hints)
		require.Empty(t, out)
	}
	same, err := os.ReadFile(own)
	require.NoError(t, err)
	require.Equal(t, trace, same)
}

func TestTraceRefusesBadArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"draw"}, {"analyze"}, {"analyze", decodeTrace, "--min-share", "NaN"}, {"analyze", decodeTrace, "--min-share", "2"},
		{"analyze", "--nope"}} {
		_, err := traceOut(t, args...)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), args)
	}
	_, err := traceOut(t, "analyze", "no/such/trace.json")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}
