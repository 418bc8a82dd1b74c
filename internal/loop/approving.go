package loop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// approvalLifetime is how long an approval may be used.
const approvalLifetime = 7 * 24 * time.Hour

// Levels of an approval.
const (
	LevelIndependent    = "independent"
	LevelAgentReachable = "agent-reachable"
)

// Pending is a proposal as a human sees it before deciding.
type Pending struct {
	Proposal *ProposalState
	Contract *contract.Contract
	Diff     []byte
	Verdicts []string // one line a verdict
	Evidence []string // one line a cited row
}

// Pending gathers what a human decides on.
func (l *Loop) Pending(campaignID, proposal string) (Pending, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return Pending{}, err
	}
	p, err := st.waiting(proposal)
	if err != nil {
		return Pending{}, err
	}
	diff, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return Pending{}, err
	}
	out := Pending{Proposal: p, Contract: st.Contract, Diff: diff}
	if v, ok := st.LastVerdict("block", familyCampaign); ok {
		for _, x := range v.Result.Verdicts {
			line := fmt.Sprintf("%s: %s against %s on %s", x.Scenario, x.Verdict, x.Against, x.Metric)
			if x.Ratio != nil {
				line += fmt.Sprintf(", ratio %.3f", *x.Ratio)
			}
			out.Verdicts = append(out.Verdicts, line)
		}
	}
	for _, id := range p.Rows {
		if row, ok := c.findRow(st, id); ok {
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s  %.1f %% of %s  %v", id, 100*row.share, row.stage, places(row.locations)))
		}
	}
	return out, nil
}

// waiting finds a proposal that may be decided.
func (s *State) waiting(proposal string) (*ProposalState, error) {
	var ids []string
	for _, p := range s.Proposals {
		ids = append(ids, p.ID)
	}
	p := s.Proposal(proposal)
	if p == nil {
		return nil, fault.New(fault.NotFound, "no proposal %q in this campaign", proposal).At("proposal", proposal, ids...).
			Hint("use an id that propose_patch returned").Then("get_campaign", "lists proposals and what is allowed now")
	}
	if p.Branch != nil {
		return nil, fault.New(fault.Conflict, "%s is applied already as %s", p.ID, p.Branch.Branch)
	}
	return p, nil
}

// Statement renders what is signed: fresh nonce and times, and everything the decision rests on.
func (l *Loop) Statement(campaignID, proposal, principal string, decision gitops.Decision) ([]byte, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return nil, err
	}
	p, err := st.waiting(proposal)
	if err != nil {
		return nil, err
	}
	diff, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return nil, err
	}
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	s := c.statement(st, p, diff)
	s.Decision, s.Nonce, s.Created, s.Expires, s.Principal, s.LedgerHead = decision, hex.EncodeToString(nonce[:]), now, now.Add(approvalLifetime), principal, st.Head
	return s.Bytes()
}

// statement is the part of a statement that follows from the ledger alone.
func (c *campaign) statement(st *State, p *ProposalState, diff []byte) *gitops.Statement {
	return &gitops.Statement{
		Campaign: c.id, Proposal: p.ID, ContractDigest: st.Digest, PolicyDigest: st.Contract.Policy, ApproversDigest: c.loop.approversDigest(),
		RootCommit: p.RootCommit, BaseCommit: p.BaseCommit, BaseTree: p.BaseTree, ResultTree: p.ResultTree, Branch: p.PatchProposed.Branch, Diff: diff,
		EvidenceDigests: p.Evidence, VerdictDigest: p.Verdict, SymptomDigest: contract.Digest([]byte(p.Symptom.Scenario + "\n" + p.Symptom.Metric)),
		PredictedGain: p.Predicted,
		Permits: gitops.Permits{Host: st.Contract.Host.Name, Account: "the account of " + st.Contract.Host.Name + " in hosts.yaml",
			Commands: []string{"the engine commands of the frozen contract, from an overlay of the result tree"}, Push: false},
	}
}

// RecordApproval stores a decision: the signed bytes as they are. It is refused where the signature does not verify or
// the bytes say something else than the ledger.
func (l *Loop) RecordApproval(ctx context.Context, campaignID string, rec ApprovalRecorded) (ApprovalRecorded, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return rec, err
	}
	p, err := st.waiting(rec.Proposal)
	if err != nil {
		return rec, err
	}
	sig, problem := c.examine(st, p, rec)
	if problem != "" {
		return rec, fault.New(fault.Denied, "the approval does not hold: %s", problem).ByRule("patch.approved").Hint("run `%s` again", c.approveCommand(p.ID))
	}
	rec.Principal, rec.Level = sig.Principal, c.level(sig)
	if rec.Level == LevelAgentReachable && l.opt.Policy.RequireIndependent && rec.Decision == string(gitops.Approve) {
		return rec, fault.New(fault.Denied, "the policy demands an independent approval, this one is agent-reachable").ByRule("patch.approved").
			Hint("sign with a security key that needs a touch, or from another account or machine")
	}
	return rec, c.record(ctx, func(*State) ([]chain.Pending, error) {
		e, err := entry(kindApproval, rec)
		return []chain.Pending{e}, err
	})
}

// level says how far the agent is from an approver's key.
func (c *campaign) level(sig *gitops.Signature) string {
	if sig.SecurityKey && sig.UserPresent {
		return LevelIndependent
	}
	if c.loop.opt.AgentReachable == nil || c.loop.opt.AgentReachable(sig.Fingerprint) != "" {
		return LevelAgentReachable
	}
	return LevelAgentReachable // made by this account: only a touch or another account is independent
}

// examine checks a stored decision against the ledger and the approvers file: "" where it holds.
func (c *campaign) examine(st *State, p *ProposalState, rec ApprovalRecorded) (*gitops.Signature, string) {
	s, err := gitops.ParseStatement(rec.Statement)
	if err != nil {
		return nil, err.Error()
	}
	diff, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return nil, err.Error()
	}
	if problem := c.differs(st, p, s, diff); problem != "" {
		return nil, problem
	}
	if string(s.Decision) != rec.Decision {
		return nil, fmt.Sprintf("the signed decision is %q, the record says %q", s.Decision, rec.Decision)
	}
	now := time.Now()
	if now.After(s.Expires) {
		return nil, fmt.Sprintf("it expired at %s", s.Expires.Format(time.RFC3339))
	}
	if st.nonceUsed(s.Nonce, p, rec) {
		return nil, "its nonce was used before"
	}
	raw, err := c.loop.opt.Approvers()
	if err != nil || len(raw) == 0 {
		return nil, "no allowed_signers file was found"
	}
	allowed, err := gitops.ParseAllowedSigners(raw)
	if err != nil {
		return nil, err.Error()
	}
	sig, err := gitops.VerifySignature(allowed, gitops.NamespaceApproval, rec.Statement, []byte(rec.Signature), s.Created)
	if err != nil {
		return nil, err.Error()
	}
	return sig, ""
}

// differs compares a signed statement with what the ledger says of the proposal.
func (c *campaign) differs(st *State, p *ProposalState, s *gitops.Statement, diff []byte) string {
	want := c.statement(st, p, diff)
	for _, x := range []struct{ what, got, want string }{
		{"campaign", s.Campaign, want.Campaign}, {"proposal", s.Proposal, want.Proposal}, {"contract digest", s.ContractDigest, want.ContractDigest},
		{"approvers digest", s.ApproversDigest, want.ApproversDigest}, {"policy digest", s.PolicyDigest, want.PolicyDigest},
		{"root commit", s.RootCommit, want.RootCommit}, {"base commit", s.BaseCommit, want.BaseCommit}, {"base tree", s.BaseTree, want.BaseTree},
		{"result tree", s.ResultTree, want.ResultTree}, {"branch", s.Branch, want.Branch}, {"verdict digest", s.VerdictDigest, want.VerdictDigest},
		{"symptom digest", s.SymptomDigest, want.SymptomDigest}, {"evidence", fmt.Sprint(s.EvidenceDigests), fmt.Sprint(want.EvidenceDigests)},
		{"predicted gain", fmt.Sprint(s.PredictedGain), fmt.Sprint(want.PredictedGain)},
	} {
		if x.got != x.want {
			return fmt.Sprintf("its %s is %q, the ledger says %q", x.what, x.got, x.want)
		}
	}
	if !bytes.Equal(s.Diff, diff) {
		return "its diff is not the proposal's"
	}
	if s.Permits.Push {
		return "it permits a push"
	}
	if !c.knowsHead(s.LedgerHead) {
		return "its ledger head is not in this chain"
	}
	return ""
}

// knowsHead says whether a hash is of a line of this ledger.
func (c *campaign) knowsHead(head string) bool {
	entries, err := c.ledger.Entries()
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Hash == head {
			return true
		}
	}
	return false
}

// nonceUsed says whether another stored decision carries the nonce.
func (s *State) nonceUsed(nonce string, p *ProposalState, rec ApprovalRecorded) bool {
	for _, other := range s.Proposals {
		for _, a := range other.Approvals {
			if other.ID == p.ID && bytes.Equal(a.Statement, rec.Statement) {
				continue
			}
			if st, err := gitops.ParseStatement(a.Statement); err == nil && st.Nonce == nonce {
				return true
			}
		}
	}
	return false
}

// approvalFacts judges the newest decision on a proposal anew.
func (c *campaign) approvalFacts(st *State, p *ProposalState) *rules.ApprovalFacts {
	f := &rules.ApprovalFacts{Proposal: p.ID, Command: c.approveCommand(p.ID)}
	n := len(p.Approvals)
	if n == 0 {
		return f
	}
	a := p.Approvals[n-1]
	f.Decision, f.Reason = a.Decision, a.Reason
	if a.Decision == string(gitops.Approve) {
		_, f.Problem = c.examine(st, p, a)
	}
	return f
}

// Apply puts an approved proposal on a new branch of the target checkout. Working tree, index, HEAD and other branches
// stay as they are; nothing is pushed.
func (l *Loop) Apply(ctx context.Context, campaignID, proposal string) (Branch, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return Branch{}, err
	}
	p := st.Proposal(proposal)
	if p == nil {
		_, err := st.waiting(proposal)
		return Branch{}, err
	}
	if p.Branch == nil {
		facts := &rules.Facts{Contract: st.Contract, Approval: c.approvalFacts(st, p)}
		if v := rules.Check(rules.AtApply, facts); v != nil {
			return Branch{}, c.refuse(ctx, "apply_patch_branch", v)
		}
		if err := c.createBranch(ctx, st, p); err != nil {
			return Branch{}, err
		}
	}
	if st, err = c.state(); err != nil {
		return Branch{}, err
	}
	b := st.Proposal(proposal).Branch
	return Branch{Answer: Answer{State: StateDone, Next: st.allowedNow(), Evidence: []string{"commit " + b.Commit}}, Branch: b.Branch, Commit: b.Commit, Tree: b.Tree}, nil
}

// createBranch writes the commit with its evidence trailers.
func (c *campaign) createBranch(ctx context.Context, st *State, p *ProposalState) error {
	repo, _, err := c.target(st)
	if err != nil {
		return err
	}
	given, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return err
	}
	patch, _, err := parseAndApply(repo, p.BaseCommit, string(given))
	if err != nil {
		return err
	}
	a := p.Approvals[len(p.Approvals)-1]
	signed, err := gitops.ParseStatement(a.Statement)
	if err != nil {
		return err
	}
	commit, err := repo.CreateBranch(p.PatchProposed.Branch, p.BaseCommit, p.ResultTree, patch, gitops.CommitMeta{
		Message: commitMessage(p), When: signed.Created, Author: gitops.Person{Name: "sotaloop", Email: "sotaloop@localhost"},
		Trailers: [][2]string{
			{"Sotaloop-Campaign", c.id}, {"Sotaloop-Proposal", p.ID}, {"Sotaloop-Contract", st.Digest}, {"Sotaloop-Patch", p.Digest},
			{"Sotaloop-Ledger-Head", signed.LedgerHead}, {"Sotaloop-Evidence", fmt.Sprint(p.Rows)}, {"Sotaloop-Predicted-Gain", fmt.Sprintf("%.4f", p.Predicted)},
			{"Approved-by", a.Principal},
		},
	})
	if err != nil {
		return err
	}
	return c.put(ctx, kindBranch, BranchCreated{Proposal: p.ID, Branch: p.PatchProposed.Branch, Commit: commit, Tree: p.ResultTree})
}

func commitMessage(p *ProposalState) string {
	subject := short(p.Rationale, 72)
	if subject == "" {
		subject = "Apply " + p.ID
	}
	return subject + "\n\n" + p.Rationale + "\n"
}

// Reject records a human's no with its reason. It needs no signature: refusing is always safe.
func (l *Loop) Reject(ctx context.Context, campaignID, proposal, reason, by string) error {
	c, st, err := l.open(campaignID)
	if err != nil {
		return err
	}
	p, err := st.waiting(proposal)
	if err != nil {
		return err
	}
	return c.put(ctx, kindApproval, ApprovalRecorded{Proposal: p.ID, Decision: string(gitops.Reject), Reason: reason, Principal: by})
}
