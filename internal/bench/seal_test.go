package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// TestPrivateRecordsHoldNoWordOfTheServer: a server that repeats the prompt as an error, as an event, as a finish reason,
// as an output, and as something that is no response at all.
func TestPrivateRecordsHoldNoWordOfTheServer(t *testing.T) {
	t.Parallel()
	const secret = "XYZZY"
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		stream := func(format string, args ...any) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, format+"\n\n", args...)
		}
		quoted, _ := json.Marshal(string(body))
		switch n.Add(1) % 6 {
		case 0:
			http.Error(w, string(body), http.StatusBadRequest)
		case 1:
			stream("data: {\"error\":{\"message\":%s}}", quoted)
		case 2:
			stream("data: %s %s", secret, secret)
		case 3:
			stream("event: error\ndata: %s", quoted)
		case 4:
			_, _ = w.Write(body)
		default:
			stream("data: {\"choices\":[{\"index\":0,\"text\":%s,\"finish_reason\":%s}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\ndata: [DONE]", quoted, quoted)
		}
	}))
	t.Cleanup(server.Close)
	slots := 2
	spec := bench.Spec{DigestKey: []byte("key"), Seed: 1, Scenario: contract.Scenario{Name: "s", Kind: contract.KindText, Dataset: "sha256:00", NumPrompts: 36, Arrival: contract.ArrivalClosed,
		MaxConcurrency: &slots, Stream: true, Primary: "p50_tpot_ms"}}
	for range 36 {
		spec.Rows = append(spec.Rows, bench.Row{Prompt: secret, OutputLen: 1})
	}
	run := func(s bench.Spec) string {
		n.Store(0)
		point, err := bench.Run(t.Context(), bench.Target{BaseURL: server.URL, Path: bench.PathCompletions}, s, nil)
		require.NoError(t, err)
		require.Equal(t, 6, point.Counts.OK)
		require.GreaterOrEqual(t, len(point.Counts.Errors), 4, "%v", point.Counts.Errors)
		raw, err := json.Marshal([]any{point, point.Recording})
		require.NoError(t, err)
		return string(raw)
	}
	require.NotContains(t, run(spec), secret)
	open := spec
	open.DigestKey = nil
	require.Contains(t, run(open), secret, "a public load tells what the server said")
	kept := spec
	kept.KeepOutputs = true
	_, err := bench.Run(t.Context(), bench.Target{BaseURL: server.URL, Path: bench.PathCompletions}, kept, nil)
	require.ErrorContains(t, err, "private")
}

// TestPrefixCacheHits are only where a server told: not told is not 0.
func TestPrefixCacheHits(t *testing.T) {
	t.Parallel()
	window := func(told bool, cached ...int) *bench.Recording {
		r := &bench.Recording{Header: bench.Header{Scenario: contract.Scenario{Arrival: contract.ArrivalClosed}, Window: bench.Window{Start: 0, End: 1e9}}}
		for _, c := range cached {
			r.Records = append(r.Records, &bench.Record{Role: bench.RoleWindow, Outcome: bench.OutcomeOK, In: 10, Out: 2, Cached: c, CacheTold: told, K1: 1})
		}
		return r
	}
	rate, ok := bench.Measure(window(true, 5, 0, 10)).Get("prefix_cache_hit_rate")
	require.True(t, ok)
	require.InDelta(t, 0.5, rate, 1e-12)
	rate, ok = bench.Measure(window(true, 0, 0)).Get("prefix_cache_hit_rate")
	require.True(t, ok)
	require.Zero(t, rate)
	require.NotContains(t, bench.Measure(window(false, 0, 0)), "prefix_cache_hit_rate")
}
