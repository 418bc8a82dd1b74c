package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// GetCampaignIn asks for a campaign, or for the list.
type GetCampaignIn struct {
	Campaign string `json:"campaign,omitempty" jsonschema_description:"campaign id; without it the campaigns are listed"`
	Section  string `json:"section,omitempty" jsonschema:"enum=contract,enum=candidates,enum=rows,enum=launches,enum=verdicts,enum=traces,enum=refusals,enum=cost" jsonschema_description:"what items list"`
	Cursor   string `json:"cursor,omitempty"`
}

func getCampaign(l *loop.Loop) Tool {
	return Define("get_campaign", "Get a campaign",
		"Where a campaign stands: phase, what is allowed next and why, what is blocked and how to open it, jobs, proposals. Call it whenever unsure.",
		Hints{ReadOnly: true, Idempotent: true},
		func(ctx context.Context, in GetCampaignIn) (loop.CampaignView, error) {
			return l.Get(ctx, in.Campaign, in.Section, in.Cursor)
		})
}
