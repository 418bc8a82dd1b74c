package hosts

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

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

// What a GPU that nobody uses stays below.
const (
	idleMemoryMiB = 512
	idlePercent   = 5
)

// IsUsed says whether somebody uses the GPU, by its memory and utilization. What a driver does not tell counts as idle.
func (g GPU) IsUsed() bool {
	return g.MemoryUsedMiB != nil && *g.MemoryUsedMiB > idleMemoryMiB || g.UtilizationPercent != nil && *g.UtilizationPercent > idlePercent
}

// deviceShape is what names of processors look like: few short words.
var deviceShape = regexp.MustCompile(`^[A-Za-z0-9(][\w.+()/@-]*( [\w.+()/@-]+){0,7}$`)

// DeviceName gives a processor's name as the driver says it, and anything else as others' words.
func DeviceName(s string) string {
	if len(s) <= 64 && deviceShape.MatchString(s) {
		return s
	}
	return fault.Foreign(s, 64)
}

// GPUProcess is a compute process on a GPU.
type GPUProcess struct {
	GPUUUID       string `json:"gpu_uuid"`
	PID           int    `json:"pid"` // 0 where the driver hides it
	Name          string `json:"name"`
	MemoryUsedMiB *int64 `json:"memory_used_mib"`
}

// ParseNvidiaSMI reads what nvidia-smi prints for
// --query-gpu=index,uuid,name,driver_version,utilization.gpu,memory.used,memory.total,clocks.sm
// --format=csv,noheader,nounits. Foreign text is made printable.
func ParseNvidiaSMI(csv []byte) ([]GPU, error) {
	gpus := []GPU{}
	err := eachRow(csv, 8, func(f []string) error {
		index, err := strconv.Atoi(f[0])
		if err != nil || index < 0 {
			return fmt.Errorf("index %q is not a number", f[0])
		}
		g := GPU{Index: index, UUID: f[1], Name: f[2], DriverVersion: f[3]}
		if !strings.HasPrefix(g.UUID, "GPU-") && !strings.HasPrefix(g.UUID, "MIG-") {
			return fmt.Errorf("%q is not the UUID of a GPU", g.UUID)
		}
		for _, err := range []error{
			number(f[4], &g.UtilizationPercent), number(f[5], &g.MemoryUsedMiB), number(f[6], &g.MemoryTotalMiB),
			number(f[7], &g.SMClockMHz),
		} {
			if err != nil {
				return err
			}
		}
		gpus = append(gpus, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gpus, nil
}

// ParseComputeApps reads what nvidia-smi prints for
// --query-compute-apps=gpu_uuid,pid,process_name,used_memory --format=csv,noheader,nounits. A process name may hold commas.
func ParseComputeApps(csv []byte) ([]GPUProcess, error) {
	processes := []GPUProcess{}
	err := eachRow(csv, 4, func(f []string) error {
		p := GPUProcess{GPUUUID: f[0], Name: f[2]}
		var pid *int
		if err := number(f[1], &pid); err != nil {
			return err
		}
		if pid != nil {
			p.PID = *pid
		}
		processes = append(processes, p)
		return number(f[3], &processes[len(processes)-1].MemoryUsedMiB)
	})
	if err != nil {
		return nil, err
	}
	return processes, nil
}

// eachRow splits the lines into want fields. The third is free text: it takes what commas there are too many.
func eachRow(csv []byte, want int, read func([]string) error) error {
	for n, line := range strings.Split(string(csv), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		f := strings.Split(line, ",")
		extra := len(f) - want
		if extra < 0 {
			return rowFault(n, line, fmt.Errorf("%d fields instead of %d", len(f), want))
		}
		row := append([]string{f[0], f[1], strings.Join(f[2:3+extra], ",")}, f[3+extra:]...)
		for i := range row {
			row[i] = printable([]byte(row[i]), maxExcerpt)
		}
		if err := read(row); err != nil {
			return rowFault(n, line, err)
		}
	}
	return nil
}

func rowFault(n int, line string, err error) error {
	return fault.Wrap(fault.Corrupt, err, "nvidia-smi: line %d %s", n+1, fault.Foreign(line, maxExcerpt))
}

// number reads a count that may be missing: "[N/A]", "[Not Supported]", "N/A" and their kin leave dst nil.
func number[T int | int64](s string, dst **T) error {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") || s == "N/A" {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 || int64(T(v)) != v {
		return fmt.Errorf("%q is neither a number nor [N/A]", s)
	}
	n := T(v)
	*dst = &n
	return nil
}
