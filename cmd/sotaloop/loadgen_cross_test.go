package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// foreignResults names the file of a stored run of another client.
func foreignResults(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "internal", "bench", "testdata", "foreign", name))
	require.NoError(t, err)
	return path
}

func loadgenCrossOut(ctx context.Context, args ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	code = dispatch(ctx, streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, append([]string{"loadgen", "cross"}, args...))
	return stdout.String(), stderr.String(), code
}

func TestLoadgenCrossOfStoredRuns(t *testing.T) {
	t.Parallel()
	ours := filepath.Join("..", "..", "internal", "bench", "testdata", "foreign", "ours-4.jsonl.zst")
	for client, name := range map[bench.ForeignClient]string{bench.ForeignVLLM: "vllm/4.json.zst", bench.ForeignSGLang: "sglang/4.jsonl.zst"} {
		rows := filepath.Join(t.TempDir(), "rows.jsonl")
		out, errs, code := loadgenCrossOut(t.Context(), "--results", foreignResults(t, name), "--records", ours, "--framework", "vllm", "--out", rows)
		require.Zero(t, code, errs)
		require.Regexp(t, `(?m)^mean TTFT, ms +211\.\d{3} +(209|210)\.\d{3} +0\.99\d\d$`, out)
		require.Contains(t, out, "round 1, theirs against the mock: TTFT off by p50 1.")
		require.Contains(t, out, "the clients agree within 2 %, by the definitions of "+string(client)+"\n")
		require.NotContains(t, out, "warning")

		f, err := os.Open(rows)
		require.NoError(t, err)
		read, err := compare.ReadRows(f, rows)
		require.NoError(t, f.Close())
		require.NoError(t, err)
		require.Len(t, read, 1)
		require.Equal(t, string(client), read[0].Client)
		require.True(t, read[0].Simulated)
		require.InDelta(t, 2560.0/14.75, read[0].Metrics["output_token_throughput"], 0.3)
		_, err = compare.Verdicts(read, compare.Terms{Target: compare.Selector{Side: "vllm"}, Delta: 0.03})
		require.ErrorContains(t, err, "no rows of phase", "a cross-check enters no verdict")
		require.Empty(t, compare.Rank(read, compare.RankTerms{Delta: 0.03}), "and no ranking")
	}
	out, errs, code := loadgenCrossOut(t.Context(), "--results", foreignResults(t, "vllm/256.json.zst"), "--records", ours, "--json")
	require.Zero(t, code, errs)
	var answer crossAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.False(t, *answer.Agree)
	require.Equal(t, []string{"run 1: 256 slots, ours 4: the loads differ", "run 1: 100.0 tokens out on average, ours 64.0: the loads differ"}, answer.Warnings)
	require.Equal(t, 25600, answer.Rounds[0].TheirsErrors.Events)
	require.Nil(t, answer.Rounds[0].OursErrors)
}

// TestLoadgenCrossRunsAClient plays a client by a program that writes a stored run: what is run is real elsewhere
// (TestCPUCrossMock of internal/bench).
func TestLoadgenCrossRunsAClient(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the client is played by a shell script")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- (&bench.Mock{TTFT: 5 * time.Millisecond, ITL: time.Millisecond}).Serve(ctx, l) }()
	defer func() { stop(); require.NoError(t, <-served) }()
	python := func(body string) string {
		path := filepath.Join(t.TempDir(), "python")
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700)) //nolint:gosec // it is run
		return path
	}
	stored := foreignResults(t, "sglang/4.jsonl.zst")
	good := python(`[ "$1" = -c ] && { echo 0.5.15; exit 0; }
while [ $# -gt 0 ]; do [ "$1" = --output-file ] && cp '` + stored + `' "$2"; shift; done`)
	load := []string{"--client", "sglang", "--url", "http://" + l.Addr().String(), "--model", "mock", "--tokenizer", "any", "--input-len", "128", "--output-len", "64", "--max-concurrency", "4"}
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	out, errs, code := loadgenCrossOut(t.Context(), append(load, "--python", good, "--rounds", "2", "--framework", "sglang", "--out", rows)...)
	require.Zero(t, code, errs)
	require.Contains(t, out, "sglang.bench_serving 0.5.15, 2 rounds\n")
	require.Contains(t, out, "the clients DISAGREE within 2 %")
	require.Contains(t, errs, "round 2 of 2")
	raw, err := os.ReadFile(rows)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(raw), `"client":"sglang.bench_serving","client_version":"0.5.15"`))
	require.Contains(t, string(raw), "--max-concurrency 4")

	for _, tc := range []struct {
		name, python, why string
		code              int
	}{
		{"no such program", filepath.Join(t.TempDir(), "python"), "name the interpreter that sglang is installed for", 2},
		{"not installed", python("echo PackageNotFoundError >&2; exit 1"), "exit status 1): PackageNotFoundError", 1},
		{"the client fails", python(`[ "$1" = -c ] && { echo 1; exit 0; }; echo 'no tokenizer' >&2; exit 3`), "exit status 3): no tokenizer", 1},
		{"it writes nothing", python(`[ "$1" = -c ] && echo 1; exit 0`), "open results", 2},
		{"it writes rubbish", python(`[ "$1" = -c ] && { echo 1; exit 0; }
while [ $# -gt 0 ]; do [ "$1" = --output-file ] && echo '<html>' > "$2"; shift; done`), "is not JSON as", 2},
	} {
		_, errs, code := loadgenCrossOut(t.Context(), append(load, "--python", tc.python)...)
		require.Equal(t, tc.code, code, "%s: %s", tc.name, errs)
		require.Contains(t, errs, tc.why, tc.name)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, errs, code = loadgenCrossOut(over, append(load, "--python", good)...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "cross-check cancelled")
}

func TestLoadgenCrossRefusesBadUsage(t *testing.T) {
	t.Parallel()
	load := func(more ...string) []string {
		return append([]string{"--client", "vllm", "--python", "p", "--tokenizer", "t", "--input-len", "8", "--output-len", "8", "--max-concurrency", "2"}, more...)
	}
	for _, tc := range []struct {
		why  string
		args []string
	}{
		{`unknown client "wrk" (valid: sglang, vllm)`, load("--client", "wrk")},
		{"no interpreter named", load("--python", "")},
		{"a cross-check is a closed loop", load("--max-concurrency", "0")},
		{"at least two tokens out", load("--output-len", "1")},
		{"takes a model, a tokenizer", load("--tokenizer", "")},
		{"takes a model, a tokenizer", load("--url", "http://127.0.0.1:1")},
		{"at least 5 prompts a slot", load("--num-prompts", "3")},
		{"--rounds takes 1 to 100", load("--rounds", "0")},
		{"stands beside --results only", load("--records", "x")},
		{"the run is over", []string{"--results", "x", "--rounds", "2"}},
		{"rows name the framework they are of", []string{"--results", "x", "--out", "y"}},
		{"open results", []string{"--results", filepath.Join(t.TempDir(), "none")}},
		{"flags only", load("fast")},
		{"not defined: -nope", load("--nope")},
	} {
		_, errs, code := loadgenCrossOut(t.Context(), tc.args...)
		require.Equal(t, 2, code, "%v: %s", tc.args, errs)
		require.Contains(t, errs, tc.why)
	}
	out, _, code := loadgenCrossOut(t.Context(), "--help")
	require.Zero(t, code)
	require.Equal(t, loadgenCrossUsage, out)
	require.Equal(t, fault.InvalidInput, fault.CodeOf((&bench.Mock{}).Validate()))
}
