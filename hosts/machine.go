package hosts

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// MachineQuery is the command that [Machine] runs.
func MachineQuery() []string { return []string{"uname", "-m"} }

// machines are the architectures that a worker is built for, in Go's words, by what uname -m calls them.
func machines() map[string]string {
	return map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
}

// Machine gives the architecture of a host in Go's words: amd64 or arm64.
func Machine(ctx context.Context, conn Conn) (arch string, err error) {
	res, err := conn.Run(ctx, Cmd{Argv: MachineQuery()})
	if err != nil {
		return "", err
	}
	said := strings.TrimSpace(string(res.Stdout))
	if arch, ok := machines()[said]; ok && res.IsSuccess() {
		return arch, nil
	}
	if !res.IsSuccess() {
		said = strings.TrimSpace(string(res.Stderr))
	}
	return "", fault.New(fault.NotFound, "there is no worker for the host's machine %q", fault.Foreign(said, maxExcerpt)).
		At("machine", fault.Foreign(said, maxExcerpt), slices.Sorted(maps.Keys(machines()))...).Hint("name a host whose uname -m is x86_64 or aarch64")
}
