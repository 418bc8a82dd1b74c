//go:build !linux

package worker

import (
	"context"
	"runtime"

	"github.com/sotaloop/sotaloop/internal/fault"
)

func dispatch(context.Context, HostOptions, string) (any, error) { return nil, errLinuxOnly() }

// Run executes the plan in run folder dir; on this system it only says that it cannot.
func Run(context.Context, HostOptions, string) error { return errLinuxOnly() }

func errLinuxOnly() error {
	return fault.New(fault.Denied, "the worker runs on linux only, this is %q", runtime.GOOS).At("os", runtime.GOOS, "linux").
		Hint("name a linux host in hosts.yaml")
}
