package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// What became of the prefix cache before a point.
const (
	cacheFlushed     = "flushed"
	cacheKept        = "kept"        // no flush was asked for
	cacheUnflushable = "unflushable" // the server has no way to flush: unique prompts only
)

var errServerDied = errors.New("the server died")

// measure runs one point. Its failure is a result: the plan goes on. A point that says itself that it cannot count is
// repeated once, and the first try's records stay beside the second's. The metrics are those of a point that succeeded.
func (r *runner) measure(ctx context.Context, e *engine, p *Point) bench.Metrics {
	var ev Event
	if p.Rate != nil {
		ev = r.searchRate(ctx, e, p)
	} else {
		ev = r.tryTwice(ctx, e, p)
	}
	if r.undrawn {
		return nil
	}
	ev.Checked = r.checkIdentity(ctx, e)
	if ev.Failure != nil {
		ev.Kind = EventPointFailed
	}
	r.emit(ev)
	if ev.Failure != nil || ev.Metrics == nil {
		return nil
	}
	return *ev.Metrics
}

func (r *runner) tryTwice(ctx context.Context, e *engine, p *Point) Event {
	ev := r.try(ctx, e, p)
	if why := r.unfit(ev); why != "" {
		first := r.keepFirst(ev.Files)
		ev = r.try(ctx, e, p)
		ev.Repeated, ev.Files = why, append(ev.Files, first...)
	}
	return ev
}

func (r *runner) try(ctx context.Context, e *engine, p *Point) Event {
	ev := Event{Kind: EventPointDone, Launch: e.launch.ID, Point: p.ID, Proc: &e.proc, Port: e.port}
	ev.Failure = r.tryPoint(ctx, e, p, &ev)
	return ev
}

// unfit says why a measured point cannot count by its own audit; "" where it can, or where it failed.
func (r *runner) unfit(ev Event) string {
	why := bench.Unfit(ev.Measured)
	switch {
	case ev.Failure != nil || ev.Measured == nil:
		return ""
	case why != "":
		return why
	case ev.Quiet != nil && ev.Quiet.CacheWrites > 0:
		return "kernels were compiled in the window"
	}
	limits := DefaultQuietLimits()
	if r.plan.QuietLimits != nil {
		limits = *r.plan.QuietLimits
	}
	return strings.Join(ev.Quiet.Disturbed(limits), "; ")
}

// keepFirst moves a first try's records aside, so that the second's do not replace them.
func (r *runner) keepFirst(files []File) []File {
	var kept []File
	for _, f := range files {
		from := filepath.Join(r.dir, filepath.FromSlash(f.Name))
		to := strings.TrimSuffix(f.Name, ".jsonl.zst") + ".first.jsonl.zst"
		if err := os.Rename(from, filepath.Join(r.dir, filepath.FromSlash(to))); err != nil {
			continue // the repetition overwrites it then, and the event says that there was one
		}
		kept = append(kept, File{Name: to, Role: RoleFirstRecords, SHA256: f.SHA256, Size: f.Size})
	}
	return kept
}

func (r *runner) tryPoint(ctx context.Context, e *engine, p *Point, ev *Event) *Failure {
	if why := r.checkEngine(ctx, e); why != nil {
		return why
	}
	var why *Failure
	if ev.Cache, why = r.flush(ctx, e, p); why != nil {
		return why
	}
	spec, why := r.drawn(e, p)
	if why != nil {
		return why
	}
	if r.plan.AuditLimits != nil {
		spec.Limits = *r.plan.AuditLimits
	}
	moved := r.hold()
	watch := r.watchQuiet(ctx)
	if e.memory != nil {
		e.memory.begin()
	}
	point, err := r.load(ctx, e, spec, func(g bench.Progress) {
		share := 0.0
		if g.Planned > 0 && g.Phase == "load" {
			share = float64(g.Done) / float64(g.Planned)
		}
		r.doing(share, "%s %s: %s, %d requests done, %d in flight", e.launch.ID, p.ID, g.Phase, g.Done, g.InFlight)
	})
	ev.Quiet = watch.stop(context.WithoutCancel(ctx))
	ev.Quiet.Repinned = moved
	if e.memory != nil {
		ev.Memory = e.memory.peak()
	}
	if point != nil {
		ev.Measured, ev.Metrics, ev.Audit = point, &point.Metrics, &point.Audit
		ev.Quiet.CacheWrites, ev.Quiet.CacheFiles = cacheWrites(e.cache, point.At(point.Window.Start), point.At(point.Window.End))
		if file, e := r.store(e, p, point); e != nil {
			return &Failure{Class: FailWorker, Reason: "the records cannot be stored: " + cleanLine(e.Error(), maxReasonLine)}
		} else if file != nil {
			ev.Files = []File{*file}
		}
	}
	if why := r.checkEngine(ctx, e); why != nil {
		return why
	}
	return r.judge(e, point, err)
}

// judge says why a point failed although its server lives.
func (r *runner) judge(e *engine, point *bench.Point, err error) *Failure {
	switch {
	case err != nil:
		return r.failure(e, FailRequests, "the load could not be offered: "+cleanLine(err.Error(), maxReasonLine))
	case point.Status == bench.StatusTimeout:
		return r.failure(e, framework.FailDeadline, "the point's deadline came first: "+cleanLine(point.Reason, maxReasonLine))
	case point.Status != bench.StatusOK:
		return r.failure(e, FailRequests, cleanLine(point.Reason, maxReasonLine))
	}
	return nil
}

// checkEngine looks, before and after a point, that the run goes on, the server lives, and the port is its own.
func (r *runner) checkEngine(ctx context.Context, e *engine) *Failure {
	if ctx.Err() != nil {
		return canceledBy(context.Cause(ctx).Error())
	}
	if e.isDead() {
		return r.deadFailure(e)
	}
	if wrong := checkOwner(e.port, r.family.look()); wrong != "" {
		if e.isDead() {
			return r.deadFailure(e)
		}
		return r.failure(e, FailSocket, wrong)
	}
	return nil
}

func (r *runner) flush(ctx context.Context, e *engine, p *Point) (string, *Failure) {
	call := e.launch.Protocol.Flush
	switch {
	case !p.Flush:
		return cacheKept, nil
	case call == nil:
		return cacheUnflushable, nil
	}
	if err := e.control.flush(ctx, *call); err != nil {
		return "", &Failure{Class: FailFlush, Reason: "the prefix cache was not flushed: " + e.said(err)}
	}
	return cacheFlushed, nil
}

// load offers a spec to the engine; it ends early when the server dies.
func (r *runner) load(ctx context.Context, e *engine, spec bench.Spec, progress func(bench.Progress)) (*bench.Point, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-e.exited:
			stop(errServerDied)
		case <-ctx.Done():
		}
	}()
	target := bench.Target{BaseURL: "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port)), Path: e.launch.Endpoint, Model: e.launch.Served}
	if spec.Scenario.Kind == contract.KindRandom && target.Path == bench.PathChat {
		target.Path = bench.PathCompletions // of a capture: token ids, which a chat does not take
	}
	if n := bench.ShardsFor(spec.Scenario, runtime.NumCPU()); n > 1 {
		return bench.RunSharded(ctx, target, spec, Shards(n, nil), progress)
	}
	return bench.Run(ctx, target, spec, progress)
}

// store writes a point's records beside the log.
func (r *runner) store(e *engine, p *Point, point *bench.Point) (*File, error) {
	if point.Recording == nil {
		return nil, nil
	}
	dir := filepath.Join(e.dir, "points")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, rec := range point.Recording.Records {
		rec.Error, rec.Finish = r.hide(e, rec.Error), r.hide(e, rec.Finish)
	}
	path := filepath.Join(dir, p.ID+".jsonl.zst")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	err = bench.WriteRecords(f, point.Recording)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write records: %w", err)
	}
	file, err := r.file(path, "records")
	return &file, err
}
