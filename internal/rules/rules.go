// Package rules holds every rule of the product: an id, one line of doc, the numbers in the seed that it stands for, and a
// pure check over facts. A rule never looks anything up; internal/loop gathers the facts. A rule whose facts only another
// room has (bytes of a diff, processes of a host, two rows side by side) names that room instead. docs/RULES.md is
// generated from All and Elsewhere, in which every number of the seed has a place.
package rules

import (
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Moment is when a rule is checked.
type Moment string

// The moments, in the order a campaign meets them.
const (
	AtOpen       Moment = "open"
	AtSearch     Moment = "search"
	AtBenchmark  Moment = "benchmark"
	AtCompare    Moment = "compare"
	AtProfile    Moment = "profile"
	AtCapture    Moment = "capture" // when the launches of a profile are planned
	AtPropose    Moment = "propose"
	AtApply      Moment = "apply"
	AtRevalidate Moment = "revalidate"
	AtReport     Moment = "report"
	AtClaim      Moment = "claim" // when the report's one sentence is made
	AtCancel     Moment = "cancel"
	AtPolicy     Moment = "policy" // before anything is started or changed: what the engineer's policy says
)

// Moments lists all of them.
func Moments() []Moment {
	return []Moment{AtOpen, AtSearch, AtBenchmark, AtCompare, AtProfile, AtCapture, AtPropose, AtApply, AtRevalidate, AtReport, AtClaim, AtCancel, AtPolicy}
}

// Rule is one rule. It has moments with a check, or rooms that enforce it, or both.
type Rule struct {
	ID      string
	Doc     string   // what it demands, one line
	Seed    []int    // numbers of the seed's rules it enforces
	Moments []Moment // when it is checked
	Check   func(*Facts) *Violation
	Rooms   []string // packages that refuse by this id, beside the loop
}

// Violation is a rule broken: what is wrong, the field with both values, and what would be allowed.
type Violation struct {
	Rule  string
	What  string
	Field string
	Got   string
	Want  []string
	Fix   string
	Next  []fault.Next
}

// Fault renders the violation for the caller.
func (v *Violation) Fault() *fault.Error {
	f := fault.New(fault.RuleViolation, "%s", v.What).ByRule(v.Rule).At(v.Field, v.Got, v.Want...)
	if v.Rule == patchApproved {
		f.Code = fault.NeedsApproval
	}
	if v.Fix != "" {
		f.Hints = append(f.Hints, v.Fix)
	}
	f.Next = v.Next
	return f
}

// Check gives the first violation at a moment, nil where every rule holds. Rules are checked in the order of All.
func Check(at Moment, f *Facts) *Violation {
	for _, r := range All {
		for _, m := range r.Moments {
			if m != at {
				continue
			}
			if v := r.Check(f); v != nil {
				v.Rule = r.ID
				return v
			}
		}
	}
	return nil
}

// Every gives all violations at a moment: what is said has to say all of them.
func Every(at Moment, f *Facts) []*Violation {
	var out []*Violation
	for _, r := range All {
		if !slices.Contains(r.Moments, at) {
			continue
		}
		if v := r.Check(f); v != nil {
			v.Rule = r.ID
			out = append(out, v)
		}
	}
	return out
}

// Find gives a rule by its id.
func Find(id string) (Rule, bool) {
	for _, r := range All {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

const patchApproved = "patch.approved"
