package sim

import "strings"

// enter makes stack the open one at time at: functions that are no longer in it end after the last launch, new ones
// begin. A nil stack closes everything.
func (c *capture) enter(stack []string, at, lastEnd float64) {
	if !c.stacks {
		return
	}
	same := 0
	for same < len(stack) && same < len(c.open) && c.open[same].name == stack[same] {
		same++
	}
	for i := len(c.open) - 1; i >= same; i-- {
		f := c.open[i]
		end := lastEnd + 0.01*float64(len(c.open)-i)
		c.out.add(traceEvent{Ph: "X", Cat: "python_function", Name: f.name, Pid: c.pid, Tid: c.pid, Ts: f.at, Dur: duration(end - f.at), Args: c.frameArgs(f)})
	}
	c.open = c.open[:same]
	for i := same; i < len(stack); i++ {
		f := openFrame{name: stack[i], id: c.python, at: at + 0.01*float64(i)}
		if i > 0 {
			f.parent = c.open[i-1].id
		}
		c.python++
		c.open = append(c.open, f)
	}
}

func (c *capture) frameArgs(f openFrame) map[string]any {
	a := map[string]any{"Python parent id": f.parent, "Python id": f.id}
	if strings.HasPrefix(f.name, "nn.Module: ") {
		id, ok := c.modules[f.name]
		if !ok {
			id = len(c.modules)
			c.modules[f.name] = id
		}
		a["Python module id"] = id
	}
	return c.args(a)
}

// launch writes the host's side: operator, runtime or driver call, flow. It takes `each` µs in all, and returns the ids
// that join the device's side.
func (c *capture) launch(k *kernel, at, each float64, graph bool) (correlation, external int64) {
	c.correlation += 2
	correlation = c.correlation
	name, cat, cbid, length := "cudaLaunchKernel", "cuda_runtime", 211, 1.9
	switch {
	case graph:
		name, cbid, length = "cudaGraphLaunch", 311, 48
	case k.cat == "gpu_memcpy":
		name, cbid = "cudaMemcpyAsync", 41
	case strings.HasPrefix(k.name, "nvjet"), strings.HasPrefix(k.name, "triton_"), strings.HasPrefix(k.name, "_"):
		name, cat, cbid = "cuLaunchKernelEx", "cuda_driver", 652
	}
	args := map[string]any{"cbid": cbid, "correlation": correlation}
	if !graph {
		external = c.nextIDs()
		args["External id"] = external
		op := map[string]any{"External id": external, "Record function id": 0}
		if c.shapes && len(k.dims) > 0 {
			kinds := make([]string, len(k.dims))
			for i := range kinds {
				kinds[i] = "c10::BFloat16"
			}
			op["Input Dims"], op["Input type"] = k.dims, kinds
		}
		c.out.add(traceEvent{Ph: "X", Cat: "cpu_op", Name: k.op, Pid: c.pid, Tid: c.pid, Ts: at + 0.4, Dur: duration(0.7 * each), Args: c.args(op)})
	}
	c.out.add(traceEvent{Ph: "X", Cat: cat, Name: name, Pid: c.pid, Tid: c.pid, Ts: at + 1, Dur: duration(length), Args: args})
	if c.gpu {
		c.out.add(traceEvent{Ph: "s", Cat: "ac2g", Name: "ac2g", ID: correlation, Pid: c.pid, Tid: c.pid, Ts: at + 1})
	}
	return correlation, external
}

// device writes the kernel or copy and the end of its flow.
func (c *capture) device(k *kernel, begin, us float64, correlation, external int64, graphNode int) {
	args := map[string]any{"device": c.rank, "context": 1, "stream": stream, "correlation": correlation}
	if external > 0 {
		args["External id"] = external
	}
	cat := "kernel"
	if k.cat != "" {
		cat = k.cat
		args["bytes"] = k.size
		args["memory bandwidth (GB/s)"] = thousandths(float64(k.size) / us / 1e3)
	} else {
		args["queued"] = 0
		args["registers per thread"], args["shared memory"] = 168, 0
		args["grid"], args["block"] = []int{c.e.cfg.GPU.SMs, 1, 1}, []int{256, 1, 1}
		args["est. achieved occupancy %"] = 0
	}
	if graphNode > 0 {
		args["graph id"], args["graph node id"] = 1, graphNode
	}
	c.out.add(traceEvent{Ph: "X", Cat: cat, Name: k.name, Pid: c.rank, Tid: stream, Ts: begin, Dur: duration(us), Args: args})
	c.out.add(traceEvent{Ph: "f", Cat: "ac2g", Name: "ac2g", ID: correlation, Pid: c.rank, Tid: stream, Ts: begin, Bp: "e"})
}
