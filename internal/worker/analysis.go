package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// TraceOnHost names a trace file that a run left on its host.
type TraceOnHost struct {
	RunID string `json:"run_id"`
	Name  string `json:"name"` // relative to the run folder, as in Event.Files
}

// AnalysisRequest asks for the tables of a trace where it lies.
type AnalysisRequest struct {
	Workdir string       `json:"workdir"`
	Trace   TraceOnHost  `json:"trace"`
	SHA256  string       `json:"sha256"` // the trace's, as recorded when it was captured
	Stage   string       `json:"stage"`
	Mapping *TraceOnHost `json:"mapping,omitempty"` // a trace of the same server without CUDA graphs
	Server  trace.Server `json:"server"`
}

// bytesRead is how far the reading of a trace is.
type bytesRead struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// progressEvery is how often a long analysis is asked how far it is.
const progressEvery = 2 * time.Second

// Analyze computes the tables of a trace on its host: only they travel. Paths in the answer are r.Trace.Name. A file that
// is gone is a fault.NotFound, one that is not what was captured a fault.Corrupt.
func (c *Client) Analyze(ctx context.Context, r AnalysisRequest, progress func(done, total int64)) (*trace.Analysis, error) {
	if r.Workdir == "" {
		r.Workdir = c.workdir
	}
	told := make(chan struct{})
	asking, stop := context.WithCancel(ctx)
	go func() {
		defer close(told)
		for pause(asking, progressEvery) == nil {
			var b bytes.Buffer
			var n bytesRead
			if c.Fetch(asking, r.Trace.RunID, progressName(r.Trace.Name), &b) == nil && json.Unmarshal(b.Bytes(), &n) == nil {
				progress(n.Done, n.Total)
			}
		}
	}()
	var a trace.Analysis
	err := c.call(ctx, VerbAnalyze, r, &a)
	stop()
	<-told
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// progressName is the file beside a trace that says how far its analysis is.
func progressName(name string) string { return name + ".progress" }
