package bench

import "time"

// Limits are the thresholds beyond which a point counts as limited by its client. Zero fields take the defaults of
// DefaultLimits; a host that declares wider ones (a simulated one) does so openly: the audit carries them.
type Limits struct {
	LateSend          time.Duration `json:"late_send_ns"`           // p99 of t_sent − t_sched, or LateShare of p50 TTFT where larger
	LateShare         float64       `json:"late_share"`             // share of p50 TTFT
	LateShareMakespan float64       `json:"late_share_of_makespan"` // bursts: share of the makespan, where larger
	LoopLag           time.Duration `json:"loop_lag_ns"`            // p99 delay between a readable descriptor and its reader
	GCPause           time.Duration `json:"gc_pause_ns"`            // longest stop of the runtime
	Steal             float64       `json:"steal"`                  // share of CPU time taken by the hypervisor
	CPUShare          float64       `json:"cpu_share"`              // share of the CPUs this process may use
	SettleTolerance   float64       `json:"settle_tolerance"`       // relative change between two settling waves
}

// DefaultLimits are the limits of a real host.
func DefaultLimits() Limits {
	return Limits{LateSend: time.Millisecond, LateShare: 0.01, LateShareMakespan: 0.005, LoopLag: 2 * time.Millisecond,
		GCPause: 2 * time.Millisecond, Steal: 0.02, CPUShare: 0.8, SettleTolerance: 0.02}
}

// Audit is what the client found out about itself during a point. A figure that this system cannot give is null.
type Audit struct {
	ClientLimited bool     `json:"client_limited"`
	Reasons       []string `json:"reasons"`
	Limits        Limits   `json:"limits"`
	WiderLimits   bool     `json:"wider_limits"` // some limit is wider than DefaultLimits

	LateSendP99MS   *float64 `json:"late_send_p99_ms"`
	LateSendMaxMS   *float64 `json:"late_send_max_ms"`
	LateSendLimitMS float64  `json:"late_send_limit_ms"`
	LoopLagP50MS    *float64 `json:"loop_lag_p50_ms"`
	LoopLagP99MS    *float64 `json:"loop_lag_p99_ms"`
	LoopLagMaxMS    *float64 `json:"loop_lag_max_ms"`
	GCPauseMaxMS    *float64 `json:"gc_pause_max_ms"`
	Steal           *float64 `json:"steal"`
	CPUSeconds      *float64 `json:"cpu_s"`
	CPUShare        *float64 `json:"cpu_share"`
	CPUs            int      `json:"cpus"` // CPUs this process may use
	CPUPerEventUS   *float64 `json:"cpu_us_per_event"`
	Events          int      `json:"events"`          // content events of the load
	SocketsMax      int      `json:"sockets_max"`     // connections open at once
	Dials           int      `json:"dials"`           // connections opened
	DialsInLoad     int      `json:"dials_in_load"`   // of those, opened because no idle one was left
	Retries         int      `json:"retries"`         // requests sent again after an idle connection was found closed
	SocketErrors    int      `json:"socket_errors"`   // requests lost to the client's own socket limits
	WallSeconds     float64  `json:"wall_s"`          // span of the figures above
	PacedByThread   bool     `json:"paced_by_thread"` // arrivals kept by a thread of their own
	MaxProcs        int      `json:"max_procs"`       // runtime.GOMAXPROCS
	KernelTimers    string   `json:"timers"`          // clock_nanosleep or runtime
}
