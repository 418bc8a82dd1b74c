package rules

import (
	"fmt"
	"maps"
	"regexp"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func oneTarget(f *Facts) *Violation {
	seen := map[string]bool{}
	for _, s := range f.Contract.Sides() {
		if seen[s.Entry] {
			return &Violation{What: fmt.Sprintf("engine entry %q stands on two sides", s.Entry), Field: "against", Got: s.Entry,
				Fix: "name each engine entry once; compare two builds of one framework as two entries of hosts.yaml"}
		}
		seen[s.Entry] = true
	}
	return nil
}

func sequenceLimit(f *Facts) *Violation {
	longest := f.Contract.LongestSequence()
	if limit := f.Contract.MaxContext; limit > 0 && longest > limit {
		return &Violation{What: fmt.Sprintf("a scenario needs %d tokens, max_context is %d", longest, limit), Field: "max_context", Got: fmt.Sprint(limit),
			Want: []string{fmt.Sprintf("at least %d", longest)}, Fix: "raise max_context or shorten the scenario before the contract is frozen"}
	}
	if f.Search == nil {
		return nil
	}
	for _, u := range f.Search.Flags {
		for _, v := range u.Values {
			if n, ok := integer(v); ok && u.Role == "context" && n < longest {
				return &Violation{What: fmt.Sprintf("--%s %d is shorter than the longest sequence of %d tokens", u.Name, n, longest), Field: u.Name, Got: fmt.Sprint(n),
					Want: []string{fmt.Sprintf("at least %d", longest)}, Fix: "leave the context limit to the contract"}
			}
		}
	}
	return nil
}

func decidable(f *Facts) *Violation {
	if f.Decide == nil || f.Contract.Study == contract.StudyLook || f.Contract.Blocks.Max >= f.Decide.Need {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%d blocks can never decide %d comparisons at 5 %%", f.Contract.Blocks.Max, f.Contract.Blocks.Comparisons),
		Field: "max_blocks", Got: fmt.Sprint(f.Contract.Blocks.Max), Want: []string{fmt.Sprintf("at least %d", f.Decide.Need)},
		Fix: "raise max_blocks, or compare fewer scenarios or sides"}
}

func speculation(f *Facts) *Violation {
	if f.Contract.Speculation == "" {
		return nil
	}
	return &Violation{What: fmt.Sprintf("speculation %q cannot be a term of a contract", f.Contract.Speculation), Field: "speculation", Got: f.Contract.Speculation,
		Fix: "leave it out: no framework is launched with speculation yet, on any side"}
}

// bareLimit is a limit that does not say of which statistic.
var bareLimit = regexp.MustCompile(`^max_(ttft|tpot|e2e)_ms$`)

func slaKeys(f *Facts) *Violation {
	wrong, ok := fault.As(f.Contract.SLA.Validate())
	if !ok {
		return nil
	}
	v := &Violation{What: wrong.Message, Field: wrong.Field, Got: wrong.Got, Want: wrong.Want, Fix: "take limits of want"}
	if key := bareLimit.FindStringSubmatch(wrong.Got); key != nil {
		v.Want = nil
		for _, p := range []string{"p50", "p95", "p99"} {
			v.Want = append(v.Want, "max_"+p+"_"+key[1]+"_ms")
		}
		v.Fix = fmt.Sprintf("a latency has many values: name the statistic, for example %s", v.Want[0])
	}
	return v
}

func sameThreads(f *Facts) *Violation {
	want := f.Threads[f.Contract.Target.Entry]
	for _, s := range f.Contract.Against {
		got := f.Threads[s.Entry]
		if maps.Equal(got, want) {
			continue
		}
		return &Violation{What: fmt.Sprintf("%s has thread pools of %v, %s of %v", s.Entry, got, f.Contract.Target.Entry, want), Field: "against",
			Got: fmt.Sprint(got), Want: []string{fmt.Sprint(want)},
			Fix: "take OMP_NUM_THREADS and MKL_NUM_THREADS out of the engines' env in hosts.yaml: each engine gets as many threads as it has cores"}
	}
	return nil
}

func rowsFirst(f *Facts) *Violation {
	if f.Rows > 0 || f.Reason != "" {
		return nil
	}
	return &Violation{What: "nothing has been measured in this campaign", Field: "campaign",
		Fix:  "search and benchmark first; a report of a blocked campaign needs a recorded failure",
		Next: []fault.Next{{Tool: "search_deployments", Why: "finds each framework's best deployment"}}}
}

// integer gives a JSON number's value when it is whole.
func integer(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case int64:
		return int(n), true
	case float64:
		return int(n), n == float64(int(n))
	}
	return 0, false
}
