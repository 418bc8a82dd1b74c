package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sotaloop/sotaloop/internal/compare"
)

// comparisonText is the answer of compare for a person: verdicts as a table, then the reason and the caveats of each, then
// the candidates by rank.
func comparisonText(res compare.Result, standings []compare.Standing) string {
	var b strings.Builder
	b.WriteString("## Verdicts\n\n")
	b.WriteString(verdictTable(res))
	line := func(format string, args ...any) { // what rows say can neither end a line nor move the cursor
		b.WriteString(compare.Printable(fmt.Sprintf(format, args...)) + "\n")
	}
	for _, v := range res.Verdicts {
		b.WriteString("\n")
		line("%s: %s against %s: %s", v.Scenario, v.Candidate, v.Against, strings.ToUpper(string(v.Verdict)))
		line("  why      %s", v.Reason)
		for _, w := range v.Warnings {
			line("  warning  %s", w)
		}
	}
	for _, r := range res.Refused {
		b.WriteString("\n")
		line("%s: %s is not compared", r.Scenario, r.Against)
		line("  why      %s: %s", r.Rule, r.What)
	}
	fmt.Fprintf(&b, "\n## How to read this\n\n%s", footing(res))
	for _, w := range res.Warnings {
		if !slices.ContainsFunc(res.Refused, func(r compare.Refusal) bool { return strings.HasPrefix(w, r.Rule+":") && strings.HasSuffix(w, r.What) }) {
			line("- warning: %s", w)
		}
	}
	fmt.Fprintf(&b, "\n## Best Commands By Framework\n\n%s\n## Cross-Framework Best Comparison\n\n%s", compare.BestByFramework(standings), compare.CrossFramework(standings))
	if failed := compare.FailedTable(standings); failed != "" {
		fmt.Fprintf(&b, "\n## Failed Or SLA-Failing Candidates\n\n%s", failed)
	}
	return b.String()
}

// verdictTable is one line a verdict and one a comparison that the rows do not allow.
func verdictTable(res compare.Result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tcandidate\tagainst\tverdict\tmetric\tratio\tinterval\tblocks\tMDE\tmore blocks")
	for _, v := range res.Verdicts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", compare.Printable(v.Scenario), compare.Printable(v.Candidate), compare.Printable(v.Against), strings.ToUpper(string(v.Verdict)),
			arrow(v), ratioText(v.Ratio), intervalText(v), v.Blocks, detectable(v), moreText(v))
	}
	for _, r := range res.Refused {
		fmt.Fprintf(w, "%s\t-\t%s\tnot compared\t%s\t-\t-\t-\t-\t-\n", compare.Printable(r.Scenario), compare.Printable(r.Against), r.Field)
	}
	_ = w.Flush() // into memory
	return b.String()
}

func arrow(v compare.Verdict) string {
	if v.Better == "" {
		return v.Metric
	}
	return fmt.Sprintf("%s (%s is better)", v.Metric, v.Better)
}

func ratioText(ratio *float64) string {
	if ratio == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *ratio)
}

func intervalText(v compare.Verdict) string {
	switch {
	case v.Ratio == nil:
		return "-"
	case v.Interval == nil || v.Level == nil:
		return "unbounded"
	}
	return fmt.Sprintf("%.4f to %.4f at %.1f %%", v.Interval[0], v.Interval[1], 100**v.Level)
}

func detectable(v compare.Verdict) string {
	switch {
	case v.MDE == nil:
		return "-"
	case v.MDESource == "assumed":
		return fmt.Sprintf("%.2f %% (assumed)", 100**v.MDE)
	}
	return fmt.Sprintf("%.2f %%", 100**v.MDE)
}

func moreText(v compare.Verdict) string {
	if v.MoreBlocks == nil || *v.MoreBlocks == 0 {
		return "-"
	}
	return fmt.Sprint(*v.MoreBlocks)
}

// footing says what the verdicts rest on and what they do not say.
func footing(res compare.Result) string {
	var b strings.Builder
	b.WriteString("- ratio: candidate over the other side, the mean over blocks (geometric); one launch of each side a block is one observation\n")
	fmt.Fprintf(&b, "- WIN: the whole interval is on the better side of 1 and the estimate is at least %.3g %% better; it does not prove a gain above that\n", 100*res.Delta)
	fmt.Fprintf(&b, "- EQUIVALENT: the whole interval is within ±%.3g %%; INCONCLUSIVE: neither is shown, which is not \"equal\"\n", 100*res.Delta)
	b.WriteString("- MDE: the true gain that would win four times in five with these blocks\n")
	fmt.Fprintf(&b, "- test: %s, exact; error rate of each comparison %.4g (0.05 / %d)\n", res.Method, res.Alpha, res.M)
	if res.Provenance == compare.ProvenanceUnverified {
		b.WriteString("- provenance: unverified. Rows are taken as written; blocks left out before, and a number of blocks that was chosen by looking at\n  the verdict, cannot be seen here. No campaign and no report accepts this result\n")
	} else {
		fmt.Fprintf(&b, "- provenance: %s\n", res.Provenance)
	}
	b.WriteString("- ranks below are of medians, ties within the threshold; only the verdicts say that a difference is real\n")
	return b.String()
}
