package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// handler is what the guard runs: a tool, a resource, a prompt or a completion.
type handler struct {
	name   string
	decode func() (in any, warnings []string, err error)
	handle func(ctx context.Context, in any) (out any, err error)
	encode func(out any, warnings []string) (json.RawMessage, error)
	narrow []string // inputs that make an answer shorter
}

// guard runs h. Whatever happens, it gives JSON that may be sent or a fault that may be read.
func (s *Server) guard(ctx context.Context, h handler) (raw json.RawMessage, f *fault.Error) {
	start := time.Now()
	defer func() {
		if r := recover(); r != nil {
			raw, f = nil, s.internal(h.name, fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
		s.logCall(ctx, h.name, start, len(raw), f)
		exchangeOf(ctx).events.wait(ctx)
	}()
	raw, err := s.run(ctx, h)
	if err != nil {
		return nil, s.faultOf(h.name, err)
	}
	return raw, nil
}

// run is the guard without its net.
func (s *Server) run(ctx context.Context, h handler) (json.RawMessage, error) {
	release, err := s.admit(ctx, h.name)
	if err != nil {
		return nil, err
	}
	defer release()
	in, warnings, err := h.decode()
	if err != nil {
		return nil, err
	}
	if s.opts.Policy != nil {
		if err := s.opts.Policy(ctx, h.name, in); err != nil {
			return nil, with(warnings, err)
		}
	}
	out, err := h.handle(ctx, in)
	if err != nil {
		return nil, with(warnings, err)
	}
	raw, err := h.encode(out, warnings)
	if err != nil {
		return nil, err
	}
	raw = s.opts.Redact.JSON(raw)
	if len(raw) > s.opts.MaxResult {
		return nil, tooLong(h, len(raw), s.opts.MaxResult)
	}
	return raw, nil
}

// with makes a refusal say, too, what of the call was read as something else.
func with(warnings []string, err error) error {
	f, ok := fault.As(err)
	if !ok || len(warnings) == 0 {
		return err
	}
	out := *f
	out.Hints = slices.Concat(f.Hints, warnings)
	return &out
}

// admit takes a place among the running calls, and among the waiting ones where h waits.
func (s *Server) admit(ctx context.Context, name string) (release func(), err error) {
	waits := s.waits[name]
	if waits != nil {
		select {
		case waits <- struct{}{}:
		default:
			return nil, fault.New(fault.Busy, "%d calls of %q are waiting already", cap(waits), name).
				Hint("end the turn, or let one of them return first; nothing is lost meanwhile")
		}
	}
	leave := func() {
		if waits != nil {
			<-waits
		}
	}
	select {
	case s.calls <- struct{}{}:
		return func() { <-s.calls; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// tooLong refuses an answer that a client would cut somewhere.
func tooLong(h handler, size, limit int) error {
	f := fault.New(fault.InvalidInput, "the answer of %q has %d bytes, at most %d are sent", h.name, size, limit)
	if len(h.narrow) == 0 {
		return f.Hint("ask for less")
	}
	return f.Hint("narrow the call with %s", strings.Join(h.narrow, " or "))
}

// faultOf makes any error one that may be read by a client.
func (s *Server) faultOf(name string, err error) *fault.Error {
	f, ok := fault.As(err)
	switch {
	case ok && f.Code != fault.Internal:
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Timeout, "%q did not finish in time", name).Hint("call it again: repeating a call starts nothing twice")
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, "the call of %q was cancelled", name).Hint("call it again: repeating a call starts nothing twice")
	}
	return s.internal(name, err)
}

// internal logs an error of ours and gives what a client may know of it.
func (s *Server) internal(name string, err error) *fault.Error {
	ref := rand.Text()[:8]
	s.log.Error("internal error", "name", name, "reference", ref, "error", err)
	return fault.New(fault.Internal, "internal error in %q, reference %s", name, ref).
		Hint("call it once more; if it fails again, tell the engineer the reference: the log has the rest")
}

// logCall leaves one line per call, for us and for a client that asked.
func (s *Server) logCall(ctx context.Context, name string, start time.Time, size int, f *fault.Error) {
	code, rule, ms := "ok", "", time.Since(start).Milliseconds()
	if f != nil {
		code, rule = string(f.Code), f.Rule
	}
	s.log.Debug("call", "name", name, "code", code, "rule", rule, "bytes", size, "ms", ms)
	s.tell(ctx, name, size, ms, f)
}
