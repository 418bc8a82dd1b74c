package loop

import (
	"context"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// RowWarnings sums up what rows say of themselves, for tests.
func RowWarnings(rows []compare.Row) []string { return rowWarnings(rows) }

// Provenance reads what a diff says about where its code comes from, for tests.
func Provenance(diff string) (unlicensed, taken []string) { return provenance(diff) }

// PlanRun records a run as a job would, for tests.
func (l *Loop) PlanRun(ctx context.Context, campaign string, run RunPlanned) error {
	c, err := l.campaign(campaign)
	if err != nil {
		return err
	}
	return c.planRun(ctx, run)
}

// Suspects lists what an approver is shown of a diff, for tests.
func Suspects(diff string, c *contract.Contract) []gitops.Finding { return suspects(diff, c) }
