package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// minShare is the least share of its stage that evidence may explain.
const minShare = 0.01

var analyzeNext = []fault.Next{{Tool: "analyze_trace", Why: "lists the rows that evidence can cite"}}

func rowKnown(f *Facts) *Violation {
	if len(f.Evidence.Rows) == 0 {
		return &Violation{What: "no table row is cited", Field: "rows", Fix: "cite the rows that show the cost", Next: analyzeNext}
	}
	for _, r := range f.Evidence.Rows {
		if !r.Found {
			return &Violation{What: fmt.Sprintf("row %q is in no analysed trace of this campaign", r.ID), Field: "rows", Got: r.ID,
				Fix: "cite ids that analyze_trace returned, for example kernel:decode:3@<digest>", Next: analyzeNext}
		}
	}
	return nil
}

func realHost(f *Facts) *Violation {
	if c := f.Claim; c != nil {
		switch {
		case c.Simulated:
			return &Violation{What: "every figure comes from a simulated host", Field: "host", Got: "simulated", Want: []string{"a host with GPUs"}, Fix: "open the campaign on a host with GPUs"}
		case c.Mark != "":
			return &Violation{What: c.Mark, Field: "host", Got: "cpu", Want: []string{"a host with GPUs"}, Fix: "open the campaign on a host with GPUs"}
		}
		return nil
	}
	for _, r := range f.Evidence.Rows {
		if r.Simulated != f.Evidence.HostSimulated {
			return &Violation{What: fmt.Sprintf("row %q mixes simulated and real evidence", r.ID), Field: "rows", Got: r.ID, Fix: "cite traces of the contract's host"}
		}
	}
	return nil
}

func targetTrace(f *Facts) *Violation {
	if len(f.Evidence.Rows) == 0 {
		return nil // evid.row-known says so
	}
	for _, r := range f.Evidence.Rows {
		if r.Target {
			return nil
		}
	}
	return &Violation{What: "no cited row is of the target's measured candidate", Field: "rows", Got: f.Evidence.Rows[0].ID,
		Fix:  "profile the target's candidate of the blocks and cite its rows; a competitor's rows may stand beside them",
		Next: []fault.Next{{Tool: "capture_profile", Why: "captures the target at the losing scenario's lengths"}}}
}

func fresh(f *Facts) *Violation {
	for _, r := range f.Evidence.Rows {
		if r.Target && r.Commit != f.Evidence.BaseCommit {
			return &Violation{What: fmt.Sprintf("row %q was traced at commit %.12s, the patch starts from %.12s", r.ID, r.Commit, f.Evidence.BaseCommit),
				Field: "rows", Got: r.ID, Fix: "profile the commit that the patch starts from",
				Next: []fault.Next{{Tool: "capture_profile", Why: "evidence of the current commit"}}}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(f.Evidence.Now)) {
		was, now := f.Evidence.Was[what], f.Evidence.Now[what]
		if was != "" && now != "" && was != now {
			return &Violation{What: fmt.Sprintf("the host has another %s than the evidence: %s was %s", what, now, was), Field: "rows", Got: was, Want: []string{now},
				Fix:  "profile the target again on the host as it is; rows of before stand for a host that is gone",
				Next: []fault.Next{{Tool: "capture_profile", Why: "evidence of the host as it is"}}}
		}
	}
	return nil
}

func symptom(f *Facts) *Violation {
	var lost []string
	for _, v := range f.Verdicts {
		if v.Verdict == "loss" {
			lost = append(lost, v.Scenario)
		}
	}
	if !slices.Contains(lost, f.Evidence.Scenario) {
		return &Violation{What: fmt.Sprintf("the target has not lost scenario %q", f.Evidence.Scenario), Field: "symptom.scenario", Got: f.Evidence.Scenario, Want: lost,
			Fix:  "a patch answers a decided loss",
			Next: []fault.Next{{Tool: "compare_results", Why: "takes the verdicts"}}}
	}
	if !slices.Contains(f.Evidence.Measured, f.Evidence.Metric) {
		return &Violation{What: fmt.Sprintf("metric %q was not measured in scenario %q", f.Evidence.Metric, f.Evidence.Scenario), Field: "symptom.metric", Got: f.Evidence.Metric,
			Want: f.Evidence.Measured, Fix: "name the metric that shows the gap"}
	}
	return nil
}

func agrees(f *Facts) *Violation {
	e := f.Evidence
	if stages, why := slowStages(e); !slices.Contains(stages, e.Stage) {
		return &Violation{What: fmt.Sprintf("stage %q does not decide %s%s", e.Stage, e.Metric, why), Field: "stage", Got: e.Stage, Want: stages,
			Fix: "cite rows of the stage in which the symptom's time is spent", Next: analyzeNext}
	}
	for _, r := range e.Rows {
		if r.Stage != e.Stage && r.Stage != "mixed" {
			return &Violation{What: fmt.Sprintf("row %q is of stage %s, the proposal says %s", r.ID, r.Stage, e.Stage), Field: "rows", Got: r.Stage, Want: []string{e.Stage},
				Fix: "cite rows of one stage"}
		}
	}
	share := UnionShare(e.Rows)
	if share < minShare {
		return &Violation{What: fmt.Sprintf("the cited rows are %.2f %% of %s", 100*share, e.Stage), Field: "rows", Got: fmt.Sprintf("%.4f", share), Want: []string{"at least 0.01"},
			Fix: "nothing can be won there: cite a larger row", Next: analyzeNext}
	}
	return nil
}

// Shares of a request's time from which a stage decides a metric: of the time to the first token that is spent waiting
// for others' steps, and of the time in both stages.
const (
	minWaiting = 0.5
	minOfBoth  = 0.25
)

// slowStages are the stages in which a metric's time is spent, and what was measured of it. Mixed steps hold both. A first
// token waits for decode steps of other requests only where waiting was measured; of a throughput, a stage that is traced
// and small decides nothing.
func slowStages(e *EvidenceFacts) (stages []string, why string) {
	prefill, havePrefill := e.RequestMS["prefill"]
	decode, haveDecode := e.RequestMS["decode"]
	switch m := e.Metric; {
	case strings.Contains(m, "ttft"):
		stages = []string{"prefill", "mixed"}
		waiting := e.TTFTMS - prefill
		switch {
		case !havePrefill || e.TTFTMS <= 0:
			return stages, ": no queue time was measured, which takes an analysed prefill trace of the scenario"
		case waiting >= minWaiting*e.TTFTMS:
			return append(stages, "decode"), ""
		}
		return stages, fmt.Sprintf(": of %.4g ms to the first token, %.4g ms are prefill itself", e.TTFTMS, prefill)
	case strings.Contains(m, "tpot"), strings.Contains(m, "itl"), strings.Contains(m, "icl"):
		return []string{"decode", "mixed"}, ""
	}
	if !havePrefill || !haveDecode {
		return []string{"prefill", "decode", "mixed"}, ""
	}
	stages = []string{"mixed"}
	for _, s := range []string{"prefill", "decode"} {
		if e.RequestMS[s] >= minOfBoth*(prefill+decode) {
			stages = append(stages, s)
		}
	}
	return stages, fmt.Sprintf(": a request takes %.4g ms of prefill and %.4g ms of decode", prefill, decode)
}

// UnionShare is the share of their stage that the target's rows explain together. A row counts once however often it is
// cited, and kernel, overlap and fuse rows are views of the same GPU time: the largest view counts, and idle time beside it.
func UnionShare(rows []RowFact) float64 {
	seen, views := map[string]bool{}, map[string]float64{}
	for _, r := range rows {
		if !r.Target || seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		kind, _, _ := strings.Cut(r.ID, ":")
		views[kind] += r.Share
	}
	idle, largest := views["idle"], 0.0
	for kind, share := range views {
		if kind != "idle" {
			largest = max(largest, share)
		}
	}
	return min(idle+largest, 1)
}

func location(f *Facts) *Violation {
	e := f.Evidence
	if !e.LocationExists {
		return &Violation{What: fmt.Sprintf("location %q is not in the base commit", e.Location), Field: "location", Got: e.Location, Want: citedLocations(e),
			Fix: "give path:line of the target's checkout"}
	}
	path, _, _ := strings.Cut(e.Location, ":")
	for _, r := range e.Rows {
		if slices.ContainsFunc(r.Paths, func(p string) bool {
			return p == path || strings.HasSuffix(path, "/"+p) || strings.HasSuffix(p, "/"+path)
		}) {
			return nil
		}
	}
	return &Violation{What: fmt.Sprintf("no cited row was launched from %q", path), Field: "location", Got: e.Location, Want: citedLocations(e),
		Fix: "name the place where the cited rows were launched; where another file causes it, say so in elsewhere"}
}

func citedLocations(e *EvidenceFacts) []string {
	var out []string
	for _, r := range e.Rows {
		for _, l := range r.Locations {
			if !slices.Contains(out, l) && len(out) < 8 {
				out = append(out, l)
			}
		}
	}
	return out
}
