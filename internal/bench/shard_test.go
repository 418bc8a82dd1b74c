//go:build linux

package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// shardPipe is the parent's end of a shard in this process.
type shardPipe struct {
	io.Writer
	io.Reader
	close func() error
}

func (p shardPipe) Close() error { return p.close() }

// inProcess runs shards as goroutines of this process: what they say goes through pipes as it does between processes.
func inProcess(n int, serve func(ctx context.Context, in io.Reader, out io.Writer) error) bench.Shards {
	return bench.Shards{N: n, Start: func(ctx context.Context) (io.ReadWriteCloser, error) {
		fromParent, toShard := io.Pipe()
		fromShard, toParent := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = toParent.CloseWithError(serve(ctx, fromParent, toParent))
			_ = fromParent.Close()
		}()
		return shardPipe{toShard, fromShard, func() error {
			err := errors.Join(toShard.Close(), fromShard.Close())
			<-done
			return err
		}}, nil
	}}
}

// planOf lists what was planned for the window and before it: role, index and instant within the load.
func planOf(p *bench.Point) []string {
	var out []string
	for _, r := range p.Recording.Records {
		switch at := r.Sched - p.Window.Start; {
		case p.Recording.Header.Scenario.Arrival == contract.ArrivalClosed || p.Recording.Header.Scenario.Arrival == contract.ArrivalBurst:
			out = append(out, fmt.Sprint(r.Index)) // their roles and instants follow from what happened
		case r.Role != bench.RoleTail:
			out = append(out, fmt.Sprintf("%s %d %d", r.Role, r.Index, at))
		}
	}
	slices.Sort(out)
	return out
}

// promptsOf are the prompts that a server saw of one load.
func promptsOf(s *server) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, b := range s.bodies {
		out = append(out, fmt.Sprint(b.Prompt, *b.Seed))
	}
	slices.Sort(out)
	return out
}

// TestShardsSendWhatOneProcessSends holds that the union of the parts is the plan, whatever the arrivals.
func TestShardsSendWhatOneProcessSends(t *testing.T) {
	t.Parallel()
	burst := closed(31, 1)
	burst.Scenario.Arrival, burst.Scenario.MaxConcurrency = contract.ArrivalBurst, nil
	replay := closed(1, 1)
	replay.Scenario.Arrival, replay.Scenario.MaxConcurrency = contract.ArrivalReplay, nil
	replay.Scenario.Kind, replay.Scenario.Dataset = contract.KindText, "sha256:00"
	for i := range 50 {
		replay.Rows = append(replay.Rows, bench.Row{Prompt: fmt.Sprint("a b ", i), At: ptr(5 + float64(i)*0.01), OutputLen: 2})
	}
	constant := open(50, 600*time.Millisecond)
	constant.Scenario.Arrival = contract.ArrivalConstant
	for name, spec := range map[string]bench.Spec{"closed": closed(62, 5), "burst": burst, "replay": replay, "poisson": open(60, 600*time.Millisecond), "constant": constant} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alone, shared := &server{ttft: time.Millisecond}, &server{ttft: time.Millisecond}
			one, err := bench.Run(t.Context(), serve(t, alone), spec, nil)
			require.NoError(t, err)
			var calls atomic.Int64
			many, err := bench.RunSharded(t.Context(), serve(t, shared), spec, inProcess(3, bench.ServeShard), func(bench.Progress) { calls.Add(1) })
			require.NoError(t, err)
			require.Equal(t, bench.StatusOK, many.Status, many.Reason)
			require.Positive(t, calls.Load())
			require.Equal(t, planOf(one), planOf(many))
			require.Empty(t, many.Counts.Errors)
			require.NoError(t, many.Recording.Check())
			require.Len(t, many.Audit.Shards, 3)
			if one.Recording.Header.Scenario.Arrival == contract.ArrivalClosed {
				require.LessOrEqual(t, shared.most.Load(), int64(5), "slots are shared, too")
				slots := map[int]int{}
				for _, r := range many.Recording.Records {
					slots[r.Slot]++
					require.Equal(t, r.Shard, r.Slot%3)
				}
				require.Len(t, slots, 5, "each has a number of its own")
			}
			if one.Counts.Offered == many.Counts.Offered { // an open loop's tail is as long as it takes
				require.Equal(t, promptsOf(alone), promptsOf(shared))
			}
			require.True(t, slices.IsSortedFunc(many.Recording.Records, func(a, b *bench.Record) int {
				if a.Role != b.Role || one.Recording.Header.Scenario.Arrival == contract.ArrivalClosed {
					return 0 // a closed loop's roles follow from its window
				}
				return a.Index - b.Index
			}), "in order of planning")
			shares := 0.0
			for _, a := range many.Audit.Shards {
				shares += *a.CPUSeconds
			}
			require.Greater(t, *many.Audit.CPUSeconds, shares, "the processes' CPU time, and the parent's")
			of := map[int]int{}
			for _, r := range many.Recording.Records {
				require.Equal(t, r.Index%3, r.Shard)
				require.GreaterOrEqual(t, r.Sent, r.Sched)
				of[r.Shard]++
			}
			require.Len(t, of, 3)

			var stored bytes.Buffer
			require.NoError(t, bench.WriteRecords(&stored, many.Recording))
			back, err := bench.ReadRecords(&stored)
			require.NoError(t, err)
			want, err := json.Marshal(many.Metrics)
			require.NoError(t, err)
			got, err := json.Marshal(bench.Measure(back))
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}

// TestASharedWindowEndsWithItsFirstShard: a process that has sent its last prompt leaves slots empty.
func TestASharedWindowEndsWithItsFirstShard(t *testing.T) {
	t.Parallel()
	var records []*bench.Record
	for shard := range 2 {
		for k := range 4 + 2*shard { // shard 0 ends at 30, shard 1 at 50
			r := bench.NewRecord(len(records), bench.RoleWindow)
			r.Sched, r.Shard, r.Slot = bench.Offset(k*10), shard, shard
			records = append(records, r)
		}
	}
	slots := 2
	s := contract.Scenario{Arrival: contract.ArrivalClosed, MaxConcurrency: &slots}
	require.Equal(t, bench.Window{Start: 10, End: 30}, bench.WindowOf(records, s))
	for _, r := range records {
		r.Shard = 0
	}
	require.Equal(t, bench.Window{Start: 10, End: 50}, bench.WindowOf(records, s))
}

func TestShardsThatFail(t *testing.T) {
	t.Parallel()
	target := serve(t, &server{ttft: time.Millisecond})
	var dead atomic.Int64
	for name, tc := range map[string]struct {
		serve func(ctx context.Context, in io.Reader, out io.Writer) error
		why   string
	}{
		"gone at once": {func(context.Context, io.Reader, io.Writer) error { return nil }, "went away"},
		"says rubbish": {func(_ context.Context, _ io.Reader, out io.Writer) error {
			_, err := io.WriteString(out, "panic: oh no\n")
			return err
		}, "went away"},
		"says it failed": {func(_ context.Context, in io.Reader, out io.Writer) error {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			_, err := io.WriteString(out, `{"error":"no room"}`+"\n")
			return err
		}, "shard: no room"},
		"has no sockets": {func(_ context.Context, in io.Reader, out io.Writer) error {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			_, err := io.WriteString(out, `{"error":"too many open files","socket_limit":true}`+"\n")
			return err
		}, "too few descriptors or local ports"},
		"dies in the middle": {func(ctx context.Context, in io.Reader, out io.Writer) error {
			if dead.Add(1) != 2 {
				return bench.ServeShard(ctx, in, out)
			}
			go func() { _, _ = io.Copy(io.Discard, in) }()
			_, err := io.WriteString(out, `{"ready":true}`+"\n")
			return err
		}, "went away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bench.RunSharded(t.Context(), target, closed(40, 4), inProcess(2, tc.serve), nil)
			require.ErrorContains(t, err, tc.why, "a load that was not observed as a whole is no point")
		})
	}
	_, err := bench.RunSharded(t.Context(), target, closed(40, 4), bench.Shards{N: 2, Start: func(context.Context) (io.ReadWriteCloser, error) { return nil, errors.New("no processes left") }}, nil)
	require.ErrorContains(t, err, "shard 0: no processes left")
	for _, n := range []int{0, 65} {
		_, err = bench.RunSharded(t.Context(), target, closed(40, 4), inProcess(n, bench.ServeShard), nil)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	}
	other := target
	other.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }
	_, err = bench.RunSharded(t.Context(), other, closed(40, 4), inProcess(2, bench.ServeShard), nil)
	require.ErrorContains(t, err, "cannot be shared")
}

func TestShardsAreCutShort(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := &server{breaks: func(n int, _ http.ResponseWriter) bool {
		if n > 6 {
			<-hang
		}
		return n > 6
	}}
	target := serve(t, s)
	t.Cleanup(func() { close(hang) })
	spec := closed(20, 4)
	spec.Deadline = 900 * time.Millisecond
	point, err := bench.RunSharded(t.Context(), target, spec, inProcess(2, bench.ServeShard), nil)
	require.NoError(t, err)
	require.Equal(t, bench.StatusTimeout, point.Status)
	require.Equal(t, bench.Counts{Offered: 20, OK: 6, Unfinished: 4, Dropped: 10, Errors: map[string]int{"timeout": 4}}, point.Counts, "every request is accounted for")

	ctx, cancel := context.WithCancel(t.Context())
	slow := &server{itl: 50 * time.Millisecond, breaks: func(n int, _ http.ResponseWriter) bool {
		if n == 10 {
			cancel()
		}
		return false
	}}
	point, err = bench.RunSharded(ctx, serve(t, slow), closed(200, 4), inProcess(2, bench.ServeShard), nil)
	require.Equal(t, fault.Canceled, fault.CodeOf(err))
	c := point.Counts
	require.Equal(t, 200, c.OK+c.Failed+c.Unfinished+c.Dropped)
	require.Positive(t, c.Unfinished)
	require.Equal(t, c.Unfinished, c.Errors["canceled"])
}

func TestServeShardRefusesRubbish(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, why string }{
		{"", "no order"},
		{"hello", "no order"},
		{`{"v":2}`, "order of version 2"},
		{`{"v":1,"shards":1,"shard":1,"monotonic_base_ns":1}`, "shard 1 of 1"},
		{`{"v":1,"shards":1,"monotonic_base_ns":1,"base_url":"ftp://x"}`, "not an http address"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, bench.ServeShard(t.Context(), strings.NewReader(tc.in), &out), tc.why)
	}
}

func TestShardsFor(t *testing.T) {
	t.Parallel()
	s := contract.Scenario{Arrival: contract.ArrivalClosed, MaxConcurrency: ptr(2000)}
	require.Equal(t, 1, bench.ShardsFor(s, 64))
	*s.MaxConcurrency = 4000
	require.Equal(t, 8, bench.ShardsFor(s, 16))
	require.Equal(t, 1, bench.ShardsFor(s, 2), "no more processes than CPUs to run them")
	require.Equal(t, 1, bench.ShardsFor(contract.Scenario{Arrival: contract.ArrivalPoisson, RequestRate: ptr(1e4)}, 64), "nobody knows its streams")
	require.Equal(t, 32, bench.ShardsFor(contract.Scenario{Arrival: contract.ArrivalBurst, NumPrompts: 1e6}, 64))
}

// TestAShardThatIsLimitedLimitsThePoint merges what the processes say of themselves.
func TestAShardThatIsLimitedLimitsThePoint(t *testing.T) {
	t.Parallel()
	a := bench.JudgeAudit(bench.Audit{Shards: []bench.Audit{{Reasons: []string{}}, {Reasons: []string{"loop_lag_p99_ms 3 > 2"}}}}, recording(100, 0))
	require.True(t, a.ClientLimited)
	require.Contains(t, a.Reasons, "shard 1: loop_lag_p99_ms 3 > 2")
}
