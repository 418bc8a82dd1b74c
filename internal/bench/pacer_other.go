//go:build !linux

package bench

import (
	"context"
	"runtime"
	"time"
)

// pacerName says what keeps the arrivals.
const pacerName = "runtime"

// pacerSpin is the last stretch before an instant, which is spun through: runtime timers are 1–2 ms late.
const pacerSpin = 2 * time.Millisecond

// pacer keeps planned instants on a thread of its own.
type pacer struct{ clk *clock }

// newPacer binds the calling goroutine to its thread for good.
func newPacer(clk *clock) *pacer {
	runtime.LockOSThread()
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
			timer := time.NewTimer(left - pacerSpin)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
	}
}

// monotonic is not known here.
func monotonic() int64 { return 0 }
