package main

import (
	"bytes"
	"encoding/json"
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
