package trace

// onCPUHost turns the operators of a trace without GPU work into work: each operator's self time (its
// own wall time without the operators it called) on its thread. It reports whether there were any.
func onCPUHost(s *store) bool {
	if s.gpu.len() > 0 || s.ops.len() == 0 {
		return false
	}
	list := make([]nested, s.ops.len())
	for i := range list {
		o := s.ops.at(i)
		list[i] = nested{ts: o.ts, end: o.ts + o.dur.ns(), thread: o.thread, ref: uint32(i)}
	}
	sortNested(list)
	self := selfTimes(list)
	s.launches = paged[launch]{}
	for i, n := range list {
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

// selfTimes gives each interval's time without the intervals inside it. An interval that outlasts the
// one around it counts only as far as that one goes.
func selfTimes(list []nested) []int64 {
	self := make([]int64, len(list))
	var stack []int
	for i, n := range list {
		for len(stack) > 0 && (list[stack[len(stack)-1]].thread != n.thread || list[stack[len(stack)-1]].end <= n.ts) {
			stack = stack[:len(stack)-1]
		}
		self[i] = n.end - n.ts
		if len(stack) > 0 {
			outer := stack[len(stack)-1]
			self[outer] -= min(n.end, list[outer].end) - n.ts
		}
		stack = append(stack, i)
	}
	return self
}
