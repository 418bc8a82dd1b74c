package hosts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
)

// capture keeps the first max bytes written and drops the rest. A transport may go on writing after its caller has
// given up, hence the lock.
type capture struct {
	max int

	mu        sync.Mutex
	buf       []byte
	truncated bool
}

// Write implements io.Writer; it never fails.
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.max - len(c.buf)
	if room < len(p) {
		c.truncated = true
	}
	c.buf = append(c.buf, p[:min(len(p), max(room, 0))]...)
	return len(p), nil
}

// bytes gives a copy of what was kept, and whether something was dropped.
func (c *capture) bytes() (kept []byte, truncated bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf), c.truncated
}

// forward passes bytes on until the receiver fails; then it stops the sender by cancel and swallows the rest, because
// a sender that nobody reads blocks for ever.
type forward struct {
	to     io.Writer
	cancel context.CancelCauseFunc

	mu  sync.Mutex
	err error
}

// Write implements io.Writer; it never fails.
func (f *forward) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		if _, f.err = f.to.Write(p); f.err != nil {
			f.cancel(f.err)
		}
	}
	return len(p), nil
}

// close ends the forwarding: the receiver is not touched any more. It gives the receiver's error.
func (f *forward) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	if f.err == nil {
		f.err = io.ErrClosedPipe
	}
	return err
}

// countingReader remembers how much was read and how it ended. Its reader may outlive the call, hence the lock.
type countingReader struct {
	from io.Reader

	mu    sync.Mutex
	count int64
	err   error // what ended the reading, nil at a proper end
	eof   bool
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count += int64(n)
	if c.eof = errors.Is(err, io.EOF); err != nil && !c.eof {
		c.err = err
	}
	return n, err
}

// end gives the count, whether the end was reached, and what failed on the way.
func (c *countingReader) end() (count int64, complete bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count, c.eof, c.err
}
