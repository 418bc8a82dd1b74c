package bench

import (
	"bytes"
	"math"
	"strconv"
)

// Offset is a time in nanoseconds after the point's origin; Never where it did not happen (JSON null).
type Offset int64

// Never marks a time that did not come.
const Never Offset = math.MinInt64

// Happened says whether the time came.
func (o Offset) Happened() bool { return o != Never }

// MarshalJSON writes the number of nanoseconds, or null.
func (o Offset) MarshalJSON() ([]byte, error) {
	if o == Never {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(o), 10), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (o *Offset) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) {
		*o = Never
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	*o = Offset(n)
	return err
}

// Role says what a request was offered for. Only RoleWindow is measured.
type Role string

// The roles.
const (
	RoleWarmup Role = "warmup" // a settling wave
	RoleLead   Role = "lead"   // load before the window
	RoleWindow Role = "window" // measured
	RoleTail   Role = "tail"   // load after the window
)

// Outcome says how a request ended.
type Outcome string

// The outcomes of a request. Everything but OutcomeOK counts as +∞ in percentiles and against attainment.
const (
	OutcomeOK         Outcome = "ok"
	OutcomeFailed     Outcome = "failed"
	OutcomeUnfinished Outcome = "unfinished" // deadline or cancellation came first
	OutcomeDropped    Outcome = "dropped"    // planned, never sent
)

// ErrorClass names the kind of failure; empty for OutcomeOK.
type ErrorClass string

// The classes of failure.
const (
	ErrConnect     ErrorClass = "connect"      // no connection could be opened
	ErrResolve     ErrorClass = "resolve"      // the host's name could not be resolved
	ErrSocketLimit ErrorClass = "socket_limit" // out of descriptors, ports or buffers: the client's own limit
	ErrReset       ErrorClass = "reset"        // connection lost before a response
	ErrHTTPStatus  ErrorClass = "http_status"  // status other than 200 and 3xx
	ErrRedirect    ErrorClass = "redirect"     // a 3xx: the client follows none
	ErrEncoded     ErrorClass = "encoded"      // a compressed body, which was not asked for
	ErrNotSSE      ErrorClass = "not_sse"      // a stream was asked for and something else came
	ErrBadEvent    ErrorClass = "bad_event"    // an event or body that cannot be read
	ErrEvent       ErrorClass = "error_event"  // the server reported an error inside the response
	ErrTruncated   ErrorClass = "truncated"    // the stream ended before it was finished
	ErrNoUsage     ErrorClass = "no_usage"     // the server did not count tokens
	ErrNoToken     ErrorClass = "no_token"     // tokens were counted, no event carried one
	ErrWrongUsage  ErrorClass = "wrong_usage"  // usage contradicts itself or the token ids that came
	ErrWrongLength ErrorClass = "wrong_length" // n_in differs from the prompt, or n_out from output_len under ignore_eos
	ErrTimeout     ErrorClass = "timeout"      // the request's or the point's deadline
	ErrCanceled    ErrorClass = "canceled"
)

// Record is everything known about one request. Records are the evidence; every metric is a function of them.
type Record struct {
	Index      int     `json:"i"` // order of planning within its role at planning time
	Role       Role    `json:"role"`
	Slot       int     `json:"slot,omitempty"`  // closed loop: the slot that sent it
	Shard      int     `json:"shard,omitempty"` // process of the client that sent it
	Sched      Offset  `json:"t_sched_ns"`
	Sent       Offset  `json:"t_sent_ns"`
	FirstChunk Offset  `json:"t_first_chunk_ns"`
	FirstText  Offset  `json:"t_first_text_ns"`
	First      Offset  `json:"t_first_ns"`
	Last       Offset  `json:"t_last_ns"`
	End        Offset  `json:"t_end_ns"`
	WantIn     int     `json:"want_in,omitempty"`    // tokens sent; 0 where only the server can count them
	WantOut    int     `json:"want_out,omitempty"`   // tokens asked for
	In         int     `json:"n_in"`                 // tokens by the server's usage
	Out        int     `json:"n_out"`                // tokens by the server's usage
	Cached     int     `json:"n_cached,omitempty"`   // prompt tokens from the prefix cache, by the server's usage
	CacheTold  bool    `json:"cache_told,omitempty"` // the server's usage has that number
	K1         int     `json:"k1"`                   // tokens in the first content event
	K1Unknown  bool    `json:"k1_unknown,omitempty"`
	Events     int     `json:"events"`                // content events
	Gaps       Gaps    `json:"gaps_us,omitempty"`     // between content events
	IDs        int     `json:"n_ids,omitempty"`       // generated token ids that came, where the server sends them
	Empty      int     `json:"empty,omitempty"`       // events behind the first that carried neither token nor finish reason
	Finish     string  `json:"finish,omitempty"`      // finish reason as the server gave it
	Outcome    Outcome `json:"outcome"`               //
	HTTPStatus int     `json:"http_status,omitempty"` //

	ErrorClass ErrorClass     `json:"error_class,omitempty"`
	Error      string         `json:"error,omitempty"`
	Retried    bool           `json:"retried,omitempty"`       // sent again after an idle connection turned out to be closed
	Digest     string         `json:"output_digest,omitempty"` // SHA-256 (or keyed HMAC) of the output text
	Output     string         `json:"output,omitempty"`
	Logprobs   []TokenLogprob `json:"logprobs,omitempty"`
}

// TokenLogprob is one generated token with its log-probability.
type TokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
}

// OK says whether the request succeeded.
func (r *Record) OK() bool { return r.Outcome == OutcomeOK }

// newRecord gives a planned request to which nothing has happened.
func newRecord(index int, role Role) *Record {
	return &Record{Index: index, Role: role, Sched: Never, Sent: Never, FirstChunk: Never, FirstText: Never,
		First: Never, Last: Never, End: Never, Outcome: OutcomeDropped}
}
