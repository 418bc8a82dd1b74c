package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// ListHostsIn asks for the inventory.
type ListHostsIn struct {
	Host    string `json:"host,omitempty" jsonschema_description:"only this host"`
	Refresh bool   `json:"refresh,omitempty" jsonschema_description:"look at the hosts now instead of answering what was last seen"`
}

func listHosts(l *loop.Loop) Tool {
	return Define("list_hosts", "List hosts",
		"The GPU hosts the engineer described, with engine entries, models and the last known GPU state. Start here.",
		Hints{ReadOnly: true, Idempotent: true, OpenWorld: true},
		func(ctx context.Context, in ListHostsIn) (loop.Hosts, error) {
			return l.ListHosts(ctx, in.Host, in.Refresh)
		})
}
