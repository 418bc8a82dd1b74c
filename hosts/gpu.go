package hosts

// GPU is one device as nvidia-smi reports it. A nil pointer is a value that the driver does not tell.
type GPU struct {
	Index              int    `json:"index"`
	UUID               string `json:"uuid"`
	Name               string `json:"name"`
	DriverVersion      string `json:"driver_version"`
	UtilizationPercent *int   `json:"utilization_percent"`
	MemoryUsedMiB      *int64 `json:"memory_used_mib"`
	MemoryTotalMiB     *int64 `json:"memory_total_mib"`
	SMClockMHz         *int   `json:"sm_clock_mhz"`
}

// GPUProcess is a compute process on a GPU.
type GPUProcess struct {
	GPUUUID       string `json:"gpu_uuid"`
	PID           int    `json:"pid"` // 0 where the driver hides it
	Name          string `json:"name"`
	MemoryUsedMiB *int64 `json:"memory_used_mib"`
}

// ParseNvidiaSMI reads what nvidia-smi prints for GPUQuery.
func ParseNvidiaSMI(csv []byte) ([]GPU, error) { return nil, nil }

// ParseComputeApps reads what nvidia-smi prints for GPUProcessQuery.
func ParseComputeApps(csv []byte) ([]GPUProcess, error) { return nil, nil }
