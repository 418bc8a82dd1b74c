package sim

import (
	"fmt"
	"time"
)

// stream is the CUDA stream of all simulated work.
const stream = 7

// capture turns steps into events of one file. Ids are unique within it.
type capture struct {
	e           *engine
	out         *traceWriter
	rank, pid   int
	stacks      bool
	shapes      bool
	gpu         bool
	ids         int64 // External id
	correlation int64
	python      int64
	events      int64 // Ev Idx
	modules     map[string]int
	open        []openFrame
}

// openFrame is a Python function that has been entered.
type openFrame struct {
	name   string
	id     int64
	parent any
	at     float64
}

// labels are the process and thread names.
func (c *capture) labels(since time.Duration) {
	at := micros(since)
	c.modules = map[string]int{}
	for _, m := range []struct {
		pid   int
		label string
		sort  int
	}{{c.pid, "CPU", c.pid}, {c.rank, fmt.Sprintf("GPU %d", c.rank), 5000000 + c.rank}} {
		c.out.add(traceEvent{Ph: "M", Name: "process_name", Pid: m.pid, Tid: 0, Ts: at, Args: map[string]any{"name": "python3 (simulated)"}})
		c.out.add(traceEvent{Ph: "M", Name: "process_labels", Pid: m.pid, Tid: 0, Ts: at, Args: map[string]any{"labels": m.label}})
		c.out.add(traceEvent{Ph: "M", Name: "process_sort_index", Pid: m.pid, Tid: 0, Ts: at, Args: map[string]any{"sort_index": m.sort}})
	}
	c.out.add(traceEvent{Ph: "M", Name: "thread_name", Pid: c.pid, Tid: c.pid, Ts: at, Args: map[string]any{"name": fmt.Sprintf("thread %d (python3)", c.pid)}})
	c.out.add(traceEvent{Ph: "M", Name: "thread_name", Pid: c.rank, Tid: stream, Ts: at, Args: map[string]any{"name": fmt.Sprintf("stream %d ", stream)}})
	c.out.add(traceEvent{Ph: "i", Name: "Iteration Start: PyTorch Profiler", S: "g", Pid: "Traces", Tid: "Trace PyTorch Profiler", Ts: at})
}

// step writes one step that begins at `at` µs; it returns when its last event ends.
func (c *capture) step(r stepRecord, at float64) float64 {
	roof := c.e.sched.roof
	stretch := r.noise * (1 - 0.004*float64(c.rank)) // the other ranks' kernels are a little shorter
	prefill := len(r.work.prefills) > 0
	var graphLaunch int64
	node, gpuBegin, gpuEnd, hostEnd := 0, 0.0, 0.0, 0.0
	annotated, hostBegin := c.nextIDs(), at
	hostUS, endUS := roof.timeline(r.plan, stretch, func(k *kernel, layer int, m moment) {
		post := k.site == "sample"
		graph := r.plan.graph && !post
		corr := graphLaunch
		external := int64(0)
		if !graph || graphLaunch == 0 {
			c.enter(c.e.stackOf(k.site, layer, prefill, graph), at+m.launch, hostEnd)
			corr, external = c.launch(k, at+m.launch, r.plan.each, graph)
			hostEnd = at + m.launch + 0.8*r.plan.each
			if graph {
				graphLaunch, external, hostEnd = corr, 0, at+m.launch+50
			}
		}
		if gpuBegin == 0 {
			gpuBegin = at + m.start
		}
		if c.gpu {
			node++
			graphNode := 0
			if graph {
				graphNode = node
			}
			c.device(k, at+m.start, m.us, corr, external, graphNode)
		}
		if !post {
			gpuEnd = at + m.start + m.us
		}
	})
	c.enter(nil, 0, hostEnd)
	name := c.annotation(r)
	c.out.add(traceEvent{Ph: "X", Cat: "user_annotation", Name: name, Pid: c.pid, Tid: c.pid, Ts: hostBegin, Dur: duration(hostUS), Args: c.args(map[string]any{"External id": annotated, "Record function id": 0})})
	if c.gpu {
		c.out.add(traceEvent{Ph: "X", Cat: "gpu_user_annotation", Name: name, Pid: c.rank, Tid: stream, Ts: gpuBegin, Dur: duration(gpuEnd - gpuBegin), Args: map[string]any{"External id": annotated}})
	}
	// The host waits for the sampled tokens.
	c.correlation++
	wait := hostEnd + 2
	if end := at + endUS; end > wait {
		c.out.add(traceEvent{Ph: "X", Cat: "cuda_runtime", Name: "cudaEventSynchronize", Pid: c.pid, Tid: c.pid, Ts: wait, Dur: duration(end - wait), Args: map[string]any{"cbid": 137, "correlation": c.correlation}})
	}
	return at + endUS
}

// annotation is the engine's name of a step.
func (c *capture) annotation(r stepRecord) string {
	w := r.work
	tokens := w.prefillTokens()
	switch c.e.id {
	case "vllm":
		return fmt.Sprintf("execute_context_%d(%d)_generation_%d(%d)", len(w.prefills), tokens, w.decodes, w.decodes)
	case "tensorrt_llm":
		return fmt.Sprintf("[Executor] _forward_step %d: %d ctx reqs, %d ctx tokens, %d gen reqs", r.index, len(w.prefills), tokens, w.decodes)
	}
	switch {
	case tokens > 0 && w.decodes > 0:
		return fmt.Sprintf("step[MIXED bs=%d toks=%d]", len(w.prefills)+w.decodes, tokens+w.decodes)
	case tokens > 0:
		return fmt.Sprintf("step[EXTEND bs=%d toks=%d]", len(w.prefills), tokens)
	}
	return fmt.Sprintf("step[DECODE bs=%d]", w.decodes)
}

func (c *capture) nextIDs() int64 { c.ids++; return c.ids }

// args adds the event index.
func (c *capture) args(a map[string]any) map[string]any {
	a["Ev Idx"] = c.events
	c.events++
	return a
}
