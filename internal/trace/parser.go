package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// stopError says where and why reading a trace ended early.
type stopError struct {
	offset int64 // in the uncompressed text
	why    string
	cause  error
}

// Error implements error.
func (e *stopError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s at byte %d: %v", e.why, e.offset, e.cause)
	}
	return fmt.Sprintf("%s at byte %d", e.why, e.offset)
}

// Unwrap gives the cause.
func (e *stopError) Unwrap() error { return e.cause }

// parser walks the text of one trace and hands its events to the store.
type parser struct {
	window
	i       int // place in buf
	store   *store
	header  header
	events  int64
	skipped int64 // events too large to read
	found   bool  // there was a list of events
	ev      event
}

// header is what the trace says about itself outside its events.
type header struct {
	Rank   int // -1 when not said
	Device string
}

// run reads the whole text. Its error is a *stopError.
func (p *parser) run() error {
	p.header.Rank = -1
	c, ok := p.next()
	switch {
	case !ok:
		return p.ended("the text is empty or unreadable")
	case c == '[':
		p.i++
		return p.list()
	case c != '{':
		return p.stop("this is no JSON object or list")
	}
	p.i++
	for {
		c, ok := p.next()
		switch {
		case !ok:
			return p.ended("the text ends inside the trace")
		case c == '}':
			return nil
		case c == ',':
			p.i++
		case c == '"':
			if err := p.member(); err != nil {
				return err
			}
		default:
			return p.stop("malformed JSON")
		}
	}
}

// next moves to the next byte that is not white space.
func (p *parser) next() (byte, bool) {
	for {
		p.i = skipSpace(p.buf, p.i)
		if p.i < len(p.buf) {
			return p.buf[p.i], true
		}
		if !p.more(len(p.buf)) {
			return 0, false
		}
		p.i = 0
	}
}

// member reads one key of the top-level object and its value.
func (p *parser) member() error {
	raw, err := p.value()
	if err != nil {
		return err
	}
	key := string(raw)
	if c, ok := p.next(); !ok {
		return p.ended("the text ends inside the trace")
	} else if c != ':' {
		return p.stop("malformed JSON")
	}
	p.i++
	c, ok := p.next()
	if !ok {
		return p.ended("the text ends inside the trace")
	}
	if key == `"traceEvents"` && c == '[' {
		p.i++
		return p.list()
	}
	v, err := p.value()
	if err == nil {
		p.header.take(key, v)
	}
	return err
}

// list reads events up to the closing bracket.
func (p *parser) list() error {
	p.found = true
	for {
		c, ok := p.next()
		switch {
		case !ok:
			return p.ended("the text ends inside the events")
		case c == ']':
			p.i++
			return nil
		case c == ',':
			p.i++
		case c == '{':
			if err := p.event(); err != nil {
				return err
			}
		default:
			if _, err := p.value(); err != nil {
				return err
			}
		}
	}
}

// event reads the event at the current place.
func (p *parser) event() error {
	for {
		end := p.ev.parse(p.buf, p.i)
		switch {
		case end >= 0:
			p.i = end
			p.events++
			p.store.add(&p.ev)
			return nil
		case end == broken:
			return p.stop("malformed JSON or nesting deeper than %d", maxDepth)
		case len(p.buf)-p.i > maxEvent:
			p.skipped++
			return p.skip()
		}
		from := p.i
		p.i = 0
		if !p.more(from) {
			return p.ended("the text ends inside an event")
		}
	}
}

// value reads the value at the current place; it is nil when too large to hold.
func (p *parser) value() ([]byte, error) {
	for {
		end := skipValue(p.buf, p.i)
		switch {
		case end >= 0:
			v := p.buf[p.i:end]
			p.i = end
			return v, nil
		case end == broken:
			return nil, p.stop("malformed JSON or nesting deeper than %d", maxDepth)
		case len(p.buf)-p.i > maxEvent:
			return nil, p.skip()
		}
		from := p.i
		p.i = 0
		if !p.more(from) {
			return nil, p.ended("the text ends inside a value")
		}
	}
}

// skip passes over a value that is too large to hold.
func (p *parser) skip() error {
	end := p.skipBig(p.i)
	switch {
	case end >= 0:
		p.i = end
		return nil
	case end == broken:
		return p.stop("a value of more than %d MiB, or nested deeper than %d", maxSkip>>20, maxDepth)
	}
	p.i = len(p.buf)
	return p.ended("the text ends inside a value")
}

// stop makes the error for text that cannot be read on.
func (p *parser) stop(format string, args ...any) error {
	return &stopError{offset: p.base + int64(p.i), why: fmt.Sprintf(format, args...)}
}

// ended makes the error for text that ends too early, or the context's when that ended it.
func (p *parser) ended(why string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	err := &stopError{offset: p.base + int64(len(p.buf)), why: why}
	if !errors.Is(p.err, io.EOF) {
		err.cause = p.err
	}
	return err
}

// take reads the header's members that matter. They are small, so that encoding/json may do it.
func (h *header) take(key string, v []byte) {
	switch key {
	case `"distributedInfo"`:
		var d struct{ Rank *int }
		if json.Unmarshal(v, &d) == nil && d.Rank != nil && *d.Rank >= 0 {
			h.Rank = *d.Rank
		}
	case `"deviceProperties"`:
		var d []struct{ Name string }
		if json.Unmarshal(v, &d) == nil && len(d) > 0 {
			h.Device = d[0].Name
		}
	}
}
