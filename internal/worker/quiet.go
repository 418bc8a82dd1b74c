package worker

import (
	"fmt"
	"strings"
)

// QuietLimits are what else may run on a host during a point. A point beyond one is repeated once, then untrusted.
type QuietLimits struct {
	CPUShare  float64 `json:"cpu_share"`  // foreign CPU time ÷ capacity of the host, where no cores are leased
	CoreShare float64 `json:"core_share"` // foreign CPU time ÷ capacity of the leased cores; the kernel's own work on them is in it
	// PressedShare is the foreign CPU time that is too much where tasks waited for a CPU for more than PressurePct of the
	// window. Pressure alone says nothing: an engine with more threads than cores makes its own.
	PressedShare float64 `json:"pressed_share"`
	PressurePct  float64 `json:"pressure_pct"`
	MemoryPct    float64 `json:"memory_pct"` // of the window in which every task waited for memory: the host swaps or reclaims
}

// DefaultQuietLimits are the limits of a real host.
func DefaultQuietLimits() QuietLimits {
	return QuietLimits{CPUShare: 0.25, CoreShare: 0.10, PressedShare: 0.05, PressurePct: 25, MemoryPct: 5}
}

// Disturbed says what of a point's surroundings is beyond the limits, a line each; none where the host was quiet.
func (q *Quiet) Disturbed(l QuietLimits) []string {
	if q == nil {
		return nil
	}
	var out []string
	if len(q.ForeignGPU) > 0 {
		out = append(out, "foreign processes on our GPUs: "+strings.Join(q.ForeignGPU, ", "))
	}
	switch share := q.ForeignCoreShare; {
	case share != nil && *share > l.CoreShare:
		out = append(out, fmt.Sprintf("foreign CPU load %.0f %% of the engine's cores", 100**share))
	case share != nil: // what runs beside the leased cores is not on them
	case q.ForeignCPUShare > l.CPUShare:
		out = append(out, fmt.Sprintf("foreign CPU load %.0f %% of the host", 100*q.ForeignCPUShare))
	case q.ForeignCPUShare > l.PressedShare && q.PSICPU != nil && *q.PSICPU > l.PressurePct:
		out = append(out, fmt.Sprintf("tasks waited for a CPU in %.0f %% of the window, with foreign CPU load %.0f %% of the host", *q.PSICPU, 100*q.ForeignCPUShare))
	}
	if q.PSIMemory != nil && *q.PSIMemory > l.MemoryPct {
		out = append(out, fmt.Sprintf("every task waited for memory in %.0f %% of the window", *q.PSIMemory))
	}
	return out
}
