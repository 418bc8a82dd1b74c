package bench

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// arrival is one planned request.
type arrival struct {
	at    time.Duration // after the start of the window, or of the load where the window is found afterwards
	role  Role
	index int
}

// Defaults of a WindowRule.
const (
	DefaultWindow    = 60 * time.Second
	DefaultE2EFactor = 5
)

// openWindow is the length of an open-loop window: as long as the prompts take at the rate, at least rule.Min; a whole
// number of gaps where arrivals are evenly spaced. It depends on nothing measured, so that every side of a block has
// the same.
func openWindow(s contract.Scenario, rule WindowRule) time.Duration {
	shortest := rule.Min
	if shortest == 0 {
		shortest = DefaultWindow
	}
	seconds := max(float64(s.NumPrompts) / *s.RequestRate, shortest.Seconds())
	if s.Arrival == contract.ArrivalConstant {
		seconds = math.Ceil(seconds**s.RequestRate-1e-9) / *s.RequestRate
	}
	return time.Duration(seconds * 1e9)
}

// leastLead is how long an engine is given to fill, where the window is not shorter than four times that.
const leastLead = 15 * time.Second

// leadTime is how long an open loop loads the engine before the window: twice the median latency of the warm-up, a tenth
// of the window, or 15 s (a quarter of a shorter window), whichever is longest; at most all of the window. A window that
// begins while the engine still fills says too little of its capacity.
func leadTime(rule WindowRule, window, e2e time.Duration) time.Duration {
	if rule.Lead > 0 {
		return rule.Lead
	}
	return min(max(2*e2e, window/10, min(leastLead, window/4)), window)
}

// gaps gives the successive gaps between arrivals.
func gaps(s contract.Scenario, seed uint64, role Role) func() time.Duration {
	if s.Arrival == contract.ArrivalConstant {
		return func() time.Duration { return time.Duration(1e9 / *s.RequestRate) }
	}
	src := stream(seed, purposeArrival+"-"+string(role), 0)
	return func() time.Duration { return time.Duration(exponential(src, *s.RequestRate) * 1e9) }
}

// openSchedule draws the arrivals of lead and window, in order of time. The window's do not depend on the lead's
// length: the lead is drawn backwards from the window's start.
func openSchedule(s contract.Scenario, seed uint64, window, lead time.Duration) []arrival {
	var planned []arrival
	gap := gaps(s, seed, RoleLead)
	for at := -gap(); at >= -lead; at -= gap() {
		planned = append(planned, arrival{at: at, role: RoleLead, index: len(planned)})
	}
	slices.Reverse(planned)
	if s.Arrival == contract.ArrivalConstant {
		n := int(math.Round(window.Seconds() * *s.RequestRate))
		for i := range n {
			planned = append(planned, arrival{at: time.Duration(float64(i) / *s.RequestRate * 1e9), role: RoleWindow, index: i})
		}
		return planned
	}
	gap = gaps(s, seed, RoleWindow)
	for at, i := gap(), 0; at < window; at, i = at+gap(), i+1 {
		planned = append(planned, arrival{at: at, role: RoleWindow, index: i})
	}
	return planned
}

// tailSchedule draws the arrivals after the window, without end.
func tailSchedule(s contract.Scenario, seed uint64, window time.Duration) func() arrival {
	gap, at, index := gaps(s, seed, RoleTail), window, -1
	if s.Arrival == contract.ArrivalConstant {
		at -= gap() // the first one of the tail stands at the window's end
	}
	return func() arrival {
		at += gap()
		index++
		return arrival{at: at, role: RoleTail, index: index}
	}
}

// together plans n requests for one instant.
func together(role Role, from, n int) []arrival {
	return spaced(role, from, n, 0)
}

// spaced plans n requests with equal gaps.
func spaced(role Role, from, n int, gap time.Duration) []arrival {
	planned := make([]arrival, n)
	for i := range planned {
		planned[i] = arrival{at: time.Duration(i) * gap, role: role, index: from + i}
	}
	return planned
}

// replaySchedule plans the rows at their own times, from the first on.
func replaySchedule(rows []Row) []arrival {
	if len(rows) == 0 {
		return nil
	}
	first := *rows[0].At
	for _, r := range rows {
		first = min(first, *r.At)
	}
	planned := make([]arrival, len(rows))
	for i, r := range rows {
		planned[i] = arrival{at: time.Duration((*r.At - first) * 1e9), role: RoleWindow, index: i}
	}
	slices.SortStableFunc(planned, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	return planned
}
