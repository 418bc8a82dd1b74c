package bench

import (
	"runtime"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Slots is what a process that measures should give to runtime.GOMAXPROCS: two more than it has CPUs, so that the
// client's waiting threads can keep theirs. Without it the client measures the same at two to four times the CPU.
func Slots() int { return runtime.NumCPU() + 2 }

// loopsOf is how many threads read connections on so many CPUs, whatever the number of processes they are in: one for every
// two from eight CPUs on, at most eight. Measured on 16 at 200,000 events a second: four fall behind bursts by 3 to 7 ms at
// p99, eight do not (0.9 ms).
func loopsOf(cpus int) int {
	if cpus < 8 {
		return max(cpus/4, 1)
	}
	return min(cpus/2, 8)
}

// mockThreads is how many threads of the mock send on so many CPUs: a write to loopback costs more than a read.
func mockThreads(cpus int) int { return min(max(cpus/2, 1), 16) }

// What one process takes, by certificates on 16 CPUs: 2,000 streams at 20 ms (p99 of the errors 1.6 ms). Beyond, eight
// processes of 1,000 each were measured (0.9 ms).
const (
	streamsAlone  = 2000
	streamsShared = 500
)

// ShardsFor is how many processes a load is to be shared over on so many CPUs: one unless it has more streams at once than
// one process has been shown to take. The streams of an open loop are not known beforehand.
func ShardsFor(s contract.Scenario, cpus int) int {
	streams := 0
	switch s.Arrival {
	case contract.ArrivalClosed:
		if s.MaxConcurrency != nil {
			streams = *s.MaxConcurrency
		}
	case contract.ArrivalBurst:
		streams = s.NumPrompts
	}
	if streams <= streamsAlone || monotonic() == 0 {
		return 1
	}
	return max(1, min(cpus/2, (streams+streamsShared-1)/streamsShared, MostShards))
}

// slotsToSpare says whether threads that wait in the kernel may keep their slot.
func slotsToSpare() bool { return runtime.GOMAXPROCS(0) >= Slots() }
