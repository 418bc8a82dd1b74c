package loop

import (
	"bytes"
	"context"
	"fmt"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// Apply puts an approved proposal on a new branch of the target checkout. Working tree, index, HEAD and other branches
// stay as they are; nothing is pushed.
func (l *Loop) Apply(ctx context.Context, campaignID, proposal string) (Branch, error) {
	c, _, err := l.open(campaignID)
	if err != nil {
		return Branch{}, err
	}
	unlock, err := l.lockHome(ctx, c.id+".apply") // servers that are asked at once make one branch
	if err != nil {
		return Branch{}, err
	}
	defer unlock()
	st, err := c.state()
	if err != nil {
		return Branch{}, err
	}
	p := st.Proposal(proposal)
	if p == nil {
		_, err := st.waiting(proposal)
		return Branch{}, err
	}
	var warnings []string
	if p.Branch == nil {
		approval, x := c.judged(st, p)
		if v := rules.Check(rules.AtApply, &rules.Facts{Contract: st.Contract, Approval: approval}); v != nil {
			return Branch{}, c.refuse(ctx, "apply_patch_branch", v)
		}
		if v, err := c.mayBranch(st, p); err != nil {
			return Branch{}, err
		} else if v != nil {
			return Branch{}, c.refuse(ctx, "apply_patch_branch", v)
		}
		if warnings, err = c.createBranch(ctx, st, p, x); err != nil {
			return Branch{}, err
		}
	}
	if st, err = c.state(); err != nil {
		return Branch{}, err
	}
	b := st.Proposal(proposal).Branch
	answer := Answer{State: StateDone, Next: st.allowedNow(), Evidence: []string{"commit " + b.Commit}, Warnings: warnings}
	return Branch{Answer: answer, Branch: b.Branch, Commit: b.Commit, Tree: b.Tree, Level: b.Level, LevelWhy: b.LevelWhy}, nil
}

// createBranch writes the commit with its evidence trailers, and keeps the commit's own bytes as evidence. It gives what an
// engineer should know.
func (c *campaign) createBranch(ctx context.Context, st *State, p *ProposalState, x examined) ([]string, error) {
	repo, _, err := c.target(st)
	if err != nil {
		return nil, err
	}
	given, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return nil, err
	}
	patch, _, err := parseAndApply(repo, p.BaseCommit, string(given))
	if err != nil {
		return nil, err
	}
	a := p.Approvals[len(p.Approvals)-1]
	commit, err := repo.CreateBranch(p.PatchProposed.Branch, p.BaseCommit, p.ResultTree, patch, gitops.CommitMeta{
		Message: commitMessage(p), When: x.signed.Created, Author: gitops.Person{Name: "sotaloop", Email: "sotaloop@localhost"}, Trailers: trailers(st, p, a, x.signed),
	})
	if err != nil {
		return nil, err
	}
	raw, err := repo.CommitObject(commit)
	if err != nil {
		return nil, err
	}
	object, err := c.ledger.Put("patches/"+p.ID+".commit", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var warnings []string
	if x.sig.Since != "" {
		warnings = append(warnings, "the approver's key was good when the approval was recorded, and is not any more: "+x.sig.Since)
	}
	if note := movedNote(repo, p); note != "" {
		warnings = append(warnings, note)
	}
	return warnings, c.put(ctx, kindBranch, BranchCreated{Proposal: p.ID, Branch: p.PatchProposed.Branch, Commit: commit, Tree: p.ResultTree, Object: &object,
		Level: x.level.Level, LevelWhy: x.level.Why})
}

// Keys of the trailers that tie a commit to its campaign.
const (
	TrailerCampaign  = "Sotaloop-Campaign"
	TrailerProposal  = "Sotaloop-Proposal"
	TrailerContract  = "Sotaloop-Contract"
	TrailerPatch     = "Sotaloop-Patch"
	TrailerHead      = "Sotaloop-Ledger-Head" // the line up to which the approver had the ledger
	TrailerStatement = "Sotaloop-Statement"   // sha256 of the signed bytes
)

// trailers are keys and values in order.
func trailers(st *State, p *ProposalState, a Decided, signed *gitops.Statement) [][2]string {
	return [][2]string{
		{TrailerCampaign, st.Contract.Campaign}, {TrailerProposal, p.ID}, {TrailerContract, st.Digest}, {TrailerPatch, p.Digest}, {TrailerHead, signed.LedgerHead},
		{TrailerStatement, contract.Digest(a.Statement)}, {"Sotaloop-Evidence", fmt.Sprint(p.Rows)}, {"Sotaloop-Predicted-Gain", fmt.Sprintf("%.4f", p.Predicted)},
		{"Approved-by", signed.Principal},
	}
}

func commitMessage(p *ProposalState) string {
	subject := short(p.Rationale, 72)
	if subject == "" {
		subject = "Apply " + p.ID
	}
	return subject + "\n\n" + p.Rationale + "\n"
}
