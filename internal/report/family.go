package report

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// RuleFamily is the rule by which a report lists every campaign of its family.
const RuleFamily = "claim.family"

// family lists every campaign on the same model, target and GPU class: a claim is worth less the more were tried.
func (w *writer) family() {
	f := w.st.Family
	if f == nil {
		return
	}
	w.head("Campaigns on this model, target and GPU class")
	w.line("%d campaigns were tried on %s with %s as target on %s, this one among them (`%s`). One that measured nothing is void and no try.\n",
		f.Tried(), cell(f.Model), cell(f.Target), cell(f.GPU), RuleFamily)
	w.line("| Campaign | State | Measured points | Verdict |\n|---|---|---|---|")
	for _, c := range f.Campaigns {
		w.line("| %s | %s | %s | %s |", cell(c.Campaign), cell(stateText(c)), pointsText(c), cell(or(c.Verdict, "-")))
	}
	if f.HostProblem != "" {
		w.line("\nThe host's lease log was not read, so that campaigns of other homes are not listed: %s", cell(f.HostProblem))
	}
}

func stateText(c loop.FamilyCampaign) string {
	switch c.State {
	case "gone":
		return "opened in this home, cannot be read any more"
	case "elsewhere":
		return "in another home, by " + or(c.Owner, "an account that is not told")
	}
	return c.State
}

func pointsText(c loop.FamilyCampaign) string {
	if c.State == "gone" || c.State == "elsewhere" {
		return "not known"
	}
	return fmt.Sprint(c.Points)
}
