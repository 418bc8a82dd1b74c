package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// endpoint is a completions server that lists its models and does with request n what the test wants.
type endpoint struct {
	models string                                                           // body of /v1/models; empty: there is none
	breaks func(n int64, w http.ResponseWriter, r *http.Request) (did bool) // takes over request n, the greeting being 1
	itl    time.Duration

	count   atomic.Int64
	mu      sync.Mutex
	prompts []string
}

const oneModel = `{"data":[{"id":"m","max_model_len":100}]}`

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/models" && e.models != "" {
		_, _ = io.WriteString(w, e.models)
		return
	}
	if r.URL.Path == "/v1/models" {
		http.NotFound(w, r)
		return
	}
	var body struct {
		Prompt    []int `json:"prompt"`
		MaxTokens int   `json:"max_tokens"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	e.mu.Lock()
	e.prompts = append(e.prompts, fmt.Sprint(body.Prompt))
	e.mu.Unlock()
	if n := e.count.Add(1); e.breaks != nil && e.breaks(n, w, r) {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for k := range body.MaxTokens {
		finish := "null"
		if k == body.MaxTokens-1 {
			finish = `"length"`
		}
		select {
		case <-time.After(e.itl):
		case <-r.Context().Done():
			return
		}
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":\"w\",\"finish_reason\":%s}]}\n\n", finish)
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n", len(body.Prompt), body.MaxTokens)
}

// loadgenRunOut runs `sotaloop loadgen run` against a handler, or an address, and gives what it printed and its exit code.
func loadgenRunOut(ctx context.Context, t *testing.T, server any, args ...string) (out, errs string, code int) {
	t.Helper()
	address, _ := server.(string)
	if h, ok := server.(http.Handler); ok {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		address = srv.URL
	}
	var stdout, stderr bytes.Buffer
	code = dispatch(ctx, streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, append([]string{"loadgen", "run", "--url", address}, args...))
	return stdout.String(), stderr.String(), code
}

// shape is a small closed loop.
func shape(more ...string) []string {
	return append([]string{"--input-len", "6", "--output-len", "3", "--max-concurrency", "2", "--num-prompts", "40", "--warmup", "0"}, more...)
}

func TestLoadgenRunAgainstTheMock(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- (&bench.Mock{TTFT: 20 * time.Millisecond, ITL: 5 * time.Millisecond}).Serve(ctx, l) }()
	out, errs, code := loadgenRunOut(t.Context(), t, "http://"+l.Addr().String(), shape("--model", "mock", "--warmup", "2", "--sla", "p50_ttft_ms=5000", "--goodput", "e2e_user_ms=5000")...)
	stop()
	require.NoError(t, <-served)
	require.Zero(t, code, errs)
	require.Contains(t, out, "closed loop of 2 slots, 6 tokens in, 3 out, 40 prompts\n")
	require.Regexp(t, `(?m)^ttft +[\d.]+ +[\d.]+ +- +-$`, out)
	require.Regexp(t, `(?m)^requests     [1-4]?[0-9] in the window of \d+\.\d s, [1-4]?[0-9] ok; whole load: 40 ok, 0 failed, 0 unfinished, 0 never sent$`, out)
	require.Regexp(t, `(?m)^goodput +[\d.]+ requests/s, attainment 1.0000$`, out)
	require.Contains(t, out, "failures     none\nSLA          pass\n")
	require.Regexp(t, `(?m)^client       (valid$|client_limited; )`, out)
	require.Contains(t, out, "p50 takes 20, p95 200, p99 1000\n")
	require.Contains(t, out, "assumed      token ids from 256 to 29999")
	require.Regexp(t, `(?m)^first request: \d`, errs)
}

func TestLoadgenRunJSON(t *testing.T) {
	t.Parallel()
	e := &endpoint{models: oneModel, itl: 10 * time.Millisecond} // long beside what a stall takes
	file := filepath.Join(t.TempDir(), "records.jsonl.zst")
	out, errs, code := loadgenRunOut(t.Context(), t, e, shape("--json", "--seed", "7", "--vocab", "10:20", "--out", file, "--sla", "max_p50_e2e_ms=0.001")...)
	require.Zero(t, code, errs)
	require.Contains(t, errs, `model "m", the only one of /v1/models`)
	var doc map[string]any
	d := json.NewDecoder(strings.NewReader(out))
	require.NoError(t, d.Decode(&doc))
	_, err := d.Token()
	require.ErrorIs(t, err, io.EOF, "one object")
	require.Equal(t, []string{"assumed", "audit", "client", "client_version", "counts", "duration_s", "failure_reason", "first_error", "goodput", "incomplete", "metrics", "model",
		"raw_sha256", "records", "seed", "settling", "sla", "sla_reasons", "started_at", "status", "trends", "url", "verdict", "vocab", "warmup_requests", "warnings", "workload"},
		slices.Sorted(maps.Keys(doc)))
	require.Equal(t, map[string]any{"max_p50_e2e_ms": 0.001, "passed": false}, doc["sla"])
	require.Equal(t, "7", doc["seed"])
	require.Equal(t, "m", doc["model"])
	metrics := doc["metrics"].(map[string]any)
	require.Positive(t, metrics["p50_ttft_ms"])
	require.Nil(t, metrics["p99_ttft_ms"])

	var row compare.Row // what rows have, too, is read as a row
	require.NoError(t, json.Unmarshal([]byte(out), &row))
	require.Equal(t, compare.StatusOK, row.Status)
	require.Equal(t, contract.ArrivalClosed, row.Workload.Arrival)
	require.Positive(t, row.Metrics["output_token_throughput"])
	require.NotNil(t, row.Audit.LateSendP99MS)

	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	sum := sha256.Sum256(raw)
	require.Equal(t, hex.EncodeToString(sum[:]), row.RawSHA256)
	rec, err := bench.ReadRecords(bytes.NewReader(raw))
	require.NoError(t, err)
	require.NoError(t, rec.Check())
	require.Len(t, rec.Records, 40)
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1)

	again := &endpoint{models: oneModel}
	_, errs, code = loadgenRunOut(t.Context(), t, again, shape("--seed", "7", "--vocab", "10:20")...)
	require.Zero(t, code, errs)
	slices.Sort(e.prompts)
	slices.Sort(again.prompts)
	require.Equal(t, e.prompts, again.prompts, "a seed repeats its prompts")
}

func TestLoadgenRunScenarioFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	unstreamed := `{"name":"smoke","kind":"random","input_len":4,"output_len":2,"num_prompts":30,"arrival":"burst"}`
	write := func(text string) string {
		name := filepath.Join(folder, fmt.Sprintf("%x.json", sha256.Sum256([]byte(text))))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	file := write(`{"name":"smoke","kind":"random","input_len":4,"output_len":2,"num_prompts":30,"arrival":"burst","stream":true,"ignore_eos":true}`)
	out, errs, code := loadgenRunOut(t.Context(), t, &endpoint{models: oneModel}, "--scenario", file)
	require.Zero(t, code, errs)
	require.Contains(t, out, "burst arrivals, 4 tokens in, 2 out, 30 prompts\n")
	require.Regexp(t, `(?m)^makespan +\d+\.\d+ s$`, out)
	require.NotContains(t, out, "throughput")
	_, errs, code = loadgenRunOut(t.Context(), t, "http://127.0.0.1:1", "--scenario", write(unstreamed))
	require.Equal(t, 4, code, "a scenario may do without streaming: %s", errs)
	for text, why := range map[string]string{
		`{"name":"x","kind":"random","input_len":4,"output_len":2,"num_prompts":30,"arrival":"burst","concurrency":3}`: `unknown field "concurrency"`,
		`{"name":"x","kind":"chat","dataset":"sha256:0","num_prompts":30,"arrival":"burst"}`:                           "--dataset",
		`{"name":"x","kind":"random","input_len":4,"output_len":2,"num_prompts":3,"arrival":"poisson"}`:                "request_rate > 0",
	} {
		_, errs, code := loadgenRunOut(t.Context(), t, "http://127.0.0.1:1", "--scenario", write(text))
		require.Equal(t, 2, code)
		require.Contains(t, errs, why)
	}
}

func TestLoadgenRunRefusesBadUsage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, tc := range []struct {
		why  string
		args []string
	}{
		{"request_rate with max_concurrency hides queueing", shape("--request-rate", "3")},
		{"input_len and output_len must be at least 1 token", shape("--input-len", "-1")},
		{"at most 10000000 requests and tokens", shape("--output-len", "2000000000")},
		{"num_prompts must be at least 1", shape("--num-prompts", "-4")},
		{"at least 5 prompts a slot", shape("--num-prompts", "9")},
		{"no load named", []string{"--input-len", "4", "--output-len", "4"}},
		{"request_rate must be a number", []string{"--input-len", "4", "--output-len", "4", "--request-rate", "inf"}},
		{"at most 10000000 requests", []string{"--input-len", "4", "--output-len", "4", "--request-rate", "1e300"}},
		{"--num-prompts 1004", shape("--sla", "p99_ttft_ms=3,p50_e2e_ms=9")},
		{"neither request_rate nor max_concurrency", shape("--arrival", "burst")},
		{"unknown arrival", shape("--arrival", "sometimes")},
		{"which /v1/chat/completions does not take", shape("--endpoint", "chat")},
		{`unknown endpoint "embeddings" (valid: chat, completions, generate)`, shape("--endpoint", "embeddings")},
		{"not LO:HI", shape("--vocab", "9")},
		{"unknown sla key", shape("--sla", "ttft=3")},
		{"not KEY=LIMIT", shape("--sla", "max_p99_ttft_ms")},
		{"needs 1000 requests in the measured window, this load has about 36", shape("--sla", "p99_ttft_ms=3")},
		{"none of ttft_user_ms", shape("--goodput", "ttft_ms=3")},
		{"cannot be negative", shape("--warmup", "-1")},
		{"flags only", shape("fast")},
		{"not defined: -nope", shape("--nope")},
		{"the file says it", shape("--scenario", "x.json")},
		{"open scenario", []string{"--scenario", filepath.Join(folder, "none.json")}},
		{"is no regular file", shape("--out", folder)},
		{"name a file in a folder that exists", shape("--out", filepath.Join(folder, "none", "records"))},
		{"that variable is empty", shape("--api-key-env", "SOTALOOP_TEST_NO_SUCH_KEY")},
		{"scheme, host and port only", shape("--url", "http://me:hunter2hunter2@127.0.0.1:1")},
		{"scheme, host and port only", shape("--url", "http://127.0.0.1:1/v1?key=hunter2hunter2")},
		{"scheme, host and port only", shape("--url", "127.0.0.1")},
		{"is not an http address", shape("--url", "ftp://127.0.0.1:1")},
	} {
		out, errs, code := loadgenRunOut(t.Context(), t, "http://127.0.0.1:1", tc.args...)
		require.Equal(t, 2, code, "%v: %s", tc.args, errs)
		require.Contains(t, errs, tc.why)
		require.NotContains(t, errs, "hunter2")
		require.Empty(t, out)
	}
	out, _, code := loadgenRunOut(t.Context(), t, "http://127.0.0.1:1", "--help")
	require.Zero(t, code)
	require.Equal(t, loadgenRunUsage, out)
}

func TestLoadgenRunSaysWhatIsWrongFirst(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	answer := func(status int, text string) *endpoint {
		return &endpoint{models: oneModel, breaks: func(_ int64, w http.ResponseWriter, _ *http.Request) bool { http.Error(w, text, status); return true }}
	}
	for _, tc := range []struct {
		name, why string
		code      int
		server    any
		args      []string
	}{
		{"unreachable", "no answer from \"" + gone + "\": dial tcp", 4, gone, nil},
		{"not HTTP", "no answer", 4, "https" + strings.TrimPrefix(httptestURL(t, &endpoint{}), "http"), nil},
		{"401", "--api-key-env NAME", 2, answer(http.StatusUnauthorized, "who are you"), nil},
		{"401 of the list", "--api-key-env NAME", 2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), nil},
		{"no such path", "the server has no /v1/completions", 2, http.NotFoundHandler(), []string{"--model", "m"}},
		{"no list", "give --model NAME", 2, http.NotFoundHandler(), nil},
		{"a list that is none", "give --model NAME", 2, &endpoint{models: "<html>"}, nil},
		{"unknown model", `no model "x" (valid: m)`, 2, &endpoint{models: oneModel}, []string{"--model", "x"}},
		{"two models", "has 2 models (valid: a, b)", 2, &endpoint{models: `{"data":[{"id":"a"},{"id":"b"}]}`}, nil},
		{"longer than the context", "more than the server's max_model_len of 100", 2, &endpoint{models: oneModel}, []string{"--input-len", "98"}},
		{"refused shape", "refuses requests of this shape: 400 Bad Request: too long", 2, answer(http.StatusBadRequest, "too long\x1b[2J"), nil},
		{"redirected", `the server sends requests elsewhere: 307 Temporary Redirect to "http://127.0.0.1:1/"`, 2, http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect), []string{"--model", "m"}},
		{"compressed", "switch the compression off", 2, &endpoint{models: oneModel, breaks: func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b")
			return true
		}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, errs, code := loadgenRunOut(t.Context(), t, tc.server, shape(tc.args...)...)
			require.Equal(t, tc.code, code, errs)
			require.Contains(t, errs, tc.why)
			require.NotContains(t, errs, "\x1b")
		})
	}
}

func httptestURL(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestLoadgenRunFailuresAreAResult(t *testing.T) {
	t.Parallel()
	fails := func(every int64) *endpoint {
		return &endpoint{models: oneModel, breaks: func(n int64, w http.ResponseWriter, _ *http.Request) bool {
			if n%every != 0 {
				return false
			}
			if n%(2*every) == 0 {
				_, _ = io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"text\":\"w\"}]}\n\n") // cut off
				return true
			}
			http.Error(w, "out of pages", http.StatusInternalServerError)
			return true
		}}
	}
	out, errs, code := loadgenRunOut(t.Context(), t, fails(5), shape("--sla", "min_success_rate=0.99")...)
	require.Zero(t, code, errs)
	require.Regexp(t, `(?m)^failures     http_status 4, truncated 4, HTTP 500 4$`, out)
	require.Regexp(t, `(?m)^first        (http_status: 500 Internal Server Error: out of pages|truncated: .*)$`, out)
	require.Regexp(t, `(?m)^SLA          FAIL: min_success_rate: 0\.\d+ < 0\.99$`, out)

	out, errs, code = loadgenRunOut(t.Context(), t, fails(1), shape("--json")...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the first request failed (http_status: 500")
	require.Contains(t, errs, "sotaloop: the load gave no measurement: no request in the window succeeded")
	require.Contains(t, out, `"status":"failed"`)
}

// TestLoadgenRunShowsWhatTheServerDid holds that a person sees what kind of failure every fourth request ended in.
func TestLoadgenRunShowsWhatTheServerDid(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		did      func(w http.ResponseWriter)
		failures string // lines of the table, as expressions
		first    string
	}{
		{"429", func(w http.ResponseWriter) { http.Error(w, "slow down", http.StatusTooManyRequests) }, "http_status 10, HTTP 429 10", "http_status: 429 Too Many Requests: slow down"},
		{"redirect", func(w http.ResponseWriter) {
			w.Header().Set("Location", "/else")
			w.WriteHeader(http.StatusFound)
		}, "redirect 10, HTTP 302 10", `redirect: 302 Found to "/else", which is not followed`},
		{"compressed", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "xx")
		}, "encoded 10", `encoded: the body is encoded as "br"`},
		{"malformed", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "data: {oops\n\n") }, "bad_event 10", "bad_event: event is not a JSON object: {oops"},
		{"wrong usage", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"w\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n")
		}, "wrong_length 10", "wrong_length: the server counted 7 prompt tokens of 6 sent"},
		{"stalled", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"text\":\"w\"}]}\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(400 * time.Millisecond)
		}, "timeout 10", "timeout: .*the last byte came .* before, behind 1 content events"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := &endpoint{models: oneModel, breaks: func(n int64, w http.ResponseWriter, _ *http.Request) bool {
				if n%4 == 0 {
					tc.did(w)
				}
				return n%4 == 0
			}}
			out, errs, code := loadgenRunOut(t.Context(), t, e, shape("--request-timeout", "200ms")...)
			require.Zero(t, code, errs)
			require.Regexp(t, "(?m)^failures     "+tc.failures+"$", out)
			require.Regexp(t, "(?m)^first        "+tc.first, out)
		})
	}
}

func TestLoadgenRunInterrupted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"closed loop", shape("--num-prompts", "5000")},
		{"open loop", []string{"--input-len", "6", "--output-len", "3", "--request-rate", "100", "--arrival", "constant", "--window", "10s", "--warmup", "0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			e := &endpoint{models: oneModel, itl: time.Millisecond, breaks: func(n int64, _ http.ResponseWriter, _ *http.Request) bool {
				if n == 350 { // 250 of the lead
					interrupt()
				}
				return false
			}}
			file := filepath.Join(t.TempDir(), "records")
			out, errs, code := loadgenRunOut(ctx, t, e, append(tc.args, "--json", "--sla", "p50_e2e_ms=5000", "--out", file)...)
			require.Equal(t, 1, code, errs)
			require.Contains(t, errs, "load point cancelled after")
			var doc loadgenResult
			require.NoError(t, json.Unmarshal([]byte(out), &doc))
			require.True(t, doc.Incomplete)
			require.Equal(t, bench.StatusFailed, doc.Status)
			require.Nil(t, doc.SLA.Passed, "an incomplete load is not judged")
			offered, _ := doc.Metrics.Get("requests_offered")
			require.Greater(t, offered, 20.0)
			require.Less(t, offered, 400.0, "what was planned for later was not offered")
			throughput, _ := doc.Metrics.Get("request_throughput")
			require.Positive(t, throughput)
			require.NotContains(t, strings.Join(doc.Warnings, "; "), "the window of", "it speaks of the planned one")
			require.Contains(t, doc.text(), "INCOMPLETE: the load was interrupted")
			raw, err := os.Open(file)
			require.NoError(t, err)
			defer raw.Close()
			_, err = bench.ReadRecords(raw)
			require.NoError(t, err)
		})
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	folder := t.TempDir()
	_, errs, code := loadgenRunOut(ctx, t, &endpoint{models: oneModel}, shape("--out", filepath.Join(folder, "records"))...)
	require.Equal(t, 1, code, errs)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestLoadgenRunShowsNoKey(t *testing.T) {
	const key = "correct-horse-battery-9"
	t.Setenv("SOTALOOP_TEST_KEY", key)
	seen := atomic.Int64{}
	echo := func(status int, first int64) *endpoint {
		return &endpoint{models: oneModel, breaks: func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "Bearer "+key {
				seen.Add(1)
			}
			if n < first || n%3 != 0 {
				return false
			}
			http.Error(w, `{"error":"key `+key+` is over its quota"}`, status)
			return true
		}}
	}
	folder := t.TempDir()
	for i, args := range [][]string{{"--json"}, {}} {
		file := filepath.Join(folder, fmt.Sprint(i))
		out, errs, code := loadgenRunOut(t.Context(), t, echo(http.StatusTooManyRequests, 0), shape(append(args, "--api-key-env", "SOTALOOP_TEST_KEY", "--out", file)...)...)
		require.Zero(t, code, errs)
		require.NotContains(t, out+errs, key)
		require.Contains(t, out, "is over its quota")
		raw, err := os.Open(file)
		require.NoError(t, err)
		rec, err := bench.ReadRecords(raw)
		raw.Close()
		require.NoError(t, err)
		for _, r := range rec.Records {
			require.NotContains(t, r.Error, key)
		}
	}
	require.EqualValues(t, 2*41, seen.Load(), "every request carries the key")
	refuses := &endpoint{models: oneModel, breaks: func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "Incorrect key: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		return true
	}}
	out, errs, code := loadgenRunOut(t.Context(), t, refuses, shape("--api-key-env", "SOTALOOP_TEST_KEY")...)
	require.Equal(t, 2, code)
	require.NotContains(t, out+errs, key)
	require.Contains(t, errs, "check the value of the variable that --api-key-env names")
}

// loadgenTable is the whole of a table that has everything to say.
const loadgenTable = `http://127.0.0.1:8000/v1/completions, model "m"
poisson arrivals at 20 requests/s, 128 tokens in, 16 out, 1200 prompts

milliseconds         mean        p50        p95        p99
ttft                11.00      10.50      19.00          -
ttft_user           11.50      10.75      20.25        inf
tpot                    -          -          -          -
itl                     -          -          -          -
icl                     -          -          -          -
e2e                     -          -          -          -
e2e_user                -          -          -          -
- is not defined, or of too few requests in the window: p50 takes 20, p95 200, p99 1000
inf fell on a request that failed

requests     1200 in the window of 60.0 s, 1180 ok; whole load: 1380 ok, 15 failed, 5 unfinished, 0 never sent
throughput   19.67 requests/s, 314.7 output tokens/s, 2832.0 total tokens/s
goodput      18.00 requests/s, attainment 0.9000
failures     http_status 15, timeout 5
first        http_status: 503 Busy: wait
SLA          FAIL: max_p99_ttft_ms: +Inf > 1500; overloaded: offered 1.25 times what was served while requests piled up
client       client_limited; late_send_p99_ms 3 > 1
             such a point can neither win nor lose: give the client cores of its own, or share the load over processes (--shards N)
OVERLOADED   offered 400 output tokens/s, 125 % of the 320 served while requests piled up
             in_flight rose by 40 % of its mean over the window
warning      the server had not settled after 3 waves: 100, 120, 150 output tokens/s
warning      the window of 60 s is short
assumed      poisson arrivals (--arrival)
records      r.zst, sha256 00ff
`

func TestLoadgenTable(t *testing.T) {
	t.Parallel()
	in, out, prompts, rate := 128, 16, 1200, 20.0
	metrics := bench.Metrics{}
	for name, v := range map[string]float64{"mean_ttft_ms": 11, "p50_ttft_ms": 10.5, "p95_ttft_ms": 19, "mean_ttft_user_ms": 11.5, "p50_ttft_user_ms": 10.75,
		"p95_ttft_user_ms": 20.25, "p99_ttft_user_ms": math.Inf(1), "requests_offered": 1200, "requests_ok": 1180, "window_s": 60, "request_throughput": 19.667,
		"output_token_throughput": 314.67, "total_token_throughput": 2832, "goodput_rps": 18, "sla_attainment": 0.9} {
		metrics[name] = &v
	}
	l := &loadgenResult{Model: "m", URL: "http://127.0.0.1:8000", Status: bench.StatusOK, Verdict: verdictLimited,
		Workload: compare.Workload{Endpoint: bench.PathCompletions, Arrival: contract.ArrivalPoisson, InputLen: &in, OutputLen: &out, NumPrompts: &prompts, RequestRate: &rate},
		Goodput:  &contract.Goodput{TTFTUserMS: 20}, Metrics: metrics, FirstError: "http_status: 503 Busy: wait",
		Counts: bench.Counts{Offered: 1400, OK: 1380, Failed: 15, Unfinished: 5, Errors: map[string]int{"timeout": 5, "http_status": 15}},
		Audit: compare.Audit{ClientLimited: true, Unsettled: true, Overloaded: true, Reasons: []string{"late_send_p99_ms 3 > 1"},
			LoadTest: &bench.LoadTest{Method: contract.OverloadCapacity, State: bench.LoadOverloaded, Offered: 400, Served: 320, Load: 1.25}},
		Trends:   []bench.Trend{{Quantity: "in_flight", Rise: 0.4, Rising: true}, {Quantity: "ttft_user_ms"}},
		Settling: bench.Settling{WaveTokS: []float64{100, 120, 150}}, Warnings: []string{"the window of 60 s is short"},
		Assumed: []string{"poisson arrivals (--arrival)"}, Records: "r.zst", RawSHA256: "00ff"}
	l.judge(contract.SLA{"max_p99_ttft_ms": 1500}, false)
	require.Equal(t, loadgenTable, l.text())

	l.Audit.Overloaded, l.Audit.LoadTest, l.SLAReasons = false, &bench.LoadTest{Method: contract.OverloadCapacity, State: bench.LoadUndecided, NeedsS: 120}, nil
	l.judge(contract.SLA{"max_p50_ttft_ms": 1500}, false)
	require.Nil(t, l.SLA.Passed, "an undecided load keeps nothing")
	require.Contains(t, l.text(), "SLA          not judged: undecided: the window cannot tell this load from one above capacity, one of 120 s would\n")
	require.Contains(t, l.text(), "UNDECIDED ")
	l.SLAReasons = nil
	l.judge(contract.SLA{"max_p50_ttft_ms": 1}, false)
	require.False(t, *l.SLA.Passed, "a broken limit stays broken")
}

func TestLoadgenProgressLine(t *testing.T) {
	t.Parallel()
	var w bytes.Buffer
	load := bench.Progress{Phase: "load", Planned: 200, Sent: 120, Done: 112, Failed: 1, InFlight: 8, Elapsed: 12 * time.Second}
	plain := newProgressLine(&w)
	for range 100 {
		plain.show(load)
	}
	plain.end()
	require.Equal(t, "load: 112 of 200 ended, 8 in flight, 1 failed, 12 s\n", w.String())
	w.Reset()
	live := &progressLine{w: &w, live: true, pause: 250 * time.Millisecond}
	for range 100 {
		live.show(bench.Progress{Phase: "warmup", Wave: 2})
	}
	live.end()
	require.Equal(t, "\rwarmup wave 2: 0 ended, 0 in flight, 0 failed, 0 s\x1b[K\r\x1b[K", w.String())
}
