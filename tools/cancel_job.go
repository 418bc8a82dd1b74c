package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// CancelJobIn names a job and why it ends.
type CancelJobIn struct {
	Campaign string `json:"campaign"`
	Job      string `json:"job"`
	Reason   string `json:"reason" jsonschema_description:"is recorded"`
}

func cancelJob(l *loop.Loop) Tool {
	return Define("cancel_job", "Cancel a job",
		"Ends a job and answers after its processes are confirmed gone. What it measured stays; a cancelled candidate counts as skipped and costs a launch.",
		Hints{Destructive: true, Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in CancelJobIn) (loop.JobAnswer, error) {
			return l.CancelJob(ctx, in.Campaign, in.Job, in.Reason)
		})
}
