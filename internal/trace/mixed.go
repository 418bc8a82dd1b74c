package trace

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// cpuMarks say once, of an analysis of CPU hosts, what its tables are and what they are not.
var cpuMarks = [...]string{
	"CPU host: the tables are of operators by self time of the calling thread (wall time, so that OpenMP's workers do not appear); they support no claim about a GPU",
	"CPU host: the overlap, fuse, idle and layer tables are of GPU work and do not apply: a thread runs its operators one after the other, and what lies between them is the time outside operators",
}

// Comparable says why two analyses must not be compared or mapped onto each other: one is of GPU work, the
// other of a CPU host's operators. It is nil where they may.
func Comparable(before, after *Analysis) error {
	x, y := before.example(SourceCPU), after.example(SourceGPU)
	if x == nil || y == nil {
		x, y = after.example(SourceCPU), before.example(SourceGPU)
	}
	if x == nil || y == nil {
		return nil
	}
	return mixedSources(x, y)
}

// example gives a stage of a source, nil when there is none.
func (a *Analysis) example(source string) *Stage {
	for i := range a.Stages {
		if a.Stages[i].onCPU() == (source == SourceCPU) {
			return &a.Stages[i]
		}
	}
	return nil
}

// onCPU tells a stage of operators.
func (s *Stage) onCPU() bool { return s.Source == SourceCPU }

// oneSource refuses a set in which some traces hold GPU work and others do not, and marks a set of CPU hosts.
func (a *Analysis) oneSource() error {
	cpu, gpu := a.example(SourceCPU), a.example(SourceGPU)
	if cpu != nil && gpu != nil {
		return mixedSources(cpu, gpu)
	}
	if cpu != nil {
		a.Notes = append(a.Notes, cpuMarks[:]...)
	}
	return nil
}

// mixedSources is the fault of taking operators and GPU work together.
func mixedSources(cpu, gpu *Stage) error {
	return fault.New(fault.InvalidInput, "%q holds no GPU work, only operators of a CPU; %q holds GPU work: their times mean different things", cpu.Path, gpu.Path).
		At("path", cpu.Path).Hint("analyse and compare traces of CPU hosts apart from those of GPUs; where both are of one GPU host, capture the first again with GPU activities")
}

// gpuHost says that a trace without GPU work is of a host with a GPU, empty where nothing tells so. The
// profiler lists the host's GPUs, and records their runtime's calls, whether or not they worked.
func gpuHost(f File, s *store) string {
	switch {
	case s.gpu.len() > 0:
		return ""
	case f.Device != "":
		return fmt.Sprintf("a host with a GPU (%s)", f.Device)
	case s.launches.len() > 0:
		return "a host with a GPU (its runtime was called)"
	}
	return ""
}
