package trace

import (
	"cmp"
	"slices"
)

// timeline is what the GPU did at each moment, over all streams of each device.
type timeline struct {
	order  []uint32 // events by device and time
	device []int64  // of each stream
	busy   [len(stageNames)]int64
}

// newTimeline orders the events and sums each stage's busy time: the union of its events per device.
func newTimeline(j *joined, a *assigned) *timeline {
	t := &timeline{order: make([]uint32, j.gpu.len()), device: make([]int64, len(j.streams.list))}
	for i, at := range j.streams.list {
		t.device[i] = at.pid
	}
	for i := range t.order {
		t.order[i] = uint32(i)
	}
	by := func(x, y uint32) int {
		ex, ey := j.gpu.at(int(x)), j.gpu.at(int(y))
		return cmp.Or(cmp.Compare(t.device[ex.stream], t.device[ey.stream]), cmp.Compare(ex.ts, ey.ts))
	}
	if !slices.IsSortedFunc(t.order, by) {
		slices.SortStableFunc(t.order, by)
	}
	var until [len(stageNames)]int64
	for n, i := range t.order {
		e := j.gpu.at(int(i))
		if n == 0 || t.device[e.stream] != t.device[j.gpu.at(int(t.order[n-1])).stream] {
			until = [len(stageNames)]int64{}
			for s := range until {
				until[s] = -1 << 62
			}
		}
		s := a.stageOf[i]
		if end := e.ts + e.dur; end > until[s] {
			t.busy[s] += end - max(until[s], e.ts)
			until[s] = end
		}
	}
	return t
}

// sums adds up each stage's durations.
func sums(j *joined, a *assigned) [len(stageNames)]int64 {
	var of [len(stageNames)]int64
	for i := range a.stageOf {
		of[a.stageOf[i]] += j.gpu.at(i).dur
	}
	return of
}

// byDevice calls f with each device's events in order of time.
func (t *timeline) byDevice(j *joined, f func(events []uint32)) {
	for from := 0; from < len(t.order); {
		d := t.device[j.gpu.at(int(t.order[from])).stream]
		to := from
		for to < len(t.order) && t.device[j.gpu.at(int(t.order[to])).stream] == d {
			to++
		}
		f(t.order[from:to])
		from = to
	}
}

// cover is how much of an event's time other streams were busy, and busy computing, in nanoseconds.
type cover struct{ hidden, byCompute int64 }

// covers sweeps each device's streams. An event is hidden while another stream is busy, too.
func (t *timeline) covers(j *joined, computes func(event uint32) bool) []cover {
	out := make([]cover, j.gpu.len())
	t.byDevice(j, func(all []uint32) {
		events := make([]uint32, 0, len(all))
		for _, i := range all {
			if j.gpu.at(int(i)).dur > 0 { // an event without duration hides nothing and is not hidden
				events = append(events, i)
			}
		}
		ends := slices.Clone(events)
		end := func(i uint32) int64 { e := j.gpu.at(int(i)); return e.ts + e.dur }
		slices.SortStableFunc(ends, func(x, y uint32) int { return cmp.Compare(end(x), end(y)) })
		c := newCoverage(len(j.streams.list))
		n := 0
		for _, i := range ends {
			// Ends before begins at the same moment: neighbours do not overlap.
			for n < len(events) && j.gpu.at(int(events[n])).ts < end(i) {
				c.begin(j.gpu.at(int(events[n])), computes(events[n]), &out[events[n]])
				n++
			}
			c.finish(j.gpu.at(int(i)), end(i), computes(i), &out[i])
		}
	})
	return out
}

// coverage keeps running sums of the time in which an event of a stream would be hidden. The cover of an
// event is the difference of the sums at its end and at its begin: constant work per event.
type coverage struct {
	now            int64
	several        int64   // time with at least two streams busy
	severalCompute int64   // … with at least two computing
	oneComputes    int64   // … with exactly one computing
	onlyThis       []int64 // … that one being this stream
	active         []int
	computing      []int
	busyStreams    int
	computeStreams int
	sumComputing   int // sum of the numbers of computing streams: the one's number when it is one
}

// newCoverage makes sums for n streams.
func newCoverage(n int) *coverage {
	return &coverage{onlyThis: make([]int64, n), active: make([]int, n), computing: make([]int, n)}
}

// advance moves to ts.
func (c *coverage) advance(ts int64) {
	d := ts - c.now
	c.now = ts
	if c.busyStreams >= 2 {
		c.several += d
	}
	switch {
	case c.computeStreams >= 2:
		c.severalCompute += d
	case c.computeStreams == 1:
		c.oneComputes += d
		c.onlyThis[c.sumComputing] += d
	}
}

// compute is the time in which a stream other than s computed.
func (c *coverage) compute(s uint16) int64 { return c.severalCompute + c.oneComputes - c.onlyThis[s] }

// begin starts an event.
func (c *coverage) begin(e *gpuEvent, computes bool, out *cover) {
	c.advance(e.ts)
	if c.active[e.stream]++; c.active[e.stream] == 1 {
		c.busyStreams++
	}
	if computes {
		if c.computing[e.stream]++; c.computing[e.stream] == 1 {
			c.computeStreams++
			c.sumComputing += int(e.stream)
		}
	}
	*out = cover{-c.several, -c.compute(e.stream)}
}

// finish ends an event at ts and completes its cover.
func (c *coverage) finish(e *gpuEvent, ts int64, computes bool, out *cover) {
	c.advance(ts)
	out.hidden += c.several
	out.byCompute += c.compute(e.stream)
	if c.active[e.stream]--; c.active[e.stream] == 0 {
		c.busyStreams--
	}
	if computes {
		if c.computing[e.stream]--; c.computing[e.stream] == 0 {
			c.computeStreams--
			c.sumComputing -= int(e.stream)
		}
	}
}
