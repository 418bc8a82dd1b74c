package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// ListFlagsIn asks for a framework's flags; its fields are those of loop.FlagsRequest.
type ListFlagsIn struct {
	Campaign  string `json:"campaign"`
	Framework string `json:"framework" jsonschema_description:"engine entry, or its type where there is one of it"`
	Command   string `json:"command,omitempty" jsonschema_description:"serve"`
	Match     string `json:"match,omitempty" jsonschema_description:"only flags whose name or help has this text"`
	Cursor    string `json:"cursor,omitempty"`
}

func listFlags(l *loop.Loop) Tool {
	return Define("list_flags", "List a framework's flags",
		"Captures help, version and commit of a framework on the campaign's host (a job the first time) and lists its flags with their class. Needed for every side before a search.",
		Hints{Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in ListFlagsIn) (loop.Flags, error) {
			return l.ListFlags(ctx, loop.FlagsRequest(in))
		})
}
