package loop

import (
	"context"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// ListHosts gives the inventory with the last known state, or looks at the hosts anew.
func (l *Loop) ListHosts(ctx context.Context, name string, refresh bool) (Hosts, error) {
	inv, err := l.opt.Inventory()
	if err != nil {
		return Hosts{}, err
	}
	names := inv.Names()
	if name != "" {
		if _, err := inv.Host(name); err != nil {
			return Hosts{}, err
		}
		names = []string{name}
	}
	out := Hosts{Answer: Answer{State: StateDone}, Hosts: []HostView{}, Policy: []string{}, TrustRoots: l.trustRoots().Level()}
	if p, err := l.policyNow(); err != nil {
		out.Warnings = append(out.Warnings, "the policy cannot be used, so nothing may begin: "+l.opt.Redact.String(err.Error()))
	} else {
		out.Policy = policy.Force{Frozen: p, Now: p}.Limits()
	}
	for _, n := range names {
		entry, err := inv.Host(n)
		if err != nil {
			return Hosts{}, err
		}
		if refresh {
			l.look(ctx, n)
		}
		out.Hosts = append(out.Hosts, l.view(n, entry))
	}
	if len(inv.Hosts) == 0 {
		out.Warnings = append(out.Warnings, "no hosts: the engineer types sotaloop hosts add NAME --ssh ALIAS, or writes "+inv.File+" (README, Describing a host)")
	}
	out.Next = []fault.Next{{Tool: "open_campaign", Why: "freezes the terms of a comparison; plan: true shows them and the cost first"}}
	return out, nil
}

// view merges the inventory's entry with what was last seen.
func (l *Loop) view(name string, e hosts.HostEntry) HostView {
	l.mu.Lock()
	v, ok := l.seen[name]
	l.mu.Unlock()
	if !ok {
		v = HostView{State: "unknown", GPUs: []GPUView{}}
	}
	v.Host, v.Transport, v.Device, v.Models = name, e.Transport(), e.Device, sortedKeys(e.Models)
	problems := map[string]string{}
	for _, f := range v.Frameworks {
		problems[f.Entry] = f.Problem
	}
	v.Frameworks = []FrameworkView{}
	for _, entry := range sortedKeys(e.Engines) {
		x := e.Engines[entry]
		v.Frameworks = append(v.Frameworks, FrameworkView{Entry: entry, Type: x.Type, Target: x.Checkout != "", Problem: fault.Foreign(problems[entry], 200)})
	}
	return v
}

// look probes a host and keeps what it saw; a host that cannot be reached is a state, not an error.
func (l *Loop) look(ctx context.Context, name string) {
	v := HostView{State: "ok", ObservedAt: time.Now().UTC().Format(time.RFC3339), GPUs: []GPUView{}}
	h, _, err := l.host(name)
	if err == nil {
		var facts worker.Facts
		var gpus []hosts.GPU
		var procs []hosts.GPUProcess
		facts, gpus, procs, err = h.probe(ctx, "")
		v.GPUs, v.CPU, v.Datasets = gpuViews(facts, gpus, procs), cpuView(facts), h.datasetViews(ctx)
		for entry, problem := range facts.Engines {
			v.Frameworks = append(v.Frameworks, FrameworkView{Entry: entry, Problem: problem})
		}
	}
	if err != nil {
		v.State, v.Problem = "unreachable", fault.Foreign(l.opt.Redact.String(err.Error()), 300)
	}
	l.mu.Lock()
	l.seen[name] = v
	l.mu.Unlock()
}

// cpuView is nil for a host with GPUs.
func cpuView(f worker.Facts) *CPUView {
	if f.CPU == nil {
		return nil
	}
	v := &CPUView{Model: hosts.DeviceName(f.CPU.Model), MemoryMiB: f.CPU.MemoryMiB, Allowed: f.CPU.Allowed, Leases: map[string]string{}}
	for _, lease := range f.Leases {
		if core, ok := strings.CutPrefix(lease.GPU, worker.CorePrefix); ok {
			v.Leases[core] = lease.Campaign
		}
	}
	return v
}

func gpuViews(f worker.Facts, gpus []hosts.GPU, procs []hosts.GPUProcess) []GPUView {
	out := []GPUView{}
	for _, g := range gpus {
		v := GPUView{Index: g.Index, Name: hosts.DeviceName(g.Name), Driver: fault.ForeignName(g.DriverVersion, 40)}
		if g.MemoryTotalMiB != nil {
			v.MemoryMiB = *g.MemoryTotalMiB
		}
		if g.MemoryUsedMiB != nil {
			v.UsedMiB = *g.MemoryUsedMiB
		}
		if g.UtilizationPercent != nil {
			v.UtilPct = *g.UtilizationPercent
		}
		v.Busy = g.IsUsed()
		for _, p := range procs {
			v.Busy = v.Busy || p.GPUUUID == g.UUID
		}
		for _, lease := range f.Leases {
			if lease.GPU == joinInts([]int{g.Index}) {
				v.Lease = lease.Campaign
			}
		}
		out = append(out, v)
	}
	return out
}
