package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// RevalidateIn names an applied proposal.
type RevalidateIn struct {
	Campaign string `json:"campaign"`
	Proposal string `json:"proposal"`
	Blocks   int    `json:"blocks,omitempty" jsonschema:"minimum=0" jsonschema_description:"in total; default: the contract's first look"`
}

func revalidate(l *loop.Loop) Tool {
	return Define("revalidate", "Revalidate a patch",
		"A job: before and after in interleaved blocks, output equality, a shape drawn after the approval, the comparison and the profile again. Answers predicted against measured gain.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in RevalidateIn) (loop.Revalidation, error) {
			return l.Revalidate(ctx, in.Campaign, in.Proposal, in.Blocks)
		})
}
