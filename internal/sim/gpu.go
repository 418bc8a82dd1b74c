package sim

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// GPU is a data sheet, as far as the roofline needs one.
type GPU struct {
	Name      string  `json:"name"`        // without "(simulated)", which DisplayName adds
	MemoryMiB int     `json:"memory_mib"`  // total, as nvidia-smi counts
	TFLOPS    float64 `json:"tflops_bf16"` // dense
	TBps      float64 `json:"memory_tb_s"` // HBM bandwidth
	LinkGBps  float64 `json:"link_gb_s"`   // one direction, per GPU
	Driver    string  `json:"driver"`
	CUDA      string  `json:"cuda"`
	SMs       int     `json:"sms"`
}

// H100 is the SXM5 part: 989 dense bf16 TFLOPS and 3.35 TB/s (NVIDIA H100 data sheet).
func H100() GPU {
	return GPU{Name: "NVIDIA H100 80GB HBM3", MemoryMiB: 81559, TFLOPS: 989, TBps: 3.35, LinkGBps: 450,
		Driver: "580.95.05", CUDA: "13.0", SMs: 132}
}

// DisplayName is the name every tool prints of a host that serves at its model's own speed.
func (g GPU) DisplayName() string { return g.Name + " (simulated)" }

// gpuName is the name every tool prints. A host that serves faster or slower than its model of time says so in it, and
// with the name the speed is in contracts, rows, traces and reports.
func (c Config) gpuName() string {
	if c.Speed == 1 {
		return c.GPU.DisplayName()
	}
	return fmt.Sprintf("%s (simulated at speed %g)", c.GPU.Name, c.Speed)
}

func (g GPU) validate() error {
	if g.MemoryMiB <= 0 || g.TFLOPS <= 0 || g.TBps <= 0 || g.LinkGBps <= 0 {
		return &fault.Error{Code: fault.InvalidInput, Field: "gpu", Got: g.Name,
			Message: fmt.Sprintf("data sheet of %q lacks memory, TFLOPS, bandwidth or link speed", g.Name)}
	}
	return nil
}

// bytes is the memory of one GPU.
func (g GPU) bytes() float64 { return float64(g.MemoryMiB) * (1 << 20) }

// uuid is a stable made-up id of GPU index.
func (g GPU) uuid(index int) string {
	h := mix(hashString(g.Name), uint64(index))
	return fmt.Sprintf("GPU-%08x-51ab-4000-8000-%012x", uint32(h>>32), h&0xffffffffffff)
}
