package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// registration is run/<pid>.json: a process that holds memory of simulated GPUs.
type registration struct {
	PID        int     `json:"pid"`
	Start      string  `json:"start"` // start time in clock ticks: a reused pid has another
	Name       string  `json:"name"`
	GPUs       []int   `json:"gpus"`
	MemoryMiB  float64 `json:"memory_mib"` // on each of them
	UtilizePct int     `json:"utilization_pct"`
}

func (r registration) path(root string) string {
	return filepath.Join(root, "run", strconv.Itoa(r.PID)+".json")
}

func (r registration) write(root string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replaceFile(r.path(root), b, 0o644)
}

// registrations lists the live ones; files of dead processes are removed.
func registrations(root string) ([]registration, error) {
	files, err := filepath.Glob(filepath.Join(root, "run", "*.json"))
	if err != nil {
		return nil, err
	}
	out := []registration{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // ended between the listing and the read
		}
		var r registration
		if json.Unmarshal(b, &r) != nil || r.PID <= 0 || r.Start == "" || startTime(r.PID) != r.Start {
			_ = os.Remove(f)
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// startTime is field 22 of /proc/PID/stat, empty for a process that is gone or a zombie. Where there is no
// /proc it is a constant, so that registrations count as live.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if _, err := os.Stat("/proc/self/stat"); err != nil {
			return "unknown"
		}
		return ""
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 20 || f[0] == "Z" {
		return ""
	}
	return f[19]
}

// sweep kills the registered processes that still are who they were, their engines included.
func sweep(root string) error {
	regs, err := registrations(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range regs {
		if r.Start == "unknown" {
			continue // cannot be told from a stranger with the same pid
		}
		if err := endProcess(r.PID); err != nil {
			errs = append(errs, fmt.Errorf("end simulated process %d: %w", r.PID, err))
		}
		_ = os.Remove(r.path(root))
	}
	return errors.Join(errs...)
}

// gpuUse is what one GPU is used for.
type gpuUse struct {
	usedMiB    float64
	utilizePct int
	apps       []registration // MemoryMiB is on this GPU
}

// gpuUses sums registrations and pretended foreign processes for each GPU of c.
func gpuUses(root string, c Config) ([]gpuUse, error) {
	out := make([]gpuUse, c.GPUs)
	regs, err := registrations(root)
	if err != nil {
		return nil, err
	}
	for _, b := range c.Busy {
		regs = append(regs, registration{PID: b.PID, Name: b.Name, GPUs: []int{b.Index}, MemoryMiB: float64(b.MemoryMiB), UtilizePct: b.UtilizePct})
	}
	for _, r := range regs {
		for _, g := range r.GPUs {
			if g < 0 || g >= len(out) || r.MemoryMiB <= 0 {
				continue
			}
			out[g].usedMiB += r.MemoryMiB
			out[g].utilizePct = max(out[g].utilizePct, r.UtilizePct)
			out[g].apps = append(out[g].apps, r)
		}
	}
	return out, nil
}
