package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// profiler collects the steps of one capture and writes them as torch-profiler traces.
type profiler struct {
	e *engine

	mu      sync.Mutex
	on      bool
	opt     profileOptions
	stages  map[string][]stepRecord // "" unless by stage
	written map[string]bool
	writing sync.WaitGroup
}

// profileOptions is SGLang's request, and what the other engines are mapped to.
type profileOptions struct {
	OutputDir string   `json:"output_dir"`
	StartStep int64    `json:"start_step"`
	NumSteps  int      `json:"num_steps"`
	Activity  []string `json:"activities"`
	ByStage   bool     `json:"profile_by_stage"`
	Stages    []string `json:"profile_stages"`
	WithStack *bool    `json:"with_stack"`
	Shapes    *bool    `json:"record_shapes"`
	Prefix    string   `json:"profile_prefix"`
	ID        string   `json:"profile_id"`

	from int64  // first step index
	path string // a fixed file name (TensorRT-LLM)
}

func newProfiler(e *engine) *profiler {
	p := &profiler{e: e}
	if e.id == "tensorrt_llm" {
		p.armFromEnvironment()
	}
	return p
}

// armFromEnvironment is TensorRT-LLM's way: a window of iterations and a file, both fixed at the launch.
func (p *profiler) armFromEnvironment() {
	from, to, ok := strings.Cut(p.e.p.env["TLLM_PROFILE_START_STOP"], "-")
	a, err1 := strconv.ParseInt(from, 10, 64)
	b, err2 := strconv.ParseInt(to, 10, 64)
	path := p.e.p.env["TLLM_TORCH_PROFILE_TRACE"]
	if !ok || err1 != nil || err2 != nil || b < a || path == "" {
		return
	}
	p.begin(profileOptions{OutputDir: filepath.Dir(path), NumSteps: int(b - a + 1), path: path, StartStep: a})
}

// start arms the profiler; an error is the engine's own refusal.
func (p *profiler) start(opt profileOptions) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on {
		return bad("Profiling is already in progress. Call /stop_profile first.")
	}
	if opt.NumSteps < 0 {
		return bad("num_steps must be positive")
	}
	for _, a := range opt.Activity {
		if !slices.Contains([]string{"CPU", "GPU"}, a) {
			return bad("the simulated GPU host records CPU and GPU activities only, not %q", a)
		}
	}
	if err := os.MkdirAll(opt.OutputDir, 0o755); err != nil {
		return bad("cannot create %s: %v", opt.OutputDir, err)
	}
	if opt.ID == "" {
		opt.ID = strconv.FormatFloat(float64(time.Now().UnixMicro())/1e6, 'f', 6, 64)
	}
	p.begin(opt)
	p.e.log.info("Profiling starts%s. Traces will be saved to: %s (with profile id: %s)", stageSuffix(opt), opt.OutputDir, opt.ID)
	return nil
}

func stageSuffix(opt profileOptions) string {
	if opt.ByStage {
		return " by stage"
	}
	return ""
}

func (p *profiler) begin(opt profileOptions) {
	opt.from = max(opt.StartStep, 0)
	p.on, p.opt, p.stages, p.written = true, opt, map[string][]stepRecord{}, map[string]bool{}
}

// observe takes a finished step; the scheduler calls it.
func (p *profiler) observe(r stepRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on || r.index < p.opt.from {
		return
	}
	stage := ""
	if p.opt.ByStage {
		stage = "DECODE"
		if len(r.work.prefills) > 0 {
			stage = "EXTEND"
		}
		name := map[string]string{"DECODE": "decode", "EXTEND": "prefill"}[stage]
		if len(p.opt.Stages) > 0 && !slices.Contains(p.opt.Stages, name) {
			return
		}
	}
	if p.written[stage] {
		return
	}
	p.stages[stage] = append(p.stages[stage], r)
	if p.opt.NumSteps > 0 && len(p.stages[stage]) >= p.opt.NumSteps {
		p.flush(stage)
		wanted := 1
		if p.opt.ByStage {
			wanted = 2
			if len(p.opt.Stages) > 0 {
				wanted = len(p.opt.Stages)
			}
		}
		p.on = len(p.written) < wanted
	}
}

// flush writes a stage's files beside the serving; the caller holds the lock.
func (p *profiler) flush(stage string) {
	records, opt := p.stages[stage], p.opt
	p.written[stage] = true
	delete(p.stages, stage)
	p.writing.Go(func() {
		for rank := range p.e.set.tp {
			path := filepath.Join(opt.OutputDir, p.e.traceName(opt, stage, rank))
			if err := p.e.writeTrace(path, records, opt, rank); err != nil {
				p.e.log.fail("write trace %s: %v", path, err)
			}
		}
		p.e.log.info("Profiling done. Traces are saved to: %s", opt.OutputDir)
	})
}

// stop ends a capture and waits until its files are complete.
func (p *profiler) stop() error {
	p.mu.Lock()
	if !p.on {
		p.mu.Unlock()
		p.writing.Wait()
		return bad("Profiling is not in progress. Call /start_profile first.")
	}
	p.on = false
	for _, stage := range []string{"", "EXTEND", "DECODE"} {
		if len(p.stages[stage]) > 0 {
			p.flush(stage)
		}
	}
	p.mu.Unlock()
	p.writing.Wait()
	return nil
}

// traceName is the engine's file name for a rank.
func (e *engine) traceName(opt profileOptions, stage string, rank int) string {
	switch {
	case opt.path != "" && e.set.tp == 1:
		return filepath.Base(opt.path)
	case opt.path != "":
		ext := filepath.Ext(opt.path)
		return strings.TrimSuffix(filepath.Base(opt.path), ext) + fmt.Sprintf("-rank-%d", rank) + ext
	case e.id == "vllm":
		return fmt.Sprintf("dp0_pp0_tp%d_dcp0_ep0_rank%d.%s.pt.trace.json.gz", rank, rank, strings.ReplaceAll(opt.ID, ".", ""))
	}
	name := opt.ID + fmt.Sprintf("-TP-%d", rank)
	if opt.Prefix != "" {
		name = opt.Prefix + "-" + name
	}
	if stage != "" {
		name += "-" + stage
	}
	return name + ".trace.json.gz"
}
