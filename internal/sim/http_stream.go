package sim

import (
	"encoding/json"
	"net/http"
)

// events writes server-sent events.
type events struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	dead bool
	buf  []byte
}

func newEvents(w http.ResponseWriter) *events {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	return &events{w: w, ctl: http.NewResponseController(w)}
}

// send writes one event and flushes it.
func (s *events) send(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.dead = true
		return
	}
	s.raw(b)
}

func (s *events) raw(b []byte) {
	if s.dead {
		return
	}
	s.buf = append(append(append(s.buf[:0], "data: "...), b...), "\n\n"...)
	if _, err := s.w.Write(s.buf); err != nil {
		s.dead = true
		return
	}
	s.dead = s.ctl.Flush() != nil
}

// chunkEvent is one event of an OpenAI-style stream; the field order is the real one's.
type chunkEvent struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []any  `json:"choices"`
	Usage   *usage `json:"usage"`
}

// stream answers token by token, or in groups of the stream interval. The first token is never held back.
func (p *reply) stream(w http.ResponseWriter) {
	out := newEvents(w)
	opt := streamOptions{}
	if p.body.StreamOptions != nil {
		opt = *p.body.StreamOptions
	}
	produced := 0
	send := func(choices []any, withUsage bool) {
		ev := chunkEvent{ID: p.id, Object: p.object, Created: p.created, Model: p.name, Choices: choices}
		if withUsage {
			ev.Usage = p.e.usageOf(p.req, produced)
		}
		out.send(ev)
	}
	if p.first != nil {
		send([]any{p.first}, false)
	}
	group := []token{}
	for {
		t, ok := p.receive()
		if !ok || out.dead {
			panic(http.ErrAbortHandler) // the stream ends without its last event
		}
		produced++
		group = append(group, t)
		if t.finish == "" && produced > 1 && len(group) < p.e.set.streamInterval {
			continue
		}
		var finish *string
		if t.finish != "" {
			finish = &t.finish
		}
		send([]any{p.choice(group, finish)}, opt.Continuous)
		group = group[:0]
		if finish != nil {
			break
		}
	}
	if opt.IncludeUsage {
		send([]any{}, true)
	}
	out.raw([]byte("[DONE]"))
}
