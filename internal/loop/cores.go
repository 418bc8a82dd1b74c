package loop

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// cores settles what a host without GPUs computes with: the cores of hosts.yaml, else all that the worker may run on but
// the last, which is left to the load client.
func (d *drafting) cores(h *contract.Host, cpu *contract.CPU) error {
	if len(d.r.GPUs) > 0 {
		return fault.New(fault.InvalidInput, "host %q has device %s and gpus %v are asked for", h.Name, h.Device, d.r.GPUs).At("gpus", fmt.Sprint(d.r.GPUs), "none").
			Hint("leave gpus out, or give an empty list; the engineer names the cores of a CPU host in hosts.yaml")
	}
	if cpu == nil || len(cpu.Allowed) == 0 {
		return fault.New(fault.HostUnreachable, "the worker on host %q does not tell which cores it may run on", h.Name).Hint("look at sched_getaffinity of the account on the host")
	}
	named := *cpu
	named.Model = hosts.DeviceName(cpu.Model)
	h.CPU = &named
	h.Cores = slices.Sorted(slices.Values(d.entry.Cores))
	if len(h.Cores) == 0 {
		h.Cores = cpu.Allowed[:max(1, len(cpu.Allowed)-1)]
		d.assume("cores: %v of %v", h.Cores, cpu.Allowed)
	}
	for _, core := range h.Cores {
		if !slices.Contains(cpu.Allowed, core) {
			return fault.New(fault.NotFound, "host %q has no core %d that the worker may run on", h.Name, core).At("cores", fmt.Sprint(h.Cores), fmt.Sprint(cpu.Allowed)).
				Hint("the engineer corrects cores in hosts.yaml, or the account's affinity")
		}
	}
	return nil
}

// engineEnv is what a launch's environment is made of: the host's variables, the engine's, the adapter's, and on a CPU
// host the size of the thread pools where none of them says it.
func engineEnv(c *contract.Contract, host hosts.HostEntry, engine, adapter map[string]string) map[string]string {
	env := map[string]string{}
	maps.Copy(env, host.Env)
	maps.Copy(env, engine)
	maps.Copy(env, adapter)
	if len(c.Host.Cores) > 0 {
		worker.SetThreads(env, len(c.Host.Cores))
	}
	return env
}

// threads says what each side's engine has for thread pools, as its entry stands.
func (d *drafting) threads(c *contract.Contract) map[string]map[string]int {
	out := map[string]map[string]int{}
	if len(c.Host.Cores) == 0 {
		return out
	}
	for _, s := range c.Sides() {
		out[s.Entry] = worker.Threads(engineEnv(c, d.entry, d.entry.Engines[baseEntry(s.Entry)].Env, nil))
	}
	return out
}

// coreWarnings says what a reader of a CPU host's figures has to know.
func coreWarnings(h contract.Host) []string {
	if h.CPU == nil {
		return nil
	}
	out := []string{contract.NoGPUClaimText}
	if len(h.ClientCores()) == 0 {
		out = append(out, fmt.Sprintf("load client and engine share cores %v: the client's own work is in every figure; leave it a core in hosts.yaml where the host has one", h.Cores))
	}
	return out
}
