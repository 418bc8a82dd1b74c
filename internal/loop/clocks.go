package loop

import (
	"context"
	"maps"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// clocks are the settings that decide how fast the campaign's hardware may run: the CPU's as the worker found them, and
// those of the GPUs that are used. What a driver does not answer is left out, and refuses nothing.
func (h *hostConn) clocks(ctx context.Context, f worker.Facts, used contract.Host) map[string]string {
	out := map[string]string{}
	maps.Copy(out, f.Clocks)
	if used.Device == hosts.DeviceCPU {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, conn, err := h.worker(ctx)
	if err != nil {
		return out
	}
	found, err := hosts.QueryClocks(ctx, conn)
	if err != nil {
		return out
	}
	for _, gpu := range used.GPUs {
		for name, value := range found {
			if strings.HasPrefix(name, hosts.GPUSetting(gpu, "")) {
				out[name] = value
			}
		}
	}
	return out
}
