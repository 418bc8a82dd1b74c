package bench

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// RecordsKind and RecordsVersion name the format of stored records.
const (
	RecordsKind    = "sotaloop.records"
	RecordsVersion = 1
)

// Header is the first line of stored records.
type Header struct {
	Kind     string            `json:"kind"`
	V        int               `json:"v"`
	Client   string            `json:"client"`
	Path     string            `json:"endpoint"`
	Phase    string            `json:"phase"`
	Block    int               `json:"block"`
	Seed     uint64            `json:"seed,string"`
	Arrivals uint64            `json:"arrival_seed,string,omitempty"` // of an open loop's arrivals; 0: Seed
	Scenario contract.Scenario `json:"scenario"`
	Goodput  *contract.Goodput `json:"goodput,omitempty"`

	Overload contract.OverloadTest `json:"overload_test,omitempty"` // how the load is judged

	Window  Window `json:"window"`
	BaseNS  int64  `json:"monotonic_base_ns"` // CLOCK_MONOTONIC at the point's origin; 0 where unknown
	Keyed   bool   `json:"keyed_digests,omitempty"`
	Drawn   *Drawn `json:"drawn,omitempty"` // text, chat, replay: the rows that were sent
	Records int    `json:"records"`         // number of lines that follow
}

// Recording is a point's evidence: the header and every request, warm-up included, in order of planning.
type Recording struct {
	Header  Header
	Records []*Record
}

// Check finds out whether a recording is in order: the window of a closed loop or burst is where its records put it,
// every request has the role its planned time gives it, and no measured time runs backwards.
func (r *Recording) Check() error {
	h := r.Header
	found := h.Scenario.Arrival == contract.ArrivalClosed || h.Scenario.Arrival == contract.ArrivalBurst
	if found && WindowOf(r.Records, h.Scenario) != h.Window {
		return fmt.Errorf("check records: window %v is not where the records put it, %v", h.Window, WindowOf(r.Records, h.Scenario))
	}
	for i, rec := range r.Records {
		if rec.Role != RoleWarmup && (rec.Role == RoleWindow) != h.Window.Contains(rec.Sched) {
			return fmt.Errorf("check records: record %d has role %q at %d ns", i+1, rec.Role, rec.Sched)
		}
		if err := rec.check(); err != nil {
			return fmt.Errorf("check records: record %d: %w", i+1, err)
		}
	}
	return nil
}

// check refuses a successful record whose times or counts cannot be.
func (r *Record) check() error {
	if !r.OK() {
		return nil
	}
	before := r.Sched
	for _, t := range []Offset{r.Sent, r.FirstChunk, r.First, r.Last, r.End} {
		if !t.Happened() {
			continue
		}
		if t < before {
			return fmt.Errorf("times run backwards at %d ns", t)
		}
		before = t
	}
	if !r.Sched.Happened() || !r.Sent.Happened() || !r.End.Happened() || r.Events < 0 || len(r.Gaps) != max(0, r.Events-1) {
		return fmt.Errorf("a successful request lacks a time or a gap")
	}
	return nil
}
