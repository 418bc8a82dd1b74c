package trace

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// Strip is one representative step of a stage as it ran: the median step by wall time, or of a stage without
// steps its beginning. A lane is a stream; on a CPU host it is a thread, and each moment is the innermost operator's.
type Strip struct {
	// StartUS and EndUS are microseconds from the trace's first event. What runs across them is cut there.
	StartUS float64 `json:"start_us"`
	EndUS   float64 `json:"end_us"`
	Step    string  `json:"step,omitempty"` // name of the step, empty for the beginning of a stage without steps
	// MergedUS is what spans had to be shorter than to be put together with neighbours of their category
	// (Mixed: of any), 0 where all are as recorded.
	MergedUS     float64 `json:"merged_us,omitempty"`
	Mixed        bool    `json:"mixed,omitempty"`
	LanesLeftOut int     `json:"lanes_left_out,omitempty"` // those with the least work, beyond the most that are shown
	Lanes        []Lane  `json:"lanes"`
}

// Lane is what one stream or thread did.
type Lane struct {
	Name   string  `json:"name"`
	BusyUS float64 `json:"busy_us"` // union of its spans
	Spans  []Span  `json:"spans"`   // by start
}

// Span is one piece of work, or several neighbours that are too short to be told apart.
type Span struct {
	StartUS  float64 `json:"start_us"`
	DurUS    float64 `json:"dur_us"`
	BusyUS   float64 `json:"busy_us"` // the part of it in which work ran
	Category string  `json:"category"`
	Name     string  `json:"name"` // cut to a readable length; of several the longest one's
	Count    int     `json:"count"`
	// Foreign marks work of another step (or, without steps, of another stage) that ran in this time.
	Foreign bool `json:"foreign,omitempty"`
}

const (
	stripSpans  = 4000       // most spans of a strip
	stripLanes  = 32         // most lanes
	stripNS     = 50_000_000 // most time where no step bounds it
	stripPixels = 2400       // half pixels of a strip as drawn: what is narrower is merged first
)

// piece is a stretch of work on a lane before it becomes a span.
type piece struct {
	interval
	lane    uint16
	name    uint32
	group   string // category
	foreign bool
}

// strip computes the strip of a stage; nil where nothing of it takes time.
func (b *builder) strip(stage uint8) *Strip {
	at, step := b.stripRange(stage)
	if at.end <= at.ts {
		return nil
	}
	foreign := func(e uint32) bool {
		if step < 0 {
			return b.stageOf[e] != stage
		}
		return b.stepOf[e] < 0 || b.owner[b.stepOf[e]] != step
	}
	s := &Strip{StartUS: micros(at.ts - b.first), EndUS: micros(at.end - b.first)}
	if step >= 0 {
		s.Step = b.stepName(b.windows[step])
	}
	pieces := b.gpuPieces
	if b.onCPU {
		pieces = b.operatorPieces
	}
	s.Lanes = b.lanes(pieces(at, foreign))
	if n := len(s.Lanes) - stripLanes; n > 0 {
		s.Lanes, s.LanesLeftOut = busiest(s.Lanes, stripLanes), n
	}
	s.within(stripSpans)
	return s
}

// busiest keeps the n lanes with most work, in their order.
func busiest(list []Lane, n int) []Lane {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(list[y].BusyUS, list[x].BusyUS) })
	order = order[:n]
	slices.Sort(order)
	kept := make([]Lane, n)
	for i, at := range order {
		kept[i] = list[at]
	}
	return kept
}

// stripRange picks the time to show and the step it belongs to, -1 without steps. It does not reach into
// another profiling window: between two of them nothing was recorded.
func (b *builder) stripRange(stage uint8) (at interval, step int32) {
	at, step = interval{1 << 62, -1 << 62}, -1
	if steps, extents := b.extents(stage); len(steps) > 0 {
		length := func(w int32) int64 { return extents[w].end - extents[w].ts }
		slices.SortStableFunc(steps, func(x, y int32) int { return cmp.Compare(length(x), length(y)) })
		step = steps[(len(steps)-1)/2]
		at = extents[step]
	} else {
		for _, g := range b.groupsOf(stage) {
			for _, e := range g.events {
				at.widen(b.gpu.at(int(e)))
			}
		}
		at.end = min(at.end, at.ts+stripNS)
	}
	first := int64(1<<63 - 1)
	for _, w := range b.recorded {
		first = min(first, w.ts)
	}
	for _, w := range b.recorded {
		if w.ts > max(at.ts, first) {
			at.end = min(at.end, w.ts)
		}
	}
	return at, step
}

// widen makes the interval hold an event.
func (i *interval) widen(e *gpuEvent) { i.ts, i.end = min(i.ts, e.ts), max(i.end, e.ts+e.dur) }

// extents lists the steps of a stage that did work, with the time from its begin to its end; on a CPU host
// it is the step's window, as the end of an operator is that of those it called.
func (b *builder) extents(stage uint8) (steps []int32, of []interval) {
	if stage == noStage {
		return nil, nil
	}
	drafts := !slices.ContainsFunc(b.windows, func(w stepWindow) bool { return w.stage == stage && !w.draft })
	of = make([]interval, len(b.windows))
	seen := make([]bool, len(b.windows))
	for e, w := range b.stepOf {
		if w < 0 {
			continue
		}
		o := b.owner[w]
		if step := b.windows[o]; step.stage != stage || step.draft && !drafts {
			continue
		} else if !seen[o] {
			seen[o], of[o] = true, interval{1 << 62, -1 << 62}
			steps = append(steps, o)
			if b.onCPU {
				of[o] = interval{step.ts, step.end}
			}
		}
		if !b.onCPU {
			of[o].widen(b.gpu.at(e))
		}
	}
	slices.Sort(steps)
	return steps, of
}

// stepName finds the name of a step's annotation.
func (b *builder) stepName(w stepWindow) string {
	for _, list := range [][]note{b.cpuNotes, b.forwards, b.gpuNotes} {
		for _, n := range list {
			if n.ts == w.ts && n.ts+n.dur == w.end && n.place == w.place {
				return b.names.text(n.name)
			}
		}
	}
	return ""
}

// gpuPieces lists the GPU work in a stretch of time, by stream.
func (b *builder) gpuPieces(at interval, foreign func(event uint32) bool) []piece {
	var list []piece
	for i := range b.gpu.len() {
		e := b.gpu.at(i)
		p := piece{interval{max(e.ts, at.ts), min(e.ts+e.dur, at.end)}, e.stream, e.name, "", foreign(uint32(i))}
		if p.end > p.ts {
			p.group = b.categoryOf(uint32(i))
			list = append(list, p)
		}
	}
	return list
}

// operatorPieces lists what operators ran in a stretch of time, by thread, each moment the innermost one.
func (b *builder) operatorPieces(at interval, foreign func(event uint32) bool) []piece {
	var calls []nested
	for i := range b.ops.len() {
		if o := b.ops.at(i); o.ts < at.end && o.ts+o.dur.ns() > at.ts {
			calls = append(calls, nested{ts: o.ts, end: o.ts + o.dur.ns(), thread: o.thread, ref: uint32(i)})
		}
	}
	sortNested(calls)
	events := b.eventsOf(calls)
	var list []piece
	innermost(calls, func(i int, ran interval) {
		o := b.ops.at(int(calls[i].ref))
		p := piece{interval{max(ran.ts, at.ts), min(ran.end, at.end)}, o.thread, o.name, "", false}
		if p.end <= p.ts {
			return
		}
		if e := events[callKey{o.ts, o.name, o.thread}]; e >= 0 {
			p.group, p.foreign = b.categoryOf(uint32(e)), foreign(uint32(e))
		} else { // an operator that was passed on: it counts as the one around it
			name := b.names.text(o.name)
			p.group = categorize(catOp, name, name, nil)
		}
		list = append(list, p)
	})
	return list
}

// callKey tells calls of operators apart.
type callKey struct {
	ts     int64
	name   uint32
	thread uint16
}

// eventsOf finds the events that stand for calls, -1 for those that none does.
func (b *builder) eventsOf(calls []nested) map[callKey]int64 {
	events := make(map[callKey]int64, len(calls))
	for _, n := range calls {
		events[callKey{n.ts, b.ops.at(int(n.ref)).name, n.thread}] = -1
	}
	for i := range b.gpu.len() {
		e := b.gpu.at(i)
		thread, _ := b.threads.find(b.streams.list[e.stream])
		k := callKey{e.ts, e.name, thread}
		if _, wanted := events[k]; wanted {
			events[k] = int64(i)
		}
	}
	return events
}

// innermost tells, of sorted intervals, which one began last and still runs, stretch by stretch.
func innermost(list []nested, ran func(i int, at interval)) {
	n := nesting{list: list, ran: ran}
	for i := range list {
		n.advance(i)
		n.stack = append(n.stack, i)
	}
	n.run(math.MaxInt64)
}

// lanes sorts pieces into lanes, in the order of devices and streams (processes and threads).
func (b *builder) lanes(pieces []piece) []Lane {
	places := b.streams.list
	if b.onCPU {
		places = b.threads.list
	}
	slices.SortStableFunc(pieces, func(x, y piece) int {
		at, other := places[x.lane], places[y.lane]
		return cmp.Or(cmp.Compare(at.pid, other.pid), cmp.Compare(at.tid, other.tid), cmp.Compare(x.ts, y.ts))
	})
	several := len(pieces) > 0 && places[pieces[0].lane].pid != places[pieces[len(pieces)-1].lane].pid
	short := map[uint32]string{}
	for _, p := range pieces {
		if _, ok := short[p.name]; !ok {
			short[p.name] = shortName(b.names.text(p.name))
		}
	}
	list := []Lane{}
	for i := 0; i < len(pieces); {
		l := Lane{Name: b.laneName(places[pieces[i].lane], several)}
		lane, until := pieces[i].lane, int64(-1<<62)
		var busy int64
		for ; i < len(pieces) && pieces[i].lane == lane; i++ {
			p := pieces[i]
			us := micros(p.end - p.ts)
			l.Spans = append(l.Spans, Span{micros(p.ts - b.first), us, us, p.group, short[p.name], 1, p.foreign})
			busy += max(p.end-max(p.ts, until), 0)
			until = max(until, p.end)
		}
		l.BusyUS = micros(busy)
		list = append(list, l)
	}
	return list
}

// laneName names a stream or thread, with its device or process where there are several.
func (b *builder) laneName(at place, several bool) string {
	inner, outer := "stream ", "device "
	if b.onCPU {
		inner, outer = "thread ", "process "
	}
	name := b.placeName(inner, at.tid)
	if several {
		name = b.placeName(outer, at.pid) + ", " + name
	}
	return name
}

// placeName names one of a place's numbers; what the trace gave as text speaks for itself.
func (b *builder) placeName(what string, n int64) string {
	if label := -1 - n; label > 0 && label < int64(len(b.labels.texts)) {
		return b.labels.text(uint32(label))
	}
	return what + strconv.FormatInt(n, 10)
}

// within merges short spans until at most limit are left (or one a lane): first those of one category, of
// less than half a pixel; then any of that length; then ever longer ones.
func (s *Strip) within(limit int) {
	width := s.EndUS - s.StartUS
	for below := width / stripPixels; s.count() > limit && below < 4*width; below *= 2 {
		s.merge(below, false)
		if s.count() > limit {
			s.merge(below, true)
		}
	}
}

// count is the number of spans.
func (s *Strip) count() int {
	n := 0
	for i := range s.Lanes {
		n += len(s.Lanes[i].Spans)
	}
	return n
}

// merge puts spans shorter than below together with their neighbours, of their category or (mixed) of any.
func (s *Strip) merge(below float64, mixed bool) {
	for n := range s.Lanes {
		list := s.Lanes[n].Spans
		merged := make([]Span, 0, len(list))
		for i := 0; i < len(list); {
			from := i
			for i++; i < len(list) && joins(list[from:i], &list[i], below, mixed); i++ {
			}
			if i > from+1 {
				s.MergedUS, s.Mixed = below, s.Mixed || mixed
			}
			merged = append(merged, together(list[from:i]))
		}
		s.Lanes[n].Spans = merged
	}
}

// joins tells whether a span is drawn with those before it. Four times the least length is enough to be seen.
func joins(run []Span, next *Span, below float64, mixed bool) bool {
	first, last := &run[0], &run[len(run)-1]
	if !mixed && (next.Category != last.Category || next.Foreign != last.Foreign) {
		return false
	}
	return last.DurUS < below && next.DurUS < below && next.StartUS-last.StartUS-last.DurUS < below && next.StartUS+next.DurUS-first.StartUS <= 4*below
}

// together makes one span of several: what most of its time is, named after the longest of that.
func together(run []Span) Span {
	out := run[0]
	if len(run) == 1 {
		return out
	}
	type kind struct {
		category string
		foreign  bool
	}
	times := map[kind]float64{}
	best := kind{out.Category, out.Foreign}
	until := out.StartUS
	out.BusyUS, out.Count = 0, 0
	for _, r := range run {
		k := kind{r.Category, r.Foreign}
		if times[k] += r.BusyUS; times[k] > times[best] {
			best = k
		}
		out.Count += r.Count
		out.BusyUS += max(r.BusyUS-max(until-r.StartUS, 0), 0)
		until = max(until, r.StartUS+r.DurUS)
	}
	out.DurUS, out.Category, out.Foreign = until-out.StartUS, best.category, best.foreign
	longest := -1.0
	for _, r := range run {
		if r.Category == best.category && r.Foreign == best.foreign && r.DurUS > longest {
			longest, out.Name = r.DurUS, r.Name
		}
	}
	return out
}
