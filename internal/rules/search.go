package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func helpFirst(f *Facts) *Violation {
	missing := ""
	switch {
	case f.Search != nil && !f.Search.Captured:
		missing = f.Search.Side.Entry
	case f.Blocks != nil && len(f.Blocks.Uncaptured) > 0:
		missing = f.Blocks.Uncaptured[0]
	}
	if missing == "" {
		return nil
	}
	return &Violation{What: fmt.Sprintf("the flags of %q have not been captured on this host", missing), Field: "framework", Got: missing,
		Fix:  fmt.Sprintf("call list_flags with framework %q and wait for its job", missing),
		Next: []fault.Next{{Tool: "list_flags", Why: "captures help, version and commit of " + missing}}}
}

func oneSearch(f *Facts) *Violation {
	job := f.Search.Running
	if job == "" {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%s searches %q already, with other arguments", job, f.Search.Side.Entry), Field: "framework", Got: f.Search.Side.Entry,
		Fix:  fmt.Sprintf("wait for %s; a side is searched once, so another space is another campaign, or cancel %s first", job, job),
		Next: []fault.Next{{Tool: "wait_job", Why: "waits for " + job}, {Tool: "cancel_job", Why: "ends " + job + "; its launches stay counted"}}}
}

func trtBackend(f *Facts) *Violation {
	if f.Search.Side.Framework != contract.TensorRTLLM {
		return nil
	}
	for _, u := range f.Search.Flags {
		if u.Role != "backend" {
			continue
		}
		for _, v := range u.Values {
			if v != "pytorch" {
				return &Violation{What: fmt.Sprintf("tensorrt_llm backend %q is out of scope", v), Field: u.Name, Got: fmt.Sprint(v), Want: []string{"pytorch"},
					Fix: "leave the backend to the contract: trtllm-serve serve --backend pytorch, or the framework is unsupported for this campaign"}
			}
		}
	}
	return nil
}

func unknownFlag(f *Facts) *Violation {
	for _, u := range f.Search.Flags {
		if !u.Known {
			return &Violation{What: fmt.Sprintf("flag %q is not in the captured help of %s", u.Name, f.Search.Side.Entry), Field: u.Name, Got: u.Name, Want: u.Nearest,
				Fix:  "use a flag that list_flags shows",
				Next: []fault.Next{{Tool: "list_flags", Why: "shows the flags this build accepts; match filters by name"}}}
		}
	}
	return nil
}

// plainWord is what a knob without a list of choices may be given: the name of a backend, never a path or a command.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}$`)

func flagValue(f *Facts) *Violation {
	for _, u := range f.Search.Flags {
		if u.Problem != "" {
			return &Violation{What: fmt.Sprintf("value %s does not fit --%s: %s", u.Value, u.Name, u.Problem), Field: u.Name, Got: u.Value, Want: u.Choices,
				Fix: "give values of the flag's type"}
		}
		for _, v := range u.Values {
			if text, ok := v.(string); ok && u.Kind == framework.KindString && !plainWord.MatchString(text) {
				return &Violation{What: fmt.Sprintf("value %q of --%s is no plain word", text, u.Name), Field: u.Name, Got: text, Want: []string{"a word of letters, digits and _ . : -"},
					Fix: "name what list_flags and the framework's documentation name"}
			}
			if n, ok := v.(float64); ok && (n < -1 || n > 1e12) {
				return &Violation{What: fmt.Sprintf("value %v of --%s is out of every range", v, u.Name), Field: u.Name, Got: fmt.Sprint(v), Want: []string{"-1 to 1e12"},
					Fix: "give values that the framework can run with: a launch is spent on each"}
			}
		}
	}
	return nil
}

func flagClass(f *Facts) *Violation {
	for _, u := range f.Search.Flags {
		v := &Violation{Field: u.Name, Got: u.Name}
		switch {
		case framework.IsVariable(u.Name) && u.Class == framework.ClassForbidden:
			v.What = fmt.Sprintf("%s decides what code is loaded", u.Name)
			v.Fix = "leave it out; the engineer may give it in env of hosts.yaml, for every side of the engine"
		case framework.IsVariable(u.Name) && u.Class != framework.ClassSearch:
			v.What = fmt.Sprintf("%s is no variable that a search of %s may set", u.Name, f.Search.Side.Framework)
			v.Fix = "use one that list_flags shows; the engineer may give others in env of hosts.yaml, for every side of the engine"
			v.Next = []fault.Next{{Tool: "list_flags", Why: "shows the variables with match env:"}}
		case u.Class == framework.ClassContract:
			v.What = fmt.Sprintf("--%s is a term of the contract", u.Name)
			v.Fix = "set it in open_campaign, equal for every side; a change is a new campaign"
			v.Next = []fault.Next{{Tool: "open_campaign", Why: "a new campaign with other terms (from copies this one's)"}}
			if plainName(u.Name) == "trust-remote-code" {
				v.Fix = fmt.Sprintf("ask the engineer for the policy line `trust_remote_code: [%s]`; a campaign opened after it trusts that code on every side", f.Contract.Model.Checkpoint())
			}
		case u.Class == framework.ClassHost:
			v.What = fmt.Sprintf("--%s is set by the worker", u.Name)
			v.Fix = "leave address, port, paths, logs and keys out"
		case u.Class == framework.ClassForbidden:
			v.What = fmt.Sprintf("--%s loads code or reads and writes named files", u.Name)
			v.Fix = "leave it out; no policy line allows it from a tool"
		case u.Class == framework.ClassUnlisted && !u.Allowed:
			v.What = fmt.Sprintf("--%s takes free text that no list knows", u.Name)
			v.Fix = fmt.Sprintf("ask the engineer for the policy line `flags: {%s: [%s]}`", f.Search.Side.Framework, u.Name)
		default:
			continue
		}
		return v
	}
	return nil
}

// preflightKnob refuses a base that no preflight of this model stands behind.
func preflightKnob(f *Facts) *Violation {
	for _, u := range f.Search.Flags {
		if n, ok := integer(u.Base); ok && n > 1 && plainName(u.Name) == "max-num-partial-prefills" {
			return &Violation{What: fmt.Sprintf("--%s %d would be launched before the model's preflight", u.Name, n), Field: u.Name, Got: fmt.Sprint(n), Want: []string{"a value of space"},
				Fix: "name it in space, so that candidate 0 shows first that the model is served without it"}
		}
	}
	return nil
}

// older are GPUs before Hopper, and consumer ones after it, for which fa3 is not made.
var older = regexp.MustCompile(`(?i)\b(V100|T4|A100|A800|A10|A10G|A16|A2|A30|A40|L4|L20|L40|L40S|RTX|GTX|GeForce|TITAN)\b`)

func attentionBackend(f *Facts) *Violation {
	gpu := f.Contract.Host.GPUModel
	if f.Search.Side.Framework != contract.SGLang || !older.MatchString(gpu) {
		return nil
	}
	for _, u := range f.Search.Flags {
		for _, v := range u.Values {
			if strings.HasSuffix(plainName(u.Name), "attention-backend") && v == "fa3" {
				return &Violation{What: fmt.Sprintf("--%s fa3 needs Hopper or newer, the host has %s", u.Name, gpu), Field: u.Name, Got: "fa3", Want: []string{"flashinfer", "triton"},
					Fix: "leave fa3 out: a launch would be spent on a candidate that cannot run"}
			}
		}
	}
	return nil
}

// plainName is a flag's name as help writes it, without dashes in front.
func plainName(name string) string {
	return strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")
}

func pinnedKnob(f *Facts) *Violation {
	if f.Contract.CapacityStudy {
		return nil
	}
	for _, u := range f.Search.Flags {
		if u.Class == framework.ClassPinned && (u.Varied || len(u.Values) > 1) {
			return &Violation{What: fmt.Sprintf("--%s is pinned in a fair search", u.Name), Field: u.Name, Got: fmt.Sprint(u.Values...),
				Fix: "give it one value in base_flags, or open the campaign with capacity_study: true"}
		}
	}
	return nil
}

// legalLayout refuses a size that fits the contract's GPUs in no combination of the space; combinations that do not fit
// are left out of the search.
func legalLayout(f *Facts) *Violation {
	gpus := f.Contract.GPUCount()
	for i, u := range f.Search.Flags {
		if u.Role == "ep" {
			if largest := slices.Max(append(sizes(u), 1)); largest > gpus {
				return layoutViolation(u.Name, largest, gpus)
			}
		}
		if !layoutRole(u.Role) {
			continue
		}
		others := 1
		for j, o := range f.Search.Flags {
			if j != i && layoutRole(o.Role) {
				others *= smallest(o)
			}
		}
		for _, n := range sizes(u) {
			if n*others > gpus {
				return layoutViolation(u.Name, n*others, gpus)
			}
		}
	}
	return nil
}

func layoutRole(role string) bool { return role == "tp" || role == "pp" || role == "dp" }

func sizes(u FlagUse) []int {
	var out []int
	for _, v := range u.Values {
		if n, ok := integer(v); ok {
			out = append(out, n)
		}
	}
	return out
}

// smallest is the least that a flag of the layout takes: of one that is varied, perhaps nothing is said.
func smallest(u FlagUse) int {
	least := append(sizes(u), 1)
	if !u.Varied && len(least) > 1 {
		least = least[:len(least)-1]
	}
	return max(1, slices.Min(least))
}

func layoutViolation(name string, needs, gpus int) *Violation {
	return &Violation{What: fmt.Sprintf("the layout needs %d GPUs, the contract has %d", needs, gpus), Field: name, Got: fmt.Sprint(needs),
		Want: []string{fmt.Sprintf("at most %d", gpus)}, Fix: "keep tp × pp × dp, and ep, within the contract's GPUs"}
}
