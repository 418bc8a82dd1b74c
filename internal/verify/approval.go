package verify

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// clockSlack is by how much the clocks of approver and server may differ.
const clockSlack = 5 * time.Minute

// patches checks proposals, decisions and branches in the order in which they were recorded.
func (v *verifier) patches() group {
	trust, unread := v.approvers()
	nonces := map[string]int{}
	heads := map[string]bool{chain.Genesis: true}
	visit := func(before *loop.State, e chain.Entry, payload any) error {
		heads[e.Prev] = true
		switch p := payload.(type) {
		case *loop.PatchProposed:
			return v.proposal(before, p)
		case *loop.ApprovalRecorded:
			return v.approval(decided{before: before, rec: p, at: e, heads: heads, nonces: nonces, trust: trust})
		case *loop.BranchCreated:
			return v.branch(before, p)
		}
		return nil
	}
	return group{"patches", visit, func() (string, error) {
		if unread != nil {
			return "", unread
		}
		return fmt.Sprintf("%d proposals, %d decisions, trailers of %d commits", len(v.state.Proposals), len(v.res.Approvals), v.commits), nil
	}}
}

// approvers reads whom the reader trusts; nil trusts nobody and leaves principals unchecked.
func (v *verifier) approvers() (*gitops.Trust, error) {
	if v.opt.Approvers == nil {
		return nil, nil
	}
	allowed, err := gitops.ParseAllowedSigners(v.opt.Approvers)
	if err != nil {
		return nil, fmt.Errorf("approvers file: %w", err)
	}
	revoked, err := gitops.ParseRevokedKeys(v.opt.Revoked)
	if err != nil {
		return nil, fmt.Errorf("revoked keys: %w", err)
	}
	return &gitops.Trust{Allowed: allowed, Revoked: revoked}, nil
}

// proposal checks that the stored diff is the one of the digest, and computes share and ceiling of its evidence again.
func (v *verifier) proposal(before *loop.State, p *loop.PatchProposed) error {
	diff, err := v.read(p.Diff)
	if err != nil {
		return err
	}
	if got := contract.Digest(diff); got != p.Digest {
		return fmt.Errorf("%s: the diff's sha256 is %s, patch_digest says %s", p.ID, got, p.Digest)
	}
	if _, err := gitops.ParsePatch(diff); err != nil {
		return fmt.Errorf("%s: %w", p.ID, err)
	}
	pol, err := loop.ReadFrozenPolicy(v.state, v.read)
	if err != nil {
		return err
	}
	if want := pol.BranchName(v.state.Contract.Campaign, p.ID); p.Branch != want {
		return fmt.Errorf("%s: branch is %q, its name is %q", p.ID, p.Branch, want)
	}
	for _, a := range before.Analyses {
		if n := v.named[a.Tables.Name]; n == nil || n.Artifact != a.Tables {
			v.res.note("the evidence of %s is not weighed again: traces were analysed anew after it", p.ID)
			return nil
		}
	}
	again, err := before.Weighed(*p, v.read)
	if err != nil {
		return fmt.Errorf("%s: %w", p.ID, err)
	}
	if err := equal(again, *p); err != nil {
		return fmt.Errorf("%s: %w", p.ID, err)
	}
	return nil
}

// decided is a decision with what is known before it.
type decided struct {
	before *loop.State
	rec    *loop.ApprovalRecorded
	at     chain.Entry
	heads  map[string]bool // of every line before
	nonces map[string]int
	trust  *gitops.Trust // nil where no approvers file was given
}

// approval compares the signed bytes with the ledger, and the signature with the approvers file where one is given.
func (v *verifier) approval(d decided) error {
	p := d.before.Proposal(d.rec.Proposal)
	if p == nil {
		return fmt.Errorf("a decision on %q, which was not proposed before", d.rec.Proposal)
	}
	out := Approval{Proposal: p.ID, Decision: d.rec.Decision, Principal: d.rec.Principal, Level: d.rec.Level, Signature: "not checked: no approvers file was given"}
	if d.rec.Decision == string(gitops.Reject) && len(d.rec.Statement) == 0 {
		out.Signature = "none: a rejection needs none"
		v.res.Approvals = append(v.res.Approvals, out)
		return nil
	}
	s, err := gitops.ParseStatement(d.rec.Statement)
	if err != nil {
		return fmt.Errorf("decision on %s: %w", p.ID, err)
	}
	diff, err := v.read(p.Diff)
	if err != nil {
		return err
	}
	if err := d.agrees(s, p, diff); err != nil {
		return fmt.Errorf("decision on %s: %w", p.ID, err)
	}
	if d.before.Contract.Approvers != s.ApproversDigest {
		v.res.note("%s was signed under another approvers file than the contract names", p.ID)
	}
	if d.before.Contract.Policy != s.PolicyDigest {
		v.res.note("%s was signed under another policy file than the contract names", p.ID)
	}
	if err := v.signed(d, s, &out); err != nil {
		return fmt.Errorf("decision on %s: %w", p.ID, err)
	}
	v.res.Approvals = append(v.res.Approvals, out)
	return nil
}

// signed checks the signature by its own key, and against the approvers where they are given: whether the key was allowed
// when the decision was recorded, and whether it is now. Ended since is a note, revoked a difference.
func (v *verifier) signed(d decided, s *gitops.Statement, out *Approval) error {
	sig, err := gitops.InspectSignature(gitops.NamespaceApproval, d.rec.Statement, []byte(d.rec.Signature))
	if err != nil {
		return err
	}
	out.Fingerprint, out.Touched, out.LevelWhy = sig.Fingerprint, sig.SecurityKey && sig.UserPresent, d.rec.LevelWhy
	if d.rec.Level == loop.LevelIndependent && !out.Touched && d.rec.Origin != loop.OriginImported {
		return fmt.Errorf("its level is recorded as independent, and the signature is of a key that nobody touched (%s, made by the server's own account)", sig.KeyType)
	}
	if d.rec.Key != "" && (d.rec.Key != sig.Fingerprint || d.rec.Touched != sig.UserPresent) {
		return fmt.Errorf("the record says key %s, touched %t; the signature is of %s, touched %t", d.rec.Key, d.rec.Touched, sig.Fingerprint, sig.UserPresent)
	}
	if d.trust == nil {
		return nil
	}
	now := time.Now()
	sig, err = d.trust.Verify(gitops.Claim{Namespace: gitops.NamespaceApproval, Principal: s.Principal, At: d.at.Time, Now: now}, d.rec.Statement, []byte(d.rec.Signature))
	if err != nil {
		return err
	}
	out.Signature, out.Verified, out.Principal = "verifies", true, s.Principal
	out.KeyRecorded = "allowed at " + d.at.Time.UTC().Format(time.RFC3339)
	out.KeyNow = "allowed at " + now.UTC().Format(time.RFC3339)
	if sig.Since != "" {
		out.KeyNow = "not allowed any more: " + sig.Since
		v.res.note("the key that approved %s was allowed when it was recorded and is not any more: %s", out.Proposal, sig.Since)
	}
	return nil
}

// agrees compares a statement with the ledger.
func (d decided) agrees(s *gitops.Statement, p *loop.ProposalState, diff []byte) error {
	c := d.before.Contract
	type pair struct{ what, got, want string }
	pairs := []pair{
		{"decision", string(s.Decision), d.rec.Decision}, {"campaign", s.Campaign, c.Campaign}, {"proposal", s.Proposal, p.ID},
		{"contract digest", s.ContractDigest, d.before.Digest},
		{"root commit", s.RootCommit, p.RootCommit}, {"base commit", s.BaseCommit, p.BaseCommit}, {"base tree", s.BaseTree, p.BaseTree},
		{"result tree", s.ResultTree, p.ResultTree}, {"branch", s.Branch, p.PatchProposed.Branch}, {"verdict digest", s.VerdictDigest, p.Verdict},
		{"symptom digest", s.SymptomDigest, loop.SymptomDigest(p.Symptom)}, {"evidence", fmt.Sprint(s.EvidenceDigests), fmt.Sprint(p.Evidence)},
		{"predicted gain", fmt.Sprint(s.PredictedGain), fmt.Sprint(p.Predicted)},
	}
	if s.Version > 1 {
		pairs = append(pairs, pair{"campaign digest", s.CampaignDigest, d.before.First}, pair{"patch digest", s.PatchDigest, p.Digest}, pair{"stage", s.Stage, p.Stage},
			pair{"symptom", fmt.Sprint(s.Symptom), fmt.Sprint(gitops.Symptom(p.Symptom))}, pair{"location", s.Location, p.Location}, pair{"rationale", s.Rationale, p.Rationale},
			pair{"elsewhere", s.Elsewhere, p.Elsewhere}, pair{"ceiling", fmt.Sprint(s.Ceiling), fmt.Sprint(p.Ceiling)}, pair{"cited rows", fmt.Sprint(s.EvidenceRows), fmt.Sprint(p.Rows)},
			pair{"findings", fmt.Sprint(s.Findings), fmt.Sprint(p.Findings)}, pair{"host", s.Permits.Host, c.Host.Name}, pair{"reason", s.Reason, d.rec.Reason})
	}
	for _, x := range pairs {
		if x.got != x.want {
			return fmt.Errorf("the signed %s is %q, the ledger says %q", x.what, x.got, x.want)
		}
	}
	seq, used := d.nonces[s.Nonce]
	d.nonces[s.Nonce] = d.at.Seq
	switch {
	case !bytes.Equal(s.Diff, diff):
		return errors.New("the signed diff is not the proposal's")
	case s.Permits.Push:
		return errors.New("it permits a push")
	case !d.heads[s.LedgerHead]:
		return errors.New("the signed ledger head is no line before it")
	case used:
		return fmt.Errorf("its nonce was used by entry %d", seq)
	case d.at.Time.After(s.Expires) || d.at.Time.Before(s.Created.Add(-clockSlack)):
		return fmt.Errorf("it was recorded at %s and holds from %s to %s", d.at.Time.Format(time.RFC3339), s.Created.Format(time.RFC3339), s.Expires.Format(time.RFC3339))
	}
	return nil
}
