package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// AnalyzeTraceIn asks for a table; its fields are those of loop.AnalyzeRequest.
type AnalyzeTraceIn struct {
	Campaign string `json:"campaign"`
	Trace    string `json:"trace" jsonschema_description:"as trace-2"`
	Against  string `json:"against,omitempty" jsonschema_description:"second trace, for table diff"`
	Table    string `json:"table,omitempty" jsonschema:"enum=kernel,enum=overlap,enum=fuse,enum=idle,enum=layers,enum=ranks,enum=diff"`
	Stage    string `json:"stage,omitempty" jsonschema:"enum=prefill,enum=decode,enum=mixed,enum=unassigned"`
	Detail   bool   `json:"detail,omitempty" jsonschema_description:"every row, every field"`
	Cursor   string `json:"cursor,omitempty"`
}

func analyzeTrace(l *loop.Loop) Tool {
	return Define("analyze_trace", "Analyze a trace",
		"Tables of a trace by stage: where the GPU time goes, what could overlap or be fused, where the GPU idles. Row ids are what propose_patch cites. With against: a stage-by-stage diff.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in AnalyzeTraceIn) (loop.Analysis, error) {
			return l.AnalyzeTrace(ctx, loop.AnalyzeRequest(in))
		})
}
