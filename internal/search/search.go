// Package search says which candidate to launch next, under a budget. It is pure: the state is the list of trials so
// far, and the same trials, space and seed give the same answer, so that a search can be resumed anywhere.
//
// Launches are dear and load points cheap: launches are what the budget counts, crashes included. A launch takes a few
// short probes; only launches that may be the best go on to their full load points, in the same launch, and only a
// candidate with full load points can be picked.
//
// Auto models the logarithm of the score as a Gaussian process: one effect a level (neighbouring levels of an ordinal
// knob are alike, those of a categorical one exchangeable), one a pair of levels, one a cell; a performance model's
// prior is its mean where there is one, taken apart and followed part by part. The sizes of the effects are not fixed but averaged over, by how well they
// explain the trials. A crash is put down to a level, to two levels together, or to full memory.
package search

// Strategy is how candidates are ordered.
type Strategy string

// The strategies.
const (
	Auto    Strategy = "auto"                           // model-guided sequential screen
	Product Strategy = "baseline_first_bounded_product" // the seed's: default, then the product, last knob fastest
	Random  Strategy = "random"                         // default, then uniform draws
)

// Strategies lists the valid strategies.
var Strategies = []string{string(Auto), string(Product), string(Random)}

// Budget bounds a search.
type Budget struct {
	Launches int    // launches of this framework, crashes included
	Seed     uint64 // of every draw
	Noise    Noise  // zero: DefaultNoise
}

// Noise is the relative standard deviation of a measured score, from an A/A of the host where there is one.
type Noise struct {
	Launch float64 // between launches of one candidate
	Probe  float64 // of one short probe within a launch
	Points float64 // of the full load points within a launch
}

// DefaultNoise is assumed where a host was not calibrated.
var DefaultNoise = Noise{Launch: 0.01, Probe: 0.04, Points: 0.01}

// Candidate is one framework configuration. Flags holds only what differs from the base command; a nil value removes
// the base's flag.
type Candidate struct {
	Index int            `json:"index"` // launches before it; 0 is the shipped default
	Flags map[string]any `json:"flags"`
	Why   string         `json:"why"`
}

// StatusOK is the status of a trial that came up and was measured.
const StatusOK = "ok"

// Trial is one launch of a candidate and what came of it.
type Trial struct {
	Flags  map[string]any `json:"flags"`
	Status string         `json:"status"` // ok, or how it failed: failed, oom, timeout, skipped
	Probes []float64      `json:"probes"` // scores of short probes, above 0, higher is better (a latency: its inverse)
	Score  *float64       `json:"score"`  // score of the full load points, alike; null: not taken
}

// Step is what to do next.
type Step struct {
	Candidate Candidate
	Rungs     []Rung // what the launch measures, in order
	Done      bool   // nothing is left to do; Candidate is the pick then
	Why       string
	Coverage  Coverage
}

// Rung is one stage of what a launch measures. A launch stops before the first rung that it does not reach.
type Rung struct {
	From   float64 // mean of the probes so far that takes the launch here; 0: always
	Probes int     // short probes to take
	Points bool    // the full load points
}

// fully measures the full load points whatever comes of it.
var fully = []Rung{{Points: true}}

// Coverage is how much of what was listed has been tried.
type Coverage struct {
	Tried  int     `json:"tried"`  // listed values seen in a trial
	Listed int     `json:"listed"` // values listed
	Share  float64 `json:"share"`  // 1 when nothing is listed
}
