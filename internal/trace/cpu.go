package trace

import "math"

// rangeRank marks annotations among the intervals of a thread: they are no work.
const rangeRank = -1

// onCPUHost turns the operators of a trace without GPU work into work: each operator's self time (its
// own wall time without the operators it called) on its thread. It reports whether there were any.
func onCPUHost(s *store) bool {
	ranges := s.ranges
	s.ranges = paged[frame]{}
	if s.gpu.len() > 0 || s.ops.len() == 0 {
		return false
	}
	list := threadCalls(s, ranges)
	self, outer := selfTimes(list)
	passed := passedOn(s, list, self, outer)
	s.launches = paged[launch]{}
	for i, n := range list {
		if n.rank == rangeRank || passed[i] {
			continue
		}
		o := s.ops.at(int(n.ref))
		id := uint32(i) + 1
		stream, ok := s.streams.id(s.threads.list[o.thread])
		if !ok {
			s.dropped++
			continue
		}
		s.gpu.add(gpuEvent{ts: o.ts, dur: self[i], name: o.name, corr: id, stream: stream, cat: catOp})
		s.launches.add(launch{ts: o.ts, thread: o.thread, corr: id, kind: callOther})
	}
	return true
}

// threadCalls lists the operators and the annotations, outer ones before inner ones.
func threadCalls(s *store, ranges paged[frame]) []nested {
	list := make([]nested, 0, s.ops.len()+ranges.len())
	for i := range s.ops.len() {
		o := s.ops.at(i)
		list = append(list, nested{ts: o.ts, end: o.ts + o.dur.ns(), thread: o.thread, ref: uint32(i)})
	}
	for i := range ranges.len() {
		r := ranges.at(i)
		list = append(list, nested{ts: r.ts, end: r.ts + r.dur.ns(), thread: r.thread, rank: rangeRank})
	}
	sortNested(list)
	return list
}

// selfTimes gives each interval's time without the intervals inside it, and the interval around it (-1
// for none). A moment counts once, for what began last and still runs, so that the times of a thread add
// up to the time in which any of its intervals runs. On nested intervals, which is what threads have,
// that is PyTorch's self_cpu_time_total (torch/autograd/profiler_util.py); where two cross, PyTorch
// counts what they share twice.
//
// As there, an annotation inside an operator takes its time out of the operator's. One that outlasts the
// operator it began in is asynchronous (PyTorch knows its end's thread, the file does not) and takes none.
func selfTimes(list []nested) (self []int64, outer []int32) {
	self, outer = make([]int64, len(list)), make([]int32, len(list))
	n := nesting{list: list, ran: func(i int, at interval) { self[i] += at.end - at.ts }}
	for i, x := range list {
		n.advance(i)
		outer[i] = -1
		if len(n.stack) > 0 && x.end <= list[n.stack[len(n.stack)-1]].end {
			outer[i] = int32(n.stack[len(n.stack)-1])
		} else if x.rank == rangeRank {
			continue
		}
		n.stack = append(n.stack, i)
	}
	n.run(math.MaxInt64)
	return self, outer
}

// passedOn finds the calls that an operator passed on to itself (aten::div_ to aten::div_ of promoted
// types): the only call inside one of the same name. PyTorch counts the two as one call; their time is
// added to the outer one.
func passedOn(s *store, list []nested, self []int64, outer []int32) []bool {
	inside := make([]int32, len(list))
	for _, o := range outer {
		if o >= 0 {
			inside[o]++
		}
	}
	passed := make([]bool, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		o := outer[i]
		if o < 0 || inside[o] != 1 || list[i].rank == rangeRank || list[o].rank == rangeRank || s.ops.at(int(list[i].ref)).name != s.ops.at(int(list[o].ref)).name {
			continue
		}
		passed[i] = true
		self[o] += self[i]
		inside[o] = inside[i]
	}
	return passed
}
