//go:build !linux

package worker

import (
	"context"
	"fmt"
	"io"
)

// Keep refuses: workers run on Linux only.
func (k *Keeper) Keep(_ context.Context, _ HostOptions, _ string, stderr io.Writer) int {
	fmt.Fprintln(stderr, "sotaloop worker gate: workers run on Linux only")
	return 77
}
