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
	var allowed *gitops.AllowedSigners
	var unread error
	if v.opt.Approvers != nil {
		allowed, unread = gitops.ParseAllowedSigners(v.opt.Approvers)
	}
	nonces := map[string]int{}
	heads := map[string]bool{chain.Genesis: true}
	visit := func(before *loop.State, e chain.Entry, payload any) error {
		heads[e.Prev] = true
		switch p := payload.(type) {
		case *loop.PatchProposed:
			return v.proposal(before, p)
		case *loop.ApprovalRecorded:
			return v.approval(decided{before: before, rec: p, at: e, heads: heads, nonces: nonces, allowed: allowed})
		case *loop.BranchCreated:
			return branch(before, p)
		}
		return nil
	}
	return group{"patches", visit, func() (string, error) {
		if unread != nil {
			return "", fmt.Errorf("approvers file: %w", unread)
		}
		return fmt.Sprintf("%d proposals, %d decisions", len(v.state.Proposals), len(v.res.Approvals)), nil
	}}
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
	if want := fmt.Sprintf("sotaloop/%s/%s", v.state.Contract.Campaign, p.ID); p.Branch != want {
		return fmt.Errorf("%s: branch is %q, its name is %q", p.ID, p.Branch, want)
	}
	for _, a := range before.Analyses {
		if n := v.files[a.Tables.Name]; n == nil || n.Artifact != a.Tables {
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
	before  *loop.State
	rec     *loop.ApprovalRecorded
	at      chain.Entry
	heads   map[string]bool // of every line before
	nonces  map[string]int
	allowed *gitops.AllowedSigners
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
	if d.allowed != nil {
		sig, err := gitops.VerifySignature(d.allowed, gitops.NamespaceApproval, d.rec.Statement, []byte(d.rec.Signature), s.Created)
		if err != nil {
			return fmt.Errorf("decision on %s: %w", p.ID, err)
		}
		out.Signature, out.Fingerprint, out.Touched, out.Verified = "verifies", sig.Fingerprint, sig.SecurityKey && sig.UserPresent, true
	}
	v.res.Approvals = append(v.res.Approvals, out)
	return nil
}

// agrees compares a statement with the ledger.
func (d decided) agrees(s *gitops.Statement, p *loop.ProposalState, diff []byte) error {
	c := d.before.Contract
	for _, x := range []struct{ what, got, want string }{
		{"decision", string(s.Decision), d.rec.Decision}, {"campaign", s.Campaign, c.Campaign}, {"proposal", s.Proposal, p.ID},
		{"contract digest", s.ContractDigest, d.before.Digest}, {"policy digest", s.PolicyDigest, c.Policy},
		{"root commit", s.RootCommit, p.RootCommit}, {"base commit", s.BaseCommit, p.BaseCommit}, {"base tree", s.BaseTree, p.BaseTree},
		{"result tree", s.ResultTree, p.ResultTree}, {"branch", s.Branch, p.PatchProposed.Branch}, {"verdict digest", s.VerdictDigest, p.Verdict},
		{"symptom digest", s.SymptomDigest, loop.SymptomDigest(p.Symptom)}, {"evidence", fmt.Sprint(s.EvidenceDigests), fmt.Sprint(p.Evidence)},
		{"predicted gain", fmt.Sprint(s.PredictedGain), fmt.Sprint(p.Predicted)},
	} {
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

// branch checks that a branch was made of an approved proposal and holds its tree.
func branch(before *loop.State, b *loop.BranchCreated) error {
	p := before.Proposal(b.Proposal)
	switch {
	case p == nil:
		return fmt.Errorf("a branch of %q, which was not proposed before", b.Proposal)
	case len(p.Approvals) == 0 || p.Approvals[len(p.Approvals)-1].Decision != string(gitops.Approve):
		return fmt.Errorf("%s was applied without an approval", p.ID)
	case b.Tree != p.ResultTree || b.Branch != p.PatchProposed.Branch:
		return fmt.Errorf("%s was applied as %s with tree %s, the proposal is %s with tree %s", p.ID, b.Branch, b.Tree, p.PatchProposed.Branch, p.ResultTree)
	}
	return nil
}
