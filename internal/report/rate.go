package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
)

// rates shows every rate search: what it found, and the load points that it rests on.
func (w *writer) rates(rows []compare.Row) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r compare.Row) bool { return r.Rate == nil })
	if len(rows) == 0 {
		return
	}
	w.head("Highest request rate under the SLA")
	w.line("A launch tries rates on one engine until a rate that passes and one that does not are close together. A rate passes when its load point keeps the SLA (or attains what was said) and is not overloaded; " +
		"which rates pass is an isotonic fit over all load points, and the estimate lies where the margins of its two neighbours cross 0. At a bound there is no estimate.\n")
	w.line("| Block | Candidate | Scenario | Requests/s | Highest that passes | Lowest that does not | Load points | Ended |\n|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		w.line("| %s | %s | %s | **%s** | %s | %s | %d | %s |", blockText(r), r.CandidateID, r.Workload.Scenario, rateText(r.Rate), rateFigure(r.Rate.Pass), rateFigure(r.Rate.Fail), len(r.Rate.Tried), endText(r.Rate))
	}
	for _, scenario := range scenariosOf(rows) {
		w.tried(scenario, slices.DeleteFunc(slices.Clone(rows), func(r compare.Row) bool { return r.Workload.Scenario != scenario }))
	}
}

// tried is the table of a scenario's load points.
func (w *writer) tried(scenario string, rows []compare.Row) {
	var names []string
	for _, r := range rows {
		for _, x := range r.Rate.Tried {
			for _, name := range slices.Sorted(maps.Keys(x.Metrics)) {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	w.line("\nLoad points of %s, in order:\n", scenario)
	w.line("| Block | Candidate | Offered requests/s | Requests | Window s | %s | Passes | Why not |\n|---|---|---|---|---|%s---|---|", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, r := range rows {
		for _, x := range r.Rate.Tried {
			figures := make([]string, len(names))
			for i, name := range names {
				figures[i] = "-"
				if v, ok := x.Metrics[name]; ok {
					figures[i] = fmt.Sprintf("%.4g", v)
				}
			}
			w.line("| %s | %s | %.4g | %d | %.1f | %s | %s | %s |", blockText(r), r.CandidateID, x.Rate, x.Requests, x.WindowS, strings.Join(figures, " | "), passText(x), cell(strings.Join(x.Reasons, ", ")))
		}
	}
}

func scenariosOf(rows []compare.Row) []string {
	var out []string
	for _, r := range rows {
		if !slices.Contains(out, r.Workload.Scenario) {
			out = append(out, r.Workload.Scenario)
		}
	}
	return out
}

func blockText(r compare.Row) string {
	if r.Block == nil {
		return "-"
	}
	return fmt.Sprint(*r.Block)
}

func rateText(r *bench.RateResult) string {
	switch {
	case r.Rate != nil:
		return fmt.Sprintf("%.4g", *r.Rate)
	case r.Edge == bench.RateAtLeast && r.Pass != nil:
		return fmt.Sprintf("≥ %.4g", *r.Pass)
	case r.Edge == bench.RateBelow && r.Fail != nil:
		return fmt.Sprintf("< %.4g", *r.Fail)
	}
	return "no result"
}

func rateFigure(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

func endText(r *bench.RateResult) string {
	switch r.Ended {
	case bench.RateEndTolerance:
		return "within the tolerance"
	case bench.RateEndEdge:
		return "at a bound, confirmed"
	case bench.RateEndUnfit:
		return "load points could not count"
	}
	return "out of load points"
}

func passText(x bench.RateTried) string {
	switch {
	case x.Unfit != "":
		return "does not count: " + x.Unfit
	case x.Passed:
		return "yes"
	}
	return "no"
}
