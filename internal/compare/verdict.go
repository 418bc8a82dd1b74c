package compare

import "github.com/sotaloop/sotaloop/internal/stats"

// Provenance says who measured the rows a result rests on.
const (
	ProvenanceCampaign   = "campaign"
	ProvenanceUnverified = "unverified" // no campaign and no report accepts it
)

// Verdict is the answer for one scenario and one comparison side. Ratio and interval are the candidate's metric over
// the other side's, 1.0 = equal, whichever way the metric improves; Better says which.
type Verdict struct {
	Scenario    string           `json:"scenario"`
	Metric      string           `json:"metric"`
	Better      string           `json:"better"` // higher or lower
	Candidate   string           `json:"candidate"`
	Side        string           `json:"side"`
	Against     string           `json:"against"`
	AgainstSide string           `json:"against_side"`
	Verdict     stats.Verdict    `json:"verdict"`
	Reason      string           `json:"reason"`
	Ratio       *float64         `json:"ratio"`
	Interval    *[2]float64      `json:"interval"`    // null when unbounded
	Level       *float64         `json:"level"`       // confidence level of the interval
	Blocks      int              `json:"blocks"`      // blocks the verdict rests on
	MDE         *float64         `json:"mde"`         // gain (ratio − 1) that would win 80 % of the time
	MDESource   string           `json:"mde_source"`  // of the standard deviation behind it: blocks, aa or assumed
	MoreBlocks  *int             `json:"more_blocks"` // blocks more until a decision is likely; null: not within reach
	Effort      []SideEffort     `json:"effort"`
	Others      []Measured       `json:"others"` // other metrics with intervals, without verdicts
	Warnings    []string         `json:"warnings"`
	SLA         map[string]Tally `json:"sla"`
}

// SideEffort is one side's search effort.
type SideEffort struct {
	Side string `json:"side"`
	Effort
}

// Measured is one metric's ratio with its interval; it is no verdict.
type Measured struct {
	Metric   string      `json:"metric"`
	Ratio    float64     `json:"ratio"`
	Interval *[2]float64 `json:"interval"`
	Blocks   int         `json:"blocks"`
}

// Tally counts a side's launches by whether they kept the SLA. Unknown are launches of foreign rows that lack a limited
// metric: a campaign's rows have them all, and a percentile that never ended breaks its limit.
type Tally struct {
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Unknown int      `json:"unknown,omitempty"`
	Why     []string `json:"why"`
}

// Refusal is a comparison that is not made: a rule, the field at fault and both values.
type Refusal struct {
	Rule     string `json:"rule"`
	What     string `json:"what"`
	Field    string `json:"field"`
	Got      string `json:"got"`
	Want     string `json:"want"`
	Scenario string `json:"scenario"`
	Against  string `json:"against"`
}

// Result is every verdict the rows support, and every comparison they do not.
type Result struct {
	Verdicts   []Verdict `json:"verdicts"`
	Refused    []Refusal `json:"refused"`
	Warnings   []string  `json:"warnings"`
	Provenance string    `json:"provenance"`
	Method     string    `json:"method"`
	Alpha      float64   `json:"alpha"` // error rate of one comparison: 0.05 / m
	M          int       `json:"m"`
	Delta      float64   `json:"delta"`
	Looks      []int     `json:"looks"`
	Mark       string    `json:"mark,omitempty"` // of the rows: contract.NoGPUClaim
}
