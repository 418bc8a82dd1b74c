package bench

import "time"

// Status is a point's status, with the words of a row.
type Status string

// The statuses a point can have. The other words of a row (oom, skipped) are known to its caller only.
const (
	StatusOK      Status = "ok"      // every offered request is accounted for and some succeeded
	StatusFailed  Status = "failed"  // none succeeded, or the point was cancelled
	StatusTimeout Status = "timeout" // the point's deadline came first
)

// Point is one measured load level.
type Point struct {
	Status      Status    `json:"status"`
	Reason      string    `json:"failure_reason"`
	Client      string    `json:"client"`
	StartedAt   time.Time `json:"started_at"`
	DurationS   float64   `json:"duration_s"` // warm-up included
	Window      Window    `json:"window"`
	Metrics     Metrics   `json:"metrics"`
	Audit       Audit     `json:"audit"`
	Settling    Settling  `json:"settling"`
	Overloaded  bool      `json:"overloaded"`
	Load        *LoadTest `json:"load_test,omitempty"` // open loop
	Trends      []Trend   `json:"trends"`              // open loop: slopes over the window
	ShortWindow bool      `json:"short_window"`        // open loop: the window spans too few median latencies
	Counts      Counts    `json:"counts"`
	Warnings    []string  `json:"warnings"`

	Recording *Recording `json:"-"` // the evidence; WriteRecords stores it
}

// At is when an instant of the point was, by the host's clock, within milliseconds.
func (p *Point) At(o Offset) time.Time { return p.StartedAt.Add(time.Duration(o)) }

// Counts accounts for every request offered after the warm-up.
type Counts struct {
	Offered    int            `json:"offered"`
	OK         int            `json:"ok"`
	Failed     int            `json:"failed"`
	Unfinished int            `json:"unfinished"`
	Dropped    int            `json:"dropped"`
	Warmup     int            `json:"warmup"` // settling requests, outside the others
	Errors     map[string]int `json:"errors"` // by class

	Statuses map[string]int `json:"http_statuses,omitempty"`  // answers by HTTP status other than 200
	Retried  int            `json:"retried,omitempty"`        // requests sent a second time, see Record.Retried; each is counted once
	Surplus  int            `json:"surplus_events,omitempty"` // requests with more content events than tokens: duplicates, or wrong usage
	Empty    int            `json:"empty_events,omitempty"`   // events that carried neither token nor finish reason, see Record.Empty
}

// Settling is how the engine came to rest before the load.
type Settling struct {
	Settled   bool      `json:"settled"` // true when no wave was asked for
	MaxWaves  int       `json:"max_waves"`
	WaveTokS  []float64 `json:"wave_output_tok_s"` // output tokens/s of each wave
	Tolerance float64   `json:"tolerance"`         // largest relative change of the last wave
}

// Progress is a glimpse of a running point.
type Progress struct {
	Phase    string        // warmup or load
	Wave     int           // settling wave, from 1
	Planned  int           // requests planned in this phase; 0 where the end is not known yet
	Sent     int           // requests sent in this phase
	Done     int           // requests ended in this phase, failed ones included
	Failed   int           // requests failed in this phase
	InFlight int           // sent and not ended
	Elapsed  time.Duration // since the point began
}
