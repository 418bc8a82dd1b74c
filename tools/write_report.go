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
		"Writes final_report.md, manifest.txt and the transcript, seals the run directory, and bundles it as one file that anyone can check offline with sotaloop verify. May be repeated.",
		Hints{Idempotent: true},
		func(ctx context.Context, in WriteReportIn) (loop.Report, error) {
			return l.WriteReport(ctx, in.Campaign)
		})
}
