package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Times of a launch in seconds at startup_speed 1, as seen in logs of 8B models from a warm page cache.
const (
	importSeconds    = 8.0
	initSeconds      = 1.5
	weightsGBps      = 2.5
	graphSeconds     = 0.22 // for each captured size
	compileSeconds   = 20.0 // torch.compile or inductor from a warm cache
	warmupSeconds    = 1.5
	finalStepSeconds = 0.5
)

// boot takes the launch from arguments to a scheduler: ranks, weights, cache, graphs, with the engine's own log.
func (e *engine) boot(ctx context.Context, fail context.CancelCauseFunc) error {
	e.tell(phaseArguments)
	if err := e.wait(ctx, importSeconds+e.faults.slowStart*e.cfg.StartupSpeed); err != nil {
		return err
	}
	uses, err := gpuUses(e.p.root, e.cfg)
	if err != nil {
		return err
	}
	fullest := 0.0
	for _, g := range e.gpus {
		fullest = math.Max(fullest, uses[g].usedMiB)
	}
	e.mem = memoryBudget(e.set, e.cfg.GPU, fullest)
	if err := e.startRanks(fail); err != nil {
		return err
	}
	e.tell(phaseDistributed)
	if err := e.checkFree(); err != nil {
		return err
	}
	if err := e.wait(ctx, initSeconds); err != nil {
		return err
	}
	e.tell(phaseWeightsBegin)
	if err := e.wait(ctx, e.mem.weights/1e9/weightsGBps); err != nil {
		return err
	}
	e.hold(contextBytes + math.Min(e.mem.weights, e.mem.free))
	if err := e.checkWeights(); err != nil {
		return err
	}
	e.tell(phaseWeightsEnd)
	if err := e.checkCache(); err != nil {
		return err
	}
	e.tell(phaseCache)
	if err := e.capture(ctx); err != nil {
		return err
	}
	e.hold(e.mem.used())
	e.sched = newScheduler(e.set, e.cfg.GPU, e.mem.tokens, e.cfg, e.seed)
	e.prof = newProfiler(e)
	e.sched.observe = e.prof.observe
	return nil
}

// capture compiles and captures graphs, which is where a launch with too little left dies.
func (e *engine) capture(ctx context.Context) error {
	seconds := finalStepSeconds
	if e.set.compiled || e.id == "vllm" && e.set.graphs {
		seconds += compileSeconds
	}
	if e.set.graphs {
		e.tell(phaseGraphsBegin)
		seconds += graphSeconds * float64(len(e.set.graphSizes))
	}
	if !e.mem.fits() {
		return e.captureFailed()
	}
	if err := e.wait(ctx, seconds); err != nil {
		return err
	}
	if e.set.graphs {
		e.tell(phaseGraphsEnd)
	}
	e.tell(phasePools)
	return nil
}

// wait lets seconds of launch time pass at the declared speed.
func (e *engine) wait(ctx context.Context, seconds float64) error {
	select {
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			return cause
		}
		return &launchError{status: 1, lines: []string{"KeyboardInterrupt: terminated"}}
	case <-time.After(time.Duration(seconds / e.cfg.StartupSpeed * float64(time.Second))):
		return nil
	}
}

// startRanks starts one process a rank. A rank that dies takes the engine with it.
func (e *engine) startRanks(fail context.CancelCauseFunc) error {
	for i, g := range e.gpus {
		c, err := startChild(e.p, e.rankName(i), g, e.faults.orphan)
		if err != nil {
			return fmt.Errorf("start rank %d: %w", i, err)
		}
		e.ranks = append(e.ranks, c)
		go func() {
			<-c.gone
			fail(e.rankDied(i))
		}()
	}
	e.hold(contextBytes)
	return nil
}

func (e *engine) rankName(i int) string {
	switch e.id {
	case "vllm":
		if e.set.tp > 1 {
			return fmt.Sprintf("VLLM::Worker_TP%d", i)
		}
		return "VLLM::EngineCore"
	case "tensorrt_llm":
		return "tensorrt_llm::executor_rank" + fmt.Sprint(i)
	case "tokenspeed":
		return "tokenspeed::engine_rank" + fmt.Sprint(i)
	}
	return fmt.Sprintf("sglang::scheduler_TP%d", i)
}

func (e *engine) rankDied(i int) error {
	switch e.id {
	case "vllm":
		return &launchError{status: 1, lines: []string{"ERROR [core_client.py:606] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
			"vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."}}
	case "tensorrt_llm":
		return &launchError{status: 1, lines: []string{fmt.Sprintf("RuntimeError: Executor worker rank %d died during initialization or serving.", i)}}
	}
	return &launchError{status: 1, lines: []string{"Received sigquit from a child process. It usually means the child failed."}}
}

// checkFree is the first look at memory: vLLM refuses a share that somebody else holds.
func (e *engine) checkFree() error {
	want := e.set.memFraction * e.mem.total
	if free := e.mem.free; e.id == "vllm" && free < want-contextBytes {
		return e.coreFailed(fmt.Sprintf("ValueError: Free memory on device cuda:%d (%.2f/%.2f GiB) on startup is less than desired GPU memory utilization (%g, %.2f GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
			e.gpus[0], free/gib, e.mem.total/gib, e.set.memFraction, want/gib))
	}
	return nil
}

func (e *engine) checkWeights() error {
	if e.mem.weights <= e.mem.free {
		return nil
	}
	b := e.mem
	b.need, b.rest = b.weights, b.free
	return e.coreFailed(outOfMemory(e.cfg.GPU, e.gpus[0], b))
}

// checkCache refuses a pool that holds nothing, or with vLLM not one request of full length.
func (e *engine) checkCache() error {
	switch {
	case e.id == "vllm" && e.mem.kv <= 0:
		return e.coreFailed("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.")
	case e.id == "vllm" && e.mem.tokens < e.set.contextLen:
		need := float64(e.set.contextLen) * e.set.kvPerToken() / gib
		return e.coreFailed(fmt.Sprintf("ValueError: To serve at least one request with the models's max seq len (%d), (%.2f GiB KV cache is needed, which is larger than the available KV cache memory (%.2f GiB). Based on the available memory, the estimated maximum model length is %d. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.",
			e.set.contextLen, need, e.mem.kv/gib, e.mem.tokens))
	case e.mem.kv > 0 && e.mem.tokens > 0:
		return nil
	case e.id == "tensorrt_llm":
		return e.coreFailed("RuntimeError: [TensorRT-LLM][ERROR] Failed to allocate KV cache: out of memory. Please reduce free_gpu_memory_fraction or the model's footprint.")
	}
	return e.coreFailed(fmt.Sprintf("RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: self.mem_fraction_static=%g", e.set.memFraction))
}

// captureFailed is an out-of-memory error in the first forward pass or the graph capture.
func (e *engine) captureFailed() error {
	oom := outOfMemory(e.cfg.GPU, e.gpus[0], e.mem)
	if e.id != "sglang" {
		return e.coreFailed(oom)
	}
	if !e.set.graphs {
		return e.coreFailed(oom)
	}
	return e.coreFailed(oom, "Exception: Capture cuda graph failed: "+strings.TrimPrefix(oom, "torch.OutOfMemoryError: "),
		"Possible solutions:", "1. set --mem-fraction-static to a smaller value (e.g., 0.8 or 0.7)",
		"2. set --cuda-graph-max-bs to a smaller value (e.g., 16)", "3. disable torch compile by not using --enable-torch-compile",
		"4. disable CUDA graph by --disable-cuda-graph. (Not recommended. Huge performance loss)")
}

// coreFailed is how a failure in a rank surfaces: the cause first, then the parent's last words.
func (e *engine) coreFailed(cause string, more ...string) error {
	trace := append([]string{"Traceback (most recent call last):", `  File "<simulated>", line 1, in run_scheduler_process`, cause}, more...)
	switch e.id {
	case "vllm":
		lines := []string{"ERROR [core.py:866] EngineCore failed to start."}
		for _, l := range trace {
			lines = append(lines, "(EngineCore pid=0) ERROR [core.py:866] "+l)
		}
		return &launchError{status: 1, lines: append(lines, "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")}
	case "tensorrt_llm":
		return &launchError{status: 1, lines: append(trace, "RuntimeError: Executor worker returned error")}
	}
	lines := append([]string{"Scheduler hit an exception: " + trace[0]}, trace[1:]...)
	return &launchError{status: 1, lines: append(lines, "", "Received sigquit from a child process. It usually means the child failed.")}
}

// becomeReady ends the launch with the engine's readiness line; an error means the engine is being stopped.
func (e *engine) becomeReady(ctx context.Context) error {
	e.tell(phaseListening)
	if e.faults.neverReady {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := e.wait(ctx, warmupSeconds); err != nil {
		return err
	}
	e.ready.Store(true)
	e.tell(phaseReady)
	return nil
}
