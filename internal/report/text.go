package report

import (
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// cell makes foreign text safe inside a Markdown table or line: one line, no HTML, no cell of its own. Kernel names hold
// template arguments, which a reader's browser would swallow as tags.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\r", "", "\n", "<br>").Replace(s)
}

// fenced puts text into a code block that the text cannot end.
func fenced(language, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + strings.TrimSuffix(text, "\n") + "\n" + fence
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

func measured(v *float64) string {
	if v == nil {
		return "not measured"
	}
	return percent(*v)
}

func interval(v []float64) string {
	if len(v) != 2 {
		return "(interval unbounded)"
	}
	return fmt.Sprintf("[%s, %s]", percent(v[0]), percent(v[1]))
}

func ratio(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *v)
}

func pair(v *[2]float64) string {
	if v == nil {
		return "unbounded"
	}
	return fmt.Sprintf("%.4f to %.4f", v[0], v[1])
}

func gainText(v *float64) string {
	if v == nil {
		return "-"
	}
	return percent(*v)
}

func yes(v *bool) string {
	switch {
	case v == nil:
		return "-"
	case *v:
		return "passed"
	}
	return "failed"
}

func figure(r compare.Row, metric string) string {
	v, ok := r.Metrics.Get(metric)
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

func auditText(a *compare.Audit) string {
	if a == nil {
		return "-"
	}
	var out []string
	if a.ClientLimited {
		out = append(out, "client limited")
	}
	if a.Untrusted {
		out = append(out, "untrusted")
	}
	if a.Overloaded {
		out = append(out, "overloaded")
	}
	if a.LoadTest != nil && a.LoadTest.State == bench.LoadUndecided {
		out = append(out, "overload undecided")
	}
	if a.Unsettled {
		out = append(out, "unsettled")
	}
	if len(out) == 0 {
		return "valid"
	}
	return strings.Join(out, ", ")
}

func entries(sides []contract.Side) string {
	var out []string
	for _, s := range sides {
		out = append(out, s.Entry)
	}
	return strings.Join(out, ", ")
}

func slaText(s contract.SLA) string {
	if len(s) == 0 {
		return "none, as said"
	}
	var out []string
	for _, k := range sorted(s) {
		out = append(out, fmt.Sprintf("%s %g", k, s[k]))
	}
	return strings.Join(out, ", ")
}

func scenarioText(s contract.Scenario) string {
	text := fmt.Sprintf("%s, %d → %d tokens, %d prompts, %s", s.Kind, s.InputLen, s.OutputLen, s.NumPrompts, s.Arrival)
	if s.Dataset != "" {
		text = fmt.Sprintf("%s, rows of dataset %.19s (medians %d → %d tokens), %d prompts, %s", s.Kind, s.Dataset, s.InputLen, s.OutputLen, s.NumPrompts, s.Arrival)
	}
	if s.MaxConcurrency != nil {
		text += fmt.Sprintf(" of %d", *s.MaxConcurrency)
	}
	if s.RequestRate != nil {
		text += fmt.Sprintf(" at %g/s", *s.RequestRate)
	}
	if s.RateSearch != nil {
		text += ", " + s.RateSearch.String()
	}
	if s.Reuse != "" {
		text += ", the same rows in every block"
	}
	if s.NaturalEnd() {
		text += ", natural end"
	}
	return text + fmt.Sprintf(", temperature %g, primary metric %s", s.Temperature, s.Primary)
}

// family names a family of verdicts for readers.
func family(name string) string {
	switch name {
	case "campaign":
		return "target against comparison sides"
	case "patched":
		return "patched against base"
	case "unseen":
		return "patched against base on a shape drawn after the approval"
	}
	return name
}
