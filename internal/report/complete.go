package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// RuleComplete is the rule that a report without one of its parts breaks.
const RuleComplete = "claim.report-complete"

// part is something that a reader needs: what it is, and a line's beginning or a heading by which it is found.
type part struct{ what, sign string }

// parts are what a report of this state must have.
func parts(st *loop.State) []part {
	out := []part{
		{"the verdict", "- Verdict: "}, {"the claim", "- Claim: "}, {"what the evidence is worth", "- Evidence: "}, {"where the artifacts lie", "- Artifacts: "},
		{"the model", "| Model | "}, {"the weights", "| Weights identity | "}, {"the hardware", "| Host | "}, {"the precision", "| Precision, quantization, KV dtype | "},
		{"the SLA", "| SLA | "}, {"the noise threshold", "| Noise threshold δ | "}, {"launch commands", "## Commands of the measured candidates"},
		{"the comparison", "## Comparison"}, {"the best command of each framework", "## Best commands by framework"}, {"the ranking", "## Cross-framework comparison"},
		{"throughput, latency and memory of every launch", "## Launches of the blocks"}, {"search effort", "## Search effort"}, {"the gap analysis", "## Gap analysis"},
		{"the patch, or why there is none", "## Patch"}, {"formulas", "## Formulas"}, {"caveats", "## Caveats"},
	}
	for _, s := range st.Contract.Scenarios {
		out = append(out, part{"the workload", "| Scenario " + s.Name + " | "})
	}
	for _, s := range st.Contract.Sides() {
		if _, ok := st.Help[strings.TrimSuffix(s.Entry, "@incumbent")]; ok {
			out = append(out, part{"versions", "| Version of " + s.Entry + " | "})
		}
	}
	if p := lastRevalidated(st); p != nil {
		out = append(out, part{"predicted against measured", "## Revalidation"})
		if len(p.Reval.Results) > 0 {
			out = append(out, part{"the comparison after the patch", "**After the patch, "})
		}
	}
	if st.Family != nil {
		out = append(out, part{"what else was tried", "## Campaigns on this model, target and GPU class"})
	}
	rows := slices.Concat(st.Rows(compare.PhaseBlock, "main"), st.Rows(compare.PhaseSearch, "main"))
	if len(compare.Failed(compare.Rank(rows, st.RankTerms()))) > 0 {
		out = append(out, part{"what failed", "## Failed or SLA-failing candidates"})
	}
	return out
}

// complete refuses a report that lacks a part.
func complete(report []byte, st *loop.State) error {
	for _, p := range parts(st) {
		if !bytes.Contains(report, []byte("\n"+p.sign)) {
			return fault.New(fault.Internal, "the report lacks %s", p.what).ByRule(RuleComplete).At("final_report.md", "", fmt.Sprintf("%q", p.sign)).
				Hint("this is a defect of sotaloop: please report it with the campaign's ledger")
		}
	}
	return nil
}

// RuleLevels is the rule by which a headline says what its evidence is worth.
const RuleLevels = "claim.levels"

// labelled refuses a report whose headline does not name every level of its evidence.
func labelled(report []byte, levels []string) error {
	_, after, _ := bytes.Cut(report, []byte("\n- Evidence: "))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	for _, level := range levels {
		if !bytes.Contains(line, []byte(level)) {
			return fault.New(fault.Internal, "the report's headline does not say %q of its evidence", level).ByRule(RuleLevels).At("final_report.md", string(line), level).
				Hint("this is a defect of sotaloop: please report it with the campaign's ledger")
		}
	}
	if len(levels) == 0 {
		return fault.New(fault.Internal, "nothing says what the report's evidence is worth").ByRule(RuleLevels).At("final_report.md", "", "consistent", "witnessed").
			Hint("this is a defect of sotaloop: please report it with the campaign's ledger")
	}
	return nil
}
