package trace

// outsideOperators names, among the families of a stage on a CPU host, the time of its steps in which
// the step's thread ran no operator: Python, compiled code that the dispatcher does not see, waiting.
const outsideOperators = "(outside operators)"

// wallTime is the wall time of the stages of a CPU host and the part of it outside operators. It is what
// ceilings are shares of: there a step ends when its thread is through, Python between the operators
// included, which is often most of it. A stage's wall time is that of its step windows, and of the
// operators that count for the stage without lying in one (after a step, or where nothing says which
// step). Python between the windows is left out, as it may be waiting for requests: the wall time is
// rather too short than too long, and "at most" holds.
type wallTime struct {
	wall, outside [len(stageNames)]int64
	ofWindow      []int64 // outside operators, by window
}

// newWallTime sums the wall times. Operators on threads other than their step's run beside it.
func newWallTime(j *joined, a *assigned) *wallTime {
	t := &wallTime{}
	t.ofWindow, _ = selfTimes(a.nested())
	for i, w := range a.windows {
		t.wall[w.stage] += t.ofWindow[i]
	}
	t.wall[noStage] = 0 // windows of no stage are no steps: waiting, mostly
	for i, w := range a.stepOf {
		e := j.gpu.at(i)
		switch {
		case w < 0 || a.post[i] || a.stageOf[i] == noStage:
			t.wall[a.stageOf[i]] += e.dur
		case j.launches.at(int(j.launchOf[i])).thread == a.windows[w].place:
			t.ofWindow[w] -= e.dur
		}
	}
	for i, w := range a.windows {
		t.ofWindow[i] = max(t.ofWindow[i], 0) // the last operator may outlast its step
		if w.stage != noStage {
			t.outside[w.stage] += t.ofWindow[i]
		}
	}
	return t
}

// outsideFamily adds the time outside operators to a stage's families, so that a diff shows it beside them.
func (b *builder) outsideFamily(stage uint8, list []Family, cells []stepTime) ([]Family, []stepTime) {
	for i, w := range b.windows {
		if w.stage == stage {
			cells = append(cells, stepTime{int32(len(list)), b.owner[i], b.wall.ofWindow[i]})
		}
	}
	return append(list, Family{Name: outsideOperators, Category: "outside", TotalUS: micros(b.wall.outside[stage])}), cells
}
