package compare

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// noRows is what a table without rows says.
const noRows = "No rows found.\n"

// BestByFramework renders one table per framework with the winner of each scenario, as Markdown.
func BestByFramework(standings []Standing) string {
	winners := Winners(standings)
	if len(winners) == 0 {
		return noRows
	}
	var frameworks []contract.Framework
	for _, w := range winners {
		if !slices.Contains(frameworks, w.Framework) {
			frameworks = append(frameworks, w.Framework)
		}
	}
	slices.Sort(frameworks)
	var b strings.Builder
	for i, f := range frameworks {
		if i > 0 {
			b.WriteString("\n")
		}
		var rows [][]string
		for _, w := range winners {
			if w.Framework == f {
				rows = append(rows, w.best())
			}
		}
		b.WriteString("### " + string(f) + "\n\n")
		b.WriteString(table([]string{
			"Scenario", "Candidate", "Status", "SLA", "Req/s", "Output tok/s", "Total tok/s", "P50 TTFT", "P50 TPOT", "Success rate",
			"Accept len", "Pre-scheduler ms", "Cache hit", "GPUs", "Server command", "Artifacts",
		}, rows))
	}
	return b.String()
}

func (s Standing) best() []string {
	return []string{
		s.Scenario, s.name(), string(s.Status), s.sla(), s.metric("request_throughput"), s.metric("output_token_throughput"),
		s.metric("total_token_throughput"), s.metric("p50_ttft_ms"), s.metric("p50_tpot_ms"), s.metric("success_rate"),
		s.acceptLength(), s.preScheduler(), s.cacheHit(), number(s.Row.Hardware.GPUCount), s.Row.ServerCommand, s.artifacts(),
	}
}

// CrossFramework renders the best of each framework, ranked within each scenario, as Markdown. Candidates within the
// threshold share a rank, marked with "=".
func CrossFramework(standings []Standing) string {
	var rows [][]string
	for _, w := range Winners(standings) {
		rank := fmt.Sprint(w.Rank)
		if w.Tied {
			rank = "=" + rank
		}
		rows = append(rows, []string{
			rank, w.Scenario, string(w.Framework), w.name(), w.sla(), w.metric("request_throughput"), w.metric("output_token_throughput"),
			w.metric("total_token_throughput"), w.metric("p50_ttft_ms"), w.metric("p50_tpot_ms"), w.metric("success_rate"),
			number(w.Row.Hardware.GPUCount), w.Row.ServerCommand, w.artifacts(),
		})
	}
	return table([]string{
		"Rank", "Scenario", "Framework", "Candidate", "SLA", "Req/s", "Output tok/s", "Total tok/s", "P50 TTFT", "P50 TPOT",
		"Success rate", "GPUs", "Server command", "Artifacts",
	}, rows)
}

// FailedTable renders the candidates that cannot win, with the reason, as Markdown; empty when there are none.
func FailedTable(standings []Standing) string {
	var rows [][]string
	for _, s := range Failed(standings) {
		rows = append(rows, []string{string(s.Framework), s.name(), string(s.Status), s.sla(), s.Scenario + ": " + s.Reason})
	}
	if len(rows) == 0 {
		return ""
	}
	return table([]string{"Framework", "Candidate", "Status", "SLA", "Reason"}, rows)
}

func (s Standing) name() string {
	name := s.Candidate
	if name == "" {
		name = s.Side
	}
	if s.Searched {
		name += " (search score)"
	}
	return name
}

func (s Standing) sla() string {
	if s.Passed {
		return "pass"
	}
	return "fail"
}

func (s Standing) metric(name string) string {
	if v, ok := s.Metrics.Get(name); ok {
		return twoDigits(&v)
	}
	return ""
}

func (s Standing) acceptLength() string {
	if s.Row.SpecDecode == nil {
		return ""
	}
	return twoDigits(s.Row.SpecDecode.MeanAcceptLength)
}

func (s Standing) preScheduler() string {
	if s.Row.PhaseMetrics == nil {
		return ""
	}
	return twoDigits(s.Row.PhaseMetrics.PreSchedulerMS)
}

func (s Standing) cacheHit() string {
	if s.Row.Cache == nil {
		return ""
	}
	return twoDigits(s.Row.Cache.PrefixCacheHitRate)
}

func (s Standing) artifacts() string {
	a := s.Row.Artifacts
	return strings.Join(slices.DeleteFunc([]string{a.RawResult, a.ServerLog, a.BenchmarkLog, a.Summary}, func(p string) bool { return p == "" }), "\n")
}

func twoDigits(v *float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%.2f", *v)
}

// Printable makes a text of a row fit for one line of a terminal: control and invisible characters become spaces.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// table renders Markdown; a cell can neither end its column nor its line.
func table(header []string, rows [][]string) string {
	if len(rows) == 0 {
		return noRows
	}
	var b strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			cell = Printable(strings.NewReplacer("|", `\|`, "\r\n", "<br>", "\n", "<br>", "\r", "<br>").Replace(cell))
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString("| " + cell)
		}
		b.WriteString(" |\n")
	}
	line(header)
	b.WriteString(strings.Repeat("| --- ", len(header)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}
