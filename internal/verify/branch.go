package verify

import (
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// branch checks that a branch was made of an approved proposal and holds its tree, and that its commit says so itself.
func (v *verifier) branch(before *loop.State, b *loop.BranchCreated) error {
	p := before.Proposal(b.Proposal)
	switch {
	case p == nil:
		return fmt.Errorf("a branch of %q, which was not proposed before", b.Proposal)
	case len(p.Approvals) == 0 || p.Approvals[len(p.Approvals)-1].Decision != string(gitops.Approve):
		return fmt.Errorf("%s was applied without an approval", p.ID)
	case b.Tree != p.ResultTree || b.Branch != p.PatchProposed.Branch:
		return fmt.Errorf("%s was applied as %s with tree %s, the proposal is %s with tree %s", p.ID, b.Branch, b.Tree, p.PatchProposed.Branch, p.ResultTree)
	}
	v.lowered(p.ID, b)
	switch {
	case b.Level == loop.LevelIndependent && p.Approvals[len(p.Approvals)-1].Level != loop.LevelIndependent:
		return fmt.Errorf("%s was applied as independent, its approval was recorded as %s", p.ID, p.Approvals[len(p.Approvals)-1].Level)
	case b.Object == nil:
		v.res.note("the commit of %s is not in the directory: its trailers are not checked", p.ID)
		return nil
	}
	raw, err := v.read(*b.Object)
	if err != nil {
		return err
	}
	return v.commit(before, p, b, raw)
}

// commit checks the commit's bytes: its id is the recorded one, and tree, parent and trailers are those of the approval.
func (v *verifier) commit(before *loop.State, p *loop.ProposalState, b *loop.BranchCreated, raw []byte) error {
	c, err := gitops.ReadCommit(raw)
	if err != nil {
		return fmt.Errorf("the commit of %s: %w", p.ID, err)
	}
	a := p.Approvals[len(p.Approvals)-1]
	s, err := gitops.ParseStatement(a.Statement)
	if err != nil {
		return fmt.Errorf("the commit of %s: %w", p.ID, err)
	}
	for _, x := range []struct{ what, got, want string }{
		{"id", c.ID, b.Commit}, {"tree", c.Tree, p.ResultTree}, {"campaign", c.Trailer(loop.TrailerCampaign), before.Contract.Campaign},
		{"proposal", c.Trailer(loop.TrailerProposal), p.ID}, {"contract", c.Trailer(loop.TrailerContract), before.Digest}, {"patch", c.Trailer(loop.TrailerPatch), p.Digest},
		{"ledger head", c.Trailer(loop.TrailerHead), s.LedgerHead}, {"statement", c.Trailer(loop.TrailerStatement), contract.Digest(a.Statement)},
	} {
		if x.got != x.want {
			return fmt.Errorf("the commit of %s: its %s is %q, the approval says %q", p.ID, x.what, x.got, x.want)
		}
	}
	if !slices.Equal(c.Parents, []string{p.BaseCommit}) {
		return fmt.Errorf("the commit of %s: its parents are %v, the approved base is %s", p.ID, c.Parents, p.BaseCommit)
	}
	v.commits++
	return nil
}

// lowered takes the lower of the levels that an approval had when it was recorded and when its branch was made.
func (v *verifier) lowered(proposal string, b *loop.BranchCreated) {
	if b.Level != loop.LevelAgentReachable {
		return
	}
	for i := range v.res.Approvals {
		if a := &v.res.Approvals[i]; a.Proposal == proposal && a.Level == loop.LevelIndependent {
			a.Level, a.LevelWhy = b.Level, b.LevelWhy
		}
	}
}
