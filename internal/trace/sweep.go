package trace

import (
	"cmp"
	"slices"
)

// probe asks what was going on at a moment on a thread: usually that of a launch.
type probe struct {
	ts     int64
	thread uint16
}

// nested is an interval on a thread, for example a call, a frame or a step.
type nested struct {
	ts, end int64
	thread  uint16
	rank    int16  // higher is preferred over inner intervals
	ref     uint32 // what the interval stands for
}

// sortNested orders intervals so that outer ones come before inner ones.
func sortNested(list []nested) {
	order := func(a, b nested) int {
		return cmp.Or(cmp.Compare(a.thread, b.thread), cmp.Compare(a.ts, b.ts), cmp.Compare(b.end, a.end))
	}
	if !slices.IsSortedFunc(list, order) {
		slices.SortStableFunc(list, order)
	}
}

// probeOrder lists the probes by thread and time.
func probeOrder(probes []probe) []uint32 {
	order := make([]uint32, len(probes))
	for i := range order {
		order[i] = uint32(i)
	}
	by := func(a, b uint32) int {
		return cmp.Or(cmp.Compare(probes[a].thread, probes[b].thread), cmp.Compare(probes[a].ts, probes[b].ts))
	}
	if !slices.IsSortedFunc(order, by) {
		slices.SortFunc(order, by)
	}
	return order
}

// open is an interval on the sweep's stack; best is the preferred one among it and those around it.
type open struct {
	at   int
	best int
}

// hit is what a sweep found at a probe, as indexes into the intervals; -1 for none.
type hit struct {
	best   int // of the intervals around the probe: highest rank, then innermost
	before int // the interval that ended last before the probe; of several, the outermost
}

// sweep visits the probes in order and says what is around each. Intervals are sorted by sortNested.
// It takes time linear in both lists, whatever the nesting.
func sweep(list []nested, probes []probe, order []uint32, visit func(probe uint32, h hit)) {
	var stack []open
	i, before := 0, -1
	close := func(ts int64) {
		for len(stack) > 0 && list[stack[len(stack)-1].at].end < ts {
			top := stack[len(stack)-1].at
			if before < 0 || list[top].end >= list[before].end {
				before = top
			}
			stack = stack[:len(stack)-1]
		}
	}
	for n, id := range order {
		p := probes[id]
		if n == 0 || probes[order[n-1]].thread != p.thread {
			stack, before = stack[:0], -1
			for i < len(list) && list[i].thread < p.thread {
				i++
			}
		}
		for ; i < len(list) && list[i].thread == p.thread && list[i].ts <= p.ts; i++ {
			close(list[i].ts)
			o := open{at: i, best: i}
			if len(stack) > 0 {
				if outer := stack[len(stack)-1].best; list[outer].rank > list[i].rank {
					o.best = outer
				}
			}
			stack = append(stack, o)
		}
		close(p.ts)
		h := hit{best: -1, before: before}
		if len(stack) > 0 {
			h.best = stack[len(stack)-1].best
		}
		visit(id, h)
	}
}
