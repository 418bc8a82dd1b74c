package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// TestMain lets this test program stand for the product where it starts itself again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "loadgen" && (os.Args[2] == "shard" || os.Args[2] == "mock") {
		os.Exit(dispatch(context.Background(), streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
	}
	if filepath.Base(os.Args[0]) == "sotaloop" {
		os.Exit(dispatch(context.Background(), streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestLoadgenRunInShards(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("shards need the clock that Linux processes share")
	}
	e := &endpoint{models: oneModel, itl: 20 * time.Millisecond} // both processes are at it at the same time
	file := filepath.Join(t.TempDir(), "records")
	out, errs, code := loadgenRunOut(t.Context(), t, e, shape("--shards", "2", "--seed", "7", "--json", "--out", file)...)
	require.Zero(t, code, errs)
	var doc loadgenResult
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Equal(t, 40, doc.Counts.OK)
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	rec, err := bench.ReadRecords(bytes.NewReader(raw))
	require.NoError(t, err)
	require.NoError(t, rec.Check())
	of := map[int]int{}
	for _, r := range rec.Records {
		of[r.Shard]++
	}
	require.Equal(t, map[int]int{0: 20, 1: 20}, of)

	one := &endpoint{models: oneModel, itl: 20 * time.Millisecond}
	_, errs, code = loadgenRunOut(t.Context(), t, one, shape("--seed", "7")...)
	require.Zero(t, code, errs)
	require.ElementsMatch(t, one.prompts, e.prompts, "the same prompts, however many processes send them")

	_, errs, code = loadgenRunOut(t.Context(), t, e, shape("--shards", "0")...)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--shards takes 1 to 64 processes")
}

func TestLoadgenCertifies(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--shards", "2"}} {
		if runtime.GOOS != "linux" && len(args) > 0 {
			continue
		}
		var stdout, stderr bytes.Buffer
		code := dispatch(t.Context(), streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, append([]string{"loadgen", "certify", "--streams", "10", "--itl", "20ms", "--duration", "400ms", "--json"}, args...))
		require.Zero(t, code, stderr.String())
		var c bench.Certificate
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &c))
		require.Equal(t, 200, c.Events)
		require.Zero(t, c.EventsLost)
		require.Equal(t, 200, c.AsOthers.Events)
		require.Len(t, c.Audit.Shards, len(args))
	}
	var stdout, stderr bytes.Buffer
	code := dispatch(t.Context(), streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, []string{"loadgen", "certify", "--request-rate", "300", "--duration", "500ms"})
	require.Zero(t, code, stderr.String())
	require.Regexp(t, `^Poisson arrivals at 300 requests/s: 1[0-9]{2} sent, 0 failed\n`, stdout.String())
	for _, bad := range [][]string{{"--shards", "-1"}, {"--itl", "1us"}, {"--ttft", "0s"}, {"--request-rate", "1"}, {"--streams", "0"}, {"x"}} {
		code := dispatch(t.Context(), streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, append([]string{"loadgen", "certify"}, bad...))
		require.Equal(t, 2, code, "%v", bad)
	}
}
