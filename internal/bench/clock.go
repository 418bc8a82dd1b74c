package bench

import "time"

// clock gives offsets from a point's origin, on the monotonic clock.
type clock struct {
	origin time.Time
	base   int64 // CLOCK_MONOTONIC at the origin, 0 where it cannot be read
}

// newClock starts a clock whose origin is now.
func newClock() *clock {
	return &clock{origin: time.Now(), base: monotonic()}
}

// clockAt starts a clock whose origin is another process's, at this value of CLOCK_MONOTONIC.
func clockAt(base int64) *clock {
	return &clock{origin: time.Now().Add(-time.Duration(monotonic() - base)), base: base}
}

// now is the present offset.
func (c *clock) now() Offset { return Offset(time.Since(c.origin)) }
