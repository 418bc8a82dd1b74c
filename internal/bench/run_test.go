package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestClosedLoop(t *testing.T) {
	t.Parallel()
	s := &server{ttft: 4 * time.Millisecond, itl: 3 * time.Millisecond}
	spec := closed(60, 4)
	spec.MaxWarmupWaves, spec.Limits.SettleTolerance = 3, 1e6
	var calls atomic.Int64
	point, err := bench.Run(t.Context(), serve(t, s), spec, func(bench.Progress) { calls.Add(1) })
	require.NoError(t, err)
	require.Equal(t, bench.StatusOK, point.Status, point.Reason)
	require.Positive(t, calls.Load())
	require.LessOrEqual(t, s.most.Load(), int64(4), "never more than the slots")
	require.Equal(t, 60, point.Counts.OK)
	require.Equal(t, 60, point.Counts.Offered)
	require.Len(t, point.Recording.Records, 60+point.Counts.Warmup)
	require.True(t, point.Settling.Settled)
	require.Len(t, point.Settling.WaveTokS, 2, "two waves in a row within the tolerance")
	require.Equal(t, 8, point.Counts.Warmup)
	require.NoError(t, point.Recording.Check())

	roles := map[bench.Role]int{}
	ends := map[int]bench.Offset{}
	for _, r := range point.Recording.Records {
		roles[r.Role]++
		require.Equal(t, 4, r.Out)
		require.Equal(t, 8, r.In)
		require.GreaterOrEqual(t, r.First-r.Sent, bench.Offset(4*time.Millisecond), "no token comes before the server sends it")
		require.GreaterOrEqual(t, r.Last-r.Sent, bench.Offset(13*time.Millisecond))
		gaps := bench.Offset(0)
		for _, gap := range r.Gaps {
			gaps += bench.Offset(gap) * 1000
		}
		require.InDelta(t, float64(r.Last-r.First), float64(gaps), 1000, "gaps add up")
		if r.Role != bench.RoleWarmup && ends[r.Slot] > 0 {
			require.Equal(t, ends[r.Slot], r.Sched, "a slot is free at the end of its last request")
		}
		if r.Role != bench.RoleWarmup {
			ends[r.Slot] = r.End
		}
	}
	require.GreaterOrEqual(t, roles[bench.RoleLead], 4, "the first wave is not measured")
	require.GreaterOrEqual(t, roles[bench.RoleTail], 1, "the last sending is not inside")
	require.Greater(t, roles[bench.RoleWindow], 40)
	rate, ok := point.Metrics.Get("request_throughput")
	require.True(t, ok)
	require.InDelta(t, float64(roles[bench.RoleWindow])/point.Window.Seconds(), rate, 1e-9)
	require.Less(t, rate, 4/0.013, "not faster than the server's schedule")
	_, ok = point.Metrics.Get("mean_itl_ms")
	require.True(t, ok, "one token an event")
}

func TestRequestsAreEqualOnEverySideAndDifferBetweenBlocks(t *testing.T) {
	t.Parallel()
	target := bench.Target{Path: bench.PathCompletions, Model: "m"}
	at := func(phase string, block int, role bench.Role) string {
		spec := closed(10, 2)
		spec.Seed = bench.MixSeed(99, phase, "chat", block)
		out, err := bench.Body(target, spec, role, 3)
		require.NoError(t, err)
		return out
	}
	require.JSONEq(t, at("blocks", 1, bench.RoleWindow), at("blocks", 1, bench.RoleWindow))
	seen := map[string]string{}
	for _, phase := range []string{"search", "blocks", "unseen"} {
		for block := range 3 {
			for _, role := range []bench.Role{bench.RoleWindow, bench.RoleWarmup, bench.RoleLead, bench.RoleTail} {
				var b body
				require.NoError(t, json.Unmarshal([]byte(at(phase, block, role)), &b))
				raw, _ := json.Marshal(b.Prompt)
				require.Empty(t, seen[string(raw)])
				seen[string(raw)] = phase
			}
		}
	}
}

func TestBodyStatesEverything(t *testing.T) {
	t.Parallel()
	spec := closed(10, 2)
	var b body
	raw, err := bench.Body(bench.Target{Path: bench.PathCompletions, Model: "m", Extra: map[string]any{"stop": "x"}}, spec, bench.RoleWindow, 0)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(raw), &b))
	require.Equal(t, "m", b.Model)
	require.Equal(t, 8, b.promptLen())
	require.Equal(t, 4, b.MaxTokens)
	require.Equal(t, ptr(0.0), b.Temperature)
	require.Equal(t, ptr(true), b.IgnoreEOS)
	require.True(t, b.Stream)
	require.Equal(t, map[string]any{"include_usage": true}, b.StreamOptions)
	require.NotNil(t, b.Seed)
	require.Equal(t, "x", b.Extra)

	raw, err = bench.Body(bench.Target{Path: bench.PathGenerate}, spec, bench.RoleWindow, 0)
	require.NoError(t, err)
	var g map[string]any
	require.NoError(t, json.Unmarshal([]byte(raw), &g))
	require.Len(t, g["input_ids"], 8)
	require.Equal(t, map[string]any{"max_new_tokens": 4.0, "ignore_eos": true, "temperature": 0.0}, g["sampling_params"])

	spec.Scenario.Kind, spec.Scenario.Dataset = contract.KindChat, "sha256:00"
	spec.Rows = []bench.Row{{Messages: json.RawMessage(`[{"role":"user","content":"hi"}]`), OutputLen: 9, Extra: map[string]any{"tool_choice": "auto", "model": "other"}}}
	raw, err = bench.Body(bench.Target{Path: bench.PathChat, Model: "m"}, spec, bench.RoleWindow, 0)
	require.NoError(t, err)
	require.Contains(t, raw, `"messages":[{"role":"user","content":"hi"}]`)
	require.Contains(t, raw, `"tool_choice":"auto"`)
	require.Contains(t, raw, `"max_tokens":9`)
	require.Contains(t, raw, `"model":"m"`, "a row does not choose its model")
}

func TestFailuresAreAccountedFor(t *testing.T) {
	t.Parallel()
	s := &server{ttft: time.Millisecond, breaks: func(n int, w http.ResponseWriter) bool {
		switch n % 10 {
		case 3:
			http.Error(w, "out of memory", http.StatusInternalServerError)
		case 5: // cut off in the middle
			_, _ = w.Write([]byte("data: {\"choices\":[{\"text\":\"a\"}]}\n\n"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 7: // too short
			_, _ = w.Write([]byte("data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n"))
		default:
			return false
		}
		return true
	}}
	spec := closed(50, 1)
	point, err := bench.Run(t.Context(), serve(t, s), spec, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusOK, point.Status)
	require.Equal(t, map[string]int{"http_status": 5, "truncated": 5, "wrong_length": 5}, point.Counts.Errors)
	require.Equal(t, 35, point.Counts.OK)
	require.Equal(t, 15, point.Counts.Failed)
	for _, r := range point.Recording.Records {
		require.True(t, r.End.Happened())
		require.Equal(t, r.OK(), r.Error == "")
	}
	require.NoError(t, point.Recording.Check())
}

func TestHangEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := &server{breaks: func(n int, _ http.ResponseWriter) bool {
		if n > 4 {
			<-hang
		}
		return n > 4
	}}
	target := serve(t, s)
	t.Cleanup(func() { close(hang) }) // before the server waits for its handlers
	spec := closed(20, 2)
	spec.Deadline = 300 * time.Millisecond
	point, err := bench.Run(t.Context(), target, spec, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusTimeout, point.Status)
	require.Equal(t, bench.Counts{Offered: 20, OK: 4, Unfinished: 2, Dropped: 14, Errors: map[string]int{"timeout": 2}}, point.Counts)
}

func TestOneHangingRequestTimesOut(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := &server{itl: 5 * time.Millisecond, breaks: func(n int, _ http.ResponseWriter) bool {
		if n == 20 {
			<-hang
		}
		return n == 20
	}}
	target := serve(t, s)
	t.Cleanup(func() { close(hang) }) // before the server waits for its handlers
	spec := closed(150, 2)
	spec.RequestTimeout = time.Second
	point, err := bench.Run(t.Context(), target, spec, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusOK, point.Status)
	require.Equal(t, bench.Counts{Offered: 150, OK: 149, Unfinished: 1, Errors: map[string]int{"timeout": 1}}, point.Counts)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{itl: 50 * time.Millisecond, breaks: func(n int, _ http.ResponseWriter) bool {
		if n == 6 {
			cancel()
		}
		return false
	}}
	point, err := bench.Run(ctx, serve(t, s), closed(200, 4), nil)
	require.Equal(t, fault.Canceled, fault.CodeOf(err))
	require.Equal(t, bench.StatusFailed, point.Status)
	c := point.Counts
	require.Equal(t, 200, c.OK+c.Failed+c.Unfinished+c.Dropped)
	require.Positive(t, c.Unfinished)
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	target := bench.Target{BaseURL: "http://" + l.Addr().String(), Path: bench.PathCompletions}
	_, err = bench.Run(t.Context(), target, closed(10, 2), nil)
	require.Equal(t, fault.FrameworkFailed, fault.CodeOf(err))
	warm := closed(10, 2)
	warm.MaxWarmupWaves = 3
	point, err := bench.Run(t.Context(), target, warm, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusFailed, point.Status)
	require.Contains(t, point.Reason, "no warm-up request succeeded: connect")
}

func TestServerDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	var l net.Listener
	s := &server{}
	s.breaks = func(n int, _ http.ResponseWriter) bool {
		if n < 10 {
			return false
		}
		_ = l.Close()
		panic(http.ErrAbortHandler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute} //nolint:exhaustruct // the rest does not matter
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	point, err := bench.Run(t.Context(), bench.Target{BaseURL: "http://" + l.Addr().String(), Path: bench.PathCompletions}, closed(40, 4), nil)
	require.NoError(t, err)
	require.Equal(t, 40, point.Counts.OK+point.Counts.Failed)
	require.GreaterOrEqual(t, point.Counts.Failed, 28)
}

func TestIdleConnectionsThatWereClosedCostNoRequest(t *testing.T) {
	t.Parallel()
	s := &server{breaks: func(_ int, w http.ResponseWriter) bool {
		w.Header().Set("Connection", "close")
		return false
	}}
	point, err := bench.Run(t.Context(), serve(t, s), closed(30, 3), nil)
	require.NoError(t, err)
	require.Equal(t, 30, point.Counts.OK)
	require.GreaterOrEqual(t, point.Audit.Dials, 30)
}

func TestConnectionsOfAForeignDialer(t *testing.T) {
	t.Parallel()
	target := serve(t, &server{ttft: time.Millisecond})
	var dials atomic.Int64
	target.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	spec := closed(30, 3)
	spec.RequestTimeout = 10 * time.Second
	point, err := bench.Run(t.Context(), target, spec, nil)
	require.NoError(t, err)
	require.Equal(t, 30, point.Counts.OK)
	require.Equal(t, int64(3), dials.Load(), "connections are kept")
}

func TestBurst(t *testing.T) {
	t.Parallel()
	s := &server{ttft: 500 * time.Millisecond, itl: time.Millisecond, perEvent: 2} // long enough for all to be open at once
	spec := closed(40, 1)
	spec.Scenario.Arrival, spec.Scenario.MaxConcurrency = contract.ArrivalBurst, nil
	point, err := bench.Run(t.Context(), serve(t, s), spec, nil)
	require.NoError(t, err)
	require.Equal(t, 40, point.Counts.OK)
	makespan, ok := point.Metrics.Get("makespan_s")
	require.True(t, ok)
	require.GreaterOrEqual(t, makespan, 0.501)
	require.InDelta(t, point.Window.Seconds(), makespan, 0)
	for _, rate := range []string{"request_throughput", "output_token_throughput", "goodput_rps"} {
		_, ok := point.Metrics.Get(rate)
		require.False(t, ok, "a burst has no rate")
	}
	require.Equal(t, int64(40), s.most.Load())
	_, ok = point.Metrics.Get("mean_itl_ms")
	require.False(t, ok, "two tokens an event are no ITL")
	_, ok = point.Metrics.Get("mean_icl_ms")
	require.True(t, ok)
	require.NotEmpty(t, point.Warnings, "k1 is unknown")
	require.NoError(t, point.Recording.Check())
}

func TestOpenLoop(t *testing.T) {
	t.Parallel()
	s := &server{ttft: 30 * time.Millisecond, itl: 5 * time.Millisecond}
	spec := open(100, time.Second)
	spec.Goodput = &contract.Goodput{TTFTUserMS: 5000}
	point, err := bench.Run(t.Context(), serve(t, s), spec, nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusOK, point.Status, point.Reason)
	require.InDelta(t, 1.0, point.Window.Seconds(), 1e-9)
	roles := map[bench.Role]int{}
	var lastWindowEnd, lastTail bench.Offset
	for _, r := range point.Recording.Records {
		roles[r.Role]++
		require.True(t, r.OK(), r.Error)
		require.GreaterOrEqual(t, r.Sent, r.Sched)
		if r.Role == bench.RoleWindow {
			lastWindowEnd = max(lastWindowEnd, r.End)
		} else {
			lastTail = max(lastTail, r.Sched)
		}
	}
	require.Positive(t, roles[bench.RoleLead])
	require.Positive(t, roles[bench.RoleTail], "load goes on until the last measured request has ended")
	require.InDelta(t, 100, roles[bench.RoleWindow], 45)
	require.LessOrEqual(t, lastTail, lastWindowEnd+bench.Offset(50*time.Millisecond), "and not much longer")
	require.NoError(t, point.Recording.Check())
	attained, ok := point.Metrics.Get("sla_attainment")
	require.True(t, ok)
	require.InDelta(t, 1, attained, 0)
	require.False(t, point.ShortWindow)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	s := &server{}
	spec := closed(1, 1)
	spec.Scenario.Arrival, spec.Scenario.MaxConcurrency = contract.ArrivalReplay, nil
	spec.Scenario.Kind, spec.Scenario.Dataset = contract.KindText, "sha256:00"
	for i := range 50 {
		spec.Rows = append(spec.Rows, bench.Row{Prompt: "a b c", At: ptr(1000 + float64(i)*0.01), OutputLen: 1 + i%3})
	}
	point, err := bench.Run(t.Context(), serve(t, s), spec, nil)
	require.NoError(t, err)
	require.Equal(t, 50, point.Counts.OK)
	require.InDelta(t, 0.392, point.Window.Seconds(), 1e-6, "eight tenths of 0.49 s")
	offered, _ := point.Metrics.Get("requests_offered")
	require.InDelta(t, 40, offered, 1)
	require.NoError(t, point.Recording.Check())
}

func TestRecordsRecompute(t *testing.T) {
	t.Parallel()
	point, err := bench.Run(t.Context(), serve(t, &server{ttft: time.Millisecond, itl: time.Millisecond}), closed(60, 3), nil)
	require.NoError(t, err)
	var stored bytes.Buffer
	require.NoError(t, bench.WriteRecords(&stored, point.Recording))
	back, err := bench.ReadRecords(&stored)
	require.NoError(t, err)
	require.Equal(t, point.Recording, back)
	require.NoError(t, back.Check())
	want, err := json.Marshal(point.Metrics)
	require.NoError(t, err)
	got, err := json.Marshal(bench.Measure(back))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	require.False(t, strings.Contains(string(got), "NaN"))
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	good := bench.Target{BaseURL: "http://127.0.0.1:1", Path: bench.PathCompletions}
	for name, tc := range map[string]struct {
		target bench.Target
		change func(*bench.Spec)
		want   string
	}{
		"address":        {bench.Target{BaseURL: "ftp://x", Path: bench.PathCompletions}, nil, "not an http address"},
		"endpoint":       {bench.Target{BaseURL: good.BaseURL, Path: "/v2"}, nil, `unknown endpoint "/v2"`},
		"own field":      {bench.Target{BaseURL: good.BaseURL, Path: bench.PathCompletions, Extra: map[string]any{"temperature": 1}}, nil, `"temperature" is set by the client`},
		"chat with ids":  {bench.Target{BaseURL: good.BaseURL, Path: bench.PathChat}, nil, "sends token ids"},
		"vocabulary":     {good, func(s *bench.Spec) { s.Vocab = bench.TokenRange{Lo: 1, Hi: 4, Exclude: []int{1, 2, 2, 9}} }, "leaves fewer than two"},
		"rate and slots": {good, func(s *bench.Spec) { s.Scenario.RequestRate = ptr(1.0) }, "hides queueing"},
		"too few rows":   {good, func(s *bench.Spec) { s.Scenario.Kind, s.Scenario.Dataset = "text", "sha256:00" }, "0 rows for 10 prompts"},
		"no warm-up rows": {good, func(s *bench.Spec) {
			s.Scenario.Kind, s.Scenario.Dataset, s.MaxWarmupWaves = "text", "sha256:00", 2
			s.Rows = make([]bench.Row, 10)
		}, "no rows are left for the warm-up"},
		"messages elsewhere": {good, func(s *bench.Spec) {
			s.Scenario.Kind, s.Scenario.Dataset = "chat", "sha256:00"
			for range 10 {
				s.Rows = append(s.Rows, bench.Row{Messages: json.RawMessage(`[]`)})
			}
		}, "does not take"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := closed(10, 2)
			if tc.change != nil {
				tc.change(&spec)
			}
			_, err := bench.Run(t.Context(), tc.target, spec, nil)
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
		})
	}
}

// TestCancelWhileConnecting ends points while their connections are being opened, again and again.
func TestCancelWhileConnecting(t *testing.T) {
	t.Parallel()
	target := serve(t, &server{})
	for i := range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*300*time.Microsecond)
		_, err := bench.Run(ctx, target, closed(1000, 60), nil)
		require.Error(t, err)
		cancel()
	}
}
