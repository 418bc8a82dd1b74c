package bench

import "runtime"

// Slots is what a process that measures should give to runtime.GOMAXPROCS: two more than it has CPUs, so that the
// client's waiting threads can keep theirs. Without it the client measures the same at two to four times the CPU.
func Slots() int { return runtime.NumCPU() + 2 }

// slotsToSpare says whether threads that wait in the kernel may keep their slot.
func slotsToSpare() bool { return runtime.GOMAXPROCS(0) >= Slots() }
