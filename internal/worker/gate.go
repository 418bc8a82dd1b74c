package worker

import (
	"fmt"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// gateMetric is what probes are judged by: bursts have a makespan.
const gateMetric = "makespan_s"

// Gate lets a point run only where short probes before it, in the same launch, promise enough: launches are dear, and a
// candidate that is far behind need not carry its whole load.
type Gate struct {
	Points []string `json:"points"`    // bursts of the launch before this point
	AtMost float64  `json:"at_most_s"` // the largest geometric mean of their makespans, in seconds
}

// Open says whether the point runs. makespan gives a burst's, in seconds; one without a makespan, since requests of it
// failed, keeps the gate shut.
func (g *Gate) Open(makespan func(point string) (float64, bool)) bool {
	sum := 0.0
	for _, p := range g.Points {
		v, ok := makespan(p)
		if !ok || v <= 0 {
			return false
		}
		sum += math.Log(v)
	}
	return math.Exp(sum/float64(len(g.Points))) <= g.AtMost
}

// checkGates refuses gates that wait for nothing, or for what comes later.
func (l *Launch) checkGates() error {
	var before []string
	for _, p := range l.Points {
		if g := p.Gate; g != nil {
			unknown := slices.ContainsFunc(g.Points, func(id string) bool { return !slices.Contains(before, id) })
			if len(g.Points) == 0 || unknown || !(g.AtMost > 0) {
				return fault.New(fault.InvalidInput, "launch %q: the gate of point %q needs earlier points %q and a makespan above 0", l.ID, p.ID, g.Points).
					At("launches.points.gate", fmt.Sprint(g.AtMost))
			}
		}
		before = append(before, p.ID)
	}
	return nil
}
