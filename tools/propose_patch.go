package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// ProposePatchIn is a diff with its evidence.
type ProposePatchIn struct {
	Campaign      string   `json:"campaign"`
	Diff          string   `json:"diff" jsonschema_description:"unified diff against the target's recorded commit"`
	Rows          []string `json:"rows" jsonschema_description:"row ids of analyze_trace, of the slow stage"`
	Stage         string   `json:"stage" jsonschema:"enum=prefill,enum=decode,enum=mixed"`
	Location      string   `json:"location" jsonschema_description:"file:line that the rows point to"`
	Symptom       Symptom  `json:"symptom" jsonschema_description:"where the target lost"`
	PredictedGain float64  `json:"predicted_gain" jsonschema_description:"of the stage's step time, ratio - 1: 0.05 is 5 %"`
	Rationale     string   `json:"rationale"`
	Elsewhere     string   `json:"elsewhere,omitempty" jsonschema_description:"why the diff touches another place than location"`
	Tests         []string `json:"tests,omitempty" jsonschema_description:"test ids or paths for the declared runner"`
}

// Symptom is the observation that a patch is about.
type Symptom struct {
	Scenario string `json:"scenario"`
	Metric   string `json:"metric"`
}

func proposePatch(l *loop.Loop) Tool {
	return Define("propose_patch", "Propose a patch",
		"Proposes a diff that cites profiler evidence. It is applied in memory only and then waits for a human, who decides outside of this server; no tool approves. Tell the human approve_command.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in ProposePatchIn) (loop.Proposal, error) {
			return l.Propose(ctx, loop.ProposeRequest{
				Campaign: in.Campaign, Diff: in.Diff, Stage: in.Stage, Location: in.Location, Rationale: in.Rationale, Elsewhere: in.Elsewhere,
				Rows: in.Rows, Tests: in.Tests, Symptom: loop.Symptom(in.Symptom), PredictedGain: in.PredictedGain,
			})
		})
}
