package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// ApplyPatchBranchIn names an approved proposal.
type ApplyPatchBranchIn struct {
	Campaign string `json:"campaign"`
	Proposal string `json:"proposal" jsonschema_description:"as patch-1"`
}

func applyPatchBranch(l *loop.Loop) Tool {
	return Define("apply_patch_branch", "Apply an approved patch on a branch",
		"Puts an approved proposal on a new branch of the target checkout. Working tree, index and other branches stay as they are; nothing is pushed.",
		Hints{Idempotent: true},
		func(ctx context.Context, in ApplyPatchBranchIn) (loop.Branch, error) {
			return l.Apply(ctx, in.Campaign, in.Proposal)
		})
}
