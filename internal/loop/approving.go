package loop

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// approvalLifetime is how long an approval may be used.
const approvalLifetime = 7 * 24 * time.Hour

// maxReason is how long a rejection's reason may be in bytes.
const maxReason = 2000

// Pending is a proposal as a human sees it before deciding.
type Pending struct {
	Proposal *ProposalState
	Contract *contract.Contract
	Diff     []byte
	Verdicts []string // one line a verdict
	Evidence []string // one line a cited row
	Notes    []string // what has changed since it was proposed
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
	return Pending{Proposal: p, Contract: st.Contract, Diff: diff, Verdicts: verdictsShown(st), Evidence: c.evidenceShown(st, p), Notes: c.notes(st, p)}, nil
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

// Ask is what a statement is asked for.
type Ask struct {
	Campaign, Proposal, Principal string
	Decision                      gitops.Decision
	Reason                        string // of a rejection
}

// Statement renders what is signed for an approval or a rejection without words.
func (l *Loop) Statement(campaignID, proposal, principal string, decision gitops.Decision) ([]byte, error) {
	return l.StatementFor(Ask{Campaign: campaignID, Proposal: proposal, Principal: principal, Decision: decision})
}

// StatementFor renders what is signed: fresh nonce and times, and everything the decision rests on.
func (l *Loop) StatementFor(a Ask) ([]byte, error) {
	c, st, err := l.open(a.Campaign)
	if err != nil {
		return nil, err
	}
	p, err := st.waiting(a.Proposal)
	if err != nil {
		return nil, err
	}
	diff, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return nil, err
	}
	if a.Decision == gitops.Approve {
		if stale := st.stale(p); stale != "" {
			return nil, fault.New(fault.Conflict, "%s is stale: %s", p.ID, stale).ByRule("patch.approved").Hint("reject it with that reason, or let it expire")
		}
	}
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	s := c.statement(st, p, diff)
	s.Decision, s.Reason, s.Nonce, s.Principal = a.Decision, a.Reason, hex.EncodeToString(nonce[:]), a.Principal
	s.Created, s.Expires = now, now.Add(approvalLifetime)
	s.Shown, s.Permits = c.shown(st, p), c.permits(st, p)
	return s.Bytes()
}

// statement is the part of a statement that follows from ledger, policy and approvers alone.
func (c *campaign) statement(st *State, p *ProposalState, diff []byte) *gitops.Statement {
	return &gitops.Statement{
		Campaign: c.id, CampaignDigest: st.First, Proposal: p.ID, ContractDigest: st.Digest, PolicyDigest: c.loop.policyDigest(), ApproversDigest: c.loop.approversDigest(),
		LedgerHead: st.Head, LedgerSeq: st.Entries, RootCommit: p.RootCommit, BaseCommit: p.BaseCommit, BaseTree: p.BaseTree, ResultTree: p.ResultTree,
		Branch: p.PatchProposed.Branch, PatchDigest: p.Digest, Diff: diff, EvidenceDigests: p.Evidence, EvidenceRows: p.Rows, VerdictDigest: p.Verdict,
		SymptomDigest: SymptomDigest(p.Symptom), Symptom: gitops.Symptom(p.Symptom), Stage: p.Stage, Location: p.Location, PredictedGain: p.Predicted,
		Ceiling: p.Ceiling, Rationale: p.Rationale, Elsewhere: p.Elsewhere, Findings: p.Findings,
	}
}

// RecordApproval stores a signed decision: the signed bytes as they are. Under the ledger's lock it is compared with
// everything that is known; it is refused where the signature does not verify or the bytes say something else.
func (l *Loop) RecordApproval(ctx context.Context, campaignID string, rec ApprovalRecorded) (ApprovalRecorded, error) {
	c, _, err := l.open(campaignID)
	if err != nil {
		return rec, err
	}
	if used := l.nonceElsewhere(c.id, rec.Statement); used != "" {
		return rec, c.holdsNot(rec.Proposal, "its nonce was used before, in campaign "+used)
	}
	err = c.record(ctx, func(st *State) ([]chain.Pending, error) {
		p, err := st.waiting(rec.Proposal)
		if err != nil {
			return nil, err
		}
		x, problem := c.examine(st, p, Decided{ApprovalRecorded: rec, Seq: st.Entries + 1, At: time.Now()}, atRecording)
		if problem != "" {
			return nil, c.holdsNot(p.ID, problem)
		}
		rec.Principal, rec.Level, rec.LevelWhy = x.sig.Principal, x.level.Level, x.level.Why
		rec.Key, rec.KeyType, rec.Touched, rec.Reason = x.sig.Fingerprint, x.sig.KeyType, x.sig.UserPresent, x.signed.Reason
		e, err := entry(kindApproval, rec)
		return []chain.Pending{e}, err
	})
	return rec, err
}

// holdsNot refuses a decision.
func (c *campaign) holdsNot(proposal, problem string) error {
	return fault.New(fault.Denied, "the approval does not hold: %s", problem).ByRule("patch.approved").Hint("run `%s` and sign anew", c.approveCommand(proposal))
}

// Reject records a human's no with its reason. It needs no signature: refusing is always safe. Nothing keeps another
// process of this account from writing one, so it is shown as what it is.
func (l *Loop) Reject(ctx context.Context, campaignID, proposal, reason, by string) error {
	c, _, err := l.open(campaignID)
	if err != nil {
		return err
	}
	if err := reasonable(reason); err != nil {
		return err
	}
	return c.record(ctx, func(st *State) ([]chain.Pending, error) {
		p, err := st.waiting(proposal)
		if err != nil {
			return nil, err
		}
		e, err := entry(kindApproval, ApprovalRecorded{Proposal: p.ID, Decision: string(gitops.Reject), Reason: strings.TrimSpace(reason), Principal: by})
		return []chain.Pending{e}, err
	})
}

// reasonable refuses a reason that an agent could do nothing with.
func reasonable(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return fault.New(fault.InvalidInput, "the reason is empty").At("reason", reason).Hint("say what is wrong with the patch: the reason reaches the agent")
	case len(reason) > maxReason || !utf8.ValidString(reason):
		return fault.New(fault.InvalidInput, "the reason has %d bytes, at most %d of UTF-8 fit", len(reason), maxReason).At("reason", short(reason, 80)).Hint("say it shorter")
	}
	return nil
}

// reason is a decision's reason as answers show it: data between marks, and by whom.
func (d Decided) reason() string {
	if d.Decision != string(gitops.Reject) {
		return ""
	}
	by := "signed by " + fault.Foreign(d.Principal, 80)
	if d.Signature == "" {
		by = "not signed: a person, or anything with a shell of this account, recorded it"
	}
	return fault.Foreign(d.Reason, maxReason) + " (" + by + ")"
}
