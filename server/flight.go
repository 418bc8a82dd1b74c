package server

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
)

// cancelled is the notification that takes a request back.
const cancelled = "notifications/cancelled"

// flights are the requests of one conversation that are being answered, by their ids. The library knows them only from the
// moment it handles them, so that a cancellation right behind its request could miss it.
type flights struct {
	mu sync.Mutex
	by map[string]*flight
}

// flight is one request that is being answered.
type flight struct {
	all  *flights
	id   string
	stop context.CancelFunc
	gone atomic.Bool
}

// begin notes a request before anything else is read. The first of an id keeps it: ids are used once.
func (s *flights) begin(ctx context.Context, e envelope) (context.Context, *flight) {
	ctx, stop := context.WithCancel(ctx)
	f := &flight{all: s, id: string(e.id), stop: stop}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]*flight{}
	}
	if _, taken := s.by[f.id]; !taken && e.method != "initialize" { // which cannot be cancelled
		s.by[f.id] = f
	}
	return ctx, f
}

// cancel takes a request back: its handler is told, and no answer is sent.
func (s *flights) cancel(line []byte) {
	var m struct {
		Params struct {
			RequestID json.RawMessage `json:"requestId"`
		} `json:"params"`
	}
	if json.Unmarshal(line, &m) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.by[string(m.Params.RequestID)]; f != nil {
		f.gone.Store(true)
		f.stop()
	}
}

// isCancelled says whether nobody waits for the answer any more.
func (f *flight) isCancelled() bool { return f.gone.Load() }

// end forgets the request.
func (f *flight) end() {
	f.stop()
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.all.by[f.id] == f {
		delete(f.all.by, f.id)
	}
}
