package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// ServeShard carries out one shard of a load (see RunSharded) in a process of its own, which a parent talks to over in
// and out. It ends when the load has, when the parent says so, or when the parent has gone.
func ServeShard(ctx context.Context, in io.Reader, out io.Writer) error {
	p := newPipe(in, out)
	var o shardOrder
	if err := p.in.Decode(&o); err != nil {
		return fmt.Errorf("%w: no order: %w", errShard, err)
	}
	if err := o.check(); err != nil {
		return errors.Join(err, p.out.Encode(shardSays{Error: err.Error()}))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &shardRun{pipe: p, order: o, start: make(chan Offset, 1), stop: make(chan struct{}), cancel: cancel}
	r, err := newRunnerAt(ctx, clockAt(o.BaseNS), o.target(), o.Spec, max(1, loopsOf(runtime.NumCPU())/o.Shards))
	if err != nil {
		return errors.Join(err, p.out.Encode(shardSays{Error: err.Error()}))
	}
	defer r.lanes.close()
	r.shard, r.shards, r.tailUntil = o.Shard, o.Shards, s.stop
	s.runner = r
	go s.listen()
	return s.run(ctx)
}

// shardRun is a shard at work.
type shardRun struct {
	order  shardOrder
	runner *runner
	cancel context.CancelCauseFunc
	start  chan Offset
	stop   chan struct{} // closed when the parent says stop

	pipe *pipe
	mu   sync.Mutex // of pipe.out
}

func (s *shardRun) say(m shardSays) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pipe.out.Encode(m)
}

// listen takes what the parent says until it has gone.
func (s *shardRun) listen() {
	stopped := false
	for {
		var told shardTold
		if err := s.pipe.in.Decode(&told); err != nil {
			s.cancel(context.Canceled)
			return
		}
		switch {
		case told.StartNS != nil:
			select {
			case s.start <- *told.StartNS:
			default:
			}
		case told.Cancel == cancelDeadline:
			s.cancel(context.DeadlineExceeded)
		case told.Cancel != "":
			s.cancel(context.Canceled)
		case told.Stop && !stopped:
			stopped = true
			close(s.stop)
		}
	}
}

// run opens the connections, waits for the start, offers the load and gives its records.
func (s *shardRun) run(ctx context.Context) error {
	r, o := s.runner, s.order
	if err := r.lanes.prepare(o.Ready); err != nil {
		return errors.Join(err, s.say(shardSays{Error: err.Error(), Limit: socketLimit(err)}))
	}
	m := newMeter(ctx, r.clk, r.dialer.poll)
	if err := s.say(shardSays{Ready: true}); err != nil {
		return err
	}
	reporting, done := context.WithCancel(ctx)
	var reports sync.WaitGroup
	reports.Go(func() { s.report(reporting) })
	err := s.offer(ctx)
	done()
	reports.Wait()
	audit := m.read(o.Spec.Limits.or(DefaultLimits()), r.dialer)
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, s.say(shardSays{Error: err.Error(), Limit: socketLimit(err)}))
	}
	audit.judge(&Recording{Records: r.records, Header: Header{Scenario: o.Spec.Scenario}})
	if err := s.say(shardSays{Audit: &audit, Records: len(r.records)}); err != nil {
		return err
	}
	for _, rec := range r.records {
		if err := s.pipe.out.Encode(rec); err != nil {
			return err
		}
	}
	return nil
}

// report tells the parent how the load goes on, and when the last measured request has ended.
func (s *shardRun) report(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ended := s.runner.windowDone
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			ended = nil
			_ = s.say(shardSays{WindowDone: true})
		case <-tick.C:
			p := s.runner.progress()
			_ = s.say(shardSays{Progress: &p})
		}
	}
}

// offer waits for the start and sends the shard's part.
func (s *shardRun) offer(ctx context.Context) error {
	r, o := s.runner, s.order
	r.dialer.loading.Store(true)
	planned := make([]arrival, len(o.Arrivals))
	for i, a := range o.Arrivals {
		planned[i] = arrival{at: a.AtNS, role: a.Role, index: a.Index}
	}
	r.begin(phaseLoad, 0, len(planned))
	switch {
	case o.Slots > 0:
		return r.closed(ctx, planned, o.Slots, func() bool { return s.waitFor(ctx) })
	case o.Open:
		start, ok := s.started(ctx)
		if !ok {
			r.plan(0, planned) // never sent
			return nil
		}
		return r.open(ctx, openLoad{start: start, length: o.WindowNS, planned: planned, ready: o.Ready})
	}
	start, ok := s.started(ctx)
	if !ok {
		r.plan(0, planned)
		return nil
	}
	r.countWindow(planned)
	_, err := r.playAt(ctx, start, planned)
	return err
}

// started waits for the start to be told.
func (s *shardRun) started(ctx context.Context) (Offset, bool) {
	select {
	case at := <-s.start:
		return at, true
	case <-ctx.Done():
		return 0, false
	}
}

// waitFor waits until the start has come.
func (s *shardRun) waitFor(ctx context.Context) bool {
	at, ok := s.started(ctx)
	if !ok {
		return false
	}
	reached := make(chan bool, 1)
	go func() { reached <- newPacer(s.runner.clk).until(ctx, at) }()
	return <-reached
}
