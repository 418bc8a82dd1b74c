package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// SearchDeploymentsIn asks for one side's search; its fields are those of loop.SearchRequest.
type SearchDeploymentsIn struct {
	Campaign  string           `json:"campaign"`
	Framework string           `json:"framework" jsonschema_description:"engine entry or type"`
	BaseFlags map[string]any   `json:"base_flags,omitempty" jsonschema_description:"flags of every candidate but the shipped default"`
	Space     map[string][]any `json:"space,omitempty" jsonschema_description:"values to try by flag; default: a few knobs of high impact"`
	Strategy  string           `json:"strategy,omitempty" jsonschema:"enum=auto,enum=baseline_first_bounded_product,enum=random"`
}

func searchDeployments(l *loop.Loop) Tool {
	return Define("search_deployments", "Search deployments",
		"A job: finds one framework's best deployment within the budget that every framework gets alike, starting from its shipped default. Failed candidates are kept with their reasons. Scores are for searching, never results.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in SearchDeploymentsIn) (loop.Search, error) {
			return l.Search(ctx, loop.SearchRequest(in))
		})
}
