package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// CompareResultsIn asks for the verdicts.
type CompareResultsIn struct {
	Campaign string `json:"campaign"`
	Scenario string `json:"scenario,omitempty" jsonschema_description:"only this scenario is shown"`
}

func compareResults(l *loop.Loop) Tool {
	return Define("compare_results", "Compare results",
		"One verdict for each scenario and comparison side: win, loss, equivalent or inconclusive, with interval and smallest detectable effect. Taking it at a block count is recorded once.",
		Hints{Idempotent: true},
		func(ctx context.Context, in CompareResultsIn) (loop.Comparison, error) {
			return l.Compare(ctx, in.Campaign, in.Scenario)
		})
}
