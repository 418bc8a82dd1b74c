package search

import (
	"math"
)

// observed is one trial in the grid's numbers.
type observed struct {
	cell    cell
	ok      bool    // measured
	crashed bool    // did not come up
	value   float64 // logarithm of the score, when ok
	noise   float64 // its standard deviation
	points  bool    // has its full load points
}

// observe translates trials; those outside the space, and scores that are not above 0, count as launches only.
func observe(g *grid, trials []Trial, n Noise) []observed {
	var out []observed
	for _, t := range trials {
		c, ok := g.at(t.Flags)
		if !ok {
			continue
		}
		o := observed{cell: c, crashed: t.Status != StatusOK && t.Status != "skipped"}
		if t.Status == StatusOK {
			o.measure(t, n)
		}
		out = append(out, o)
	}
	return out
}

// measure averages what a launch measured by precision: probes and load points share the launch's own deviation.
func (o *observed) measure(t Trial, n Noise) {
	var weights, sum float64
	add := func(score, sd float64) {
		if score > 0 && !math.IsInf(score, 0) {
			weights, sum = weights+1/(sd*sd), sum+math.Log(score)/(sd*sd)
		}
	}
	for _, p := range t.Probes {
		add(p, n.Probe)
	}
	if t.Score != nil {
		add(*t.Score, n.Points)
		o.points = *t.Score > 0
	}
	if weights > 0 {
		o.ok, o.value, o.noise = true, sum/weights, math.Sqrt(n.Launch*n.Launch+1/weights)
	}
}
