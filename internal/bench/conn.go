package bench

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// transport moves one connection's bytes. A reader of its own (a poll loop or a goroutine) passes what comes in to
// conn.input and releases the transport when input says so.
type transport interface {
	// write sends all of p, keeping for later what the socket does not take now.
	write(p []byte) error
	// shut makes the reader see the end of the connection soon. It may be called from anywhere, more than once.
	shut()
}

// conn is one HTTP/1.1 connection with at most one request under way. The client speaks the protocol itself because it
// needs the instants of the socket: everything is stamped when the read returned, before anything was parsed.
type conn struct {
	clk  *clock
	link transport // nil while it is opened
	// ended takes the end of a request, on the reader's thread; the connection is idle then, or dead.
	ended func(c *conn, j *job, err error)

	mu       sync.Mutex
	job      *job // under way
	response response
	got      int64  // bytes read for it
	heard    Offset // last read
	deadline Offset
	cause    error // why the connection was shut from this side
	dead     bool
	served   int
}

// start stamps and sends a request on an idle connection; false means that the connection is dead and nothing was
// done. Everything else is reported through ended.
func (c *conn) start(j *job, opt receiveOptions, timeout time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return false
	}
	c.job, c.got, c.heard = j, 0, Never
	c.response = response{line: c.response.line[:0], reception: newReception(j.rec, opt)}
	j.rec.Outcome = OutcomeUnfinished
	j.rec.Sent = c.clk.now()
	c.deadline = j.rec.Sent + Offset(timeout)
	if err := c.link.write(j.wire); err != nil {
		c.cause = err
		c.link.shut()
	}
	return true
}

// input takes what a read gave: bytes, and the end of the connection as an error. false means that the connection is
// dead and its transport to be released.
func (c *conn) input(p []byte, end error, stamp Offset) bool {
	c.mu.Lock()
	if c.job == nil { // the server closed an idle connection, or speaks unasked
		c.dead = true
		c.mu.Unlock()
		return false
	}
	c.got += int64(len(p))
	if len(p) > 0 {
		c.heard = stamp
	}
	done, err := c.response.feed(p, stamp)
	if end != nil && !done {
		done, err = true, c.response.eof(end, stamp)
	}
	if !done {
		c.mu.Unlock()
		return true
	}
	if err != nil && c.cause != nil {
		err = c.cause
	}
	j := c.job
	c.job = nil
	c.served++
	c.dead = end != nil || c.cause != nil || c.response.close || !inStep(err)
	dead := c.dead
	c.mu.Unlock()
	c.ended(c, j, err)
	return !dead
}

// expire ends a request that is past its deadline.
func (c *conn) expire(now Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job != nil && now >= c.deadline && c.cause == nil {
		c.cause = c.stall(now)
		c.link.shut()
	}
}

// stall says how a request that is past its deadline has come to be.
func (c *conn) stall(now Offset) error {
	if !c.heard.Happened() {
		return fmt.Errorf("%w: no byte came in %.3g s", os.ErrDeadlineExceeded, float64(now-c.job.rec.Sent)/1e9)
	}
	return fmt.Errorf("%w after %.3g s: the last byte came %.3g s before, behind %d content events", os.ErrDeadlineExceeded,
		float64(now-c.job.rec.Sent)/1e9, float64(now-c.heard)/1e9, c.job.rec.Events)
}

// abandon ends the connection and whatever is under way on it.
func (c *conn) abandon(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
	}
	c.dead = c.dead || c.job == nil
	if c.link != nil {
		c.link.shut()
	}
}

// connect gives the connection its transport. One that was abandoned while it was opened is shut at once.
func (c *conn) connect(link transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = link
	if c.cause != nil {
		link.shut()
	}
}

// isDead says whether the connection is of no more use.
func (c *conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// reader is the plain transport: a goroutine that reads. It serves TLS, foreign dialers and systems without epoll.
type reader struct{ raw net.Conn }

func (r reader) write(p []byte) error {
	_, err := r.raw.Write(p)
	return err
}

func (r reader) shut() { _ = r.raw.SetReadDeadline(time.Unix(1, 0)) }

// readBuffer holds a few dozen events; more is read in turn.
const readBuffer = 16 << 10

// readAll passes on what comes in until the connection is dead, then closes it.
func (r reader) readAll(c *conn, released func()) {
	buf := make([]byte, readBuffer)
	for alive := true; alive; {
		n, err := r.raw.Read(buf)
		alive = c.input(buf[:n], err, c.clk.now())
	}
	_ = r.raw.Close()
	released()
}
