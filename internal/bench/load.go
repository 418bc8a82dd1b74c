package bench

import (
	"context"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// load offers the measured load and gives the window where it is known beforehand; e2e is the warm-up's median latency.
func (r *runner) load(ctx context.Context, e2e time.Duration) (Window, error) {
	r.dialer.loading.Store(true)
	if r.fleet != nil {
		return r.loadFleet(ctx, e2e)
	}
	switch s := r.spec.Scenario; s.Arrival {
	case contract.ArrivalClosed:
		return Window{}, r.loadClosed(ctx, *s.MaxConcurrency)
	case contract.ArrivalBurst:
		return Window{}, r.loadPlanned(ctx, together(RoleWindow, 0, s.NumPrompts), s.NumPrompts)
	case contract.ArrivalReplay:
		return r.loadReplay(ctx)
	default:
		return r.loadOpen(ctx, e2e)
	}
}

// loadClosed keeps c slots busy: each sends its next request as soon as the last one has ended.
func (r *runner) loadClosed(ctx context.Context, c int) error {
	n := r.spec.Scenario.NumPrompts
	r.begin(phaseLoad, 0, n)
	if err := r.lanes.prepare(c); err != nil {
		return err
	}
	return r.closed(ctx, together(RoleWindow, 0, n), c, func() bool { return true })
}

// closed keeps c slots busy with the planned requests, from when gate says so.
func (r *runner) closed(ctx context.Context, planned []arrival, c int, gate func() bool) error {
	records := r.plan(0, planned)
	for _, rec := range records {
		rec.Sched = Never // a closed loop plans no times
	}
	r.countWindow(planned)
	jobs, finish := r.produce(ctx, records, nil)
	wave := make([]*job, 0, c)
	for len(wave) < min(c, len(planned)) {
		j, ok := <-jobs
		if !ok {
			break
		}
		wave = append(wave, j)
	}
	if !gate() {
		return finish()
	}
	r.lanes.next = r.follower(ctx, jobs)
	r.offerWave(wave)
	r.lanes.wait()
	r.lanes.next = nil
	return finish()
}

// follower gives a closed loop's next request: at once if one is ready, else when it is.
func (r *runner) follower(ctx context.Context, jobs <-chan *job) func(wait bool) (*job, bool) {
	return func(wait bool) (*job, bool) {
		if ctx.Err() != nil {
			return nil, false
		}
		var j *job
		more := true
		if wait {
			j, more = <-jobs
		} else {
			select {
			case j, more = <-jobs:
			default:
			}
		}
		if j != nil {
			r.sent.Add(1)
		}
		return j, more
	}
}

// offerWave opens a closed loop's slots one right after the other; each is free from the moment it is opened.
func (r *runner) offerWave(wave []*job) {
	for slot, j := range wave {
		r.sent.Add(1)
		j.rec.Slot = slot*r.shards + r.shard
		j.rec.Sched = r.clk.now()
		r.lanes.offer(j)
	}
}

// loadPlanned offers a finite schedule, keeping ready connections.
func (r *runner) loadPlanned(ctx context.Context, planned []arrival, ready int) error {
	r.begin(phaseLoad, 0, len(planned))
	if err := r.lanes.prepare(ready); err != nil {
		return err
	}
	r.countWindow(planned)
	_, err := r.play(ctx, planned)
	return err
}

// loadReplay offers the rows at their own times; the window is the middle eight tenths of their span.
func (r *runner) loadReplay(ctx context.Context) (Window, error) {
	planned := replaySchedule(r.spec.Rows)
	err := r.loadPlanned(ctx, planned, r.ready(float64(len(planned))))
	first, span := Never, Offset(planned[len(planned)-1].at)
	for _, rec := range r.records {
		if rec.Role == RoleWindow && (!first.Happened() || rec.Sched < first) {
			first = rec.Sched
		}
	}
	return Window{Start: first + span/10, End: first + span - span/10}, err
}

// loadOpen offers requests at the rate: a lead, the window, and a tail until the last measured request has ended.
func (r *runner) loadOpen(ctx context.Context, e2e time.Duration) (Window, error) {
	s := r.spec.Scenario
	length := openWindow(s, r.spec.Window)
	lead := leadTime(r.spec.Window, length, e2e)
	planned := openSchedule(s, r.spec.arrivals(), length, lead)
	r.begin(phaseLoad, 0, 0)
	ready := r.ready(*s.RequestRate * 2)
	if err := r.lanes.prepare(ready); err != nil {
		return Window{}, err
	}
	window := Window{Start: r.clk.now() + Offset(startMargin+lead)}
	window.End = window.Start + Offset(length)
	return window, r.open(ctx, openLoad{start: window.Start, length: length, planned: planned, drain: r.drain(e2e), ready: ready})
}

// openLoad is an open loop's plan.
type openLoad struct {
	start   Offset // of the window
	length  time.Duration
	planned []arrival
	drain   time.Duration // after the window, until what has not ended is given up; 0 = never
	ready   int           // connections to keep ready
}

// drain is how long after the window an open loop waits for what has not ended.
func (r *runner) drain(e2e time.Duration) time.Duration {
	if r.spec.Drain == 0 {
		return 0
	}
	return max(r.spec.Drain, drainFactor*e2e)
}

// open offers the planned requests around the window, and after them a tail.
func (r *runner) open(ctx context.Context, l openLoad) error {
	records := r.plan(l.start, l.planned)
	tail := tailSchedule(r.spec.Scenario, r.spec.arrivals(), l.length)
	more := func() *Record {
		a := tail()
		for a.index%r.shards != r.shard {
			a = tail()
		}
		rec := newRecord(a.index, a.role)
		rec.Sched, rec.Shard = l.start+Offset(a.at), r.shard
		return rec
	}
	if l.drain > 0 {
		wait := time.Duration(l.start-r.clk.now()) + l.length + l.drain
		defer time.AfterFunc(wait, func() { r.drained.Store(true); r.giveUp() }).Stop()
	}
	r.countWindow(l.planned)
	return r.offerOpen(ctx, records, more, l.ready)
}

// countWindow counts the measured requests of a plan, so that their end is known.
func (r *runner) countWindow(planned []arrival) {
	n := int64(0)
	for _, a := range planned {
		if a.role == RoleWindow {
			n++
		}
	}
	r.windowLeft.Store(n)
	if n == 0 {
		close(r.windowDone)
	}
}

// drainFactor is how many median latencies of the warm-up a request may take at least before it is given up.
const drainFactor = 10

// offerOpen paces the planned requests and the tail's, and ends the tail with the window's last request.
func (r *runner) offerOpen(ctx context.Context, records []*Record, more func() *Record, ready int) error {
	offering, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-r.tailUntil:
		case <-offering.Done():
		}
		stop()
	}()
	r.lanes.keepReady(offering, ready)
	jobs, finish := r.produce(offering, records, more)
	r.pace(offering, jobs)
	stop()
	r.lanes.wait()
	return finish()
}

// ready is how many connections an open loop keeps ready.
func (r *runner) ready(wish float64) int {
	if r.target.Preopen > 0 {
		return r.target.Preopen
	}
	return int(min(max(wish, 16), 256))
}
