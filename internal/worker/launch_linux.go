package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/framework"
)

const (
	tracesDir = "traces"
	cachesDir = "caches"
)

// carryOut runs one launch with its points and captures. Whatever fails, the engine is down when it returns, or the
// whole run ends: an engine that cannot be stopped must not share the host with the next.
func (r *runner) carryOut(ctx context.Context, l *Launch) {
	defer r.step()
	r.doing(0, "launching %s (%s)", l.ID, l.Candidate)
	before, why := r.quietGPUs(ctx)
	if why == nil {
		why = r.asExpected(before)
	}
	if why != nil {
		r.refuse(l, why)
		return
	}
	e, why := r.launchEngine(ctx, l, before)
	if why == nil && e.cold {
		if !r.warmUp(ctx, e, before) {
			return
		}
		e, why = r.launchEngine(ctx, l, before)
	}
	if why != nil {
		r.refuse(l, why)
		return
	}
	r.serve(ctx, e)
	var used *TreeMemory
	if e.memory != nil {
		used = e.memory.stop()
	}
	if !r.down(e, before) {
		return
	}
	code, _ := e.exit()
	r.emit(Event{Kind: EventLaunchStopped, Launch: l.ID, Proc: &e.proc, Port: e.port, Files: r.logFile(e), Exit: code, Memory: used})
}

// down stops an engine; ok is false where it cannot be stopped, which ends the run.
func (r *runner) down(e *engine, before gpuView) (ok bool) {
	l := e.launch
	r.doing(0, "stopping %s", l.ID)
	why := r.stop(e, before)
	if why == nil {
		return true
	}
	r.emit(Event{Kind: EventLaunchFailed, Launch: l.ID, Proc: &e.proc, Failure: why, Files: r.logFile(e)})
	r.unclean = true
	r.cancel(fmt.Errorf("launch %s: %s", l.ID, why.Reason))
	return false
}

// refuse records a launch that never had a process.
func (r *runner) refuse(l *Launch, why *Failure) {
	r.emit(Event{Kind: EventLaunchFailed, Launch: l.ID, Failure: why})
	r.emit(Event{Kind: EventLaunchStopped, Launch: l.ID})
}

// quietGPUs refuses a launch on GPUs that somebody else uses.
func (r *runner) quietGPUs(ctx context.Context) (gpuView, *Failure) {
	v, err := r.gpus.look(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return v, canceledBy(context.Cause(ctx).Error())
		}
		return v, &Failure{Class: FailWorker, Reason: "the GPUs cannot be asked: " + cleanLine(err.Error(), maxReasonLine)}
	}
	if len(v.foreign) > 0 {
		return v, &Failure{Class: framework.FailForeign, Reason: "other processes use these GPUs: " + strings.Join(v.foreign, ", ")}
	}
	return v, nil
}

// asExpected refuses a launch on another GPU, driver or model than the contract's.
func (r *runner) asExpected(gpus gpuView) *Failure {
	want := r.plan.Expects
	if want == nil {
		return nil
	}
	changed := func(what, got, was string) *Failure {
		return &Failure{Class: framework.FailChanged, Reason: cleanLine(fmt.Sprintf("%s is %q, the contract has %q", what, got, was), maxReasonLine)}
	}
	if want.Identity != "" {
		if got, _ := identify(snapshotFiles(want.Model)); got != want.Identity {
			return changed("the identity of the model's files in "+want.Model, got, want.Identity)
		}
	}
	switch {
	case want.GPUModel != "" && !slices.Contains(gpus.models, want.GPUModel):
		return changed("the GPU", gpus.model, want.GPUModel)
	case want.Driver != "" && gpus.driver != want.Driver:
		return changed("the driver", gpus.driver, want.Driver)
	}
	return nil
}

// launchEngine starts a launch's process and records it.
func (r *runner) launchEngine(ctx context.Context, l *Launch, gpus gpuView) (*engine, *Failure) {
	ours := func(err error) *Failure {
		class := FailWorker
		var wrong *overlayError
		if errors.As(err, &wrong) {
			class = framework.FailOverlay
		}
		return &Failure{Class: class, Reason: cleanLine(err.Error(), maxReasonLine)}
	}
	dir := r.launchDir(l)
	e := &engine{launch: l, dir: dir, log: filepath.Join(dir, engineLog)}
	for _, d := range []string{dir, filepath.Join(dir, tracesDir), filepath.Join(dir, proofDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, ours(err)
		}
	}
	program, err := findProgram(l.Argv[0], r.opts.Home)
	if err != nil {
		return nil, &Failure{Class: framework.FailExited, Reason: cleanLine(err.Error(), maxReasonLine)}
	}
	if e.id, err = r.identify(ctx, e, program); err != nil {
		return nil, ours(err)
	}
	if l.Overlay != nil {
		if e.overlay, err = r.overlayOf(ctx, l, program); err != nil {
			return nil, ours(err)
		}
	}
	if e.port, err = freePort(l.Protocol.ControlOff); err != nil {
		return nil, ours(err)
	}
	e.control = newControl(e.port, l.Protocol.ControlOff)
	cache, err := r.cacheDir(e, program, gpus)
	if err != nil {
		return nil, ours(err)
	}
	e.cache = cache
	if e.cold = r.plan.WarmUp && isCold(cache) && !r.warmed[cache]; e.cold {
		e.log = filepath.Join(dir, coldLog)
	}
	fill := e.fill(cache)
	argv := []string{program}
	for _, a := range l.Argv[1:] {
		argv = append(argv, fill.Replace(a))
	}
	e.argv = argv
	if err := r.start(e, program, r.environ(e, program, fill)); err != nil {
		return nil, ours(err)
	}
	if r.plan.Device == deviceCPU {
		e.memory = watchMemory(r.family)
	}
	r.emit(Event{Kind: EventLaunchStarted, Launch: l.ID, Proc: &e.proc, Port: e.port, Pinning: r.pinned(l)})
	return e, nil
}

func (r *runner) overlayOf(ctx context.Context, l *Launch, program string) (*overlayDir, error) {
	where := l.Overlay.Installed
	where.ImportName = l.Overlay.ImportName
	if where.Dir == "" && where.Venv == "" && where.Program == "" {
		where.Program = program
	}
	dir, err := locate(ctx, r.opts, where)
	if err != nil {
		return nil, err
	}
	return makeOverlay(r.plan.Workdir, filepath.Join(r.dir, inboxDir), dir, l.Overlay)
}

// cacheDir gives the folder of JIT caches, one for every engine build, GPU, driver and overlay.
func (r *runner) cacheDir(e *engine, program string, gpus gpuView) (string, error) {
	overlay := ""
	if e.overlay != nil {
		overlay = e.overlay.root
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", []string{e.launch.Entry, string(e.launch.Framework), program, buildOf(program), gpus.model, gpus.driver, overlay})
	dir := filepath.Join(r.plan.Workdir, cachesDir, string(e.launch.Framework)+"-"+hex.EncodeToString(h.Sum(nil))[:16])
	return dir, os.MkdirAll(dir, 0o700)
}

// buildOf tells one installation at a place from a later one: the metadata folders of its site-packages with their
// times, or the program's own size and time.
func buildOf(program string) string {
	infos, _ := filepath.Glob(filepath.Join(globQuote(filepath.Dir(filepath.Dir(program))), "lib", "python*", "site-packages", "*.dist-info"))
	var b strings.Builder
	for _, path := range append(infos, program) {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", filepath.Base(path), info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

// serve waits for readiness and proof, then runs the points and captures.
func (r *runner) serve(ctx context.Context, e *engine) {
	l := e.launch
	phases, why := r.await(ctx, e)
	var loaded map[string]string
	if why == nil && e.overlay != nil {
		loaded, why = r.prove(ctx, e)
	}
	if why == nil {
		if wrong := checkOwner(e.port, r.family.look()); wrong != "" {
			why = &Failure{Class: FailSocket, Reason: wrong}
		}
	}
	if why != nil {
		r.emit(Event{Kind: EventLaunchFailed, Launch: l.ID, Proc: &e.proc, Port: e.port, Phases: phases, Loaded: loaded, Failure: why}) // its log comes whole with launch.stopped
		return
	}
	info := cleanText([]byte(r.hide(e, e.control.info(ctx, l.Protocol.InfoPaths))), maxInfo)
	r.emit(Event{Kind: EventLaunchReady, Launch: l.ID, Proc: &e.proc, Port: e.port, Phases: phases, Loaded: loaded, Info: info, Engine: r.inspect(e)})
	makespans := map[string]float64{}
	for i := range l.Points {
		p := &l.Points[i]
		if ctx.Err() != nil {
			return
		}
		if p.Gate != nil && !p.Gate.Open(func(id string) (float64, bool) { v, ok := makespans[id]; return v, ok }) {
			r.emit(Event{Kind: EventPointSkipped, Launch: l.ID, Point: p.ID, Proc: &e.proc, Port: e.port})
		} else if v, ok := r.measure(ctx, e, p).Get(gateMetric); ok {
			makespans[p.ID] = v
		}
		r.step()
	}
	for i := range l.Captures {
		if ctx.Err() != nil {
			return
		}
		r.capture(ctx, e, &l.Captures[i])
		r.step()
	}
}

// logFile is the engine's log as an artifact, without secrets; it stays on the host once a private dataset was sent, since
// engines log what they are asked.
func (r *runner) logFile(e *engine) []File {
	if e.sealed {
		return nil
	}
	path, err := r.publish(e)
	if err != nil {
		return nil
	}
	f, err := r.file(path, "log")
	if err != nil {
		return nil
	}
	return []File{f}
}

// file describes an artifact below the run folder.
func (r *runner) file(path, role string) (File, error) {
	rel, err := filepath.Rel(r.dir, path)
	if err != nil {
		return File{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	digest, err := digestFile(path)
	return File{Name: filepath.ToSlash(rel), Role: role, SHA256: digest, Size: info.Size()}, err
}
