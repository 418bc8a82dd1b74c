package loop

import (
	"fmt"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
)

// Waiting is a proposal as a person's list shows it.
type Waiting struct {
	Campaign  string    `json:"campaign"`
	Proposal  string    `json:"proposal"`
	State     string    `json:"state"` // waiting, approved, rejected, applied, revalidated
	Digest    string    `json:"patch_digest"`
	Rationale string    `json:"rationale"`
	Predicted float64   `json:"predicted_gain"`
	Decided   string    `json:"decided,omitempty"` // by whom and when
	Level     string    `json:"level,omitempty"`
	Problem   string    `json:"problem,omitempty"` // why an approval does not hold any more
	Command   string    `json:"command,omitempty"`
	At        time.Time `json:"decided_at,omitzero"`
}

// Proposals lists every proposal of every campaign of the home, those of the newest campaign first.
func (l *Loop) Proposals() ([]Waiting, error) {
	names, err := l.Campaigns()
	if err != nil {
		return nil, err
	}
	out := []Waiting{}
	for _, name := range names {
		c, st, err := l.open(name)
		if err != nil {
			out = append(out, Waiting{Campaign: name, State: "unreadable", Problem: short(err.Error(), 200)})
			continue
		}
		for _, p := range st.Proposals {
			w := Waiting{Campaign: name, Proposal: p.ID, State: p.State(), Digest: p.Digest, Rationale: short(p.Rationale, 200), Predicted: p.Predicted}
			if n := len(p.Approvals); n > 0 {
				d := p.Approvals[n-1]
				w.Decided, w.Level, w.At = d.Decision+" by "+d.Principal, d.Level, d.At
			}
			if f := c.approvalFacts(st, p); p.Branch == nil && f.Problem != "" {
				w.Problem = f.Problem
			}
			if p.Branch == nil && (w.State == "waiting" || w.Problem != "") {
				w.Command = c.approveCommand(p.ID)
			}
			out = append(out, w)
		}
	}
	return out, nil
}

// shown is what an approver reads beside the proposal's own words.
func (c *campaign) shown(st *State, p *ProposalState) []string {
	k := st.Contract
	machine := fmt.Sprintf("host %s (%s), model %s, study %s", k.Host.Name, k.Host.Machine(), k.Model.ID, k.Study)
	if k.Host.Simulated {
		machine += ": SIMULATED, nothing measured there carries a claim"
	}
	return append(append([]string{machine}, verdictsShown(st)...), c.evidenceShown(st, p)...)
}

// verdictsShown are the newest verdicts of the blocks, a line each.
func verdictsShown(st *State) []string {
	out := []string{}
	if v, ok := st.LastVerdict("block", familyCampaign); ok {
		for _, x := range v.Result.Verdicts {
			line := fmt.Sprintf("verdict of %s: %s against %s on %s", x.Scenario, x.Verdict, x.Against, x.Metric)
			if x.Ratio != nil {
				line += fmt.Sprintf(", ratio %.3f", *x.Ratio)
			}
			out = append(out, line)
		}
	}
	return out
}

// evidenceShown are the cited rows, a line each.
func (c *campaign) evidenceShown(st *State, p *ProposalState) []string {
	out := []string{}
	for _, id := range p.Rows {
		if row, ok := c.findRow(st, id); ok {
			out = append(out, fmt.Sprintf("evidence %s: %.1f %% of %s %v", id, 100*row.share, row.stage, places(row.locations)))
		}
	}
	return out
}

// permits is what an approval lets happen: on which host, in whose account, by which commands.
func (c *campaign) permits(st *State, p *ProposalState) gitops.Permits {
	name := st.Contract.Host.Name
	out := gitops.Permits{Host: name, Account: "whatever account " + name + " has in hosts.yaml", Commands: []string{}}
	if inv, err := c.loop.opt.Inventory(); err == nil {
		if host, ok := inv.Hosts[name]; ok && host.Local {
			out.Account = "this server's own account, on its own machine"
		} else if ok {
			out.Account = "ssh " + host.SSH
		}
	}
	for _, id := range st.measuredCandidates() {
		for i := len(st.Launches) - 1; i >= 0; i-- {
			if l := st.Launches[i]; l.Candidate == id && l.Command != "" {
				out.Commands = append(out.Commands, l.Command)
				break
			}
		}
	}
	if len(p.Tests) > 0 {
		out.Commands = append(out.Commands, "python -m pytest, of the target's environment, on "+strings.Join(p.Tests, " "))
	}
	out.Commands = append(out.Commands, fmt.Sprintf("each from an overlay of tree %.12s, in the blocks of revalidate and under the profiler; nothing else runs it", p.ResultTree))
	return out
}

// stale says why a proposal should not be approved any more, "" where nothing speaks against it: the newest look says that
// there is no gap left to close.
func (s *State) stale(p *ProposalState) string {
	v, ok := s.LastVerdict("block", familyCampaign)
	if ok && v.Digest != p.Verdict && !s.Behind() {
		return fmt.Sprintf("a look at %d blocks, taken after it was proposed, says that the target is behind nowhere", v.Look)
	}
	return ""
}

// notes says what an approver should know beside the statement: nothing of it keeps a branch from being made.
func (c *campaign) notes(st *State, p *ProposalState) []string {
	out := []string{}
	repo, _, err := c.target(st)
	if err != nil {
		return append(out, "the target's checkout cannot be read here: "+err.Error())
	}
	if note := movedNote(repo, p); note != "" {
		out = append(out, note)
	}
	for _, a := range p.Approvals {
		out = append(out, fmt.Sprintf("decided before: %s by %s at %s; the newest decision counts", a.Decision, a.Principal, a.At.UTC().Format(time.RFC3339)))
	}
	return out
}

// movedNote says that the checkout is no longer at the base commit. The branch is made from the base's objects, wherever the
// checkout is, so that this is no reason to refuse.
func movedNote(repo *gitops.Repo, p *ProposalState) string {
	if _, err := repo.Commit(p.BaseCommit); err != nil {
		return fmt.Sprintf("the base commit %.12s is no longer in the checkout: no branch can be made", p.BaseCommit)
	}
	head, err := repo.Head()
	if err != nil || head.Commit == p.BaseCommit {
		return ""
	}
	return fmt.Sprintf("the checkout has moved on to %.12s; the branch starts from %.12s, which was measured and is what is signed", head.Commit, p.BaseCommit)
}
