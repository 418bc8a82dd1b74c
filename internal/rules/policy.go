package rules

import "fmt"

// PolicyFact is one thing that a call needs of the engineer's policy.
type PolicyFact struct {
	Field   string // of the call
	Got     string
	Refused bool
	Line    string   // of the policy, with its place
	Valid   []string // what the line allows, where it is a list
	Change  string   // what the engineer would do
}

// BudgetFact is one budget of the policy beside what a run would take.
type BudgetFact struct {
	Key    string // budgets.launches_per_day
	Unit   string // launches, GPU-hours, hours
	Limit  float64
	Spent  float64 // ended and under way, of what the budget counts
	Asked  float64 // by the run; 0 where nothing measured says it
	Of     string  // what it counts: this campaign, all campaigns of this home today
	Line   string
	Change string
}

func policyAllows(f *Facts) *Violation {
	for _, p := range f.Policy {
		if !p.Refused {
			continue
		}
		return &Violation{What: fmt.Sprintf("the engineer's policy does not allow %s %q: %s", p.Field, p.Got, p.Line), Field: p.Field, Got: p.Got, Want: p.Valid, Fix: p.Change}
	}
	return nil
}

// sameEntry refuses to go on with engines that hosts.yaml says to launch otherwise than when the campaign opened.
func sameEntry(f *Facts) *Violation {
	for _, e := range f.Entry {
		if e.Then == e.Now {
			continue
		}
		said := func(v string) string {
			if v == "" {
				return "not there"
			}
			return fmt.Sprintf("%q", v)
		}
		return &Violation{What: fmt.Sprintf("hosts.yaml says %s is %s, when the campaign opened it was %s: what is measured now would be another engine under the same name", e.Key, said(e.Now), said(e.Then)),
			Field: "hosts.yaml " + e.Key, Got: e.Now, Want: []string{e.Then}, Fix: "put the entry back as it was, or open a new campaign for the host as it is (open_campaign, from this one)"}
	}
	return nil
}

// withinBudget lets a run begin whose measured expectation still fits. One that nothing measured says is let begin while
// anything is left: an assumption never refuses.
func withinBudget(f *Facts) *Violation {
	for _, b := range f.Budgets {
		if b.Spent+b.Asked <= b.Limit && b.Spent < b.Limit {
			continue
		}
		what := fmt.Sprintf("%.4g %s of %.4g are spent by %s", b.Spent, b.Unit, b.Limit, b.Of)
		if b.Asked > 0 {
			what += fmt.Sprintf(", and this step would take %.4g more", b.Asked)
		}
		return &Violation{What: what + ": " + b.Line, Field: b.Key, Got: fmt.Sprintf("%.4g", b.Spent+b.Asked), Want: []string{fmt.Sprintf("at most %.4g", b.Limit)}, Fix: b.Change}
	}
	return nil
}
