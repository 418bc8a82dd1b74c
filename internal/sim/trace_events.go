package sim

import (
	"bufio"
	"encoding/json"
	"io"
	"math"
)

// traceEvent is one event of a Chrome trace; fields in Kineto's order.
type traceEvent struct {
	Ph   string         `json:"ph"`
	Cat  string         `json:"cat,omitempty"`
	Name string         `json:"name"`
	ID   int64          `json:"id,omitempty"`
	Pid  any            `json:"pid"`
	Tid  any            `json:"tid"`
	Ts   float64        `json:"ts"`
	Dur  *float64       `json:"dur,omitempty"`
	Bp   string         `json:"bp,omitempty"`
	S    string         `json:"s,omitempty"`
	Args map[string]any `json:"args,omitempty"`
}

// traceWriter streams the events of one file.
type traceWriter struct {
	w     *bufio.Writer
	count int
	err   error
}

// openTrace writes everything before the events.
func openTrace(w io.Writer, head map[string]any, order []string) *traceWriter {
	t := &traceWriter{w: bufio.NewWriterSize(w, 1<<16)}
	t.text("{\n")
	for _, key := range order {
		b, err := json.Marshal(head[key])
		if err != nil {
			t.err = err
		}
		t.text("  \"" + key + "\": " + string(b) + ",\n")
	}
	t.text("  \"traceEvents\": [\n")
	return t
}

func (t *traceWriter) text(s string) {
	if _, err := t.w.WriteString(s); err != nil && t.err == nil {
		t.err = err
	}
}

// add writes one event.
func (t *traceWriter) add(ev traceEvent) {
	ev.Ts = thousandths(ev.Ts)
	b, err := json.Marshal(ev)
	if err != nil {
		t.err = err
		return
	}
	if t.count > 0 {
		t.text(",\n")
	}
	t.count++
	t.text("  " + string(b))
}

// close writes the end.
func (t *traceWriter) close(name string) error {
	b, err := json.Marshal(name)
	if err != nil {
		return err
	}
	t.text("\n  ],\n  \"traceName\": " + string(b) + "\n}\n")
	if err := t.w.Flush(); err != nil && t.err == nil {
		t.err = err
	}
	return t.err
}

// thousandths rounds to a nanosecond, as Kineto prints µs.
func thousandths(us float64) float64 { return math.Round(us*1000) / 1000 }

func duration(us float64) *float64 {
	d := thousandths(us)
	return &d
}
