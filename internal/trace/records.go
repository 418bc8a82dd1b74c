package trace

// gpuEvent is one piece of GPU work. On a CPU host operators stand in for it.
type gpuEvent struct {
	ts, dur  int64 // nanoseconds
	name     uint32
	corr     uint32
	external uint32
	stream   uint16
	cat      category
}

// launch is a runtime or driver call that may have started GPU work, or waited for it.
type launch struct {
	ts       int64
	dur      span
	corr     uint32
	external uint32
	thread   uint16
	kind     callKind
}

// op is an operator as PyTorch's dispatcher ran it.
type op struct {
	ts       int64
	dur      span
	name     uint32
	external uint32
	thread   uint16
	types    uint16 // interned "Input type"
}

// frame is a call of a Python function whose source line is worth showing.
type frame struct {
	ts     int64
	dur    span
	name   uint32
	thread uint16
}

// note is the window of a framework's step, on a thread or on a GPU stream.
type note struct {
	ts    int64
	dur   int64
	name  uint32
	place uint16
}

// flow is one end of an arrow from a launch to its GPU work.
type flow struct {
	ts    int64
	id    uint32
	place uint16
	start bool
}

// graphNode tells which node of which CUDA graph a GPU event replayed. Nodes are compared by order, so
// that their ids, which use all 64 bits, stay as they are.
type graphNode struct {
	event, graph uint32
	node         int64
}

// interval is a stretch of time in nanoseconds.
type interval struct{ ts, end int64 }

// span is a duration in nanoseconds: exact below 2^31 (2.1 s), in steps of 4096 rounded up above.
type span uint32

const spanCoarse = 1 << 31

// spanOf packs a duration.
func spanOf(ns int64) span {
	if ns < spanCoarse {
		return span(ns)
	}
	return span(min((ns+4095)/4096, spanCoarse-1)) | spanCoarse
}

// ns unpacks a duration.
func (s span) ns() int64 {
	if s < spanCoarse {
		return int64(s)
	}
	return int64(s&^spanCoarse) * 4096
}

// fold packs an id of the profiler. Ids are counters; should one exceed 32 bits, joins by time as well
// as by id keep the folded ones apart.
func fold(id int64) uint32 { return uint32(id) ^ uint32(id>>32) }
