package policy

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Force is what is in force for a campaign: the policy that was frozen when it opened and the one read now. Of two the
// stricter counts, so that a tightening holds at once and a loosening only for campaigns opened after it. For what is
// opened now, both are the same.
type Force struct {
	Frozen, Now Policy
}

// Line is one line of a policy that decided something.
type Line struct {
	Key    string   // "budgets.launches_per_day"
	Where  string   // "policy.yaml:12", or that it is a default
	Value  string   // what the line says
	Frozen bool     // it stood so when the campaign opened; the file says something else now
	Same   bool     // the file says the same as when the campaign opened
	Valid  []string // what the line allows, for a list
}

// String renders the line as a person looks it up.
func (l Line) String() string { return fmt.Sprintf("%s `%s: %s`", l.Where, l.Key, l.Value) }

// Change says what the engineer would do for the call to be allowed; how is an imperative about the line.
func (l Line) Change(how string) string {
	if l.Frozen {
		return "the campaign keeps the policy that it was opened under, and the file says otherwise by now: open a new campaign"
	}
	text := "ask the engineer to " + how + " (" + l.Where + ")"
	if l.Same {
		text += "; a loosening counts for campaigns opened after it"
	}
	return text
}

// both gives the policies to ask, the newer one first, since its line is the one that can be changed.
func (f Force) both() []Policy {
	if f.Frozen.Digest() == f.Now.Digest() {
		return []Policy{f.Now}
	}
	return []Policy{f.Now, f.Frozen}
}

// line describes a key of p.
func (f Force) line(p Policy, key, value string) Line {
	l := Line{Key: key, Value: value, Frozen: p.Digest() != f.Now.Digest(), Same: f.Frozen.Digest() == f.Now.Digest()}
	n, written := p.lines[key]
	switch {
	case written && l.Frozen:
		l.Where = fmt.Sprintf("the frozen policy, line %d", n)
	case written:
		l.Where = p.at(n)
	default:
		l.Where = "by default"
	}
	return l
}

func (p Policy) at(line int) string {
	return filepath.Base(p.File) + ":" + strconv.Itoa(line)
}

// Subjects of lists.
const (
	KeyHosts      = "hosts"
	KeyEngines    = "engines"
	KeyFrameworks = "frameworks"
	KeyModels     = "models"
)

// list gives the patterns under a key.
func (p Policy) list(key string) []string {
	switch key {
	case KeyHosts:
		return p.Hosts
	case KeyEngines:
		return p.Engines
	case KeyFrameworks:
		return p.Frameworks
	}
	return p.Models
}

// Excludes gives the line that keeps campaigns from using name, nil where nothing does. key is one of the subjects.
func (f Force) Excludes(key, name string) *Line {
	for _, p := range f.both() {
		if patterns := p.list(key); !matches(patterns, name) {
			l := f.line(p, key, quoteList(patterns))
			l.Valid = slices.Clone(patterns)
			return &l
		}
	}
	return nil
}

// Trusts says whether engines may run a checkpoint's own code.
func (f Force) Trusts(checkpoint string) bool {
	return !slices.ContainsFunc(f.both(), func(p Policy) bool { return !slices.Contains(p.TrustRemoteCode, checkpoint) })
}

// ReadOnly gives the line that makes the server read-only, nil where none does.
func (f Force) ReadOnly() *Line {
	for _, p := range f.both() {
		if p.ReadOnly {
			l := f.line(p, "read_only", "true")
			return &l
		}
	}
	return nil
}

// Independent gives the line that demands independent approvals, nil where none does.
func (f Force) Independent() *Line {
	for _, p := range f.both() {
		if p.RequireIndependent {
			l := f.line(p, "require_independent", "true")
			return &l
		}
	}
	return nil
}

// RefusesApprover gives the line by which a principal's approvals do not count, nil where they do.
func (f Force) RefusesApprover(principal string) *Line {
	for _, p := range f.both() {
		if p.Approvers != nil && !slices.Contains(p.Approvers, principal) {
			l := f.line(p, "approvers", quoteList(p.Approvers))
			l.Valid = slices.Clone(p.Approvers)
			return &l
		}
	}
	return nil
}

// RefusesBranch gives the line by which a proposal's branch may not be made, nil where it may.
func (f Force) RefusesBranch(campaign, proposal, branch string) *Line {
	for _, p := range f.both() {
		if want := p.BranchName(campaign, proposal); want != branch {
			l := f.line(p, "branch", strings.Replace(p.BranchName("{campaign}", "{proposal}"), "\n", " ", 1))
			l.Valid = []string{want}
			return &l
		}
	}
	return nil
}

// quoteList renders a list as the file would have it.
func quoteList(list []string) string { return "[" + strings.Join(list, ", ") + "]" }
