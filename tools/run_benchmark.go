package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// RunBenchmarkIn asks for blocks; its fields are those of loop.BenchmarkRequest.
type RunBenchmarkIn struct {
	Campaign   string   `json:"campaign"`
	Candidates []string `json:"candidates,omitempty" jsonschema_description:"one candidate id of each side; none for aa"`
	Blocks     int      `json:"blocks,omitempty" jsonschema:"minimum=0" jsonschema_description:"in total, not more; default: the contract's first look"`
	Scenarios  []string `json:"scenarios,omitempty" jsonschema_description:"only these rows are shown"`
	AA         bool     `json:"aa,omitempty" jsonschema_description:"instead: 8 pairs of the target's candidate 0, to see how much launches vary here"`
}

func runBenchmark(l *loop.Loop) Tool {
	return Define("run_benchmark", "Run the benchmark",
		"A job: measures one candidate of each side in fresh launches, in randomised interleaved blocks. Answers the rows.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in RunBenchmarkIn) (loop.Benchmark, error) {
			return l.Benchmark(ctx, loop.BenchmarkRequest(in))
		})
}
