package sim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// smiCall is one parsed call of nvidia-smi.
type smiCall struct {
	fields  []string
	apps    bool
	list    bool
	topo    bool
	header  bool
	units   bool
	indices []int
}

// runNvidiaSMI plays nvidia-smi: CSV queries of GPUs and compute processes, -L, topo -m, and a small table.
func runNvidiaSMI(p *persona) int {
	c, err := readConfig(p.root)
	if err != nil {
		fmt.Fprintln(p.stderr, err)
		return 1
	}
	call, problem := parseSMI(p.args, c)
	if problem != "" {
		fmt.Fprintln(p.stdout, problem)
		return 2
	}
	uses, err := gpuUses(p.root, c)
	if err != nil {
		fmt.Fprintln(p.stderr, err)
		return 1
	}
	var text string
	switch {
	case call.list:
		for _, i := range call.indices {
			text += fmt.Sprintf("GPU %d: %s (UUID: %s)\n", i, c.gpuName(), c.GPU.uuid(i))
		}
	case call.topo:
		text = smiTopology(c)
	case len(call.fields) > 0:
		text, problem = smiQuery(call, c, uses)
	default:
		text = smiTable(call, c, uses)
	}
	if problem != "" {
		fmt.Fprintln(p.stdout, problem)
		return 2
	}
	fmt.Fprint(p.stdout, text)
	return 0
}

func parseSMI(args []string, c Config) (smiCall, string) {
	call := smiCall{header: true, units: true}
	for i := range c.GPUs {
		call.indices = append(call.indices, i)
	}
	for i := 0; i < len(args); i++ {
		name, value, inline := strings.Cut(args[i], "=")
		if !inline && (name == "-i" || name == "--id" || name == "--format") && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch name {
		case "--query-gpu":
			call.fields = splitList(value)
		case "--query-compute-apps":
			call.fields, call.apps = splitList(value), true
		case "--format":
			f := splitList(value)
			call.header, call.units = !slices.Contains(f, "noheader"), !slices.Contains(f, "nounits")
		case "-i", "--id":
			call.indices = nil
			for _, id := range splitList(value) {
				found := -1
				for g := range c.GPUs {
					if id == strconv.Itoa(g) || id == c.GPU.uuid(g) {
						found = g
					}
				}
				if found < 0 {
					return call, "No devices were found"
				}
				call.indices = append(call.indices, found)
			}
		case "-L", "--list-gpus":
			call.list = true
		case "topo", "-m":
			call.topo = true
		default:
			return call, fmt.Sprintf("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help. (simulated: %q is not known)", args[i])
		}
	}
	return call, ""
}

func splitList(s string) []string {
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// cell is a value and its unit, which nounits leaves out.
type cell struct{ value, unit string }

func smiQuery(call smiCall, c Config, uses []gpuUse) (string, string) {
	var b strings.Builder
	row := func(get func(field string) (cell, bool)) string {
		cells := []string{}
		for _, f := range call.fields {
			v, ok := get(f)
			if !ok {
				return fmt.Sprintf("Field \"%s\" is not a valid field to query.\n", f)
			}
			if call.units && v.unit != "" {
				v.value += " " + v.unit
			}
			cells = append(cells, v.value)
		}
		b.WriteString(strings.Join(cells, ", ") + "\n")
		return ""
	}
	if call.header {
		heads := []string{}
		for _, f := range call.fields {
			v, ok := gpuCell(f, 0, c, uses[0])
			if call.apps {
				v, ok = appCell(f, registration{}, 0, c)
			}
			if ok && v.unit != "" {
				f += " [" + v.unit + "]"
			}
			heads = append(heads, f)
		}
		b.WriteString(strings.Join(heads, ", ") + "\n")
	}
	for _, i := range call.indices {
		if !call.apps {
			if problem := row(func(f string) (cell, bool) { return gpuCell(f, i, c, uses[i]) }); problem != "" {
				return "", problem
			}
			continue
		}
		for _, app := range uses[i].apps {
			if problem := row(func(f string) (cell, bool) { return appCell(f, app, i, c) }); problem != "" {
				return "", problem
			}
		}
	}
	return b.String(), ""
}

func gpuCell(field string, i int, c Config, u gpuUse) (cell, bool) {
	used := math.Min(u.usedMiB, float64(c.GPU.MemoryMiB))
	whole := func(f float64) string { return strconv.Itoa(int(math.Round(f))) }
	busy := float64(u.utilizePct) / 100
	switch field {
	case "index":
		return cell{strconv.Itoa(i), ""}, true
	case "uuid", "gpu_uuid":
		return cell{c.GPU.uuid(i), ""}, true
	case "name", "gpu_name":
		return cell{c.gpuName(), ""}, true
	case "count":
		return cell{strconv.Itoa(c.GPUs), ""}, true
	case "pci.bus_id", "gpu_bus_id":
		return cell{fmt.Sprintf("00000000:%02X:00.0", 0x19+i*0x11), ""}, true
	case "driver_version":
		return cell{c.GPU.Driver, ""}, true
	case "memory.total":
		return cell{strconv.Itoa(c.GPU.MemoryMiB), "MiB"}, true
	case "memory.used":
		return cell{whole(used), "MiB"}, true
	case "memory.free":
		return cell{whole(float64(c.GPU.MemoryMiB) - used), "MiB"}, true
	case "memory.reserved":
		return cell{"0", "MiB"}, true
	case "utilization.gpu":
		return cell{strconv.Itoa(u.utilizePct), "%"}, true
	case "utilization.memory":
		return cell{whole(busy * 60), "%"}, true
	case "temperature.gpu":
		return cell{whole(31 + busy*34), ""}, true
	case "power.draw", "power.draw.average", "power.draw.instant":
		return cell{fmt.Sprintf("%.2f", 71+busy*540), "W"}, true
	case "power.limit", "power.max_limit", "power.default_limit", "enforced.power.limit":
		return cell{"700.00", "W"}, true
	case "clocks.sm", "clocks.current.sm", "clocks.gr", "clocks.current.graphics", "clocks.max.sm", "clocks.max.graphics":
		return cell{"1980", "MHz"}, true
	case "clocks.mem", "clocks.current.memory", "clocks.max.mem", "clocks.max.memory":
		return cell{"2619", "MHz"}, true
	}
	return gpuState(field)
}

// gpuState are the fields that never change here.
func gpuState(field string) (cell, bool) {
	v, ok := map[string]string{
		"persistence_mode": "Enabled", "compute_mode": "Default", "pstate": "P0", "mig.mode.current": "Disabled", "mig.mode.pending": "Disabled",
		"ecc.mode.current": "Enabled", "ecc.errors.uncorrected.volatile.total": "0", "ecc.errors.corrected.volatile.total": "0", "display_active": "Disabled",
		"clocks_throttle_reasons.active": "0x0000000000000000", "clocks_event_reasons.active": "0x0000000000000000",
		"clocks_throttle_reasons.sw_thermal_slowdown": "Not Active", "clocks_throttle_reasons.hw_slowdown": "Not Active", "clocks_throttle_reasons.sw_power_cap": "Not Active",
		"clocks_event_reasons.sw_thermal_slowdown": "Not Active", "clocks_event_reasons.hw_slowdown": "Not Active", "clocks_event_reasons.sw_power_cap": "Not Active",
		"clocks_event_reasons.hw_thermal_slowdown": "Not Active", "clocks_throttle_reasons.hw_thermal_slowdown": "Not Active",
		"clocks_applications.gr": "[N/A]", "clocks.applications.graphics": "[N/A]", "clocks.applications.memory": "[N/A]", "fan.speed": "[N/A]",
		"compute_cap": "9.0", "pcie.link.gen.current": "5", "pcie.link.width.current": "16", "vbios_version": "96.00.simulated", "serial": "0000000000000",
		"gpu_operation_mode.current": "[N/A]", "accounting.mode": "Disabled", "addressing_mode": "HMM",
	}[field]
	if !ok && field == "timestamp" {
		return cell{time.Now().Format("2006/01/02 15:04:05.000"), ""}, true
	}
	return cell{v, ""}, ok
}

func appCell(field string, app registration, i int, c Config) (cell, bool) {
	switch field {
	case "pid":
		return cell{strconv.Itoa(app.PID), ""}, true
	case "process_name", "name":
		return cell{app.Name, ""}, true
	case "used_memory", "used_gpu_memory":
		return cell{strconv.Itoa(int(app.MemoryMiB)), "MiB"}, true
	case "gpu_uuid", "gpu_bus_id", "gpu_name", "timestamp":
		return gpuCell(field, i, c, gpuUse{})
	case "gpu_serial":
		return gpuState("serial")
	}
	return cell{}, false
}

func smiTopology(c Config) string {
	var b strings.Builder
	for i := range c.GPUs {
		fmt.Fprintf(&b, "\tGPU%d", i)
	}
	b.WriteString("\tCPU Affinity\tNUMA Affinity\n")
	for i := range c.GPUs {
		fmt.Fprintf(&b, "GPU%d", i)
		for j := range c.GPUs {
			b.WriteString(map[bool]string{true: "\t X ", false: "\tNV18"}[i == j])
		}
		b.WriteString("\t0-1\t0\n")
	}
	return b.String()
}

// smiTable is the page without arguments, shortened.
func smiTable(call smiCall, c Config, uses []gpuUse) string {
	line := "+" + strings.Repeat("-", 89) + "+\n"
	var b strings.Builder
	b.WriteString(time.Now().Format("Mon Jan _2 15:04:05 2006") + "       (simulated GPU host)\n" + line)
	fmt.Fprintf(&b, "| NVIDIA-SMI %-18s Driver Version: %-14s CUDA Version: %-22s|\n%s", c.GPU.Driver, c.GPU.Driver, c.GPU.CUDA, line)
	for _, i := range call.indices {
		fmt.Fprintf(&b, "| %3d  %-38s %6.0fMiB / %6dMiB | %6d%%      Default |\n", i, c.gpuName(), math.Min(uses[i].usedMiB, float64(c.GPU.MemoryMiB)), c.GPU.MemoryMiB, uses[i].utilizePct)
	}
	b.WriteString(line + "| Processes:                                                                              |\n")
	for _, i := range call.indices {
		for _, app := range uses[i].apps {
			fmt.Fprintf(&b, "| %3d  %10d      C   %-44s %10.0fMiB    |\n", i, app.PID, app.Name, app.MemoryMiB)
		}
	}
	return b.String() + line
}
