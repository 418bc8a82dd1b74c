package trace

import (
	"cmp"
	"slices"
)

const (
	// maxSequence is how many kernels of a stage are searched for a period.
	maxSequence = 20_000
	// maxPeriod is the longest layer looked for, in kernels.
	maxPeriod = 1_500
	// minPeriod keeps repeated pairs (copy, copy) from counting as layers.
	minPeriod = 3
	// minLayers is how many equal layers make a pass.
	minLayers = 3
	// minCovered is the share of a stage's kernels that must lie in layers.
	minCovered = 0.6
)

// pass is a stretch of the kernel sequence in which layers repeat.
type pass struct{ from, layers int }

// layerTable finds the layers of a stage by the period of its kernel names. Passes are the stretches
// where names repeat; what lies between them (embedding, logits, sampling) breaks the period.
func (b *builder) layerTable(stage uint8) Layers {
	out := Layers{Rows: []Layer{}}
	seq := b.sequence(stage)
	beats := b.beatsOf(seq)
	period := findPeriod(beats)
	if period == 0 {
		return out
	}
	passes := findPasses(beats, period)
	if len(passes) == 0 {
		return out
	}
	out.Period, out.Passes, out.PerPass = period, len(passes), commonLayers(passes)
	out.Anchor = b.names.text(b.gpu.at(int(seq[passes[0].from])).name)
	b.measureLayers(&out, stage, seq, passes)
	return out
}

// sequence gives the kernels of a stage on its busiest stream, in order of time.
func (b *builder) sequence(stage uint8) []uint32 {
	busy := make([]int64, len(b.streams.list))
	for _, i := range b.time.order {
		if e := b.gpu.at(int(i)); b.stageOf[i] == stage && e.cat == catKernel {
			busy[e.stream] += e.dur
		}
	}
	main := uint16(0)
	for s := range busy {
		if busy[s] > busy[main] {
			main = uint16(s)
		}
	}
	var seq []uint32
	for _, i := range b.time.order {
		if e := b.gpu.at(int(i)); b.stageOf[i] == stage && e.cat == catKernel && e.stream == main {
			seq = append(seq, i)
		}
	}
	return seq
}

// beat is what must be equal for kernels to correspond: the name, and the step or graph replay, as no
// layer repeats across their borders.
type beat struct {
	name uint32
	part int32
}

// beatsOf gives the beats of a sequence.
func (b *builder) beatsOf(seq []uint32) []beat {
	out := make([]beat, len(seq))
	for i, e := range seq {
		out[i] = beat{name: b.gpu.at(int(e)).name, part: b.stepOf[e]}
		if b.viaGraph(int(e)) {
			out[i].part = -2 - b.launchOf[e]
		}
	}
	return out
}

// findPeriod gives the shortest period whose passes cover most of the sequence; 0 when none does. The
// shortest, as two layers, or a whole pass, repeat as well as one layer does.
func findPeriod(names []beat) int {
	names = names[:min(len(names), maxSequence)]
	for p := minPeriod; p <= min(maxPeriod, len(names)/minLayers); p++ {
		covered := 0
		for _, s := range findPasses(names, p) {
			covered += s.layers * p
		}
		if float64(covered) >= minCovered*float64(len(names)) && !constantRun(names, p) {
			return p
		}
	}
	return 0
}

// constantRun tells a period whose repeated piece is one name over and over: no layer.
func constantRun(names []beat, p int) bool {
	mid := len(names) / 2
	for i := mid + 1; i < mid+p && i < len(names); i++ {
		if names[i] != names[mid] {
			return false
		}
	}
	return true
}

// findPasses gives the stretches of at least minLayers equal layers.
func findPasses(names []beat, period int) []pass {
	var list []pass
	for i := 0; i+period < len(names); {
		n := 0
		for i+n+period < len(names) && names[i+n] == names[i+n+period] {
			n++
		}
		if layers := n/period + 1; layers >= minLayers {
			list = append(list, pass{from: i, layers: layers})
			i += layers * period
			continue
		}
		i += n + 1
	}
	return list
}

// commonLayers is the number of layers most passes have; of equally common ones, the largest.
func commonLayers(passes []pass) int {
	count := map[int]int{}
	best := 0
	for _, p := range passes {
		count[p.layers]++
		if count[p.layers] > count[best] || count[p.layers] == count[best] && p.layers > best {
			best = p.layers
		}
	}
	return best
}

// measured is one layer with its times.
type measured struct {
	pass, index int
	wall, sum   int64
	from, to    int64
}

// measureLayers times every layer and describes a representative pass: the median by wall time among
// those with the common number of layers.
func (b *builder) measureLayers(out *Layers, stage uint8, seq []uint32, passes []pass) {
	var all, steady []measured
	var inLayers, total int64
	walls := map[int]int64{}
	for n, p := range passes {
		for l := range p.layers {
			m := b.measureLayer(seq[p.from+l*out.Period : p.from+(l+1)*out.Period])
			m.pass, m.index = n, l
			inLayers += m.sum
			walls[n] += m.wall
			all = append(all, m)
			if l > 0 && l < p.layers-1 {
				steady = append(steady, m)
			}
		}
	}
	for i := range b.groupsOf(stage) {
		total += b.groupsOf(stage)[i].total
	}
	out.Share = ratio(float64(inLayers), float64(total))
	if len(steady) == 0 {
		steady = all
	}
	out.WallUS = micros(medianOf(steady, func(m measured) int64 { return m.wall }))
	out.SumUS = micros(medianOf(steady, func(m measured) int64 { return m.sum }))
	chosen := medianPass(passes, walls, out.PerPass)
	b.layerRows(out, stage, all, chosen)
}

// measureLayer times the kernels of one layer.
func (b *builder) measureLayer(events []uint32) measured {
	first := b.gpu.at(int(events[0]))
	m := measured{from: first.ts, to: first.ts}
	for _, i := range events {
		e := b.gpu.at(int(i))
		m.sum += e.dur
		m.to = max(m.to, e.ts+e.dur)
	}
	m.wall = m.to - m.from
	return m
}

// medianOf is the middle value of a list that is not empty.
func medianOf(list []measured, value func(measured) int64) int64 {
	values := make([]int64, len(list))
	for i, m := range list {
		values[i] = value(m)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// medianPass picks the pass with the middle wall time among those with the common number of layers.
func medianPass(passes []pass, walls map[int]int64, layers int) int {
	var same []int
	for n, p := range passes {
		if p.layers == layers {
			same = append(same, n)
		}
	}
	slices.SortStableFunc(same, func(x, y int) int { return cmp.Compare(walls[x], walls[y]) })
	return same[len(same)/2]
}

// layerRows describes the first, a steady, the last and the slowest layer of a pass.
func (b *builder) layerRows(out *Layers, stage uint8, all []measured, chosen int) {
	var of []measured
	var sum int64
	for _, m := range all {
		if m.pass == chosen {
			of = append(of, m)
			sum += m.sum
		}
	}
	slowest := of[0]
	for _, m := range of {
		if m.wall > slowest.wall {
			slowest = m
		}
	}
	add := func(role string, m measured) {
		out.Rows = append(out.Rows, Layer{
			ID: rowID("layer", stageNames[stage], len(out.Rows)+1, b.digest), Role: role, Pass: m.pass, Index: m.index,
			WallUS: micros(m.wall), SumUS: micros(m.sum), StartUS: micros(m.from - b.first), EndUS: micros(m.to - b.first),
			Share: ratio(float64(m.sum), float64(sum)),
		})
	}
	add("first", of[0])
	add("steady", of[len(of)/2])
	add("last", of[len(of)-1])
	add("slowest", slowest)
}
