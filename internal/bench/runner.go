package bench

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// startMargin lies between planning and the first arrival, so that its request is ready in time.
const startMargin = 50 * time.Millisecond

// readyAhead is how many requests are prepared before they are due.
const readyAhead = 256

// runner offers one point's requests and collects their records.
type runner struct {
	spec   Spec
	target Target
	clk    *clock
	dialer *dialer
	writer *writer
	lanes  *lanes

	mu      sync.Mutex
	records []*Record

	shard, shards int             // this process's part of the load; 0 of 1 unless it is one of several
	tailUntil     <-chan struct{} // ends an open loop's tail; windowDone unless other processes measure, too
	fleet         *fleet          // the processes that offer the load in place of this one

	phase, wave, planned, sent, done, failed atomic.Int64
	windowLeft                               atomic.Int64 // planned window requests that have not ended
	windowDone                               chan struct{}

	giveUp  func()      // ends the point
	drained atomic.Bool // requests of the window were given up
}

// newRunner prepares a point. ctx is the life of everything it starts.
func newRunner(ctx context.Context, target Target, spec Spec) (*runner, error) {
	return newRunnerAt(ctx, newClock(), target, spec, loopsOf(runtime.NumCPU()))
}

// newRunnerAt prepares a point on a clock, with so many threads that read.
func newRunnerAt(ctx context.Context, clk *clock, target Target, spec Spec, loops int) (*runner, error) {
	r := &runner{spec: spec, target: target, clk: clk, windowDone: make(chan struct{}), shards: 1}
	r.tailUntil = r.windowDone
	var err error
	if r.dialer, err = newDialer(target, r.clk, loops); err != nil {
		return nil, err
	}
	r.writer = newWriter(target, spec, r.dialer.host)
	options := receiveOptions{stream: spec.Scenario.Stream, ignoreEOS: spec.Scenario.IgnoreEOS, wantLogprobs: spec.WantLogprobs,
		keepOutputs: spec.KeepOutputs, digestKey: spec.DigestKey}
	timeout := spec.RequestTimeout
	if timeout == 0 {
		timeout = DefaultRequestTimeout
	}
	r.lanes = newLanes(ctx, r.dialer, options, timeout)
	r.lanes.ends = r.ended
	return r, nil
}

// ended notes that a request has ended.
func (r *runner) ended(rec *Record) {
	r.done.Add(1)
	if !rec.OK() {
		r.failed.Add(1)
	}
	if rec.Role == RoleWindow && r.windowLeft.Add(-1) == 0 {
		close(r.windowDone)
	}
}

// plan makes the records of a finite schedule: from here on every request is accounted for.
func (r *runner) plan(start Offset, planned []arrival) []*Record {
	out := make([]*Record, len(planned))
	for i, a := range planned {
		out[i] = newRecord(a.index, a.role)
		out[i].Shard = r.shard
		out[i].Sched = start + Offset(a.at)
	}
	r.mu.Lock()
	r.records = append(r.records, out...)
	r.mu.Unlock()
	return out
}

// produce prepares requests ahead of their time, first the planned ones, then those of more, until ctx ends or nothing
// is left. finish ends it, waits for it, and gives its error; it must be called before the records are read.
func (r *runner) produce(ctx context.Context, planned []*Record, more func() *Record) (ready <-chan *job, finish func() error) {
	ctx, stop := context.WithCancel(ctx)
	jobs, failed := make(chan *job, readyAhead), make(chan error, 1)
	go func() {
		defer close(failed)
		defer close(jobs)
		for i := 0; i < len(planned) || more != nil; i++ {
			var rec *Record
			if i < len(planned) {
				rec = planned[i]
			} else {
				rec = more()
			}
			j, err := r.writer.job(rec)
			if err != nil {
				failed <- err
				return
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	return jobs, func() error {
		stop()
		return <-failed
	}
}

// pace offers the requests at their planned times on a thread of its own until they run out or ctx ends. It returns
// when the last one has been sent.
func (r *runner) pace(ctx context.Context, jobs <-chan *job) {
	var sender sync.WaitGroup
	sender.Go(func() {
		p := newPacer(r.clk)
		for j := range jobs {
			if !p.until(ctx, j.rec.Sched) {
				return
			}
			if j.rec.Role == RoleTail {
				r.mu.Lock()
				r.records = append(r.records, j.rec)
				r.mu.Unlock()
			}
			r.sent.Add(1)
			r.lanes.offer(j)
		}
	})
	sender.Wait()
}

// play offers a finite schedule from now on and waits until all of it has ended.
func (r *runner) play(ctx context.Context, planned []arrival) ([]*Record, error) {
	return r.playAt(ctx, r.clk.now()+Offset(startMargin), planned)
}

// playAt offers a finite schedule from an instant on and waits until all of it has ended.
func (r *runner) playAt(ctx context.Context, start Offset, planned []arrival) ([]*Record, error) {
	records := r.plan(start, planned)
	jobs, finish := r.produce(ctx, records, nil)
	r.pace(ctx, jobs)
	r.lanes.wait()
	return records, finish()
}

// begin resets the counters for a phase.
func (r *runner) begin(phase int64, wave, planned int) {
	r.phase.Store(phase)
	r.wave.Store(int64(wave))
	r.planned.Store(int64(planned))
	for _, n := range []*atomic.Int64{&r.sent, &r.done, &r.failed} {
		n.Store(0)
	}
}

// Phases of a running point.
const (
	phaseWarmup = iota
	phaseLoad
)

// progress is a glimpse of the counters.
func (r *runner) progress() Progress {
	if r.fleet != nil && r.phase.Load() == phaseLoad {
		return r.fleet.progress(int(r.planned.Load()), time.Duration(r.clk.now()))
	}
	p := Progress{Phase: "warmup", Wave: int(r.wave.Load()), Planned: int(r.planned.Load()), Sent: int(r.sent.Load()),
		Done: int(r.done.Load()), Failed: int(r.failed.Load()), Elapsed: time.Duration(r.clk.now())}
	if r.phase.Load() == phaseLoad {
		p.Phase = "load"
	}
	p.InFlight = max(0, p.Sent-p.Done)
	return p
}
