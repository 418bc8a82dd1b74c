package tools

import (
	"context"
	"time"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// WaitJobIn names a job.
type WaitJobIn struct {
	Campaign string `json:"campaign"`
	Job      string `json:"job" jsonschema_description:"as job-7"`
	Timeout  int    `json:"timeout_s,omitempty" jsonschema:"minimum=1,maximum=50" jsonschema_description:"default 45"`
	Cursor   string `json:"cursor,omitempty" jsonschema_description:"log lines after this one"`
}

func waitJob(l *loop.Loop) Tool {
	return Define("wait_job", "Wait for a job",
		"Waits at most timeout_s for a job; still running is a normal answer. When it is done, repeat the call that started it to get the result. Jobs go on without anyone waiting: while much remains, end the turn.",
		Hints{ReadOnly: true, Idempotent: true},
		func(ctx context.Context, in WaitJobIn) (loop.JobAnswer, error) {
			return l.WaitJob(ctx, in.Campaign, in.Job, time.Duration(in.Timeout)*time.Second, in.Cursor, Progress(ctx))
		})
}
