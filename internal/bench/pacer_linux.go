package bench

import (
	"context"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pacerName says what keeps the arrivals.
const pacerName = "clock_nanosleep"

// The pacer waits on a runtime timer until the instant is near, sleeps in the kernel until it is very near and spins
// through the rest: runtime timers are late (tried: 1.4–1.7 ms at p99), a thread that wakes from the kernel is some tens
// of microseconds late, and a long sleep in the kernel keeps the runtime's monitor thread busy looking after it.
const (
	pacerNear = 25 * time.Millisecond
	pacerSpin = 80 * time.Microsecond
)

// pacer keeps planned instants on a thread of its own.
type pacer struct {
	clk *clock
	raw bool
}

// newPacer binds the calling goroutine to its thread for good (the thread ends with the goroutine) and asks the kernel
// for exact timers on it.
func newPacer(clk *clock) *pacer {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &pacer{clk: clk, raw: slotsToSpare()}
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
		case left > pacerNear:
			timer := time.NewTimer(left - pacerNear)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		case left > pacerSpin:
			p.sleep(at - Offset(pacerSpin))
		}
	}
}

// sleep waits in the kernel. Where slots of the runtime are to spare it keeps its own, since getting one back can take
// longer than the sleep; the runtime's preemption signal ends the wait early, and the caller sleeps again.
func (p *pacer) sleep(at Offset) {
	ts := unix.NsecToTimespec(p.clk.base + int64(at))
	if !p.raw {
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		return
	}
	_, _, _ = syscall.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0) //nolint:gosec // the kernel reads the struct
}

// monotonic reads CLOCK_MONOTONIC, which runtime times are taken from.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
