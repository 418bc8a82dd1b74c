package trace

import (
	"cmp"
	"slices"
)

// The causes of idle time, in the order of the table.
const (
	idleHost = iota
	idleDependency
	idleSync
	idleUnknown
)

var idleCauses = [...]string{"host", "dependency", "synchronisation", "unknown"}

// idleSums collects the idle time of a stage by cause.
type idleSums [len(idleCauses)]struct {
	ns, longest, at int64
	gaps            int
}

// maxIdleSteps is how many steps the idle table shows.
const maxIdleSteps = 5

// stepIdle is a step's idle time by cause.
type stepIdle [len(idleCauses)]int64

// add counts one stretch.
func (s *idleSums) add(cause int, ns, at int64) {
	if ns <= 0 {
		return
	}
	c := &s[cause]
	c.ns += ns
	c.gaps++
	if ns > c.longest {
		c.longest, c.at = ns, at
	}
}

// idle splits each device's gaps by cause. A gap belongs to the stage of the event that ends it. Time
// between profiling windows is not idle.
//
// Of a gap [from, to) that ends with an event launched at L: before L the host is at fault (while it
// waited in a synchronising call on the launching thread: synchronisation); if L lies before the gap the
// work was queued and something else held it back: dependency. From L on it is launch latency, which is
// the host's path, too.
func (b *builder) idle() [len(stageNames)]idleSums {
	var sums [len(stageNames)]idleSums
	b.idleOf = map[int32]*stepIdle{}
	waits := b.syncCalls()
	b.time.byDevice(b.joined, func(events []uint32) {
		until := int64(-1 << 62)
		for n, i := range events {
			e := b.gpu.at(int(i))
			if n > 0 && e.ts > until && !b.crossesWindow(until, e.ts) {
				b.addGap(&sums[b.stageOf[i]], i, until, e.ts, waits)
			}
			until = max(until, e.ts+e.dur)
		}
	})
	return sums
}

// addGap splits one gap that ends with event i.
func (b *builder) addGap(s *idleSums, i uint32, from, to int64, waits map[uint16][]interval) {
	var parts stepIdle
	if at := b.launchOf[i]; at < 0 {
		parts[idleUnknown] = to - from
	} else if l := b.launches.at(int(at)); l.ts <= from {
		parts[idleDependency] = to - from
	} else {
		parts[idleSync] = overlapOf(waits[l.thread], from, min(l.ts, to))
		parts[idleHost] = to - from - parts[idleSync]
	}
	for cause, ns := range parts {
		s.add(cause, ns, from)
	}
	step := b.stepOf[i]
	if step < 0 {
		return
	}
	step = b.owner[step]
	if b.idleOf[step] == nil {
		b.idleOf[step] = &stepIdle{}
	}
	for cause, ns := range parts {
		b.idleOf[step][cause] += ns
	}
}

// idleSteps lists the steps of a stage before which and in which the GPU waited longest.
func (b *builder) idleSteps(stage uint8) []IdleStep {
	list := []IdleStep{}
	n := 0
	for i, w := range b.windows {
		if w.stage != stage || stage == noStage || b.owner[i] != int32(i) { // windows of no stage are no steps
			continue
		}
		s := IdleStep{Step: n, StartUS: micros(w.ts - b.first)}
		if of := b.idleOf[int32(i)]; of != nil {
			s.HostUS, s.DependencyUS, s.SyncUS, s.UnknownUS = micros(of[idleHost]), micros(of[idleDependency]), micros(of[idleSync]), micros(of[idleUnknown])
			s.IdleUS = micros(of[idleHost] + of[idleDependency] + of[idleSync] + of[idleUnknown])
		}
		list = append(list, s)
		n++
	}
	slices.SortStableFunc(list, func(x, y IdleStep) int { return cmp.Compare(y.IdleUS, x.IdleUS) })
	return list[:min(len(list), maxIdleSteps)]
}

// syncCalls lists, per thread, when it waited for the GPU, each moment once: the runtime's call holds the
// driver's.
func (b *builder) syncCalls() map[uint16][]interval {
	waits := map[uint16][]interval{}
	for i := range b.launches.len() {
		if l := b.launches.at(i); l.kind == callSync {
			waits[l.thread] = append(waits[l.thread], interval{l.ts, l.ts + l.dur.ns()})
		}
	}
	for thread, list := range waits {
		slices.SortFunc(list, func(x, y interval) int { return cmp.Compare(x.ts, y.ts) })
		waits[thread] = merged(list)
	}
	return waits
}

// merged joins sorted intervals that overlap; the result is sorted by end, too.
func merged(list []interval) []interval {
	out := list[:0]
	for _, w := range list {
		if n := len(out); n > 0 && w.ts <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, w.end)
			continue
		}
		out = append(out, w)
	}
	return out
}

// overlapOf sums the parts of merged intervals that lie in [from, to).
func overlapOf(list []interval, from, to int64) int64 {
	var sum int64
	n, _ := slices.BinarySearchFunc(list, from, func(w interval, at int64) int { return cmp.Compare(w.end, at) })
	for _, w := range list[min(n, len(list)):] {
		if w.ts >= to {
			break
		}
		sum += min(w.end, to) - max(w.ts, from)
	}
	return sum
}

// crossesWindow tells that a new profiling window began between two moments.
func (j *joined) crossesWindow(from, to int64) bool {
	if len(j.recorded) < 2 {
		return false
	}
	n, _ := slices.BinarySearchFunc(j.recorded, from+1, func(w interval, at int64) int { return cmp.Compare(w.ts, at) })
	return n < len(j.recorded) && j.recorded[n].ts <= to
}

// idleTable renders the sums of a stage.
func (b *builder) idleTable(stage uint8, s *idleSums, steps int) Idle {
	out := Idle{Causes: []IdleCause{}, Steps: b.idleSteps(stage)}
	var all int64
	for _, c := range s {
		all += c.ns
	}
	wall := float64(all + b.time.busy[stage])
	out.IdleUS, out.ShareOfWall = micros(all), ratio(float64(all), wall)
	out.HostUS, out.DependencyUS = micros(s[idleHost].ns), micros(s[idleDependency].ns)
	out.SyncUS, out.UnknownUS = micros(s[idleSync].ns), micros(s[idleUnknown].ns)
	if steps > 0 {
		out.PerStepUS = out.IdleUS / float64(steps)
	}
	for i, c := range s {
		if c.ns == 0 {
			continue
		}
		share := ratio(float64(c.ns), wall)
		out.Causes = append(out.Causes, IdleCause{
			ID: rowID("idle", stageNames[stage], len(out.Causes)+1, b.digest), Cause: idleCauses[i],
			TotalUS: micros(c.ns), Share: share, Gaps: c.gaps, LongestUS: micros(c.longest),
			LongestAtUS: micros(c.at - b.first), Ceiling: ceiling(share),
		})
	}
	return out
}
