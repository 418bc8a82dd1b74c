package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
)

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

// or gives the limits with defaults for zero fields.
func (l Limits) or(d Limits) Limits {
	for _, f := range []struct{ set, from *float64 }{{&l.LateShare, &d.LateShare}, {&l.LateShareMakespan, &d.LateShareMakespan},
		{&l.Steal, &d.Steal}, {&l.CPUShare, &d.CPUShare}, {&l.SettleTolerance, &d.SettleTolerance}} {
		if *f.set == 0 {
			*f.set = *f.from
		}
	}
	for _, f := range []struct{ set, from *time.Duration }{{&l.LateSend, &d.LateSend}, {&l.LoopLag, &d.LoopLag}, {&l.GCPause, &d.GCPause}} {
		if *f.set == 0 {
			*f.set = *f.from
		}
	}
	return l
}

// widerThan says whether any limit lets more through than d.
func (l Limits) widerThan(d Limits) bool {
	return l.LateSend > d.LateSend || l.LateShare > d.LateShare || l.LateShareMakespan > d.LateShareMakespan || l.LoopLag > d.LoopLag ||
		l.GCPause > d.GCPause || l.Steal > d.Steal || l.CPUShare > d.CPUShare || l.SettleTolerance > d.SettleTolerance
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
	Events          int      `json:"events"`               // content events of the load
	SocketsMax      int      `json:"sockets_max"`          // connections open at once
	Dials           int      `json:"dials"`                // connections opened
	DialsInLoad     int      `json:"dials_in_load"`        // of those, opened because no idle one was left
	Retries         int      `json:"retries"`              // requests sent again after an idle connection was found closed
	ResolveMS       *float64 `json:"resolve_ms,omitempty"` // time to resolve the host's name, once; absent for an address
	SocketErrors    int      `json:"socket_errors"`        // requests lost to the client's own socket limits
	WallSeconds     float64  `json:"wall_s"`               // span of the figures above
	Shards          []Audit  `json:"shards,omitempty"`     // of each process, where several shared the load: the figures above are their worst and their sums
	Timers          string   `json:"timers"`               // what keeps the arrivals: clock_nanosleep or runtime
}

// judge fills in what the records say and compares every figure with its limit.
func (a *Audit) judge(r *Recording) {
	a.Events, a.Retries, a.SocketErrors = 0, 0, 0
	var late, ttft []float64
	for _, rec := range r.Records {
		if rec.Role == RoleWarmup {
			continue
		}
		a.Events += rec.Events
		if rec.Retried {
			a.Retries++
		}
		if rec.ErrorClass == ErrSocketLimit {
			a.SocketErrors++
		}
		if rec.Sent.Happened() && rec.Sched.Happened() {
			late = append(late, float64(rec.Sent-rec.Sched)/1e6)
		}
		if rec.OK() && rec.First.Happened() {
			ttft = append(ttft, float64(rec.First-rec.Sent)/1e6)
		}
	}
	if len(late) > 0 {
		slices.Sort(late)
		a.LateSendP99MS, a.LateSendMaxMS = ptr(quantile7(late, 0.99)), ptr(late[len(late)-1])
	}
	a.LateSendLimitMS = a.lateLimit(r, ttft)
	if a.CPUSeconds != nil && a.Events > 0 {
		a.CPUPerEventUS = ptr(*a.CPUSeconds * 1e6 / float64(a.Events))
	}
	a.compare()
}

// lateLimit is how late a request may be sent at p99, in milliseconds. A burst plans all of its requests for one
// instant and is judged by its makespan, so that sending them one after the other counts against that.
func (a *Audit) lateLimit(r *Recording, ttft []float64) float64 {
	limit := ms(a.Limits.LateSend)
	if len(ttft) > 0 {
		slices.Sort(ttft)
		limit = max(limit, a.Limits.LateShare*quantile7(ttft, 0.5))
	}
	if r.Header.Scenario.Arrival == contract.ArrivalBurst {
		limit = max(limit, a.Limits.LateShareMakespan*r.Header.Window.Seconds()*1e3)
	}
	return limit
}

// compare lists every figure beyond its limit.
func (a *Audit) compare() {
	a.Reasons = []string{}
	for _, f := range []struct {
		name  string
		value *float64
		limit float64
	}{
		{"late_send_p99_ms", a.LateSendP99MS, a.LateSendLimitMS},
		{"loop_lag_p99_ms", a.LoopLagP99MS, ms(a.Limits.LoopLag)},
		{"gc_pause_max_ms", a.GCPauseMaxMS, ms(a.Limits.GCPause)},
		{"steal", a.Steal, a.Limits.Steal},
		{"cpu_share", a.CPUShare, a.Limits.CPUShare},
		{"socket_errors", ptr(float64(a.SocketErrors)), 0},
	} {
		if f.value != nil && *f.value > f.limit {
			a.Reasons = append(a.Reasons, fmt.Sprintf("%s %.4g > %.4g", f.name, *f.value, f.limit))
		}
	}
	for i, s := range a.Shards {
		for _, reason := range s.Reasons {
			a.Reasons = append(a.Reasons, fmt.Sprintf("shard %d: %s", i, reason))
		}
	}
	a.ClientLimited = len(a.Reasons) > 0
	a.WiderLimits = a.Limits.widerThan(DefaultLimits())
}

func ptr(v float64) *float64 { return &v }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
