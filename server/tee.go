package server

import (
	"bytes"
	"net/http"
	"strings"
)

// tee passes an HTTP answer on and shows its messages to the transcript. A single JSON answer is held until it is
// whole, to be amended; an event stream passes at once, message by message.
type tee struct {
	http.ResponseWriter
	s        *Server
	session  string
	received []byte
	status   int
	held     bytes.Buffer // a JSON answer, or a stream's unfinished line
}

// Unwrap gives the writer below to http.ResponseController.
func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader waits for the body of a JSON answer.
func (t *tee) WriteHeader(status int) {
	t.status = status
	if !t.isJSON() {
		t.ResponseWriter.WriteHeader(status)
	}
}

// Write takes a part of the answer.
func (t *tee) Write(p []byte) (int, error) {
	if t.isJSON() {
		return t.held.Write(p)
	}
	if strings.HasPrefix(t.Header().Get("Content-Type"), "text/event-stream") {
		t.events(p)
	}
	return t.ResponseWriter.Write(p)
}

// Flush sends what was written of a stream.
func (t *tee) Flush() {
	if f, ok := t.ResponseWriter.(http.Flusher); ok && !t.isJSON() {
		f.Flush()
	}
}

// isJSON says whether the answer is one JSON message.
func (t *tee) isJSON() bool {
	return strings.HasPrefix(t.Header().Get("Content-Type"), "application/json")
}

// events records the messages of a stream.
func (t *tee) events(p []byte) {
	t.held.Write(p)
	for {
		line, err := t.held.ReadBytes('\n')
		if err != nil { // unfinished: keep it
			t.held.Reset()
			t.held.Write(line)
			return
		}
		if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:")); ok {
			t.s.record(t.s.opts.Transcript.Sent(t.session, bytes.TrimSpace(data)))
		}
	}
}

// finish sends a JSON answer that was held.
func (t *tee) finish() {
	if !t.isJSON() {
		return
	}
	raw := t.s.amend(t.received, bytes.TrimSpace(t.held.Bytes()))
	if len(raw) > 0 {
		t.s.record(t.s.opts.Transcript.Sent(t.session, raw))
	}
	if t.status != 0 {
		t.ResponseWriter.WriteHeader(t.status)
	}
	if _, err := t.ResponseWriter.Write(append(raw, '\n')); err != nil {
		t.s.log.Debug("the client left before its answer", "error", err)
	}
}
