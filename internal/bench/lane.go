package bench

import (
	"context"
	"sync"
)

// delivery hands a request to a lane: written already by the pacing thread, or to be written by the lane.
type delivery struct {
	job     *job
	sent    bool
	sendErr error
}

// lane is a goroutine with a connection. It finishes one request after another.
type lane struct {
	slot int
	conn *conn // nil after it was lost: the next request opens another
	work chan delivery
}

// lanes are the lanes of one point. Idle ones wait with their connections open.
type lanes struct {
	ctx  context.Context //nolint:containedctx // the life of all lanes is the point's
	x    *exchange
	ends func(*Record) // called once for every finished request
	// next gives a closed loop's next request, nil when there is none; it is nil itself for an open loop.
	next func() *job

	mu     sync.Mutex
	idle   []*lane
	slots  int
	spare  int // idle connections to keep ready
	refill chan struct{}
	flight sync.WaitGroup // offered requests, a closed loop's whole chain of them counting as one
	lanes  sync.WaitGroup
	keeper sync.WaitGroup
}

func newLanes(ctx context.Context, x *exchange, ends func(*Record)) *lanes {
	return &lanes{ctx: ctx, x: x, ends: ends, refill: make(chan struct{}, 1)}
}

// prepare opens connections until n are idle.
func (p *lanes) prepare(n int) error {
	for p.idleCount() < n {
		c, err := p.x.dialer.dial(p.ctx)
		if err != nil {
			return err
		}
		p.put(p.start(c))
	}
	return nil
}

// keepReady opens connections whenever the idle ones run low, until ctx ends, which it must before close.
func (p *lanes) keepReady(ctx context.Context, n int) {
	p.mu.Lock()
	p.spare = n
	p.mu.Unlock()
	p.keeper.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.refill:
				_ = p.prepare(n) // what cannot be opened here fails, with its reason, at the request that needs it
			}
		}
	})
}

// start makes a lane for a connection, or for one still to be opened.
func (p *lanes) start(c *conn) *lane {
	p.mu.Lock()
	p.slots++
	l := &lane{slot: p.slots - 1, conn: c, work: make(chan delivery, 1)}
	p.mu.Unlock()
	p.lanes.Go(func() {
		for d := range l.work {
			p.run(l, d)
			p.flight.Done()
		}
		if l.conn != nil {
			p.x.dialer.close(l.conn)
		}
	})
	return l
}

// run finishes a delivered request, then, in a closed loop, one after another.
func (p *lanes) run(l *lane, d delivery) {
	for {
		d.job.rec.Slot = l.slot
		p.finish(l, d)
		p.ends(d.job.rec)
		if p.next == nil {
			break
		}
		j := p.next()
		if j == nil {
			break
		}
		j.rec.Sched = freed(d.job.rec, p.x.dialer.clk)
		d = delivery{job: j}
	}
	p.put(l)
}

// finish brings one request to its end.
func (p *lanes) finish(l *lane, d delivery) {
	switch {
	case d.sent:
		l.conn = p.x.finish(p.ctx, l.conn, d.job, d.sendErr)
	case l.conn != nil && !l.conn.stale():
		l.conn = p.x.finish(p.ctx, l.conn, d.job, p.x.send(l.conn, d.job))
	default:
		if l.conn != nil {
			p.x.dialer.close(l.conn)
		}
		p.x.dialer.countLoadDial()
		l.conn = p.x.fresh(p.ctx, d.job)
	}
}

// freed is the instant at which a closed loop's slot became free.
func freed(rec *Record, clk *clock) Offset {
	if rec.End.Happened() {
		return rec.End
	}
	return clk.now()
}

// take gives an idle lane whose connection is ready, nil if there is none.
func (p *lanes) take() *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) <= p.spare/2 {
		select {
		case p.refill <- struct{}{}:
		default:
		}
	}
	if len(p.idle) == 0 {
		return nil
	}
	l := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return l
}

// put makes a lane idle; one without a connection ends.
func (p *lanes) put(l *lane) {
	if l.conn == nil {
		close(l.work)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, l)
}

func (p *lanes) idleCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// directLimit is the largest request that the pacing thread writes itself; a larger one might fill the socket's buffer
// and make the thread wait.
const directLimit = 96 << 10

// offer sends a request now: on the calling thread where an idle connection is ready.
func (p *lanes) offer(j *job) {
	l := p.take()
	if l == nil {
		l = p.start(nil)
	}
	p.flight.Add(1)
	if l.conn == nil || l.conn.stale() || len(j.wire) > directLimit {
		l.work <- delivery{job: j}
		return
	}
	err := p.x.send(l.conn, j)
	l.work <- delivery{job: j, sent: true, sendErr: err}
}

// wait waits until every offered request has ended.
func (p *lanes) wait() { p.flight.Wait() }

// close ends all lanes. Nothing may be in flight.
func (p *lanes) close() {
	p.keeper.Wait()
	p.mu.Lock()
	for _, l := range p.idle {
		close(l.work)
	}
	p.idle = nil
	p.mu.Unlock()
	p.lanes.Wait()
}
