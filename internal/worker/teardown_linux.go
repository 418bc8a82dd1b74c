package worker

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const gpuReleaseWait = 60 * time.Second

// stop ends an engine with all its descendants and confirms it: no process left, port free, GPU memory given back.
// before is the GPU memory in use when the launch began. It runs to its end even when the run was canceled.
func (r *runner) stop(e *engine, before gpuView) *Failure {
	left := r.endAll(e)
	close(e.settle)
	if len(left) > 0 {
		names := make([]string, 0, len(left))
		for _, s := range left {
			names = append(names, procOf(s, r.family.boot).name())
		}
		return &Failure{Class: FailTeardown, Reason: "still there after SIGKILL: " + strings.Join(names, ", ")}
	}
	if who := r.awaitPort(e); who != "" {
		return &Failure{Class: FailTeardown, Reason: fmt.Sprintf("port %d is still held by %s", e.port, who)}
	}
	return r.awaitGPU(before)
}

// endAll signals every descendant, SIGTERM first, until none lives. Orphans are the worker's children, so a fork during
// the teardown cannot hide.
func (r *runner) endAll(e *engine) []procStat {
	asked := map[int]uint64{}
	soft := time.Now().Add(r.plan.StopGrace)
	end := soft.Add(killWait)
	for {
		r.family.collect(e.proc.PID)
		left := r.family.lookAll()
		if len(left) == 0 && e.isDead() {
			r.family.collect(e.proc.PID)
			return nil
		}
		now := time.Now()
		if now.After(end) && len(left) > 0 {
			return left
		}
		for _, s := range left {
			p := Proc{PID: s.pid, StartTime: s.start, BootID: r.family.boot}
			if now.After(soft) {
				signalProc(p, unix.SIGKILL)
			} else if asked[s.pid] != s.start {
				signalProc(p, unix.SIGTERM)
			}
			asked[s.pid] = s.start
		}
		select {
		case <-e.exited:
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // waits for other processes
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (r *runner) awaitPort(e *engine) string {
	for end := time.Now().Add(5 * time.Second); ; {
		who := portHolder(e.port)
		if who == "" || time.Now().After(end) {
			return who
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // waits for other processes
	}
}

// awaitGPU waits until the GPUs' memory is back to what it was, give or take what the driver keeps for itself.
func (r *runner) awaitGPU(before gpuView) *Failure {
	const slackMiB = 512
	for end := time.Now().Add(gpuReleaseWait); ; {
		now, err := r.gpus.look(context.Background())
		if err == nil && now.usedMiB <= before.usedMiB+slackMiB {
			return nil
		}
		if time.Now().After(end) {
			if err != nil {
				return &Failure{Class: FailTeardown, Reason: "the GPUs cannot be asked: " + cleanLine(err.Error(), maxReasonLine)}
			}
			return &Failure{Class: FailTeardown, Reason: fmt.Sprintf("%.0f MiB of GPU memory were not given back (before %.0f, now %.0f)",
				now.usedMiB-before.usedMiB, before.usedMiB, now.usedMiB)}
		}
		time.Sleep(time.Second) //nolint:forbidigo // waits for the driver
	}
}

// launchDir gives a launch's own folder.
func (r *runner) launchDir(l *Launch) string { return filepath.Join(r.dir, launchesDir, l.ID) }
