package bench_test

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestAuditJudges(t *testing.T) {
	t.Parallel()
	quiet := bench.Audit{LoopLagP99MS: ptr(1.9), GCPauseMaxMS: ptr(1.9), Steal: ptr(0.019), CPUShare: ptr(0.79), CPUSeconds: ptr(0.01)}
	quick := recording(100, 0)
	for _, r := range quick.Records {
		r.Sent = r.Sched + 9e5 // 0.9 ms late
	}
	a := bench.JudgeAudit(quiet, quick)
	require.False(t, a.ClientLimited, "%v", a.Reasons)
	require.InDelta(t, 0.9, *a.LateSendP99MS, 1e-9)
	require.Equal(t, 400, a.Events)
	require.InDelta(t, 25, *a.CPUPerEventUS, 1e-9)
	require.False(t, a.WiderLimits)

	for name, change := range map[string]func(*bench.Audit){
		"loop_lag_p99_ms":  func(a *bench.Audit) { a.LoopLagP99MS = ptr(2.1) },
		"gc_pause_max_ms":  func(a *bench.Audit) { a.GCPauseMaxMS = ptr(2.1) },
		"steal":            func(a *bench.Audit) { a.Steal = ptr(0.021) },
		"cpu_share":        func(a *bench.Audit) { a.CPUShare = ptr(0.81) },
		"late_send_p99_ms": func(a *bench.Audit) { a.Limits = bench.Limits{LateSend: time.Microsecond, LateShare: 1e-9} },
	} {
		noisy := quiet
		change(&noisy)
		got := bench.JudgeAudit(noisy, quick)
		require.True(t, got.ClientLimited, name)
		require.Len(t, got.Reasons, 1)
		require.Contains(t, got.Reasons[0], name+" ")
	}
	wide := quiet
	wide.LoopLagP99MS, wide.Limits.LoopLag = ptr(40.0), 50*time.Millisecond
	got := bench.JudgeAudit(wide, quick)
	require.False(t, got.ClientLimited)
	require.True(t, got.WiderLimits, "declared openly")
	require.Equal(t, 2*time.Millisecond, got.Limits.GCPause, "the others keep their defaults")

	broke := recording(100, 0)
	broke.Records[7] = failed(7, 700)
	broke.Records[7].ErrorClass = bench.ErrSocketLimit
	require.Contains(t, bench.JudgeAudit(quiet, broke).Reasons, "socket_errors 1 > 0")
}

func TestLateSendLimitFollowsTTFTAndMakespan(t *testing.T) {
	t.Parallel()
	slow := recording(100, 0)
	for _, r := range slow.Records {
		r.First, r.Last, r.End = r.First+1000*millisecond, r.Last+1000*millisecond, r.End+1000*millisecond
	}
	require.InDelta(t, 10.505, bench.JudgeAudit(bench.Audit{}, slow).LateSendLimitMS, 1e-6, "1 % of the median TTFT")
	slow.Header.Scenario.Arrival = contract.ArrivalBurst
	require.InDelta(t, 50, bench.JudgeAudit(bench.Audit{}, slow).LateSendLimitMS, 1e-6, "0.5 % of a makespan of 10 s")
}

// TestCertify runs the certificate with its mock in this process: what is lost or miscounted shows; how exact it is
// depends on the machine and is no test.
func TestCertify(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- (&bench.Mock{TTFT: 5 * time.Millisecond, ITL: 10 * time.Millisecond}).Serve(ctx, l) }()
	c, err := bench.Certify(t.Context(), "http://"+l.Addr().String(), bench.CertifySpec{Streams: 20, ITL: 10 * time.Millisecond, Duration: 400 * time.Millisecond})
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, err)
	require.Equal(t, 800, c.Events)
	require.Zero(t, c.EventsLost)
	require.Less(t, c.TTFTErrorMS.P50, 100.0)
	require.Less(t, c.ITLErrorMS.P50, 10.0, "the client's own error is below the gap")
	require.Positive(t, c.CPUPerEventUS)

	_, err = bench.Certify(t.Context(), "http://127.0.0.1:1", bench.CertifySpec{})
	require.Error(t, err)
}

// TestCertifyArrivals runs the certificate of arrivals with its mock in this process: what was drawn is Poisson, what was
// sent is tested as it was; how late it was depends on the machine and is no test.
func TestCertifyArrivals(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- (&bench.Mock{TTFT: 2 * time.Millisecond, ITL: time.Millisecond}).Serve(ctx, l) }()
	a, err := bench.CertifyArrivals(t.Context(), "http://"+l.Addr().String(), bench.ArrivalsSpec{Rate: 200, Duration: time.Second, Seed: 3})
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, err)
	require.InDelta(t, 200, a.Requests, 60)
	require.Zero(t, a.Failed)
	require.Greater(t, a.Drawn.P, 0.001)
	require.Positive(t, a.Sent.D)
	require.NotEqual(t, a.Drawn, a.Sent, "no two requests are sent at the very instants of their plan")
	require.GreaterOrEqual(t, a.LateSendMS.P50, 0.0)
	for _, bad := range []bench.ArrivalsSpec{{Rate: -1, Duration: time.Hour}, {Rate: 50, Duration: time.Second}} {
		_, err = bench.CertifyArrivals(t.Context(), "http://127.0.0.1:1", bad)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	}
	_, err = bench.CertifyArrivals(t.Context(), "http://127.0.0.1:1", bench.ArrivalsSpec{Rate: 500, Duration: time.Second})
	require.Equal(t, fault.HostUnreachable, fault.CodeOf(err))
}

// TestPoissonTestTellsTheOthers: neither even arrivals nor those of another rate, nor batches, pass for Poisson ones.
func TestPoissonTestTellsTheOthers(t *testing.T) {
	t.Parallel()
	drawn := func(rate float64) []bench.Offset {
		var out []bench.Offset
		for _, a := range bench.OpenSchedule(poisson(rate, 1), 5, 20*time.Second, 0, 0) {
			out = append(out, bench.Offset(a.At))
		}
		return out
	}
	good, even, batched := drawn(100), []bench.Offset{}, []bench.Offset{}
	for i, at := range good {
		even = append(even, bench.Offset(i)*10*millisecond)
		batched = append(batched, at/(20*millisecond)*20*millisecond) // a client that looks every 20 ms
	}
	passed, err := bench.PoissonTest(good, 100)
	require.NoError(t, err)
	require.Greater(t, passed.P, 0.001)
	for name, instants := range map[string][]bench.Offset{"even": even, "batched": batched, "another rate": drawn(120)} {
		got, err := bench.PoissonTest(instants, 100)
		require.NoError(t, err)
		require.Less(t, got.P, 0.001, name)
	}
	_, err = bench.PoissonTest(good[:3], 100)
	require.Error(t, err)
}

// TestEveryFigureOfTheAuditIsMeasured runs a real load under limits that nothing can keep: each figure that this system
// gives is there, is judged, and limits the point by itself.
func TestEveryFigureOfTheAuditIsMeasured(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, limits bench.Limits) *bench.Point {
		t.Helper()
		s := &server{ttft: 20 * time.Millisecond, itl: 5 * time.Millisecond, breaks: func(n int, _ http.ResponseWriter) bool {
			if n%10 == 0 {
				runtime.GC() // a pause of this process is one of the client's
			}
			return false
		}}
		spec := open(100, 600*time.Millisecond)
		spec.Limits = limits
		point, err := bench.Run(t.Context(), serve(t, s), spec, nil)
		require.NoError(t, err)
		require.True(t, point.Audit.WiderLimits)
		return point
	}
	wide := bench.Limits{LateSend: time.Hour, LateShare: 1e9, LoopLag: time.Hour, GCPause: time.Hour, Steal: 2, CPUShare: 2}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		audit := run(t, wide).Audit
		require.Empty(t, audit.Reasons)
		if runtime.GOOS == "linux" {
			require.NotNil(t, audit.Steal, "of /proc/stat; whether any is stolen is the hypervisor's")
		}
	})
	for name, tight := range map[string]func(*bench.Limits){
		"late_send_p99_ms": func(l *bench.Limits) { l.LateSend, l.LateShare = 1, 1e-12 },
		"loop_lag_p99_ms":  func(l *bench.Limits) { l.LoopLag = 1 },
		"gc_pause_max_ms":  func(l *bench.Limits) { l.GCPause = 1 },
		"cpu_share":        func(l *bench.Limits) { l.CPUShare = 1e-9 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := wide
			tight(&limits)
			point := run(t, limits)
			require.True(t, point.Audit.ClientLimited)
			require.Len(t, point.Audit.Reasons, 1)
			require.Contains(t, point.Audit.Reasons[0], name+" ")
		})
	}
}
