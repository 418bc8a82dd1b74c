package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
)

// gpuWatch looks at the plan's GPUs. Without a connection (a host without GPUs) it sees none.
type gpuWatch struct {
	conn    hosts.Conn
	indices []int
	family  *family
}

// gpuView is the plan's GPUs at one moment.
type gpuView struct {
	foreign []string // processes on them that are not ours
	oursMiB float64  // memory that our processes hold
	usedMiB float64  // memory in use by anybody
	driver  string
	model   string
	models  []string // of all of them
}

const gpuTimeout = 20 * time.Second

func (g *gpuWatch) look(ctx context.Context) (gpuView, error) {
	v := gpuView{foreign: []string{}}
	if g.conn == nil {
		return v, nil
	}
	ctx, stop := context.WithTimeout(ctx, gpuTimeout)
	defer stop()
	all, procs, err := hosts.QueryGPUs(ctx, g.conn)
	if err != nil {
		return v, err
	}
	index := map[string]int{}
	for _, gpu := range all {
		if !slices.Contains(g.indices, gpu.Index) {
			continue
		}
		index[gpu.UUID] = gpu.Index
		v.driver, v.model, v.models = gpu.DriverVersion, gpu.Name, append(v.models, gpu.Name)
		if gpu.MemoryUsedMiB != nil {
			v.usedMiB += float64(*gpu.MemoryUsedMiB)
		}
	}
	if len(index) < len(g.indices) {
		return v, fmt.Errorf("gpus %v are planned, %d of them are on this host", g.indices, len(index))
	}
	g.sort(procs, index, &v)
	return v, nil
}

// sort tells our processes from others. A pid that the driver hides (0) is ours while we run an engine, since then it
// cannot be told; before a launch nothing of ours runs and it is foreign.
func (g *gpuWatch) sort(procs []hosts.GPUProcess, index map[string]int, v *gpuView) {
	ours := map[int]bool{}
	for _, s := range g.family.look() {
		ours[s.pid] = true
	}
	for _, p := range procs {
		i, mine := index[p.GPUUUID]
		switch {
		case !mine:
		case ours[p.PID] || (p.PID == 0 && len(ours) > 0):
			if p.MemoryUsedMiB != nil {
				v.oursMiB += float64(*p.MemoryUsedMiB)
			}
		default:
			v.foreign = append(v.foreign, fmt.Sprintf("pid %d (%s) on gpu %d", p.PID, cleanLine(p.Name, 80), i))
		}
	}
}
