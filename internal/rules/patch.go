package rules

import (
	"fmt"
	"path"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// harness is what a patch may not touch: whoever changes the ruler measures nothing.
var harness = []string{"bench_serving", "bench_one_batch", "bench_offline", "benchmark", "benchmarks", "auto_benchmark", "profiler", "datasets", "conftest"}

func harnessUntouched(f *Facts) *Violation {
	for _, p := range f.Patch.Paths {
		for _, part := range strings.Split(strings.ToLower(p), "/") {
			stem := strings.TrimSuffix(part, path.Ext(part))
			for _, h := range harness {
				if stem == h || strings.HasPrefix(stem, h+"_") {
					return &Violation{What: fmt.Sprintf("%q is part of the measuring harness", p), Field: "diff", Got: p,
						Fix: "leave benchmark clients, datasets, profiler and timing code alone; patch what is measured"}
				}
			}
		}
	}
	if len(f.Patch.ChangedTests) > 0 {
		return &Violation{What: fmt.Sprintf("existing test %q is changed", f.Patch.ChangedTests[0]), Field: "diff", Got: f.Patch.ChangedTests[0],
			Fix: "add tests in new files; expectations that exist stay"}
	}
	return nil
}

func patchLocation(f *Facts) *Violation {
	if f.Patch.TouchesCited || strings.TrimSpace(f.Patch.Elsewhere) != "" {
		return nil
	}
	return &Violation{What: "the diff does not touch the cited location's file", Field: "diff", Got: strings.Join(f.Patch.Paths, ", "), Want: []string{f.Evidence.Location},
		Fix: "change the cited place, or say in elsewhere which evidence shows that another place causes it"}
}

func predicted(f *Facts) *Violation {
	if g := f.Patch.Gain; g > 0 && g <= 10 {
		return nil
	}
	return &Violation{What: "a predicted gain is needed before the measurement", Field: "predicted_gain", Got: fmt.Sprint(f.Patch.Gain), Want: []string{"a ratio − 1, for example 0.05 for 5 %"},
		Fix: "say what the patch is worth on the contract's primary metric"}
}

func oneProposal(f *Facts) *Violation {
	if len(f.Patch.OpenProposals) == 0 {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%q is still open", f.Patch.OpenProposals[0]), Field: "campaign", Got: f.Patch.OpenProposals[0],
		Fix:  "one bottleneck a patch: finish the open proposal first",
		Next: []fault.Next{{Tool: "get_campaign", Why: "shows what the open proposal waits for"}}}
}

func approved(f *Facts) *Violation {
	a := f.Approval
	v := &Violation{Field: "proposal", Got: a.Proposal, Next: []fault.Next{{Tool: "wait_job", Why: "the proposal's job ends when the human has decided"}}}
	switch {
	case a.Decision == "reject":
		v.What, v.Fix, v.Next = fmt.Sprintf("%q was rejected: %s", a.Proposal, a.Reason), "answer the reason with another proposal", []fault.Next{{Tool: "propose_patch", Why: "a new proposal"}}
	case a.Problem != "":
		v.What, v.Fix = fmt.Sprintf("the approval of %q does not hold: %s", a.Proposal, a.Problem), "ask the engineer to run `"+a.Command+"` again"
	case a.Decision != "approve":
		v.What, v.Fix = fmt.Sprintf("%q waits for a human", a.Proposal), "ask the engineer to run `"+a.Command+"`; no tool approves"
	default:
		return nil
	}
	return v
}
