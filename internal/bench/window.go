package bench

import (
	"cmp"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Window is the span [Start, End) whose requests are measured: those with t_sched inside it. A burst's window also
// holds its end: it spans from the first arrival to the last byte.
type Window struct {
	Start Offset `json:"start_ns"`
	End   Offset `json:"end_ns"`
}

// Contains says whether a planned time lies inside the window.
func (w Window) Contains(t Offset) bool { return t.Happened() && t >= w.Start && t < w.End }

// Seconds is the window's length.
func (w Window) Seconds() float64 { return float64(w.End-w.Start) / 1e9 }

// WindowOf finds the window of a closed loop or a burst in its records, the warm-up's excluded by their role.
//
// Closed loop: from the end of the first wave (the instant at which the last slot was filled for the second time) to the
// instant at which the last prompt was sent, after which a slot may stay empty; where several processes share the load,
// the first of them that has sent its last. Both ends are instants of sending and
// only one of the two is inside, so that requests over time is unbiased even when the slots move in step. Without such a
// span (a slot never came to a second request, too few prompts) the window is empty.
//
// Burst: from the arrival to the last end.
func WindowOf(records []*Record, s contract.Scenario) Window {
	load := slices.DeleteFunc(slices.Clone(records), func(r *Record) bool { return r.Role == RoleWarmup || !r.Sched.Happened() })
	if len(load) == 0 {
		return Window{}
	}
	if s.Arrival == contract.ArrivalBurst {
		return burstWindow(load)
	}
	slices.SortStableFunc(load, func(a, b *Record) int { return cmp.Compare(a.Sched, b.Sched) })
	w := Window{}
	filled, last := map[int]int{}, map[int]Offset{}
	for _, r := range load {
		last[r.Shard] = r.Sched
		filled[r.Slot]++
		if filled[r.Slot] == 2 {
			w.Start = r.Sched
		}
	}
	for _, times := range filled {
		if times < 2 {
			return Window{}
		}
	}
	w.End = load[len(load)-1].Sched
	for _, at := range last {
		w.End = min(w.End, at)
	}
	if w.End <= w.Start {
		return Window{}
	}
	return w
}

func burstWindow(load []*Record) Window {
	w := Window{Start: load[0].Sched, End: load[0].Sched}
	for _, r := range load {
		w.Start, w.End = min(w.Start, r.Sched), max(w.End, r.Sched+1)
		if r.End.Happened() {
			w.End = max(w.End, r.End)
		}
	}
	return w
}

// assignRoles gives every request of a load whose window was found afterwards its place before, in or after it.
func assignRoles(records []*Record, w Window) {
	for _, r := range records {
		switch {
		case r.Role == RoleWarmup:
		case w.Contains(r.Sched):
			r.Role = RoleWindow
		case r.Sched.Happened() && r.Sched < w.Start:
			r.Role = RoleLead
		default:
			r.Role = RoleTail
		}
	}
}
