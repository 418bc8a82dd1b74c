package contract

import "time"

// The sources of Noise.
const (
	NoiseAA      = "aa"      // launches of one candidate against each other, on this host
	NoiseAssumed = "assumed" // no unexpired A/A of the host was found
)

// Noise is how much a block's log-ratio varies on the host, as far as it was known when the campaign opened. It plans
// blocks and never overrules an interval.
type Noise struct {
	SD     float64 `json:"sd"` // standard deviation of a block's log-ratio
	Source string  `json:"source"`
	// Looks says what each look can find.
	Looks []LookMDE `json:"looks"`

	Campaign string     `json:"campaign,omitempty"` // whose A/A it is
	Taken    *time.Time `json:"taken,omitempty"`    // when its last launch was measured
	Pairs    int        `json:"pairs,omitempty"`
	Release  string     `json:"release,omitempty"` // version and commit of the framework; another one ends its validity
}

// LookMDE is the smallest true gain, as ratio − 1, that wins four times in five with so many blocks.
type LookMDE struct {
	Blocks int     `json:"blocks"`
	MDE    float64 `json:"mde"`
}
