package contract

import "slices"

// OverloadTest names how an open loop is judged to be more than an engine can take. It is frozen, so that a campaign's
// rows are judged, and verified for ever, by one method.
type OverloadTest string

// The methods.
const (
	OverloadTrend    OverloadTest = ""           // slopes of requests in flight and TTFT over the window: contracts of before
	OverloadCapacity OverloadTest = "capacity/1" // load offered against what the engine served while requests piled up
)

// OverloadTests lists the methods that this release knows.
func OverloadTests() []string { return []string{string(OverloadTrend), string(OverloadCapacity)} }

// Open says whether requests come at a rate, whatever the engine does.
func (s Scenario) Open() bool {
	return s.RateSearch != nil || slices.Contains([]Arrival{ArrivalPoisson, ArrivalConstant, ArrivalReplay}, s.Arrival)
}
