package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sotaloop/sotaloop/internal/framework"
)

const (
	testsLog  = "tests.log"
	testsTree = "tree"
)

// runTests runs one TestRun to its end, or to its time limit, with nothing left of it.
func (r *runner) runTests(ctx context.Context, t *TestRun) {
	defer r.step()
	if t.Unless != "" && r.passed[t.Unless] {
		return
	}
	r.doing(0, "running tests %s", t.ID)
	res := &TestResult{ID: t.ID, Argv: []string{}, Exit: -1, Failing: []string{}}
	files, why := r.carryOutTests(ctx, t, res)
	if why == nil && ctx.Err() != nil {
		why = canceledBy(context.Cause(ctx).Error())
	}
	r.passed[t.ID] = why == nil && res.Counted && res.Exit == 0
	r.emit(Event{Kind: EventTestsDone, Tests: res, Failure: why, Files: files})
}

func (r *runner) carryOutTests(ctx context.Context, t *TestRun, res *TestResult) ([]File, *Failure) {
	before, why := r.quietGPUs(ctx)
	if why == nil {
		why = r.asExpected(before)
	}
	if why != nil {
		return nil, why
	}
	e, program, err := r.layTests(ctx, t, before)
	if err != nil {
		class := FailWorker
		var wrong *overlayError
		if errors.As(err, &wrong) {
			class = framework.FailOverlay
		}
		return nil, &Failure{Class: class, Reason: cleanLine(err.Error(), maxReasonLine)}
	}
	began := time.Now()
	if err := r.start(e, program, r.environ(e, program, e.fill(e.cache))); err != nil {
		return nil, &Failure{Class: FailWorker, Reason: cleanLine(err.Error(), maxReasonLine)}
	}
	limit := time.NewTimer(t.Timeout)
	defer limit.Stop()
	select {
	case <-e.exited:
	case <-ctx.Done():
	case <-limit.C:
		res.TimedOut = true
	}
	ended := e.isDead()
	if left := r.endAll(e); len(left) > 0 {
		close(e.settle)
		r.unclean = true
		r.cancel(fmt.Errorf("tests %s: still there after SIGKILL", t.ID))
		return nil, &Failure{Class: FailTeardown, Reason: "processes of the tests do not end"}
	}
	close(e.settle)
	if code, _ := e.exit(); ended && code != nil {
		res.Exit = *code
	}
	res.Argv, res.SecondsS = e.argv, time.Since(began).Seconds()
	res.readTests(readLog(e.log), e.overlay.pkg())
	return r.logFile(e), r.awaitGPU(before)
}

// layTests lays out the tree of tests and the overlay that they import.
func (r *runner) layTests(ctx context.Context, t *TestRun, gpus gpuView) (*engine, string, error) {
	l := &Launch{ID: t.ID, Entry: t.Entry, Framework: t.Framework, Env: t.Env, Overlay: t.Overlay}
	dir := r.launchDir(l)
	e := &engine{launch: l, dir: filepath.Join(dir, testsTree), log: filepath.Join(dir, testsLog)}
	for _, d := range []string{e.dir, filepath.Join(e.dir, proofDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, "", err
		}
	}
	program, err := findProgram(t.Python, r.opts.Home)
	if err != nil {
		return nil, "", err
	}
	if e.overlay, err = r.overlayOf(ctx, l, program); err != nil {
		return nil, "", err
	}
	archive := filepath.Join(r.dir, inboxDir, t.Tar)
	if got, err := digestFile(archive); err != nil || got != t.TarDigest {
		return nil, "", overlayFault("archive %s has digest %s, the plan says %s", t.Tar, got, t.TarDigest)
	}
	if err := layTar(archive, "", e.dir); err != nil {
		return nil, "", err
	}
	if e.cache, err = r.cacheDir(e, program, gpus); err != nil {
		return nil, "", err
	}
	e.argv = t.argv(program, e.overlay.pkg())
	return e, program, nil
}
