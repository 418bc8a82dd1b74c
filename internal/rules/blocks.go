package rules

import (
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func contractFrozen(f *Facts) *Violation {
	if f.Blocks == nil {
		return nil
	}
	var names []string
	for _, s := range f.Contract.Scenarios {
		names = append(names, s.Name)
	}
	for _, s := range f.Blocks.Scenarios {
		if !slices.Contains(names, s) {
			return &Violation{What: fmt.Sprintf("scenario %q is not in the frozen contract", s), Field: "scenario", Got: s, Want: names,
				Fix: "measure the contract's scenarios; other shapes are a new campaign"}
		}
	}
	if n := f.Blocks.Blocks; n != 0 && !slices.Contains(f.Contract.Blocks.Looks, n) {
		return &Violation{What: fmt.Sprintf("%d blocks is not a look frozen in the contract", n), Field: "blocks", Got: fmt.Sprint(n), Want: numbers(f.Contract.Blocks.Looks),
			Fix: "blocks is a total, and looks were frozen so that peeking cannot pick a winner"}
	}
	return nil
}

func tunedCompetitor(f *Facts) *Violation {
	if f.Contract.Study != contract.StudySOTA && f.Contract.Study != contract.StudyTune {
		return nil
	}
	for _, s := range f.Contract.Sides() {
		if !f.Blocks.Searched[s.Entry] && s.Flags == nil && !s.Incumbent {
			return &Violation{What: fmt.Sprintf("%q has not had its own search", s.Entry), Field: "candidates", Got: s.Entry,
				Fix:  "a tuned side against another's defaults is no comparison: search " + s.Entry + " with the same budget first",
				Next: []fault.Next{{Tool: "search_deployments", Why: "searches " + s.Entry}}}
		}
	}
	return nil
}

func knownCandidate(f *Facts) *Violation {
	for _, c := range f.Blocks.Candidates {
		switch {
		case c.Entry == "":
			return &Violation{What: fmt.Sprintf("candidate %q is not one of this campaign", c.ID), Field: "candidates", Got: c.ID,
				Fix: "use ids that search_deployments returned", Next: []fault.Next{{Tool: "get_campaign", Why: "section candidates lists them"}}}
		case c.Status != "ok":
			return &Violation{What: fmt.Sprintf("candidate %q ended %s: %s", c.ID, c.Status, c.Reason), Field: "candidates", Got: c.ID,
				Fix: "choose one that worked; failed candidates stay on record"}
		}
	}
	return nil
}

func everySide(f *Facts) *Violation {
	for _, s := range f.Contract.Sides() {
		n := 0
		for _, c := range f.Blocks.Candidates {
			if c.Entry == s.Entry {
				n++
			}
		}
		if n != 1 {
			return &Violation{What: fmt.Sprintf("a block holds one candidate of %q, %d were named", s.Entry, n), Field: "candidates", Got: fmt.Sprint(n),
				Want: []string{"one candidate a side"}, Fix: "name each side's best candidate once"}
		}
	}
	return nil
}

func bestCandidate(f *Facts) *Violation {
	for _, c := range f.Blocks.Candidates {
		if len(c.Best) > 0 && !slices.Contains(c.Best, c.ID) {
			return &Violation{What: fmt.Sprintf("candidate %q is not what the search of %q found best", c.ID, c.Entry), Field: "candidates", Got: c.ID, Want: c.Best,
				Fix: "name the best candidate of every side; a weaker one would decide nothing about its framework"}
		}
	}
	return nil
}

func onePairing(f *Facts) *Violation {
	for _, c := range f.Blocks.Candidates {
		if begun, ok := f.Blocks.Finalists[c.Entry]; ok && begun != c.ID {
			return &Violation{What: fmt.Sprintf("the blocks were begun with %q for %q", begun, c.Entry), Field: "candidates", Got: c.ID, Want: []string{begun},
				Fix: "go on with the same candidates; another pairing after the first block is a new campaign"}
		}
	}
	return nil
}

func blocksFirst(f *Facts) *Violation {
	first := f.Contract.Blocks.Looks[0]
	if f.Blocks.Measured >= first {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%d of %d blocks are measured", f.Blocks.Measured, first), Field: "blocks", Got: fmt.Sprint(f.Blocks.Measured),
		Want: numbers(f.Contract.Blocks.Looks), Fix: "run the blocks first; search scores are never a result",
		Next: []fault.Next{{Tool: "run_benchmark", Why: "measures the finalists in interleaved blocks"}}}
}

func gapDecided(f *Facts) *Violation {
	if len(f.Verdicts) == 0 {
		return &Violation{What: "no verdict has been taken", Field: "campaign", Fix: "compare first: a profile explains a gap that exists",
			Next: []fault.Next{{Tool: "compare_results", Why: "takes the verdict on the measured blocks"}}}
	}
	for _, v := range f.Verdicts {
		if v.Verdict == "loss" {
			return nil
		}
	}
	return &Violation{What: "the target lost nowhere: there is no gap to explain", Field: "campaign", Got: f.Verdicts[0].Verdict, Want: []string{"loss"},
		Fix:  "an inconclusive verdict is no gap: measure up to the next look, or report",
		Next: []fault.Next{{Tool: "write_report", Why: "the campaign can end here"}, {Tool: "run_benchmark", Why: "more blocks, where the contract has another look"}}}
}

func branchFirst(f *Facts) *Violation {
	if f.Branch != "" {
		return nil
	}
	return &Violation{What: "no patch of this campaign is applied", Field: "proposal", Fix: "apply an approved proposal first",
		Next: []fault.Next{{Tool: "apply_patch_branch", Why: "puts the approved patch on a branch"}}}
}

func numbers(ns []int) []string {
	out := make([]string, 0, len(ns))
	for _, n := range ns {
		out = append(out, fmt.Sprint(n))
	}
	return out
}
