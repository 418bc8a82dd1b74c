package loop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// approvalSlack is by how much the clocks of approver and server may differ.
const approvalSlack = 5 * time.Minute

// When a decision is examined.
type examinedAt int

const (
	atRecording examinedAt = iota
	atUse
)

// examined is a decision that holds.
type examined struct {
	signed *gitops.Statement
	sig    *gitops.Signature
	level  Level
}

// examine compares a decision with ledger, policy, approvers and clock: the problem is "" where it holds. Every way in which
// it does not has a sentence of its own.
func (c *campaign) examine(st *State, p *ProposalState, d Decided, when examinedAt) (examined, string) {
	s, err := gitops.ParseStatement(d.Statement)
	if err != nil {
		return examined{}, err.Error()
	}
	if s.Version == 1 && when == atRecording {
		return examined{}, "it is of an older version of this program: export it anew"
	}
	diff, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return examined{}, err.Error()
	}
	now := time.Now()
	for _, problem := range []string{
		c.otherSubject(st, p, s, d), c.changed(st, p, s, diff), st.headProblem(p, s), c.movedOn(st, p, s), timeProblem(s, d.At, now), st.nonceProblem(s.Nonce, d),
	} {
		if problem != "" {
			return examined{}, problem
		}
	}
	if when == atRecording {
		if problem := c.otherWording(st, p, s); problem != "" {
			return examined{}, problem
		}
	}
	sig, problem := c.signedBy(s, d, now)
	if problem != "" {
		return examined{}, problem
	}
	x := examined{signed: s, sig: sig, level: c.level(sig, d.Origin)}
	if s.Decision == gitops.Approve {
		if problem := c.againstPolicy(st, sig.Principal, x.level); problem != "" {
			return examined{}, problem
		}
	}
	return x, ""
}

// otherSubject says that something else was signed.
func (c *campaign) otherSubject(st *State, p *ProposalState, s *gitops.Statement, d Decided) string {
	switch {
	case s.Campaign != c.id:
		return fmt.Sprintf("it was signed for campaign %q, this is %q", s.Campaign, c.id)
	case s.Version > 1 && s.CampaignDigest != st.First:
		return fmt.Sprintf("it was signed for another campaign that is called %q too: that one's ledger begins with %.16s, this one's with %.16s", c.id, s.CampaignDigest, st.First)
	case s.Proposal != p.ID:
		return fmt.Sprintf("it was signed for proposal %q, this is %q", s.Proposal, p.ID)
	case string(s.Decision) != d.Decision:
		return fmt.Sprintf("the signed decision is %q, the record says %q", s.Decision, d.Decision)
	case s.Permits.Push:
		return "it permits a push"
	}
	return ""
}

// changed says what of the proposal is not what was signed.
func (c *campaign) changed(st *State, p *ProposalState, s *gitops.Statement, diff []byte) string {
	if !bytes.Equal(s.Diff, diff) {
		return "the patch was changed: its diff is not the one that was signed"
	}
	want := c.statement(st, p, diff)
	type pair struct{ what, got, want string }
	pairs := []pair{
		{"contract digest", s.ContractDigest, want.ContractDigest}, {"root commit", s.RootCommit, want.RootCommit}, {"base commit", s.BaseCommit, want.BaseCommit},
		{"base tree", s.BaseTree, want.BaseTree}, {"result tree", s.ResultTree, want.ResultTree}, {"branch", s.Branch, want.Branch},
		{"verdict digest", s.VerdictDigest, want.VerdictDigest}, {"symptom digest", s.SymptomDigest, want.SymptomDigest},
		{"evidence", fmt.Sprint(s.EvidenceDigests), fmt.Sprint(want.EvidenceDigests)}, {"predicted gain", fmt.Sprint(s.PredictedGain), fmt.Sprint(want.PredictedGain)},
	}
	if s.Version > 1 {
		pairs = append(pairs, pair{"patch digest", s.PatchDigest, want.PatchDigest}, pair{"cited rows", fmt.Sprint(s.EvidenceRows), fmt.Sprint(want.EvidenceRows)},
			pair{"symptom", fmt.Sprint(s.Symptom), fmt.Sprint(want.Symptom)}, pair{"stage", s.Stage, want.Stage}, pair{"location", s.Location, want.Location},
			pair{"ceiling", fmt.Sprint(s.Ceiling), fmt.Sprint(want.Ceiling)}, pair{"rationale", s.Rationale, want.Rationale}, pair{"elsewhere", s.Elsewhere, want.Elsewhere},
			pair{"findings", strings.Join(s.Findings, "\n"), strings.Join(want.Findings, "\n")})
	}
	for _, x := range pairs {
		if x.got != x.want {
			return fmt.Sprintf("the proposal was changed: the signed %s is %q, the ledger says %q", x.what, short(x.got, 120), short(x.want, 120))
		}
	}
	return ""
}

// headProblem says that the signed ledger head is no line of this chain, or one of before the proposal.
func (s *State) headProblem(p *ProposalState, signed *gitops.Statement) string {
	seq, ok := s.heads[signed.LedgerHead]
	switch {
	case !ok:
		return "its ledger head is not in this chain"
	case signed.Version > 1 && signed.LedgerSeq != seq:
		return fmt.Sprintf("its ledger head is entry %d, the statement says %d", seq, signed.LedgerSeq)
	case seq < p.Seq:
		return fmt.Sprintf("it is stale: its ledger head is entry %d, and %s was proposed by entry %d", seq, p.ID, p.Seq)
	}
	return ""
}

// movedOn says what happened since it was signed that the approver could not know.
func (c *campaign) movedOn(st *State, p *ProposalState, s *gitops.Statement) string {
	if s.Decision == gitops.Approve {
		if stale := st.stale(p); stale != "" {
			return "it is stale: " + stale
		}
	}
	policy := c.loop.policyDigest()
	if s.Version == 1 {
		policy = st.Contract.Policy
	}
	switch {
	case s.PolicyDigest != policy:
		return fmt.Sprintf("the policy file is another one than when it was signed (sha256 %.12s then, %.12s now)", s.PolicyDigest, policy)
	case s.ApproversDigest != c.loop.approversDigest():
		return fmt.Sprintf("the approvers file is another one than when it was signed (sha256 %.12s then, %.12s now)", s.ApproversDigest, c.loop.approversDigest())
	}
	return ""
}

// timeProblem judges the statement's own times.
func timeProblem(s *gitops.Statement, recorded, now time.Time) string {
	switch {
	case now.After(s.Expires):
		return fmt.Sprintf("it expired at %s", s.Expires.Format(time.RFC3339))
	case recorded.Before(s.Created.Add(-approvalSlack)):
		return fmt.Sprintf("it was recorded at %s and says that it was made later, at %s", recorded.UTC().Format(time.RFC3339), s.Created.Format(time.RFC3339))
	case s.Expires.Sub(s.Created) > approvalLifetime:
		return fmt.Sprintf("it would be good for %s, at most %s is allowed", s.Expires.Sub(s.Created), approvalLifetime)
	}
	return ""
}

// nonceProblem says that a decision recorded before carries the nonce.
func (s *State) nonceProblem(nonce string, d Decided) string {
	for _, p := range s.Proposals {
		for _, a := range p.Approvals {
			if a.Seq >= d.Seq {
				continue
			}
			if other, err := gitops.ParseStatement(a.Statement); err == nil && other.Nonce == nonce {
				return fmt.Sprintf("its nonce was used before, by ledger entry %d: an approval is good once", a.Seq)
			}
		}
	}
	return ""
}

// nonceElsewhere names a campaign of the home in which a statement's nonce was used.
func (l *Loop) nonceElsewhere(here string, statement []byte) string {
	s, err := gitops.ParseStatement(statement)
	if err != nil {
		return "" // examine says what is wrong
	}
	names, err := l.Campaigns()
	if err != nil {
		return ""
	}
	for _, name := range names {
		if name == here {
			continue
		}
		if _, st, err := l.open(name); err == nil && st.nonceProblem(s.Nonce, Decided{Seq: st.Entries + 1}) != "" {
			return name
		}
	}
	return ""
}

// otherWording compares what only this release words: the lines that were shown, and what is permitted.
func (c *campaign) otherWording(st *State, p *ProposalState, s *gitops.Statement) string {
	permits := c.permits(st, p)
	switch {
	case !slices.Equal(s.Shown, c.shown(st, p)):
		return "what its approver was shown is not what the ledger says; export it anew"
	case s.Permits.Host != permits.Host || s.Permits.Account != permits.Account || !slices.Equal(s.Permits.Commands, permits.Commands):
		return "what it permits is not what an approval permits here; export it anew"
	}
	return ""
}

// signedBy checks the signature: by the principal that the statement names, with a key that was allowed when it was
// recorded and is not revoked, and by somebody whom the policy lets approve.
func (c *campaign) signedBy(s *gitops.Statement, d Decided, now time.Time) (*gitops.Signature, string) {
	trust, err := c.loop.trust()
	if err != nil {
		return nil, err.Error()
	}
	sig, err := trust.Verify(gitops.Claim{Namespace: gitops.NamespaceApproval, Principal: s.Principal, At: d.At, Now: now}, d.Statement, []byte(d.Signature))
	if err != nil {
		return nil, err.Error()
	}
	return sig, ""
}

// approvalFacts judges the newest decision on a proposal anew.
func (c *campaign) approvalFacts(st *State, p *ProposalState) *rules.ApprovalFacts {
	f, _ := c.judged(st, p)
	return f
}

// judged is approvalFacts with what an approval that holds was found to be.
func (c *campaign) judged(st *State, p *ProposalState) (*rules.ApprovalFacts, examined) {
	f := &rules.ApprovalFacts{Proposal: p.ID, Command: c.approveCommand(p.ID)}
	n := len(p.Approvals)
	if n == 0 {
		return f, examined{}
	}
	d := p.Approvals[n-1]
	f.Decision, f.Reason = d.Decision, d.reason()
	if d.Decision != string(gitops.Approve) {
		return f, examined{}
	}
	x, problem := c.examine(st, p, d, atUse)
	f.Problem = problem
	return f, x
}
