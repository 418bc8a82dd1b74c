package trace

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// pageSpans is about how many spans the strips of a page have together: what keeps it below 2 MB.
const pageSpans = 8000

//go:embed page.html.tmpl
var pageText string

// pageTemplate parses the page when it is first needed.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"us": us, "ms": ms, "percent": percent, "atMost": atMost, "clean": clean, "short": shortName, "full": fullName, "interval": intervalText,
	}).Parse(pageText))
})

// WriteHTML renders an analysis as one page that needs nothing but a browser: per stage the figures, the strip of
// a step (where Options.Strip asked for it) and the tables. Ranks are chosen as in WriteMarkdown. What comes
// from a trace is escaped, and the page allows no scripts.
func WriteHTML(w io.Writer, a *Analysis) error {
	return writePage(w, &page{Title: "Trace analysis", Sides: []*side{newSide("", "s", a)}})
}

// WriteDiffHTML renders two analyses and what changed from one to the other on one page.
func WriteDiffHTML(w io.Writer, before, after *Analysis, rows []DiffRow) error {
	return writePage(w, &page{
		Title: "Trace analysis: before and after", Diff: newDiffTable(rows),
		Sides: []*side{newSide("Before", "b", before), newSide("After", "a", after)},
	})
}

// page is what the template shows.
type page struct {
	Title string
	Sides []*side
	Diff  *diffTable
}

// side is one analysis.
type side struct {
	*Analysis
	Name   string // empty where there is only one
	Shown  []*stageSection
	Anchor string
}

// stageSection is one stage of one rank.
type stageSection struct {
	*Stage
	Side    string
	Anchor  string
	OnCPU   bool
	Figures []figure
	Drawn   *drawnStrip
	rows    map[string]string // anchors of the kernel rows shown, by id
}

// figure is a number of a stage's headline.
type figure struct{ Name, Value, Of string }

// writePage draws the strips and renders the page.
func writePage(w io.Writer, p *page) error {
	var sections []*stageSection
	for _, s := range p.Sides {
		for _, section := range s.Shown {
			if section.Strip != nil {
				sections = append(sections, section)
			}
		}
	}
	limit := spanLimit(sections)
	for _, s := range sections {
		s.Drawn = draw(s.Strip, limit)
	}
	return pageTemplate().Execute(w, p)
}

// spanLimit is how many spans a strip of a page may have: what small strips leave is for the others.
func spanLimit(sections []*stageSection) int {
	counts := make([]int, len(sections))
	for i, s := range sections {
		counts[i] = s.Strip.count()
	}
	slices.Sort(counts)
	left := pageSpans
	for i, n := range counts {
		if each := left / (len(counts) - i); n > each {
			return max(each, 4*stripLanes)
		}
		left -= n
	}
	return stripSpans
}

// newSide picks the stages to show: the lowest rank of each, as in WriteMarkdown.
func newSide(name, anchor string, a *Analysis) *side {
	out := &side{Analysis: a, Name: name, Anchor: anchor}
	ranks := map[string]int{}
	for i := range a.Stages {
		s := &a.Stages[i]
		if rank, ok := ranks[s.Stage]; ok && rank != s.Rank {
			continue
		}
		ranks[s.Stage] = s.Rank
		out.Shown = append(out.Shown, newSection(s, name, anchor+strconv.Itoa(len(out.Shown)+1)))
	}
	return out
}

// newSection prepares a stage.
func newSection(s *Stage, side, anchor string) *stageSection {
	out := &stageSection{Stage: s, Side: side, Anchor: anchor, OnCPU: s.onCPU(), rows: map[string]string{}}
	for i, k := range s.Kernels {
		out.rows[k.ID] = anchor + "-k" + strconv.Itoa(i+1)
	}
	out.Figures = gpuFigures(s)
	if out.OnCPU {
		out.Figures = cpuFigures(s)
	}
	return out
}

// RowAnchor gives the place of a kernel row on the page, empty for rows that are not shown.
func (s *stageSection) RowAnchor(id string) string { return s.rows[id] }

// Hidden counts the kernel rows below the least share.
func (s *stageSection) Hidden() int { return s.KernelsTotal - len(s.Kernels) }

// Rooflines lists the kernel rows shown whose operators recorded shapes.
func (s *stageSection) Rooflines() []Kernel {
	var list []Kernel
	for _, k := range s.Kernels {
		if k.Roofline != nil {
			list = append(list, k)
		}
	}
	return list
}

// TimeOf says what the time of a file is the time of.
func (s *side) TimeOf(f File) string { return s.timeOf(&f) }

// gpuFigures is the headline of a stage of GPU work.
func gpuFigures(s *Stage) []figure {
	list := []figure{
		{"GPU time", ms(s.TotalUS) + " ms", percent(s.Share) + " of the trace"},
		{"Busy", ms(s.BusyUS) + " ms", "streams taken together"},
		{"Idle", ms(s.Idle.IdleUS) + " ms", percent(s.Idle.ShareOfWall) + " of the wall time"},
	}
	return append(list, stepFigures(s)...)
}

// cpuFigures is the headline of a stage of a CPU host.
func cpuFigures(s *Stage) []figure {
	list := []figure{{"Operators", ms(s.TotalUS) + " ms", "self time of the calling thread, " + percent(s.Share) + " of the trace"}}
	if s.Steps > 0 {
		list = append(list,
			figure{"Wall time", ms(s.WallUS) + " ms", "of the steps"},
			figure{"Outside operators", percent(ratio(s.OutsideUS, s.WallUS)), "of the wall time: Python, compiled code, waiting"})
	}
	return append(list, stepFigures(s)...)
}

// stepFigures is what both kinds of stages have.
func stepFigures(s *Stage) []figure {
	list := []figure{{"Steps", "–", "the trace marks none for this stage"}}
	if s.Steps > 0 {
		list[0] = figure{"Steps", strconv.Itoa(s.Steps), ""}
		if s.DraftSteps > 0 {
			list[0].Of = fmt.Sprintf("and %d draft steps", s.DraftSteps)
		}
		what := "GPU time"
		if s.onCPU() {
			what = "operators' self time"
		}
		list = append(list, figure{"Time a step", ms(s.PerStepUS) + " ms", what + " over steps"})
	}
	return append(list, figure{"Mapped", percent(s.MappedShare), "of the time has a source location"})
}

// diffTable is the largest differences of each stage, as in WriteDiffMarkdown.
type diffTable struct {
	Rows  []DiffRow
	Left  int // smaller ones
	OnCPU bool
}

// newDiffTable picks the rows to show.
func newDiffTable(rows []DiffRow) *diffTable {
	t := &diffTable{OnCPU: len(rows) > 0 && rows[0].Source == SourceCPU}
	shown := 0
	for i, r := range rows {
		if i > 0 && (r.Stage != rows[i-1].Stage || r.Rank != rows[i-1].Rank) {
			shown = 0
		}
		if shown++; shown > diffRows {
			t.Left++
			continue
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

// intervalText renders the interval of a difference.
func intervalText(at *[2]float64) string {
	if at == nil {
		return "–"
	}
	return us(at[0]) + " to " + us(at[1])
}

// drawnStrip is a strip in the units of its drawing.
type drawnStrip struct {
	*Strip
	Long   string // milliseconds
	Ticks  []string
	Lanes  []drawnLane
	Legend []string // categories, by time
	Pale   bool     // holds foreign work
	Faint  bool     // holds merged spans that are not busy throughout
}

type drawnLane struct {
	Name, Busy string
	Spans      []drawnSpan
}

type drawnSpan struct{ X, Width, Class, Title, Opacity string }

// stripWidth is the width of a strip in the units of its drawing.
const stripWidth = stripPixels / 2

// draw scales a strip of at most limit spans; what it merges for that does not change the analysis.
func draw(from *Strip, limit int) *drawnStrip {
	s := *from
	s.Lanes = slices.Clone(from.Lanes)
	s.within(limit)
	out := &drawnStrip{Strip: &s, Long: ms(s.EndUS - s.StartUS), Ticks: ticks(s.EndUS - s.StartUS)}
	times := map[string]float64{}
	for _, l := range s.Lanes {
		lane := drawnLane{Name: l.Name, Busy: percent(ratio(l.BusyUS, s.EndUS-s.StartUS))}
		for _, p := range l.Spans {
			times[p.Category] += p.BusyUS
			d := s.drawSpan(p)
			out.Pale = out.Pale || p.Foreign
			out.Faint = out.Faint || d.Opacity != ""
			lane.Spans = append(lane.Spans, d)
		}
		out.Lanes = append(out.Lanes, lane)
	}
	for c := range times {
		out.Legend = append(out.Legend, c)
	}
	slices.SortFunc(out.Legend, func(x, y string) int {
		return cmp.Or(cmp.Compare(times[y], times[x]), cmp.Compare(x, y))
	})
	return out
}

// drawSpan scales one span.
func (s *Strip) drawSpan(p Span) drawnSpan {
	scale := stripWidth / (s.EndUS - s.StartUS)
	d := drawnSpan{X: unit((p.StartUS - s.StartUS) * scale), Width: unit(max(p.DurUS*scale, 0.3)), Class: "c-" + p.Category}
	if p.Foreign {
		d.Class += " foreign"
	}
	d.Title = fmt.Sprintf("%s\n%s, %s us, from %s us", clean(p.Name), p.Category, us(p.DurUS), us(p.StartUS))
	if p.Count > 1 {
		d.Title = fmt.Sprintf("%d pieces of work, the longest %s\nmostly %s, %s us of %s us, from %s us",
			p.Count, clean(p.Name), p.Category, us(p.BusyUS), us(p.DurUS), us(p.StartUS))
		if busy := p.BusyUS / p.DurUS; busy < 0.9 && !p.Foreign {
			d.Opacity = unit(max(busy, 0.3))
		}
	}
	return d
}

// ticks labels the quarters of a strip, from its begin.
func ticks(width float64) []string {
	var list []string
	for i := range 4 {
		v, name := float64(i)*width/4, "us"
		if width >= 2000 {
			v, name = v/1000, "ms"
		}
		list = append(list, fmt.Sprintf("+%.4g %s", v, name))
	}
	return list
}

// unit writes a coordinate.
func unit(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func ms(v float64) string { return fmt.Sprintf("%.3f", v/1000) }

// shortName is a kernel's name without parameters, cut to a readable length, as in Markdown.
func shortName(s string) string {
	if !strings.HasPrefix(s, "Memcpy ") && !strings.HasPrefix(s, "Memset ") {
		s = cutArguments(strings.ReplaceAll(s, "(anonymous namespace)", "anonymous"))
	}
	return clean(shorten(strings.TrimPrefix(s, "void "), 90))
}

// fullName is a name as recorded, as far as anybody reads.
func fullName(s string) string { return clean(shorten(s, 1000)) }

// clean takes from foreign text what is not seen but changes how the rest is: control and format characters
// (among them those that turn the direction of writing). The template escapes the rest.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
}
