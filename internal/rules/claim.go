package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// boundless are words that claim more than one campaign can show: being the best of all, everywhere or for ever.
var boundless = regexp.MustCompile(`(?i)` +
	`\b(global(ly)?|universal(ly)?|absolute(ly)?|undisputed|overall|all[- ]time|world('s)?)[- ]+(the )?(sota|state[- ]of[- ]the[- ]art|best|fastest|record|optimum|leader)\b` +
	`|\b(sota|state[- ]of[- ]the[- ]art|best|fastest|optimal|unbeat(en|able))\b[^.;\n]{0,40}\b(in the world|world-?wide|universally|globally|everywhere|anywhere|ever (built|made|measured)|of all time|on (any|all|every) (hardware|gpus?|models?|workloads?))\b` +
	`|\bunbeatable\b` +
	`|\b(sets?|achiev\w+|reach\w+|establish\w+|new|is|are|now)\b[^.;\n]{0,20}\b(sota|state[- ]of[- ]the[- ]art)\b[^.;\n]{0,20}\bfor (all|every|any)\b`)

func claimScope(f *Facts) *Violation {
	for _, w := range f.Words {
		if found := boundless.FindString(w.Text); found != "" {
			return &Violation{What: fmt.Sprintf("%s claims more than a campaign can show: %q", w.Field, found), Field: w.Field, Got: found,
				Want: []string{"what was measured, under the recorded model, workload, hardware, commits, precision and SLA"},
				Fix:  "say what the change does and what it was measured on; the report words the claim itself"}
		}
	}
	return nil
}

func claimDecided(f *Facts) *Violation {
	switch {
	case f.Contract.Study == contract.StudyLook:
		return &Violation{What: "a look gives no verdict", Field: "study", Got: string(f.Contract.Study), Want: []string{"sota", "tune", "ab"}, Fix: "open a campaign of another study"}
	case f.Claim.Verdict == "none":
		return &Violation{What: "nothing was decided", Field: "verdict", Got: "none", Want: []string{"win", "equivalent"}, Fix: "measure the blocks of a look and take the verdict"}
	}
	return nil
}

// genuineEngine refuses a claim against a side that was measured with an engine that is not what it is called.
func genuineEngine(f *Facts) *Violation {
	for _, side := range slices.Sorted(maps.Keys(f.Claim.Modified)) {
		return &Violation{What: fmt.Sprintf("the engine of %s is modified: %s", side, f.Claim.Modified[side]), Field: "engine", Got: side, Want: []string{"an engine as it was installed"},
			Fix: "install it into a fresh environment with nothing that runs before it, and measure it in a new campaign"}
	}
	return nil
}

// equalEffort names a side whose search got less than the target's. Launches that ran out because nothing was left to try
// are full effort; fewer values of fewer knobs are none, unless the space was ours.
func equalEffort(f *Facts) *Violation {
	var target *EffortFact
	for i := range f.Claim.Effort {
		if f.Claim.Effort[i].Side == f.Contract.Target.Entry {
			target = &f.Claim.Effort[i]
		}
	}
	if target == nil {
		return nil
	}
	for _, e := range f.Claim.Effort {
		v := &Violation{Field: "candidates", Got: e.Side, Want: []string{target.Side}, Fix: "search every side over as many knobs with the same launches, in a new campaign"}
		switch {
		case e.Side == target.Side:
			continue
		case e.Launches < target.Launches && !e.Exhausted:
			v.What = fmt.Sprintf("%s got %d search launches, %s %d", e.Side, e.Launches, target.Side, target.Launches)
		case !e.Failed && !e.Default && e.Knobs < target.Knobs && e.Tried < target.Tried:
			v.What = fmt.Sprintf("%s was searched over %d values of %d knobs, %s over %d of %d", e.Side, e.Tried, e.Knobs, target.Side, target.Tried, target.Knobs)
		default:
			continue
		}
		return v
	}
	return nil
}

func outputEqual(f *Facts) *Violation {
	c := f.Claim
	if !c.Patched || c.Outputs == "equal" {
		return nil
	}
	v := &Violation{What: "the patched target answers otherwise than the base: " + c.OutputWhy, Field: "outputs_equal", Got: c.Outputs, Want: []string{"equal"},
		Fix: "a patch may be faster, never different: find what changes the answers"}
	if c.Outputs != "differ" {
		v.What, v.Fix = "whether the patched target answers as the base does was not measured", "revalidate with at least two blocks"
	}
	return v
}

// patchTested refuses a claim about a patch whose own tests fail with it, or were not run.
func patchTested(f *Facts) *Violation {
	c := f.Claim
	if !c.Patched || c.Tests != "failed" && c.Tests != "not_run" {
		return nil
	}
	v := &Violation{What: "tests that the proposal names fail with the patch: " + c.TestsWhy, Field: "tests", Got: c.Tests, Want: []string{"passed"},
		Fix: "find what the patch breaks, and propose it again"}
	if c.Tests == "not_run" {
		v.What, v.Fix = "tests that the proposal names were not run: "+c.TestsWhy, "install pytest into the target's environment, or name tests that can run there"
	}
	return v
}

func unseenShapes(f *Facts) *Violation {
	if !f.Claim.Patched {
		return nil
	}
	if len(f.Claim.Unseen) == 0 {
		return &Violation{What: "no shape drawn after the approval was compared", Field: "unseen", Got: "none", Want: []string{"win", "equivalent", "inconclusive"}, Fix: "revalidate again"}
	}
	for _, u := range f.Claim.Unseen {
		if u.Verdict == "loss" {
			return &Violation{What: fmt.Sprintf("the patch loses on shape %q, drawn after the approval", u.Scenario), Field: "unseen", Got: "loss", Want: []string{"win", "equivalent", "inconclusive"},
				Fix: "guard the change by what it was made for, so that other shapes stay as they are"}
		}
	}
	return nil
}

func familyKept(f *Facts) *Violation {
	if len(f.Claim.Gone) == 0 {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%d campaigns on this model, target and GPU class were opened in this home and cannot be read any more: %s", len(f.Claim.Gone), listed(f.Claim.Gone)),
		Field: "campaigns", Got: listed(f.Claim.Gone), Fix: "put their run directories back: what was tried and not shown is a choice"}
}
