package trace

import (
	"cmp"
	"slices"
)

// joined says for each GPU event of a trace where it came from.
type joined struct {
	*store
	launchOf []int32  // launch of an event, -1 unknown
	opOf     []uint32 // operator's name, 0 unknown
	typesOf  []uint16 // the operator's input types
	siteOf   []uint32 // name of the Python frame, 0 unknown
	probeOf  []int32  // what the CPU did, as an index into probes; -1 unknown
	probes   []probe
	order    []uint32 // probes by thread and time
	replays  int      // graph replays told by node ids
}

// join connects GPU events with launches, operators and frames.
func join(s *store) *joined {
	n := s.gpu.len()
	j := &joined{
		store: s, launchOf: make([]int32, n), opOf: make([]uint32, n), typesOf: make([]uint16, n),
		siteOf: make([]uint32, n), probeOf: make([]int32, n),
	}
	slices.SortFunc(s.recorded, func(x, y interval) int { return cmp.Compare(x.ts, y.ts) })
	j.joinLaunches()
	j.joinReplays()
	j.joinOps()
	j.order = probeOrder(j.probes)
	j.joinEnclosingOps()
	j.joinFrames()
	return j
}

// joinLaunches finds each event's launch by correlation, else by an arrow.
func (j *joined) joinLaunches() {
	byID := newIndex(j.launches.len(), func(i int) uint32 { return j.launches.at(i).corr }, func(i int) int64 { return j.launches.at(i).ts })
	arrows := newArrows(j.store)
	for i := range j.launchOf {
		e := j.gpu.at(i)
		j.launchOf[i] = -1
		if e.corr != 0 {
			j.launchOf[i] = int32(byID.nearest(e.corr, e.ts))
		} else if arrows != nil {
			j.launchOf[i] = arrows.launchOf(e)
		}
	}
}

// joinOps finds each event's operator by external id and sets where to look for frames and steps.
func (j *joined) joinOps() {
	byID := newIndex(j.ops.len(), func(i int) uint32 { return j.ops.at(i).external }, func(i int) int64 { return j.ops.at(i).ts })
	probed := map[int32]int32{}
	for i := range j.launchOf {
		e, at := j.gpu.at(i), j.launchOf[i]
		id, ts := e.external, e.ts
		j.probeOf[i] = -1
		if at >= 0 {
			l := j.launches.at(int(at))
			ts = l.ts
			if id == 0 {
				id = l.external
			}
			p, ok := probed[at]
			if !ok {
				p = int32(len(j.probes))
				probed[at] = p
				j.probes = append(j.probes, probe{ts: l.ts, thread: l.thread})
			}
			j.probeOf[i] = p
		}
		if e.cat == catOp { // on a CPU host an operator stands for itself
			j.opOf[i] = e.name
		}
		if id == 0 {
			continue
		}
		if o := byID.nearest(id, ts); o >= 0 {
			found := j.ops.at(o)
			j.opOf[i], j.typesOf[i] = found.name, found.types
			if at < 0 { // no launch in the trace: look just inside the operator
				j.probeOf[i] = int32(len(j.probes))
				j.probes = append(j.probes, probe{ts: found.ts + min(found.dur.ns()/2, 1000), thread: found.thread})
			}
		}
	}
}

// joinEnclosingOps gives events without an external id the innermost operator around their launch. A
// graph replay has none of its own: what surrounds it is not what its kernels do.
func (j *joined) joinEnclosingOps() {
	missing := false
	for i, op := range j.opOf {
		missing = missing || op == 0 && j.launchOf[i] >= 0 && !j.viaGraph(i)
	}
	if !missing || j.ops.len() == 0 {
		return
	}
	list := make([]nested, j.ops.len())
	for i := range list {
		o := j.ops.at(i)
		list[i] = nested{ts: o.ts, end: o.ts + o.dur.ns(), thread: o.thread, ref: uint32(i)}
	}
	sortNested(list)
	around := make([]int32, len(j.probes))
	sweep(list, j.probes, j.order, func(p uint32, h hit) {
		around[p] = -1
		if h.best >= 0 {
			around[p] = int32(list[h.best].ref)
		}
	})
	for i, op := range j.opOf {
		if op == 0 && j.launchOf[i] >= 0 && !j.viaGraph(i) && around[j.probeOf[i]] >= 0 {
			found := j.ops.at(int(around[j.probeOf[i]]))
			j.opOf[i], j.typesOf[i] = found.name, found.types
		}
	}
}

// joinFrames finds the Python frame that explains each event best.
func (j *joined) joinFrames() {
	list := make([]nested, j.frames.len())
	for i := range list {
		f := j.frames.at(i)
		list[i] = nested{ts: f.ts, end: f.ts + f.dur.ns(), thread: f.thread, rank: j.sites[f.name].rank, ref: f.name}
	}
	sortNested(list)
	found := make([]uint32, len(j.probes))
	sweep(list, j.probes, j.order, func(p uint32, h hit) {
		if h.best >= 0 {
			found[p] = list[h.best].ref
		}
	})
	for i, p := range j.probeOf {
		if p >= 0 {
			j.siteOf[i] = found[p]
		}
	}
}

// viaGraph tells that an event was started by a graph launch: its frames are those of the replay.
func (j *joined) viaGraph(i int) bool {
	at := j.launchOf[i]
	return at >= 0 && j.launches.at(int(at)).kind == callGraph
}
