package bench

import (
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Event is one parsed server-sent event, for tests.
type Event struct{ Name, Data string }

// ParseSSE feeds the pieces one after the other and gives the events and what was left.
func ParseSSE(pieces ...[]byte) (events []Event, rest string, err error) {
	var p sseParser
	for _, piece := range pieces {
		err = p.feed(piece, func(name, data []byte) error {
			events = append(events, Event{string(name), string(data)})
			return nil
		})
		if err != nil {
			return events, "", err
		}
	}
	raw, _ := p.rest()
	return events, string(raw), nil
}

// Chunk is what one event says, for tests.
type Chunk struct {
	Choices, Failed         bool
	Text, Finish            string
	Tokens, In, Out, Cached int
}

// ParseChunk reads one event.
func ParseChunk(data []byte) (Chunk, error) {
	var c chunk
	err := c.parse(data)
	return Chunk{Choices: c.choices, Failed: c.failed, Text: string(c.text), Finish: string(c.finish), Tokens: c.tokens,
		In: c.in, Out: c.out, Cached: c.cached}, err
}

// Piece is a read: bytes and when it returned.
type Piece struct {
	At   Offset
	Data string
}

// ReceiveOptions say what Receive checks and keeps.
type ReceiveOptions struct {
	WantIn, WantOut                           int
	Stream, IgnoreEOS, Logprobs, Keep, Leaves bool // Leaves: the connection ends behind the last piece
	Key                                       []byte
}

// Receive reads one response in pieces; done says whether it ended before the connection did.
func Receive(opt ReceiveOptions, pieces ...Piece) (rec *Record, done bool, class ErrorClass) {
	rec = newRecord(0, RoleWindow)
	rec.WantIn, rec.WantOut = opt.WantIn, opt.WantOut
	r := response{reception: newReception(rec, receiveOptions{stream: opt.Stream, ignoreEOS: opt.IgnoreEOS, wantLogprobs: opt.Logprobs,
		keepOutputs: opt.Keep, digestKey: opt.Key})}
	var err error
	for _, p := range pieces {
		if done, err = r.feed([]byte(p.Data), p.At); done {
			break
		}
	}
	if !done && opt.Leaves {
		err = r.eof(errIdle, pieces[len(pieces)-1].At)
	}
	if f, ok := err.(*failure); ok { //nolint:errorlint // receptions give bare failures
		class = f.class
	}
	return rec, done, class
}

// Arrival is a planned request, for tests.
type Arrival struct {
	At    time.Duration
	Role  Role
	Index int
}

func arrivals(in []arrival) []Arrival {
	out := make([]Arrival, len(in))
	for i, a := range in {
		out[i] = Arrival{a.at, a.role, a.index}
	}
	return out
}

// OpenSchedule draws lead, window and n requests of the tail.
func OpenSchedule(s contract.Scenario, seed uint64, window, lead time.Duration, tail int) []Arrival {
	planned := openSchedule(s, seed, window, lead)
	next := tailSchedule(s, seed, window)
	for range tail {
		planned = append(planned, next())
	}
	return arrivals(planned)
}

// OpenWindow is the length of an open loop's window.
func OpenWindow(s contract.Scenario, rule WindowRule) time.Duration { return openWindow(s, rule) }

// Body gives the JSON of request i of a role.
func Body(t Target, s Spec, role Role, i int) (string, error) {
	w := newWriter(t, s, "h")
	raw, err := w.body(newRecord(i, role), role, i)
	return string(raw), err
}

// Prompt draws a prompt.
func Prompt(r TokenRange, seed uint64, i, n int) string {
	return string(newVocabulary(r).prompt(seed, purposePrompt, i, n))
}

// Quantile is the type 7 quantile of unsorted values.
func Quantile(values []float64, q float64) float64 {
	values = slices.Clone(values)
	slices.Sort(values)
	return quantile7(values, q)
}

// JudgeAudit judges figures by limits.
func JudgeAudit(a Audit, r *Recording) Audit {
	a.Limits = a.Limits.or(DefaultLimits())
	a.judge(r)
	return a
}

// AssignRoles gives the records their places around a window.
func AssignRoles(records []*Record, w Window) { assignRoles(records, w) }

// NewRecord is a planned request.
func NewRecord(i int, role Role) *Record { return newRecord(i, role) }

// LeadTime is how long an open loop loads the engine before the window.
func LeadTime(rule WindowRule, window, e2e time.Duration) time.Duration {
	return leadTime(rule, window, e2e)
}
