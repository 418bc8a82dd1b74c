package compare

import "github.com/sotaloop/sotaloop/internal/contract"

// Selector names one side of a comparison.
type Selector struct {
	Side      string // engine entry, or a framework's name
	Candidate string // empty: the one candidate the side has in the rows
}

// Terms is what was frozen before the rows were measured.
type Terms struct {
	Target  Selector
	Against []Selector // empty: every other side found in the rows
	Delta   float64    // noise threshold as a ratio − 1
	Looks   []int      // block counts at which a verdict may be taken; empty: one look at whatever there is
	M       int        // comparisons sharing the error rate; 0: scenarios × comparison sides found
	Phase   Phase      // rows a verdict is about; empty: PhaseBlock

	// Campaign says that the rows are a campaign's own: a missing fact is a refusal then, as an unequal one is, and
	// SLA and Scenarios are the contract's. Otherwise rows are foreign: a missing fact is a warning.
	Campaign       bool
	ContractDigest string
	SLA            contract.SLA
	Scenarios      []contract.Scenario
	Declared       []string // fields (as in a Refusal) that may differ, declared in the contract
	AssumedSD      float64  // of one block's log-ratio, from an A/A of this host; 0: 0.015, labelled assumed
	Effort         map[string]Effort
}

// Effort is what a side's search got.
type Effort struct {
	Launches  int     `json:"launches"`
	GPUHours  float64 `json:"gpu_hours"`
	Knobs     int     `json:"knobs"`
	Exhausted string  `json:"exhausted,omitempty"` // why there was nothing left to try; counts as full effort
}
