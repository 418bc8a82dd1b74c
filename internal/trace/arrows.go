package trace

import (
	"cmp"
	"slices"
)

// arrows join GPU events to launches by the trace's arrows, for traces without ids.
type arrows struct {
	s        *store
	byEnd    map[point]uint32 // where an arrow ends → its id
	byID     index            // arrow id → its start
	launches map[point]int32  // where a launch begins → it
}

// point is a moment on a track.
type point struct {
	ts    int64
	place uint16
}

// newArrows prepares the join; nil when no arrows were kept.
func newArrows(s *store) *arrows {
	if s.flows.len() == 0 {
		return nil
	}
	a := &arrows{s: s, byEnd: map[point]uint32{}, launches: map[point]int32{}}
	a.byID = newIndex(s.flows.len(), func(i int) uint32 {
		if f := s.flows.at(i); f.start {
			return f.id
		}
		return 0
	}, func(i int) int64 { return s.flows.at(i).ts })
	for i := range s.flows.len() {
		if f := s.flows.at(i); !f.start {
			a.byEnd[point{f.ts, f.place}] = f.id
		}
	}
	for i := range s.launches.len() {
		l := s.launches.at(i)
		a.launches[point{l.ts, l.thread}] = int32(i)
	}
	return a
}

// launchOf follows the arrow that ends where the event begins; -1 when there is none.
func (a *arrows) launchOf(e *gpuEvent) int32 {
	track, ok := a.s.threads.find(a.s.streams.list[e.stream])
	if !ok {
		return -1
	}
	id, ok := a.byEnd[point{e.ts, track}]
	if !ok {
		return -1
	}
	at := a.byID.nearest(id, e.ts)
	if at < 0 {
		return -1
	}
	f := a.s.flows.at(at)
	if l, ok := a.launches[point{f.ts, f.place}]; ok {
		return l
	}
	return -1
}

// joinReplays tells graph replays apart by node ids (a decreasing id within one graph starts a new
// replay) and gives events without a launch that of their replay.
func (j *joined) joinReplays() {
	nodes := slices.Clone(j.nodes)
	slices.SortStableFunc(nodes, func(a, b graphNode) int {
		return cmp.Or(cmp.Compare(a.graph, b.graph), cmp.Compare(j.gpu.at(int(a.event)).ts, j.gpu.at(int(b.event)).ts))
	})
	var replays [][]graphNode
	for i := 0; i < len(nodes); {
		n := i + 1
		for n < len(nodes) && nodes[n].graph == nodes[i].graph && nodes[n].node > nodes[n-1].node {
			n++
		}
		replays = append(replays, nodes[i:n])
		i = n
	}
	j.replays = len(replays)
	slices.SortStableFunc(replays, func(a, b []graphNode) int {
		return cmp.Compare(j.gpu.at(int(a[0].event)).ts, j.gpu.at(int(b[0].event)).ts)
	})
	calls := j.graphLaunches()
	for _, r := range replays {
		calls = j.launchReplay(r, calls)
	}
}

// graphLaunches lists the graph launches by time.
func (j *joined) graphLaunches() []int32 {
	var calls []int32
	for i := range j.launches.len() {
		if j.launches.at(i).kind == callGraph {
			calls = append(calls, int32(i))
		}
	}
	slices.SortStableFunc(calls, func(a, b int32) int {
		return cmp.Compare(j.launches.at(int(a)).ts, j.launches.at(int(b)).ts)
	})
	return calls
}

// launchReplay gives the events of one replay a launch: that of any of them, else the first graph launch
// not taken yet. It returns the launches left.
func (j *joined) launchReplay(replay []graphNode, calls []int32) []int32 {
	at := int32(-1)
	for _, n := range replay {
		if at = j.launchOf[n.event]; at >= 0 {
			break
		}
	}
	start := j.gpu.at(int(replay[0].event)).ts
	if at < 0 && len(calls) > 0 && j.launches.at(int(calls[0])).ts <= start+clockSlack {
		at = calls[0]
	}
	for len(calls) > 0 && at >= 0 && j.launches.at(int(calls[0])).ts <= j.launches.at(int(at)).ts {
		calls = calls[1:]
	}
	for _, n := range replay {
		if j.launchOf[n.event] < 0 {
			j.launchOf[n.event] = at
		}
	}
	return calls
}
