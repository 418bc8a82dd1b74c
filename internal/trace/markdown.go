package trace

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown renders an analysis for people: the tables of rank 0 (else the lowest rank) of each
// stage, then the spread over ranks.
func WriteMarkdown(w io.Writer, a *Analysis) error {
	m := &markdown{bufio.NewWriter(w)}
	m.printf("# Trace analysis\n")
	for i := range a.Files {
		f := &a.Files[i]
		m.printf("\n- %s: rank %d, %d events, %.3f ms of %s", code(f.Path), f.Rank, f.Events, f.TotalUS/1000, a.timeOf(f))
		if f.Incomplete {
			m.printf("; **incomplete**: %s", cell(f.Error))
		}
	}
	m.printf("\n")
	for _, n := range a.Notes {
		m.printf("\n> %s\n", cell(n))
	}
	shown := map[string]int{}
	for i := range a.Stages {
		s := &a.Stages[i]
		if rank, ok := shown[s.Stage]; ok && rank != s.Rank {
			continue // other ranks are in the spread
		}
		shown[s.Stage] = s.Rank
		m.stage(s)
	}
	m.spreads(a.Ranks)
	return m.w.Flush()
}

// diffRows is how many rows of a diff are shown of each stage and rank.
const diffRows = 20

// WriteDiffMarkdown renders a diff for people: the largest differences of each stage.
func WriteDiffMarkdown(w io.Writer, rows []DiffRow) error {
	m := &markdown{bufio.NewWriter(w)}
	m.printf("# Diff (after minus before)\n\n")
	family := "Kernel family"
	if len(rows) > 0 && rows[0].Source == SourceCPU {
		family = "Operator"
		m.printf("Operators of CPU hosts by self time of the calling thread; worth is of the steps' wall time. No claim about a GPU follows.\n\n")
	}
	m.table("Stage", "Rank", family, "Kind", "Before us", "After us", "Delta us", "95 % interval", "Worth")
	shown, left := 0, 0
	for i, r := range rows {
		if i > 0 && (r.Stage != rows[i-1].Stage || r.Rank != rows[i-1].Rank) {
			shown = 0
		}
		if shown++; shown > diffRows {
			left++
			continue
		}
		interval := "–"
		if r.Interval != nil {
			interval = fmt.Sprintf("%.1f to %.1f", r.Interval[0], r.Interval[1])
		}
		m.row(r.Stage, r.Rank, name(r.Family), r.Kind, us(r.BeforeUS), us(r.AfterUS), us(r.DeltaUS), interval, percent(r.Worth))
	}
	if left > 0 {
		m.printf("\n%d smaller differences not shown.\n", left)
	}
	return m.w.Flush()
}

// markdown writes Markdown; the buffer keeps the first error.
type markdown struct{ w *bufio.Writer }

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(m.w, format, args...) }

// table begins a table.
func (m *markdown) table(heads ...string) {
	m.printf("| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat(" --- |", len(heads)))
}

// row writes one row of a table.
func (m *markdown) row(cells ...any) {
	for _, c := range cells {
		m.printf("| %v ", c)
	}
	m.printf("|\n")
}

// stage writes the tables of one stage.
func (m *markdown) stage(s *Stage) {
	m.printf("\n## %s, rank %d\n\n", s.Stage, s.Rank)
	if s.onCPU() {
		m.operatorStage(s)
		return
	}
	m.printf("%.3f ms of GPU time (%s of the trace), busy %.3f ms", s.TotalUS/1000, percent(s.Share), s.BusyUS/1000)
	if s.Steps > 0 {
		m.printf(", %d steps of %.3f ms", s.Steps, s.PerStepUS/1000)
	}
	m.printf(". %s of the time has a source location.\n", percent(s.MappedShare))
	m.kernels(s)
	m.overlap(s)
	m.fuse(s)
	m.idle(s)
	m.layers(s)
}

func (m *markdown) kernels(s *Stage) {
	m.printf("\n### Kernels\n\n")
	m.table("Id", "Kernel", "Category", "Time ms", "Share", "Launches", "Mean us", "p50", "p99", "Python location (share)", "CPU op", "At most")
	for _, k := range s.Kernels {
		m.row("`"+k.ID+"`", name(k.Name), k.Category, fmt.Sprintf("%.3f", k.TotalUS/1000), percent(k.Share), k.Launches,
			us(k.MeanUS), us(k.P50US), us(k.P99US), sites(k.Locations, k.LocationSource), cell(k.CPUOp), atMost(k.Ceiling))
	}
	m.hidden(s)
	m.rooflines(s)
}

// rooflines writes what the hardware would allow, where shapes were recorded.
func (m *markdown) rooflines(s *Stage) {
	first := true
	for _, k := range s.Kernels {
		r := k.Roofline
		if r == nil {
			continue
		}
		if first {
			first = false
			m.printf("\n### Roofline of matrix products, from recorded shapes\n\n")
			m.table("Id", "Launches with shapes", "TFLOP/s", "GB/s at least", "FLOP/B", "Limited by", "Of peak", "Peaks of")
		}
		of := "–"
		if r.PeakFrom != "" {
			of = percent(r.OfPeak)
		}
		m.row("`"+k.ID+"`", fmt.Sprintf("%d of %d", r.Launches, k.Launches), fmt.Sprintf("%.1f", r.TFLOPs), fmt.Sprintf("%.0f", r.GBs), fmt.Sprintf("%.1f", r.Intensity),
			cmp.Or(r.Bound, "–"), of, cmp.Or(r.PeakFrom, "–"))
	}
}

// hidden counts the rows below the least share.
func (m *markdown) hidden(s *Stage) {
	if hidden := s.KernelsTotal - len(s.Kernels); hidden > 0 {
		m.printf("\n%d smaller rows not shown.\n", hidden)
	}
}

func (m *markdown) overlap(s *Stage) {
	if len(s.Overlap) == 0 {
		return
	}
	m.printf("\n### Overlap opportunities (shares of busy time)\n\n")
	m.table("Id", "Priority", "Verdict", "Kernel", "Share", "Alone us", "Hidden", "Risk", "Advice", "At most")
	for _, o := range s.Overlap {
		m.row("`"+o.ID+"`", o.Priority, o.Verdict, name(o.Name), percent(o.ShareOfBusy), us(o.ExclusiveUS), percent(o.HiddenRatio),
			o.Risk+": "+cell(o.RiskWhy), o.Advice, atMost(o.Ceiling))
	}
}

func (m *markdown) fuse(s *Stage) {
	if len(s.Fuse) == 0 {
		return
	}
	m.printf("\n### Fuse patterns\n\n")
	m.table("Id", "State", "Pattern", "Share", "Why", "Exists in", "Hint", "At most")
	for _, f := range s.Fuse {
		m.row("`"+f.ID+"`", f.State, f.Pattern, percent(f.Share), cell(f.Why), existsIn(f), f.Hint, atMost(f.Ceiling))
	}
}

// existsIn names where a pattern is fused.
func existsIn(f Fuse) string {
	text := fmt.Sprintf("%s `%s` (%s)", f.Framework, f.SourcePath, strings.ReplaceAll(f.Upstream, "_", " "))
	if len(f.Also) == 0 {
		return text
	}
	var also []string
	for _, a := range f.Also {
		also = append(also, a.Framework)
	}
	return text + "; also " + strings.Join(also, ", ")
}

func (m *markdown) idle(s *Stage) {
	if len(s.Idle.Causes) == 0 {
		return
	}
	m.printf("\n### Idle: %.3f ms, %s of the wall time\n\n", s.Idle.IdleUS/1000, percent(s.Idle.ShareOfWall))
	m.table("Id", "Cause", "Time ms", "Share of wall", "Gaps", "Longest us", "At us", "At most")
	for _, c := range s.Idle.Causes {
		m.row("`"+c.ID+"`", c.Cause, fmt.Sprintf("%.3f", c.TotalUS/1000), percent(c.Share), c.Gaps, us(c.LongestUS), us(c.LongestAtUS), atMost(c.Ceiling))
	}
	if len(s.Idle.Steps) < 2 {
		return
	}
	m.printf("\nOf %d steps, %.1f us a step on average; the longest:\n\n", s.Steps, s.Idle.PerStepUS)
	m.table("Step", "From us", "Idle us", "Host", "Dependency", "Synchronisation", "Unknown")
	for _, x := range s.Idle.Steps {
		m.row(x.Step, us(x.StartUS), us(x.IdleUS), us(x.HostUS), us(x.DependencyUS), us(x.SyncUS), us(x.UnknownUS))
	}
}

func (m *markdown) layers(s *Stage) {
	l := s.Layers
	if l.Period == 0 {
		return
	}
	m.printf("\n### Layers: %d passes of %d layers, %d kernels each, beginning with %s\n\n", l.Passes, l.PerPass, l.Period, name(l.Anchor))
	m.table("Id", "Layer", "Pass", "Number", "Wall us", "GPU us", "From us", "To us")
	for _, r := range l.Rows {
		m.row("`"+r.ID+"`", r.Role, r.Pass, r.Index, us(r.WallUS), us(r.SumUS), us(r.StartUS), us(r.EndUS))
	}
}

func (m *markdown) spreads(list []Spread) {
	if len(list) == 0 {
		return
	}
	m.printf("\n## Ranks\n\n")
	m.table("Stage", "Rank", "Compute ms", "Communication ms", "Finding")
	for _, s := range list {
		for i, c := range s.ComputeUS {
			finding := ""
			if i == 0 {
				finding = s.Finding
			}
			m.row(s.Stage, c.Rank, fmt.Sprintf("%.3f", c.TotalUS/1000), fmt.Sprintf("%.3f", s.CommunicationUS[i].TotalUS/1000), finding)
		}
	}
}

// sites renders source locations.
func sites(list []Location, source string) string {
	parts := make([]string, 0, len(list))
	for _, l := range list {
		parts = append(parts, fmt.Sprintf("%s:%d %s (%s)", cell(l.Path), l.Line, cell(l.Func), percent(l.Share)))
	}
	if source == "mapping" || source == "graph_launch" {
		parts = append(parts, "from "+strings.ReplaceAll(source, "_", " "))
	}
	return strings.Join(parts, "; ")
}

func us(v float64) string      { return fmt.Sprintf("%.1f", v) }
func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

// name renders a kernel's name as code, without parameters and cut to a readable length.
func name(s string) string {
	if !strings.HasPrefix(s, "Memcpy ") && !strings.HasPrefix(s, "Memset ") {
		s = cutArguments(strings.ReplaceAll(s, "(anonymous namespace)", "anonymous"))
	}
	return code(shorten(strings.TrimPrefix(s, "void "), 90))
}

// cell makes foreign text safe inside a table: one line, no column marks, no code marks, no HTML.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return strings.NewReplacer("|", "¦", "`", "'", "<", "&lt;").Replace(s)
}

// code makes foreign text safe inside a code span of a table.
func code(s string) string { return "`" + strings.ReplaceAll(cell(s), "&lt;", "<") + "`" }

// atMost renders a ceiling; what takes all of the time has none.
func atMost(v float64) string {
	if v >= 99 {
		return "–"
	}
	return percent(v)
}
