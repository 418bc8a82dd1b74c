package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// rateOut runs the command against a handler, or an address.
func rateOut(ctx context.Context, t *testing.T, server any, args ...string) (out, errs string, code int) {
	t.Helper()
	url, _ := server.(string)
	if h, ok := server.(http.Handler); ok {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		url = srv.URL
	}
	var o, e bytes.Buffer
	code = dispatch(ctx, streams{In: strings.NewReader(""), Out: &o, Err: &e}, append([]string{"loadgen", "rate", "--url", url}, args...))
	return o.String(), e.String(), code
}

// smallSearch ends after six load points of half a second at most.
func smallSearch(more ...string) []string {
	return append([]string{"--input-len", "6", "--output-len", "3", "--low", "80", "--high", "160", "--tolerance", "0.25", "--points", "5", "--max-p50-ttft-ms", "400",
		"--window", "200ms", "--warmup", "0", "--seed", "5"}, more...)
}

func TestLoadgenRate(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "records")
	e := &endpoint{models: oneModel, itl: time.Millisecond}
	out, errs, code := rateOut(t.Context(), t, e, smallSearch("--json", "--out", folder)...)
	require.Zero(t, code, errs)
	var doc rateAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.NotEmpty(t, doc.Result.Ended)
	require.Zero(t, doc.Terms.Next(doc.Result.Tried))
	require.GreaterOrEqual(t, len(doc.Records), len(doc.Result.Tried))
	for i, x := range doc.Result.Tried { // a busy machine may pass or fail: the rates follow from what was measured
		require.InDelta(t, doc.Terms.Next(doc.Result.Tried[:i]), x.Rate, 1e-9)
		require.GreaterOrEqual(t, x.Requests, 20)
	}
	for _, name := range doc.Records {
		f, err := os.Open(name)
		require.NoError(t, err)
		rec, err := bench.ReadRecords(f)
		f.Close()
		require.NoError(t, err)
		require.NoError(t, rec.Check())
	}

	out, errs, code = rateOut(t.Context(), t, e, smallSearch()...)
	require.Zero(t, code, errs)
	require.Regexp(t, `(?m)^limits: max_p50_ttft_ms 400$`, out)
	require.Regexp(t, `(?m)^point +requests/s +requests +window s.* p50_ttft_user_ms +passes$`, out)
	require.Regexp(t, `(?m)^ +1 +\d+\.?\d* +\d+ +0\.\d .*  (yes|no: .*|does not count: .*)$`, out)
	require.Regexp(t, `(?m)^max rate     \S`, out)
	require.Regexp(t, `(?m)^assumed      at least 46 requests a load point`, out)
}

func TestLoadgenRateOfAScenario(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"name":"chat","kind":"random","input_len":6,"output_len":3,"arrival":"poisson","ignore_eos":true,"stream":true,
		"primary":"max_rate_under_sla","rate_search":{"low":80,"high":160,"tolerance":0.25,"points":4}}`), 0o600))
	out, errs, code := rateOut(t.Context(), t, &endpoint{models: oneModel}, "--scenario", file, "--goodput", "ttft_user_ms=400", "--min-attainment", "0.5", "--window", "200ms", "--seed", "3")
	require.Zero(t, code, errs)
	require.Regexp(t, `(?m)^limits: attainment of at least 0\.5 within ttft_user_ms 400$`, out)
	require.Contains(t, out, "sla_attainment")
	require.NoError(t, os.WriteFile(file, []byte(`{"name":"chat","kind":"random","input_len":6,"output_len":3,"num_prompts":9,"arrival":"poisson","request_rate":3}`), 0o600))
	_, errs, code = rateOut(t.Context(), t, "http://127.0.0.1:1", "--scenario", file, "--max-p50-ttft-ms", "9")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "has no rate_search")
}

func TestLoadgenRateInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	e := &endpoint{models: oneModel, breaks: func(n int64, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 90 {
			interrupt()
		}
		return false
	}}
	out, errs, code := rateOut(ctx, t, e, smallSearch("--json")...)
	require.Equal(t, 1, code, errs)
	require.Contains(t, errs, "cancelled")
	var doc rateAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.True(t, doc.Incomplete)
	require.Empty(t, doc.Result.Ended, "what was measured until then is no result")
}

func TestLoadgenRateRefusals(t *testing.T) {
	t.Parallel()
	bounds := []string{"--input-len", "4", "--output-len", "4", "--low", "2", "--high", "9"}
	with := func(more ...string) []string { return append(append([]string{}, bounds...), more...) }
	for _, tc := range []struct {
		why  string
		args []string
	}{
		{"no limit on a latency", bounds},
		{"no limit on a latency", with("--min-success-rate", "0.9")},
		{"there are none", with("--min-attainment", "0.9")},
		{"is no share", with("--min-attainment", "2")},
		{"must be a positive number", with("--max-p95-ttft-ms", "0")},
		{"invalid syntax", with("--max-p95-ttft-ms", "fast")},
		{"max_p99_ttft_ms needs 1135 requests", with("--max-p99-ttft-ms", "9", "--num-prompts", "1000")},
		{"high must be above low", with("--max-p50-e2e-ms", "9", "--high", "1")},
		{"3 points cannot narrow", with("--max-p50-e2e-ms", "9", "--points", "3")},
		{"input_len and output_len", with("--max-p50-e2e-ms", "9", "--input-len", "0")},
		{"does not take", with("--max-p50-e2e-ms", "9", "--endpoint", "chat")},
		{"flags only", with("--max-p50-e2e-ms", "9", "fast")},
		{"not defined: -request-rate", with("--request-rate", "9")},
		{"the file says it", with("--max-p50-e2e-ms", "9", "--scenario", "x.json")},
		{"open scenario", []string{"--max-p50-e2e-ms", "9", "--scenario", filepath.Join(t.TempDir(), "none.json")}},
		{"no answer", with("--max-p50-e2e-ms", "9")},
	} {
		out, errs, code := rateOut(t.Context(), t, "http://127.0.0.1:1", tc.args...)
		require.NotZero(t, code, "%v", tc.args)
		require.Contains(t, errs, tc.why, "%v", tc.args)
		require.NotContains(t, out, "max rate")
	}
	out, _, code := rateOut(t.Context(), t, "http://127.0.0.1:1", "--help")
	require.Zero(t, code)
	require.Equal(t, loadgenRateUsage, out)
}
