package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/framework"
)

const (
	lookEvery  = 100 * time.Millisecond
	probeLimit = 30 * time.Second // some readiness endpoints generate a token
	slowAfter  = 20 * time.Second
	portGrace  = 15 * time.Second
)

// logReader follows an engine's log and times its phases.
type logReader struct {
	path   string
	began  time.Time
	offset int64
	torn   []byte
	phases map[string]float64
	ready  bool      // ReadyLog was seen
	noPort time.Time // when a port was first said to be taken; zero: never
}

// read takes what was written since; it says whether anything was. A phase ends with the last line that names it, since
// several ranks print it.
func (l *logReader) read(p *framework.Protocol) bool {
	f, err := os.Open(l.path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	raw, _ := io.ReadAll(io.NewSectionReader(f, l.offset, 16<<20))
	if len(raw) == 0 {
		return false
	}
	l.offset += int64(len(raw))
	now := time.Since(l.began).Seconds()
	text := append(l.torn, raw...)
	end := bytes.LastIndexByte(text, '\n') + 1
	for line := range strings.Lines(string(text[:end])) {
		for _, phase := range p.Phases {
			if phase.Contains != "" && strings.Contains(line, phase.Contains) {
				l.phases[phase.Name] = now
			}
		}
		l.ready = l.ready || p.ReadyLog != "" && strings.Contains(line, p.ReadyLog)
	}
	if l.noPort.IsZero() && saysPortTaken(p, text[:end]) {
		l.noPort = time.Now()
	}
	l.torn = bytes.Clone(text[end:])
	if len(l.torn) > 1<<20 {
		l.torn = nil
	}
	return true
}

// saysPortTaken says whether log lines complain of a port. SGLang prints it, keeps its scheduler busy and never ends.
func saysPortTaken(p *framework.Protocol, lines []byte) bool {
	ports := slices.DeleteFunc(slices.Clone(p.Failures), func(f framework.FailurePattern) bool { return f.Class != framework.FailPort })
	_, _, taken := classify(lines, ports)
	return taken
}

// activity measures whether a launch still does something besides answering our own probes.
type activity struct {
	since time.Time
	cpu   uint64 // ticks at since
	read  uint64 // bytes at since
}

// moved says whether members used at least 1 % of a CPU, and no less than 0.1 s of it, or read 1 MiB, since the last
// time they did.
func (a *activity) moved(members []procStat) bool {
	var cpu, read uint64
	for _, s := range members {
		cpu += s.cpu + s.reaped
		read += readBytes(s.pid)
	}
	need := max(uint64(userHz/10), uint64(time.Since(a.since).Seconds()*userHz/100))
	if cpu < a.cpu || cpu-a.cpu >= need || read < a.read || read-a.read >= 1<<20 {
		a.since, a.cpu, a.read = time.Now(), cpu, read
		return true
	}
	return false
}

func (a *activity) logged() { a.since = time.Now() }

// watchman is the wait for one engine's readiness.
type watchman struct {
	r         *runner
	e         *engine
	log       *logReader
	act       *activity
	answers   chan bool
	probing   bool // a request is under way
	healthy   bool
	nextProbe time.Time
	nextLook  time.Time
}

// await waits until the server is ready: 200 on its path, its log line where there is one, and the process alive. It
// fails by exit, by a port that is taken, by stall and by deadline.
func (r *runner) await(ctx context.Context, e *engine) (phases map[string]float64, why *Failure) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &watchman{r: r, e: e, answers: make(chan bool, 1), act: &activity{since: time.Now()},
		log: &logReader{path: e.log, began: e.began, phases: map[string]float64{}}}
	for {
		w.look(ctx)
		if why, over := w.verdict(ctx); over {
			return w.log.phases, why
		}
		select {
		case w.healthy = <-w.answers:
			w.probing = false
			w.nextProbe = time.Now().Add(lookEvery)
			if time.Since(e.began) > slowAfter {
				w.nextProbe = time.Now().Add(time.Second)
			}
		case <-e.exited:
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// look reads the log, samples the processes and keeps one readiness request under way.
func (w *watchman) look(ctx context.Context) {
	p := &w.e.launch.Protocol
	if w.log.read(p) {
		w.act.logged()
	}
	now := time.Now()
	if now.After(w.nextLook) {
		w.act.moved(w.r.family.look())
		w.nextLook = now.Add(500 * time.Millisecond)
		if now.Sub(w.e.began) > slowAfter {
			w.nextLook = now.Add(2 * time.Second)
		}
	}
	if w.probing || w.healthy || now.Before(w.nextProbe) {
		return
	}
	w.probing = true
	go func() {
		ctx, stop := context.WithTimeout(ctx, probeLimit)
		defer stop()
		w.answers <- w.e.control.isReady(ctx, p.ReadyPath)
	}()
}

// verdict says whether the wait is over, and why it failed if it did.
func (w *watchman) verdict(ctx context.Context) (why *Failure, over bool) {
	p, plan := &w.e.launch.Protocol, &w.r.plan
	took, grace := time.Since(w.e.began), min(portGrace, plan.StallAfter)
	switch {
	case w.e.isDead():
		return w.r.deadFailure(w.e), true
	case ctx.Err() != nil:
		return canceledBy(context.Cause(ctx).Error()), true
	case w.healthy && (p.ReadyLog == "" || w.log.ready):
		w.log.phases["ready"] = took.Seconds()
		return nil, true
	case !w.log.noPort.IsZero() && time.Since(w.log.noPort) > grace: // an engine may find another port by itself
		return w.r.failure(w.e, framework.FailPort, fmt.Sprintf("not ready %s after it found a port taken", grace)), true
	case time.Since(w.act.since) > plan.StallAfter:
		return w.r.failure(w.e, framework.FailStalled, fmt.Sprintf("no log line, CPU time or bytes read for %s", plan.StallAfter)), true
	case took > plan.LaunchDeadline:
		return w.r.failure(w.e, framework.FailDeadline, fmt.Sprintf("not ready after %s", plan.LaunchDeadline)), true
	}
	return nil, false
}

// failure describes a failed launch or point with the engine's log, without the secrets it was given.
func (r *runner) failure(e *engine, class framework.FailureClass, what string) *Failure {
	f := failureOf(e.log, e.launch.Protocol.Failures, class, what)
	if e.sealed {
		return &Failure{Class: f.Class, Reason: cleanLine(what, maxReasonLine) + "; its log stays on the host, since the dataset is private"}
	}
	if f.Class == framework.FailPort {
		if who := portHolder(e.port); who != "" {
			f.Reason += fmt.Sprintf(" (port %d is held by %s)", e.port, who)
		}
	}
	f.Reason, f.LogTail = r.hide(e, f.Reason), r.hide(e, f.LogTail)
	return f
}

func (r *runner) deadFailure(e *engine) *Failure {
	code, how := e.exit()
	f := r.failure(e, framework.FailExited, "the server "+how)
	f.Exit = code
	return f
}
