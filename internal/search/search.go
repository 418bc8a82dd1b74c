// Package search says which candidate to launch next, under a budget. It is pure: the state is the list of trials so
// far, and the same trials, space and seed give the same answer, so that a search can be resumed anywhere.
//
// Launches are dear and load points cheap: launches are what the budget counts, crashes included.
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
}

// Candidate is one framework configuration. Flags holds only what differs from, or is added to, the base; a nil value
// removes the base's flag.
type Candidate struct {
	Index int            `json:"index"` // 0 is the shipped default
	Flags map[string]any `json:"flags"`
	Why   string         `json:"why"`
}

// Trial is one launch of a candidate and what came of it.
type Trial struct {
	Flags  map[string]any `json:"flags"`
	Status string         `json:"status"` // ok, or how it failed: failed, oom, timeout, skipped
	Probes []float64      `json:"probes"` // scores of short probes, higher is better
	Score  *float64       `json:"score"`  // score of the full load points; null: not measured
}

// OK says whether the launch came up and was measured.
func (t Trial) OK() bool { return t.Status == "ok" }

// Step is what to do next.
type Step struct {
	Candidate Candidate
	Points    Points   // whether the launch takes its full load points
	Gate      *float64 // with PointsIfAbove: the probe score from which the launch goes on to its load points
	Done      bool
	Why       string
	Coverage  Coverage
}

// Points says whether a launch takes its full load points after the short probe.
type Points string

// The ways.
const (
	PointsNever   Points = "never"
	PointsAlways  Points = "always"
	PointsIfAbove Points = "if_above" // when the probe reaches Step.Gate
)

// Coverage is how much of the listed space was tried.
type Coverage struct {
	Tried  int     `json:"tried"`  // listed values seen in a trial
	Listed int     `json:"listed"` // values listed
	Share  float64 `json:"share"`
}
