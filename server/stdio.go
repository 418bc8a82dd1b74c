package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

const (
	// maxInFlight bounds the messages that are being answered; the rest stays in the pipe.
	maxInFlight = 256
	// grace is how long running calls may go on once the client has closed its end: long enough for what was piped
	// in to be answered, short enough for a client that waits for our exit.
	grace = time.Second
	// lastCall is how long cancelled calls may take to return.
	lastCall = 2 * time.Second
)

// stdioLoop is one conversation over a pair of streams. The library has such a loop as well; this one keeps the order
// of progress and answer, answers what was asked before the end of input, bounds a message, and shows every byte to
// the transcript.
type stdioLoop struct {
	s       *Server
	session string
	running sync.WaitGroup
	places  chan struct{}
	asked   flights
	told    logLevel

	mu      sync.Mutex // of out
	out     io.Writer
	failure error
	broken  chan struct{} // closed with the first failure
}

// ServeStdio answers the client that writes to in and reads from out, one JSON message a line, until in ends or ctx is
// done. A blocked read of in outlives it. Nothing else may write to out.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	l := &stdioLoop{s: s, session: "stdio", places: make(chan struct{}, maxInFlight), out: out, broken: make(chan struct{})}
	calls, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() { ended <- readLines(calls, in, lines) }()
	for {
		select {
		case line := <-lines:
			l.received(calls, line)
		case err := <-ended:
			l.wait(grace)
			cancel()
			l.wait(lastCall)
			return errors.Join(err, l.failed())
		case <-l.broken:
			cancel()
			l.wait(lastCall)
			return l.failed()
		case <-ctx.Done():
			l.wait(lastCall)
			return nil
		}
	}
}

// readLines sends the lines of in; a line over the limit is sent cut, so that it is answered as unreadable.
func readLines(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := readLine(r)
		if len(line) > 0 {
			select {
			case lines <- line:
			case <-ctx.Done():
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read input: %w", err)
		}
	}
}

// readLine gives the next line without its end, and drops what a line has beyond the limit.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line) <= maxMessage {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
				line = line[:len(line)-1]
			}
			return line, err
		}
	}
}

// received records a message and has it answered. Notifications are handled at once: a cancellation must not queue
// behind what it cancels.
func (l *stdioLoop) received(ctx context.Context, line []byte) {
	l.s.record(l.s.opts.Transcript.Received(l.session, line))
	e := openEnvelope(line)
	switch {
	case e.refusal != nil:
		l.write(e.refusal)
		return
	case e.reply:
		return // to nothing that was asked
	case !e.isRequest():
		if e.method == cancelled {
			l.asked.cancel(line)
		}
		l.answer(ctx, line)
		return
	}
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		return
	}
	ctx, f := l.asked.begin(ctx, e)
	l.running.Go(func() {
		defer func() { f.end(); <-l.places }()
		if raw := l.answer(ctx, line); raw != nil && !f.isCancelled() {
			l.write(raw)
		}
	})
}

// answer has one message handled, sends its progress, and gives the answer that is to follow it.
func (l *stdioLoop) answer(ctx context.Context, line []byte) []byte {
	session := &stdioSession{logLevel: &l.told, id: l.session, notifications: make(chan mcp.JSONRPCNotification, 256)}
	done := make(chan struct{})
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		for {
			select {
			case n := <-session.notifications:
				l.send(n)
			case <-done:
				for len(session.notifications) > 0 {
					l.send(<-session.notifications)
				}
				return
			}
		}
	})
	response := l.handle(withExchange(ctx, exchange{raw: line}), session, line)
	close(done)
	forwarding.Wait()
	if response == nil {
		return nil
	}
	raw, err := json.Marshal(response)
	if err != nil {
		l.s.log.Error("an answer cannot be encoded", "error", err)
		return nil
	}
	return l.s.amend(line, raw)
}

// handle passes a message to the library. The guard catches what handlers do; this catches what the library does.
func (l *stdioLoop) handle(ctx context.Context, session *stdioSession, line []byte) (response mcp.JSONRPCMessage) {
	defer func() {
		if r := recover(); r != nil {
			l.s.log.Error("panic outside of a handler", "panic", r, "stack", string(debug.Stack()))
			response = mcp.NewJSONRPCError(mcp.NewRequestId(nil), mcp.INTERNAL_ERROR, "internal error", nil)
		}
	}()
	return l.s.mcp.HandleMessage(l.s.mcp.WithContext(ctx, session), line)
}

// send writes a notification.
func (l *stdioLoop) send(n mcp.JSONRPCNotification) {
	raw, err := json.Marshal(n)
	if err != nil {
		l.s.log.Error("a notification cannot be encoded", "error", err)
		return
	}
	l.write(raw)
}

// write records a message and sends it.
func (l *stdioLoop) write(raw []byte) {
	l.s.record(l.s.opts.Transcript.Sent(l.session, raw))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return
	}
	if _, err := l.out.Write(append(raw, '\n')); err != nil {
		l.failure = fmt.Errorf("write output: %w", err)
		close(l.broken)
	}
}

// failed gives the error that ended the output.
func (l *stdioLoop) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// wait waits for the running calls, but not longer than d.
func (l *stdioLoop) wait(d time.Duration) {
	done := make(chan struct{})
	go func() { l.running.Wait(); close(done) }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// record says once more in the log when the transcript cannot be written: the conversation goes on without it.
func (s *Server) record(err error) {
	if err != nil {
		s.log.Error("the transcript is incomplete", "error", err)
	}
}

// stdioSession is what the library knows of the client while it handles one message. A session for each message
// keeps the progress of one call from another's.
type stdioSession struct {
	*logLevel
	id            string
	notifications chan mcp.JSONRPCNotification
}

// SessionID names the conversation, so that a cancellation finds its request.
func (s *stdioSession) SessionID() string { return s.id }

// NotificationChannel takes what is to be sent before the answer.
func (s *stdioSession) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notifications }

// Initialize does nothing: a session lives for one message.
func (s *stdioSession) Initialize() {}

// Initialized is true: a message can only come once its client is there.
func (s *stdioSession) Initialized() bool { return true }
