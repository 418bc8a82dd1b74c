package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// WriteReportIn names a campaign.
type WriteReportIn struct {
	Campaign string `json:"campaign"`
}

func writeReport(l *loop.Loop) Tool {
	return Define("write_report", "Write the report",
		"Writes final_report.md, report.html and a bundle that anyone can verify offline, and seals them. May be repeated; the last seal counts.",
		Hints{Idempotent: true},
		func(ctx context.Context, in WriteReportIn) (loop.Report, error) {
			return l.WriteReport(ctx, in.Campaign)
		})
}
