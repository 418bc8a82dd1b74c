package bench

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pacerName says what keeps the arrivals.
const pacerName = "clock_nanosleep"

// The pacer sleeps in slices, so that it notices a cancellation, and spins through the last stretch: a thread that
// wakes from the kernel is some tens of microseconds late, and later still when it has to wait for a runtime slot.
// (Runtime timers were tried: 1.4–1.7 ms late at p99.)
const (
	pacerSlice = 20 * time.Millisecond
	pacerSpin  = 80 * time.Microsecond
)

// pacer keeps planned instants on a thread of its own.
type pacer struct{ clk *clock }

// newPacer binds the calling goroutine to its thread for good (the thread ends with the goroutine) and asks the kernel
// for exact timers on it.
func newPacer(clk *clock) *pacer {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &pacer{clk: clk}
}

// until waits for the instant and says whether it was reached before ctx ended.
func (p *pacer) until(ctx context.Context, at Offset) bool {
	for {
		left := time.Duration(at - p.clk.now())
		switch {
		case ctx.Err() != nil:
			return false
		case left <= 0:
			return true
		case left > pacerSpin:
			wake := p.clk.base + int64(at) - int64(max(pacerSpin, left-pacerSlice))
			ts := unix.NsecToTimespec(wake)
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) // EINTR: the loop sleeps again
		}
	}
}

// monotonic reads CLOCK_MONOTONIC, which runtime times are taken from.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
