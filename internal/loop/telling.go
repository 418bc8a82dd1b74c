package loop

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// verdictMetrics are the metrics beside the primary one that an answer gives a ratio of; the report has all.
var verdictMetrics = map[string]bool{"output_token_throughput": true, "request_throughput": true, "p50_ttft_ms": true, "p50_tpot_ms": true, "p50_e2e_ms": true}

// verdictLine is a verdict as answers show it: what decides, rounded, and the SLA only where a launch failed it.
func verdictLine(v compare.Verdict) map[string]any {
	line := rounded(asMap(v))
	others := map[string]any{}
	for _, m := range v.Others {
		if verdictMetrics[m.Metric] && m.Metric != v.Metric {
			others[m.Metric] = round(m.Ratio)
		}
	}
	line["others"] = others
	for _, tally := range v.SLA {
		if tally.Failed > 0 {
			return line
		}
	}
	delete(line, "sla")
	return line
}

// winnerLine is a framework's best candidate as answers show it: the metrics that decide, without those not measured.
func winnerLine(w compare.Standing) map[string]any {
	line := rounded(asMap(w))
	metrics := map[string]any{}
	for name, v := range w.Metrics {
		if verdictMetrics[name] || name == w.Primary {
			metrics[name] = round(v)
		}
	}
	line["metrics"] = metrics
	return line
}

// verdictText is a verdict in a line.
func verdictText(v compare.Verdict) string {
	out := fmt.Sprintf("%s: %s against %s, %s on %s", v.Scenario, v.Candidate, v.Against, v.Verdict, v.Metric)
	if v.Ratio != nil {
		out += fmt.Sprintf(", ratio %v", round(*v.Ratio))
	}
	if v.Interval != nil {
		out += fmt.Sprintf(" (%v to %v)", round(v.Interval[0]), round(v.Interval[1]))
	}
	return out
}

// rounded gives fractions four significant digits, however deep, and leaves whole numbers as they are.
func rounded(m map[string]any) map[string]any {
	for k, v := range m {
		m[k] = roundedValue(v)
	}
	return m
}

func roundedValue(v any) any {
	switch x := v.(type) {
	case float64:
		if x != math.Trunc(x) {
			return round(x)
		}
	case map[string]any:
		return rounded(x)
	case []any:
		for i := range x {
			x[i] = roundedValue(x[i])
		}
	}
	return v
}

// roundedPair rounds an interval; null stays null.
func roundedPair(p *[2]float64) *[2]float64 {
	if p == nil {
		return nil
	}
	return &[2]float64{round(p[0]), round(p[1])}
}

// summary tells a conversation that begins here what it needs: the terms, each side's best and the verdicts.
func (s *State) summary() map[string]any {
	c := s.Contract
	out := map[string]any{
		"study": c.Study, "model": c.Model.ID, "host": c.Host.Name + ", " + c.Host.Machine(),
		"target": c.Target.Entry, "sla": c.SLA, "delta": c.Delta, "looks": c.Blocks.Looks, "blocks_measured": s.blocks(), "search_launches_a_side": c.Budget.Launches,
	}
	if mark := c.Host.Mark(); mark != "" {
		out["mark"] = mark
	}
	scenarios, sides := []string{}, []map[string]any{}
	for _, x := range c.Scenarios {
		scenarios = append(scenarios, scenarioText(x))
	}
	for _, side := range c.Sides() {
		line := map[string]any{"side": side.Entry, "flags_captured": s.Help[baseEntry(side.Entry)].Version.Version}
		if end, ok := s.Searches[side.Entry]; ok {
			line["search"], line["best"] = fmt.Sprintf("%d launches, %d knobs: %s", end.Launches, end.Knobs, end.Why), end.Best
		}
		for _, id := range s.bests(side.Entry) {
			if cand, ok := s.Candidate(id); ok {
				line[id] = cand.Flags
			}
		}
		sides = append(sides, line)
	}
	out["scenarios"], out["sides"] = scenarios, sides
	if texts := s.verdictTexts(); len(texts) > 0 {
		out["verdicts"] = texts
	}
	if len(s.Traces) > 0 {
		out["traces"] = fmt.Sprintf("%d, %d analysed (section traces)", len(s.Traces), len(s.Analyses))
	}
	if len(s.Costs) > 0 {
		out["projected_gpu_hours"] = round(s.Costs[0].GPUHours)
	} else {
		out["projected_gpu_hours"] = round(gpuHours(c.Cost))
	}
	return out
}

// verdictTexts are the newest verdicts of every family, the patched ones said so.
func (s *State) verdictTexts() []string {
	var out []string
	for _, at := range []struct{ phase, family, said string }{
		{string(compare.PhaseBlock), familyCampaign, ""}, {string(compare.PhaseRevalidate), familyPatched, "after the patch, against the base: "},
		{string(compare.PhaseRevalidate), familyCampaign, "after the patch: "},
	} {
		if v, ok := s.LastVerdict(at.phase, at.family); ok {
			for _, x := range v.Result.Verdicts {
				out = append(out, at.said+verdictText(x))
			}
		}
	}
	return out
}

func scenarioText(x contract.Scenario) string {
	load := string(x.Arrival)
	if x.MaxConcurrency != nil {
		load += fmt.Sprintf(", concurrency %d", *x.MaxConcurrency)
	}
	if x.RequestRate != nil {
		load += fmt.Sprintf(", %v requests/s", *x.RequestRate)
	}
	if x.RateSearch != nil {
		load += ", " + x.RateSearch.String()
	}
	rows := ""
	if x.Dataset != "" {
		rows = fmt.Sprintf(" rows of %.19s, medians", x.Dataset)
	}
	if x.Reuse != "" {
		load += ", reuse " + x.Reuse
	}
	return fmt.Sprintf("%s: %s%s %d→%d tokens, %d prompts, %s, primary %s", x.Name, x.Kind, rows, x.InputLen, x.OutputLen, x.NumPrompts, load, x.Primary)
}

// pageOf cuts items from a cursor's place to what one answer holds, by number and by bytes of JSON, and one at least; next
// is 0 at the end.
func pageOf(items []map[string]any, from, most, bytes int) (page []map[string]any, next int) {
	size := 0
	for i := from; i < len(items); i++ {
		raw, err := json.Marshal(items[i])
		if size += len(raw); err != nil || len(page) >= most || (size > bytes && len(page) > 0) {
			return page, i
		}
		page = append(page, items[i])
	}
	return page, 0
}

// rateLine says in a line what a rate search found.
func rateLine(r *bench.RateResult) string {
	switch {
	case r.Edge == bench.RateBetween && r.Rate != nil:
		return fmt.Sprintf("%v requests/s under the SLA: %v passes, %v does not (%d load points, ended by %s)", round(*r.Rate), round(*r.Pass), round(*r.Fail), len(r.Tried), r.Ended)
	case r.Edge == bench.RateAtLeast:
		return fmt.Sprintf("at least %v requests/s: every rate tried passes (%d load points)", round(*r.Pass), len(r.Tried))
	case r.Edge == bench.RateBelow:
		return fmt.Sprintf("below %v requests/s: no rate tried passes (%d load points)", round(*r.Fail), len(r.Tried))
	}
	return fmt.Sprintf("no result: what does not pass at %v requests/s was limited by the client or unsettled", round(*r.Fail))
}

// countRate counts what a reader of a rate search's figure should know.
func countRate(count map[string]int, r compare.Row) {
	switch r.Rate.Edge {
	case bench.RateAtLeast:
		count[fmt.Sprintf("launches of %s pass at every rate tried: its highest rate is not known, a campaign with a higher rate_search.high would tell", r.CandidateID)]++
	case bench.RateBelow:
		count[fmt.Sprintf("launches of %s pass at no rate tried and fail the SLA", r.CandidateID)]++
	case bench.RateBetween:
		if r.Rate.Ended == bench.RateEndPoints {
			count[fmt.Sprintf("rate searches of %s ran out of load points before their brackets were narrow and confirmed", r.CandidateID)]++
		}
	}
	if slices.ContainsFunc(r.Rate.Tried, func(x bench.RateTried) bool { return x.ShortWindow }) {
		count[fmt.Sprintf("rate searches of %s had windows shorter than five median latencies: more num_prompts make them longer", r.CandidateID)]++
	}
}

// triedLines are a rate search's load points in order, a line each.
func triedLines(r *bench.RateResult) []string {
	out := []string{}
	for _, x := range r.Tried {
		line := fmt.Sprintf("%v requests/s passes", round(x.Rate))
		switch {
		case x.Unfit != "":
			line = fmt.Sprintf("%v requests/s does not count: %s", round(x.Rate), x.Unfit)
		case !x.Passed:
			line = fmt.Sprintf("%v requests/s fails: %s", round(x.Rate), short(strings.Join(x.Reasons, ", "), 90))
		}
		out = append(out, line)
	}
	return out
}
