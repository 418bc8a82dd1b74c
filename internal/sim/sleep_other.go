//go:build !linux

package sim

import "time"

// sleepUntil blocks until t, as exactly as the runtime's timers do.
func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }
