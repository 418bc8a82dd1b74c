package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// idleLimit is how long a connection that has served a request may rest before it is replaced. Python servers close
// theirs after five seconds (uvicorn's default).
const idleLimit = 3 * time.Second

// sweepEvery is how often deadlines are looked at.
const sweepEvery = 50 * time.Millisecond

// lanes carry a point's requests over connections that are kept open.
type lanes struct {
	ctx     context.Context //nolint:containedctx // the life of all lanes is the point's
	dialer  *dialer
	clk     *clock
	options receiveOptions
	timeout time.Duration
	ends    func(*Record) // called once for every finished request
	// next gives a closed loop's next request if there is one ready, or says that one is to be waited for; it is nil for
	// an open loop.
	next func(wait bool) (j *job, more bool)

	mu     sync.Mutex
	idle   []restingConn
	spare  int // idle connections to keep ready
	refill chan struct{}
	flight sync.WaitGroup // offered requests, a closed loop's whole chain of them counting as one
	others sync.WaitGroup // goroutines that dial, keep and sweep
	stop   context.CancelFunc
}

// errIdle says why an idle connection was given up.
var errIdle = errors.New("the connection was closed before it was used")

// restingConn is an idle connection.
type restingConn struct {
	c     *conn
	since Offset
}

func newLanes(ctx context.Context, d *dialer, options receiveOptions, timeout time.Duration) *lanes {
	p := &lanes{ctx: ctx, dialer: d, clk: d.clk, options: options, timeout: timeout, refill: make(chan struct{}, 1)}
	sweeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.others.Go(func() { p.sweep(sweeping) })
	return p
}

// sweep ends requests past their deadline, and all of them when the point is over.
func (p *lanes) sweep(until context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	over := p.ctx.Done()
	for {
		select {
		case <-until.Done():
			return
		case <-over:
			over = nil
		case <-tick.C:
		}
		now := p.clk.now()
		p.dialer.each(func(c *conn) {
			if p.ctx.Err() != nil {
				c.abandon(context.Cause(p.ctx))
			}
			c.expire(now)
		})
	}
}

// prepare opens connections until n are idle.
func (p *lanes) prepare(n int) error {
	for range 2*n + 2 { // a server that closes what it has just accepted is none to wait for
		if p.idleCount() >= n {
			return nil
		}
		c, err := p.dialer.dial(p.ctx, p.ended)
		if err != nil {
			return err
		}
		p.rest(c)
	}
	return errIdle
}

// keepReady opens connections whenever the idle ones run low, until ctx ends.
func (p *lanes) keepReady(ctx context.Context, n int) {
	p.mu.Lock()
	p.spare = n
	p.mu.Unlock()
	p.others.Go(func() {
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

// offer sends a request now, on the calling thread where an idle connection is ready.
func (p *lanes) offer(j *job) {
	p.flight.Add(1)
	p.send(j)
}

// send sends a request on an idle connection, or on a new one as soon as it is open.
func (p *lanes) send(j *job) {
	for c := p.take(); c != nil; c = p.take() {
		if c.start(j, p.options, p.timeout) {
			return
		}
	}
	p.others.Go(func() { p.fresh(j) })
}

// fresh opens a connection and sends the request on it.
func (p *lanes) fresh(j *job) {
	c, err := p.dialer.dial(p.ctx, p.ended)
	if err != nil {
		p.finish(nil, j, fail(dialClass(err), err))
		return
	}
	if !c.start(j, p.options, p.timeout) {
		p.finish(nil, j, fail(ErrReset, errIdle))
	}
}

// ended takes the end of a request from its connection. A connection that the server had closed while it rested costs
// the request a second sending, not its life.
func (p *lanes) ended(c *conn, j *job, err error) {
	if err != nil && c.got == 0 && !j.rec.Retried && lostIdle(err, time.Duration(p.clk.now()-j.rec.Sent)) && p.ctx.Err() == nil {
		j.rec.Retried = true
		p.others.Go(func() { p.fresh(j) })
		return
	}
	p.finish(c, j, err)
}

// finish closes the record and, in a closed loop, sends the slot's next request.
func (p *lanes) finish(c *conn, j *job, err error) {
	settleRecord(p.ctx, j.rec, err, p.clk)
	if p.options.digestKey != nil {
		j.rec.seal()
	}
	free := j.rec.End
	if !free.Happened() {
		free = p.clk.now()
	}
	if c != nil && c.isDead() {
		c = nil
	}
	p.ends(j.rec)
	if p.next == nil {
		p.leave(c)
		return
	}
	next, more := p.next(false)
	switch {
	case next != nil:
		p.follow(c, next, j.rec.Slot, free)
	case more:
		p.others.Go(func() {
			if next, _ := p.next(true); next != nil {
				p.follow(c, next, j.rec.Slot, free)
				return
			}
			p.leave(c)
		})
	default:
		p.leave(c)
	}
}

// follow sends a closed loop's next request in the slot that became free.
func (p *lanes) follow(c *conn, j *job, slot int, free Offset) {
	j.rec.Slot, j.rec.Sched = slot, free
	if c != nil && c.start(j, p.options, p.timeout) {
		return
	}
	p.others.Go(func() { p.fresh(j) })
}

// leave puts the connection to rest and lets the flight end.
func (p *lanes) leave(c *conn) {
	if c != nil {
		p.rest(c)
	}
	p.flight.Done()
}

// take gives an idle connection that can be used, nil if there is none.
func (p *lanes) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) <= p.spare/2 {
		select {
		case p.refill <- struct{}{}:
		default:
		}
	}
	for len(p.idle) > 0 {
		r := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if r.c.served == 0 || time.Duration(p.clk.now()-r.since) < idleLimit {
			return r.c
		}
		r.c.abandon(errIdle)
	}
	return nil
}

// rest makes a connection idle.
func (p *lanes) rest(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, restingConn{c: c, since: p.clk.now()})
}

// idleCount counts the idle connections that still live.
func (p *lanes) idleCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, r := range p.idle {
		if !r.c.isDead() && (r.c.served == 0 || time.Duration(p.clk.now()-r.since) < idleLimit) {
			n++
		}
	}
	return n
}

// wait waits until every offered request has ended.
func (p *lanes) wait() { p.flight.Wait() }

// close ends all connections. Nothing may be in flight, and keepReady's context must have ended.
func (p *lanes) close() {
	p.stop()
	p.others.Wait()
	p.dialer.close()
}
