package contract

import (
	"fmt"
	"slices"
)

// NoGPUClaim is the mark of whatever was measured on a host without GPUs. Rows, comparisons, reports and answers carry
// this word and no other.
const NoGPUClaim = "no_gpu_claim"

// NoGPUClaimText says for a person what the mark means.
const NoGPUClaimText = NoGPUClaim + ": everything here was measured on a CPU host and supports no claim about GPUs"

// CPU is what a host without GPUs computes with: the counterpart of GPU model, memory and driver.
type CPU struct {
	Model     string   `json:"model"`      // as /proc/cpuinfo names it
	Cores     int      `json:"cores"`      // logical cores of the machine
	Allowed   []int    `json:"allowed"`    // those of them that the worker may run on
	MemoryMiB int64    `json:"memory_mib"` // of the machine
	Flags     []string `json:"flags"`      // vector and matrix instructions that engines choose kernels by
}

// Mark is the word that everything measured on this host carries, "" on a host with GPUs. A contract of before there was
// a CPU to name has none: its records say nothing of a mark and are not reinterpreted.
func (h Host) Mark() string {
	if h.CPU == nil {
		return ""
	}
	return NoGPUClaim
}

// ClientCores are the cores that engines leave to the load client; none: client and engines share.
func (h Host) ClientCores() []int {
	left := []int{}
	if h.CPU == nil {
		return left
	}
	for _, core := range h.CPU.Allowed {
		if !slices.Contains(h.Cores, core) {
			left = append(left, core)
		}
	}
	return left
}

// Machine is what the host computes with, in a person's words.
func (h Host) Machine() string {
	if h.CPU == nil {
		return fmt.Sprintf("GPUs %v, %s", h.GPUs, h.GPUModel)
	}
	return fmt.Sprintf("no GPU, cores %v of %d, %s", h.Cores, h.CPU.Cores, h.CPU.Model)
}
