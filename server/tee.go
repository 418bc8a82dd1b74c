package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// tee passes an HTTP answer on and shows its messages to the transcript. A single JSON answer is held until it is
// whole, to be amended; an event stream passes at once, message by message.
type tee struct {
	http.ResponseWriter
	s        *Server
	session  string
	received []byte
	modern   bool // the request's era says an error by the status too
	sent     *deliveries
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
	if !strings.HasPrefix(t.Header().Get("Content-Type"), "text/event-stream") {
		return t.ResponseWriter.Write(p)
	}
	out, notifications := t.events(p)
	_, err := t.ResponseWriter.Write(out)
	for range notifications {
		t.sent.pass()
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
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

// events gives the whole lines of a stream, its messages amended and recorded, and how many notifications are in them.
func (t *tee) events(p []byte) (out []byte, notifications int) {
	t.held.Write(p)
	for {
		line, err := t.held.ReadBytes('\n')
		if err != nil { // unfinished: keep it
			t.held.Reset()
			t.held.Write(line)
			return out, notifications
		}
		if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:")); ok {
			data = t.s.amend(t.received, bytes.TrimSpace(data))
			t.s.record(t.s.opts.Transcript.Sent(t.session, data))
			line = fmt.Appendf(nil, "data: %s\n", data)
			if bytes.HasPrefix(data, []byte(`{"jsonrpc":"2.0","method":`)) {
				notifications++
			}
		}
		out = append(out, line...)
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
	if t.status == http.StatusOK && t.modern {
		t.status = statusOf(raw)
	}
	if t.status != 0 {
		t.ResponseWriter.WriteHeader(t.status)
	}
	if _, err := t.ResponseWriter.Write(append(raw, '\n')); err != nil {
		t.s.log.Debug("the client left before its answer", "error", err)
	}
}

// statusOf is the HTTP status of an answer whose error became another one here: what cannot be served as it was asked is a
// bad request since 2026-07-28.
func statusOf(raw []byte) int {
	var a answer
	if json.Unmarshal(raw, &a) == nil && a.Error.Code == mcp.INVALID_PARAMS {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// refuse answers what is no message.
func (t *tee) refuse(raw []byte) {
	t.s.record(t.s.opts.Transcript.Sent(t.session, raw))
	t.Header().Set("Content-Type", "application/json")
	t.ResponseWriter.WriteHeader(http.StatusBadRequest)
	if _, err := t.ResponseWriter.Write(append(raw, '\n')); err != nil {
		t.s.log.Debug("the client left before its answer", "error", err)
	}
}
