package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// CaptureProfileIn asks for traces; its fields are those of loop.ProfileRequest.
type CaptureProfileIn struct {
	Campaign  string `json:"campaign"`
	Candidate string `json:"candidate" jsonschema_description:"candidate id of any side"`
	Scenario  string `json:"scenario" jsonschema_description:"the scenario in which the target lost"`
	Mapping   bool   `json:"mapping,omitempty" jsonschema_description:"CUDA graphs off, to map kernels to source; its times are not evidence"`
}

func captureProfile(l *loop.Loop) Tool {
	return Define("capture_profile", "Capture a profile",
		"A job: profiler traces of prefill and decode apart, at the scenario's lengths.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in CaptureProfileIn) (loop.Profile, error) {
			return l.CaptureProfile(ctx, loop.ProfileRequest(in))
		})
}
