package trace

import "fmt"

// operatorStage writes what a stage of a CPU host has: its operators.
func (m *markdown) operatorStage(s *Stage) {
	m.printf("%.3f ms of operators by self time of the calling thread (%s of the trace)", s.TotalUS/1000, percent(s.Share))
	if s.Steps > 0 {
		m.printf(", %d steps of %.3f ms, wall time %.3f ms, %s of it outside operators (Python, compiled code, waiting)",
			s.Steps, s.PerStepUS/1000, s.WallUS/1000, percent(ratio(s.OutsideUS, s.WallUS)))
	}
	m.printf(". %s of the time has a source location. CPU time: no claim about a GPU follows.\n", percent(s.MappedShare))
	m.printf("\n### Operators\n\n")
	m.table("Id", "Operator", "Category", "Self ms", "Share", "Calls", "Mean us", "p50", "p99", "Python location (share)", "At most (of wall time)")
	for _, k := range s.Kernels {
		m.row("`"+k.ID+"`", name(k.Name), k.Category, fmt.Sprintf("%.3f", k.TotalUS/1000), percent(k.Share), k.Launches,
			us(k.MeanUS), us(k.P50US), us(k.P99US), sites(k.Locations, k.LocationSource), atMost(k.Ceiling))
	}
	m.hidden(s)
}

// timeOf says what the time of a file is the time of.
func (a *Analysis) timeOf(f *File) string {
	for i := range a.Stages {
		if s := &a.Stages[i]; s.Path == f.Path && s.onCPU() {
			return "operators' CPU time"
		}
	}
	return "GPU time"
}
