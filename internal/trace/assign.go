package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// stageNames lists the stages in the order they are shown; their numbers index it.
var stageNames = [...]string{Prefill, Decode, Mixed, Unassigned}

const noStage = uint8(len(stageNames) - 1)

// stageNumber gives a stage's number; what is no stage is unassigned.
func stageNumber(stage string) uint8 {
	for i, name := range stageNames {
		if name == stage {
			return uint8(i)
		}
	}
	return noStage
}

// stepWindow is one step of the framework: the time its annotation covers on a thread (or, without
// any CPU record, on a device).
type stepWindow struct {
	ts, end int64
	place   uint16
	stage   uint8
	draft   bool
}

// assigned says for each GPU event which stage and step it belongs to.
type assigned struct {
	windows   []stepWindow
	owner     []int32 // the step a window counts for: itself, or for a draft step the one it drafts for
	stepOf    []int32 // index into windows, -1 none
	post      []bool  // launched after its step's window
	stageOf   []uint8
	warnings  []string
	framework string
}

// assign puts every GPU event into a stage. label is the stage of the whole file where one is known: it
// holds for what no step annotation speaks of.
func assign(j *joined, label string) *assigned {
	a := &assigned{stepOf: make([]int32, j.gpu.len()), post: make([]bool, j.gpu.len()), stageOf: make([]uint8, j.gpu.len())}
	for i := range a.stepOf {
		a.stepOf[i] = -1
	}
	switch {
	case len(j.cpuNotes) > 0:
		a.open(j.store, j.cpuNotes, label)
		a.byLaunch(j)
	case len(j.forwards) > 0:
		a.open(j.store, j.forwards, label)
		a.byLaunch(j)
	case len(j.gpuNotes) > 0:
		a.open(j.store, onOneStream(j.store), label)
		a.byGPUTime(j)
	}
	rest := stageNumber(label)
	for i, w := range a.stepOf {
		a.stageOf[i] = rest
		if w >= 0 {
			a.stageOf[i] = a.windows[w].stage
		}
	}
	return a
}

// open lists the step windows and reports modes nobody knows.
func (a *assigned) open(s *store, notes []note, label string) {
	unknown := map[string]bool{}
	for _, n := range notes {
		w := stepWindow{ts: n.ts, end: n.ts + n.dur, place: n.place, stage: stageNumber(label)}
		if st := s.stepNames[n.name]; st != nil {
			w.stage, w.draft = stageNumber(st.stage), st.draft
			a.framework = st.framework
			if st.unknown {
				unknown[st.mode] = true
			}
		} else {
			a.framework = "tensorrt_llm"
		}
		a.windows = append(a.windows, w)
	}
	if len(unknown) > 0 {
		modes := make([]string, 0, len(unknown))
		for m := range unknown {
			modes = append(modes, fmt.Sprintf("%q", m))
		}
		slices.Sort(modes)
		a.warnings = append(a.warnings, "steps of unknown mode are unassigned: "+strings.Join(modes, ", "))
	}
	slices.SortStableFunc(a.windows, func(x, y stepWindow) int {
		return cmp.Or(cmp.Compare(x.place, y.place), cmp.Compare(x.ts, y.ts), cmp.Compare(y.end, x.end))
	})
	a.own()
}

// own gives every window the step it counts for. A draft step belongs to the step of its stage that
// began last on its thread; where the trace begins with draft steps, to the first one after them.
func (a *assigned) own() {
	type at struct {
		place uint16
		stage uint8
	}
	last, early := map[at]int32{}, map[at][]int32{}
	a.owner = make([]int32, len(a.windows))
	for i, w := range a.windows {
		k := at{w.place, w.stage}
		main, ok := last[k]
		switch {
		case w.draft && ok:
			a.owner[i] = main
			continue
		case w.draft:
			early[k] = append(early[k], int32(i))
		case !ok:
			for _, n := range early[k] {
				a.owner[n] = int32(i)
			}
			last[k] = int32(i)
		default:
			last[k] = int32(i)
		}
		a.owner[i] = int32(i)
	}
}

// byLaunch places events by the moment of their launch: the step around it on the same thread, else the
// step before it there in the same profiling window, else the step around it on another thread.
func (a *assigned) byLaunch(j *joined) {
	list := a.nested()
	steps := make([]int32, len(j.probes))
	post := make([]bool, len(j.probes))
	var astray []uint32
	sweep(list, j.probes, j.order, func(p uint32, h hit) {
		switch {
		case h.best >= 0:
			steps[p] = int32(h.best)
		case h.before >= 0 && !j.crossesWindow(list[h.before].end, j.probes[p].ts):
			steps[p], post[p] = int32(h.before), true
		default:
			steps[p] = -1
			astray = append(astray, p)
		}
	})
	elsewhere(list, j.probes, astray, steps)
	for i, p := range j.probeOf {
		if p >= 0 {
			a.stepOf[i], a.post[i] = steps[p], post[p]
		}
	}
}

// nested gives the windows as intervals; their order is the same.
func (a *assigned) nested() []nested {
	list := make([]nested, len(a.windows))
	for i, w := range a.windows {
		list[i] = nested{ts: w.ts, end: w.end, thread: w.place, ref: uint32(i)}
	}
	return list
}

// elsewhere finds, for probes that have no step on their own thread, the step around them on any; of
// several, the one that began last.
func elsewhere(list []nested, probes []probe, astray []uint32, steps []int32) {
	slices.SortFunc(astray, func(x, y uint32) int { return cmp.Compare(probes[x].ts, probes[y].ts) })
	moved, order := make([]probe, len(astray)), make([]uint32, len(astray))
	for from := 0; from < len(list) && len(astray) > 0; {
		to := from
		for to < len(list) && list[to].thread == list[from].thread {
			to++
		}
		for i, p := range astray {
			moved[i], order[i] = probe{ts: probes[p].ts, thread: list[from].thread}, uint32(i)
		}
		sweep(list[from:to], moved, order, func(i uint32, h hit) {
			best := &steps[astray[i]]
			if at := from + h.best; h.best >= 0 && (*best < 0 || list[at].ts > list[*best].ts) {
				*best = int32(at)
			}
		})
		from = to
	}
}

// byGPUTime places events by their own time, for traces without a CPU side.
func (a *assigned) byGPUTime(j *joined) {
	devices := map[int64]uint16{}
	for _, w := range a.windows {
		devices[j.streams.list[w.place].pid] = w.place
	}
	probes := make([]probe, 0, j.gpu.len())
	events := make([]int, 0, j.gpu.len())
	for i := range j.gpu.len() {
		e := j.gpu.at(i)
		if at, ok := devices[j.streams.list[e.stream].pid]; ok {
			probes = append(probes, probe{ts: e.ts, thread: at})
			events = append(events, i)
		}
	}
	sweep(a.nested(), probes, probeOrder(probes), func(p uint32, h hit) {
		switch i := events[p]; {
		case h.best >= 0:
			a.stepOf[i] = int32(h.best)
		case h.before >= 0 && !j.crossesWindow(a.windows[h.before].end, probes[p].ts):
			a.stepOf[i], a.post[i] = int32(h.before), true
		}
	})
}

// onOneStream picks, of each device's step windows, those of the stream that has most: the profiler
// repeats them on every stream that worked for the step.
func onOneStream(s *store) []note {
	count := map[uint16]int{}
	for _, n := range s.gpuNotes {
		count[n.place]++
	}
	chosen := map[int64]uint16{}
	for id, at := range s.streams.list {
		id := uint16(id)
		if best, ok := chosen[at.pid]; count[id] > 0 && (!ok || count[id] > count[best]) {
			chosen[at.pid] = id
		}
	}
	var list []note
	for _, n := range s.gpuNotes {
		if chosen[s.streams.list[n.place].pid] == n.place {
			list = append(list, n)
		}
	}
	return list
}

// steps counts the windows of a stage, and those of draft models among them. Draft steps are part of a
// decode step, so that they count only where nothing else does.
func (a *assigned) steps(stage uint8) (steps, drafts int) {
	for _, w := range a.windows {
		switch {
		case w.stage != stage:
		case w.draft:
			drafts++
		default:
			steps++
		}
	}
	if steps == 0 {
		steps = drafts
	}
	return steps, drafts
}

// frameworkName tells the framework by its step annotations, else by the source files that launched.
func (b *builder) frameworkName() string {
	if b.framework != "" {
		return b.framework
	}
	best, rank := "", int16(0)
	for _, at := range b.sites {
		name := frameworkOf(at.path)
		if name != "" && (at.rank > rank || at.rank == rank && name < best) {
			best, rank = name, at.rank
		}
	}
	return best
}

// frameworkOf names the framework a source file belongs to.
func frameworkOf(path string) string {
	for _, f := range [...]struct{ prefix, name string }{
		{"python/sglang/", "sglang"}, {"vllm/", "vllm"}, {"python/tokenspeed/", "tokenspeed"}, {"tensorrt_llm/", "tensorrt_llm"},
	} {
		if strings.HasPrefix(path, f.prefix) {
			return f.name
		}
	}
	return ""
}
