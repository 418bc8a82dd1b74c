package trace

// store keeps of one trace what its tables need, while it is read.
type store struct {
	names     *names
	labels    *names // pids and tids that are no numbers
	types     *names
	calls     []callKind // by name
	products  []product  // by name
	scratch   []byte
	device    string           // GPU as the profiler names it
	ranks     []int16          // of Python frames by name, 0 unseen
	stepNames map[uint32]*step // parsed step names; nil for names that are none
	sites     map[uint32]site
	threads   places
	streams   places

	gpu      paged[gpuEvent]
	launches paged[launch]
	ops      paged[op]
	frames   paged[frame]
	flows    paged[flow]
	cpuNotes []note       // on threads
	gpuNotes []note       // on streams
	ranges   paged[frame] // annotations that name no step, while no GPU work was seen
	forwards []note       // TensorRT-LLM's _forward_step frames
	nodes    []graphNode
	recorded []interval // profiling windows; join sorts them

	first   int64 // start of the earliest event kept
	bad     int64 // events with impossible times
	dropped int64 // events of threads beyond maxPlaces
	arrows  bool  // keep flows: the trace's GPU work has no ids
	idless  bool  // such GPU work was seen
}

// maxGPU is the longest piece of GPU work that is believed, in nanoseconds: an hour.
const maxGPU = 3600 * 1_000_000_000

// newStore makes an empty store.
func newStore() *store {
	return &store{
		names: newNames(), labels: newNames(), types: newNames(),
		stepNames: map[uint32]*step{}, sites: map[uint32]site{}, first: 1<<63 - 1,
	}
}

// add takes one event as read; its slices are copied where they are kept.
func (s *store) add(e *event) {
	if e.cat == catFlow {
		s.addFlow(e)
		return
	}
	if e.ph != 'X' || e.cat == catOther {
		return
	}
	if e.bad || !e.timed || !e.lasting || e.cat.isGPU() && e.dur > maxGPU {
		s.bad++
		return
	}
	s.first = min(s.first, e.ts)
	switch e.cat {
	case catKernel, catMemcpy, catMemset:
		s.addGPU(e)
	case catOp:
		s.addOp(e)
	case catPython:
		s.addFrame(e)
	case catRuntime:
		s.addCall(e)
	case catNote, catGPUNote:
		s.addNote(e)
	case catSpan:
		s.recorded = append(s.recorded, interval{e.ts, e.ts + e.dur})
	}
}

// addGPU keeps GPU work.
func (s *store) addGPU(e *event) {
	stream, ok := s.streamOf(e)
	if !ok {
		return
	}
	name, _ := s.names.id(e.name, e.escaped)
	if e.args.hasNode && e.args.graph|e.args.node != 0 { // both are 0 of work that no graph started
		s.nodes = append(s.nodes, graphNode{uint32(s.gpu.len()), fold(e.args.graph), e.args.node})
	}
	s.idless = s.idless || e.args.correlation == 0 && e.args.external == 0
	s.gpu.add(gpuEvent{
		ts: e.ts, dur: e.dur, name: name, stream: stream, cat: e.cat,
		corr: fold(e.args.correlation), external: fold(e.args.external),
	})
}

// addOp keeps an operator.
func (s *store) addOp(e *event) {
	thread, ok := s.threadOf(e)
	if !ok {
		return
	}
	name, _ := s.names.id(e.name, e.escaped)
	var types uint32
	if len(e.args.types) > 0 {
		types, _ = s.types.id(s.inputs(name, e), false)
	}
	if types > 1<<16-1 {
		types = 0
	}
	s.ops.add(op{
		ts: e.ts, dur: spanOf(e.dur), name: name, thread: thread,
		external: fold(e.args.external), types: uint16(types),
	})
}

// inputs is what is kept of an operator's inputs: their types, and of a matrix product their dimensions too.
func (s *store) inputs(name uint32, e *event) []byte {
	for int(name) >= len(s.products) {
		s.products = append(s.products, productUnseen)
	}
	if s.products[name] == productUnseen {
		s.products[name] = productOf(s.names.text(name))
	}
	if s.products[name] == productNone || len(e.args.dims) == 0 {
		return e.args.types
	}
	s.scratch = append(append(append(s.scratch[:0], e.args.types...), dimsMark), e.args.dims...)
	return s.scratch
}

// addFrame keeps a Python frame when its source line could explain GPU work.
func (s *store) addFrame(e *event) {
	name, _ := s.names.id(e.name, e.escaped)
	for int(name) >= len(s.ranks) {
		s.ranks = append(s.ranks, 0)
	}
	if s.ranks[name] == 0 {
		at := siteOf(s.names.text(name))
		s.ranks[name] = at.rank
		if at.rank > 0 {
			s.sites[name] = at
		}
	}
	if s.ranks[name] <= 0 {
		return
	}
	thread, ok := s.threadOf(e)
	if !ok {
		return
	}
	s.frames.add(frame{ts: e.ts, dur: spanOf(e.dur), name: name, thread: thread})
	if s.sites[name].isForwardStep() {
		s.forwards = append(s.forwards, note{ts: e.ts, dur: e.dur, name: name, place: thread})
	}
}

// addCall keeps a runtime call that may start GPU work or wait for it.
func (s *store) addCall(e *event) {
	name, _ := s.names.id(e.name, e.escaped)
	for int(name) >= len(s.calls) {
		s.calls = append(s.calls, callUnseen)
	}
	if s.calls[name] == callUnseen {
		s.calls[name] = callKindOf(s.names.text(name))
	}
	if s.calls[name] == callTrivial {
		return
	}
	thread, ok := s.threadOf(e)
	if !ok {
		return
	}
	s.launches.add(launch{
		ts: e.ts, dur: spanOf(e.dur), thread: thread, kind: s.calls[name],
		corr: fold(e.args.correlation), external: fold(e.args.external),
	})
}

// addNote keeps an annotation that names a step.
func (s *store) addNote(e *event) {
	name, isNew := s.names.id(e.name, e.escaped)
	if _, looked := s.stepNames[name]; isNew || !looked {
		s.stepNames[name] = parseStep(s.names.text(name))
	}
	if s.stepNames[name] == nil {
		s.addRange(e, name)
		return
	}
	if e.cat == catGPUNote {
		if stream, ok := s.streamOf(e); ok {
			s.gpuNotes = append(s.gpuNotes, note{ts: e.ts, dur: e.dur, name: name, place: stream})
		}
		return
	}
	if thread, ok := s.threadOf(e); ok {
		s.cpuNotes = append(s.cpuNotes, note{ts: e.ts, dur: e.dur, name: name, place: thread})
	}
}

// addRange keeps an annotation for the case that operators are all the trace holds: it may take time out
// of the one around it.
func (s *store) addRange(e *event, name uint32) {
	if e.cat != catNote || s.gpu.len() > 0 {
		return
	}
	if thread, ok := s.threadOf(e); ok {
		s.ranges.add(frame{ts: e.ts, dur: spanOf(e.dur), name: name, thread: thread})
	}
}

// addFlow keeps an arrow's end when arrows are wanted. Its place is a thread for both ends.
func (s *store) addFlow(e *event) {
	if !s.arrows || !e.timed || e.ph != 's' && e.ph != 'f' {
		return
	}
	if at, ok := s.threadOf(e); ok {
		s.flows.add(flow{ts: e.ts, id: fold(e.id), place: at, start: e.ph == 's'})
	}
}

// threadOf numbers the event's thread.
func (s *store) threadOf(e *event) (uint16, bool) {
	id, ok := s.threads.id(place{s.number(e.pid), s.number(e.tid)})
	if !ok {
		s.dropped++
	}
	return id, ok
}

// streamOf numbers the event's stream: the recorded one, else the track it is drawn on.
func (s *store) streamOf(e *event) (uint16, bool) {
	at := place{s.number(e.pid), e.args.stream}
	if !e.args.hasStream {
		at.tid = s.number(e.tid)
	}
	id, ok := s.streams.id(at)
	if !ok {
		s.dropped++
	}
	return id, ok
}

// number reads a pid or tid; text becomes a negative number.
func (s *store) number(raw []byte) int64 {
	if v, ok := parseInt(raw); ok {
		return v
	}
	id, _ := s.labels.id(raw, false)
	return -1 - int64(id)
}
