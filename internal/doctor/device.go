package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// maxNamed is how many things of one sort a line names.
const maxNamed = 3

// gpus looks at the devices of a host with GPUs; facts may be nil.
func (v *visit) gpus(ctx context.Context, conn hosts.Conn, facts *worker.Facts) {
	all, procs, err := hosts.QueryGPUs(ctx, conn)
	if err != nil {
		v.fault(Red, "gpu", err, v.here("nvidia-smi"))
		return
	}
	used, missing := v.entry.GPUs, []int{}
	byIndex := map[int]hosts.GPU{}
	for _, g := range all {
		byIndex[g.Index] = g
	}
	if len(used) == 0 {
		for _, g := range all {
			used = append(used, g.Index)
		}
	}
	var mine []hosts.GPU
	for _, i := range used {
		if g, ok := byIndex[i]; ok {
			mine = append(mine, g)
		} else {
			missing = append(missing, i)
		}
	}
	switch {
	case len(all) == 0:
		v.red("gpu", "nvidia-smi lists no GPU").fix(v.here("nvidia-smi -L"), "or set "+v.entryLine("device: cpu"))
		return
	case len(missing) > 0:
		v.red("gpu", "the entry names GPU %s, the host has %d", ranges(missing), len(all)).fix("correct " + v.entryLine("gpus"))
	default:
		v.model(mine, len(all))
	}
	v.gpuClocks(ctx, conn, mine)
	v.foreign(mine, procs, facts)
}

// model tells which GPUs campaigns may use.
func (v *visit) model(mine []hosts.GPU, all int) {
	var kinds []string
	var list []int
	for _, g := range mine {
		kind := hosts.DeviceName(g.Name)
		if g.MemoryTotalMiB != nil {
			kind += ", " + size(*g.MemoryTotalMiB)
		}
		kind += ", driver " + fault.ForeignName(g.DriverVersion, 40)
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		list = append(list, g.Index)
	}
	text := fmt.Sprintf("%d × %s", len(mine), strings.Join(kinds, "; "))
	if all > len(mine) {
		text += fmt.Sprintf(" (GPU %s of %d)", ranges(list), all)
	}
	if len(kinds) > 1 {
		v.warn("gpu", "%s: GPUs of one campaign should be alike", text).fix("name those of one model in " + v.entryLine("gpus"))
		return
	}
	v.ok("gpu", "%s", text)
}

// gpuClocks tells clocks and power limits as they were found.
func (v *visit) gpuClocks(ctx context.Context, conn hosts.Conn, mine []hosts.GPU) {
	const row = "gpu clocks"
	found, err := hosts.QueryClocks(ctx, conn)
	if err != nil {
		v.fault(Warn, row, err)
		return
	}
	var kinds []string
	first := map[string]string{}
	for _, g := range mine {
		at := func(name string) string { return fault.ForeignName(found[hosts.GPUSetting(g.Index, name)], 24) }
		kind := fmt.Sprintf("application clocks %s/%s MHz, power limit %s W", at("clocks.applications.graphics"), at("clocks.applications.memory"), at("power.limit"))
		if first[kind] == "" {
			first[kind] = strconv.Itoa(g.Index)
			kinds = append(kinds, kind)
		}
	}
	switch len(kinds) {
	case 0:
	case 1:
		v.ok(row, "%s, as found", kinds[0])
	default:
		for i, k := range kinds {
			kinds[i] = "GPU " + first[k] + ": " + k
		}
		v.warn(row, "GPUs differ: %s", strings.Join(kinds[:min(maxNamed, len(kinds))], "; ")).fix("set them alike yourself (sotaloop never changes clocks): " + v.here("nvidia-smi -q -d CLOCK,POWER"))
	}
}

// foreign tells who else uses the GPUs. Nothing of others' is ever ended.
func (v *visit) foreign(mine []hosts.GPU, procs []hosts.GPUProcess, facts *worker.Facts) {
	const row = "gpu use"
	held := map[string]string{}
	if facts != nil {
		for _, l := range facts.Leases {
			held[l.GPU] = fault.ForeignName(l.Campaign, 80)
		}
	}
	var leased, busy []string
	for _, g := range mine {
		if campaign := held[strconv.Itoa(g.Index)]; campaign != "" {
			leased = append(leased, fmt.Sprintf("GPU %d by %s", g.Index, campaign))
			continue
		}
		before := len(busy)
		for _, p := range procs {
			if p.GPUUUID == g.UUID {
				busy = append(busy, fmt.Sprintf("pid %d %s on GPU %d", p.PID, fault.ForeignName(p.Name, 60), g.Index))
			}
		}
		if g.IsUsed() && len(busy) == before {
			busy = append(busy, fmt.Sprintf("something on GPU %d that the driver does not name", g.Index))
		}
	}
	more := ""
	if n := len(busy) - maxNamed; n > 0 {
		busy, more = busy[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	switch {
	case len(busy) > 0:
		v.warn(row, "used by others: %s%s; points beside them would not be trusted", strings.Join(busy, ", "), more).fix("ask their owner, or name other GPUs; sotaloop never ends them: " + v.here("nvidia-smi"))
	case len(leased) > 0:
		v.ok(row, "leased: %s", strings.Join(leased, ", "))
	default:
		v.ok(row, "no process on them")
	}
}

// cores looks at the processor of a host without GPUs.
func (v *visit) cores(f worker.Facts) {
	if f.CPU == nil {
		v.red("cpu", "the worker could not tell what it is").fix(v.here("lscpu"))
		return
	}
	text := fmt.Sprintf("%s, may run on core %s", hosts.DeviceName(f.CPU.Model), ranges(f.CPU.Allowed))
	var missing []int
	for _, c := range v.entry.Cores {
		if !slices.Contains(f.CPU.Allowed, c) {
			missing = append(missing, c)
		}
	}
	var held []string
	for _, l := range f.Leases {
		if core, ok := strings.CutPrefix(l.GPU, worker.CorePrefix); ok {
			held = append(held, "core "+fault.ForeignName(core, 8)+" by "+fault.ForeignName(l.Campaign, 80))
		}
	}
	switch {
	case len(missing) > 0:
		v.red("cpu", "%s; the entry names core %s", text, ranges(missing)).fix("correct " + v.entryLine("cores"))
	case len(held) > 0:
		v.ok("cpu", "%s; leased: %s", text, strings.Join(held[:min(maxNamed, len(held))], ", "))
	default:
		v.ok("cpu", "%s", text)
	}
	var set []string
	for _, name := range sortedKeys(f.Clocks) {
		set = append(set, fault.ForeignName(name, 40)+" "+fault.ForeignName(f.Clocks[name], 40))
	}
	if len(set) > 0 {
		v.ok("cpu clocks", "%s, as found", strings.Join(set[:min(6, len(set))], ", "))
	}
}
