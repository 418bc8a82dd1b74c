package search

import (
	"fmt"
	"math"
	"slices"
)

const (
	firstProbes = 2      // short probes of candidate 0
	settled     = 0.001  // expected gain of one more launch below which Auto stops, in logarithms
	told        = 0.0035 // the same where a performance model speaks: half the bounded product's hours are all there is
	gap         = 0.01   // how far the best so far may lead the best with full load points without being measured again
	hopeless    = 0.3    // chance to come up below which a cell is not launched
)

// auto launches the cell with the largest expected gain, weighed by its chance to come up. Its gate keeps the full load
// points for launches that may be the best.
func (s *state) auto() Step {
	known := s.distinct()
	if len(known) == 0 {
		return s.unmeasured()
	}
	cells := append(slices.Clone(known), s.pool(func(a axis) int { return len(a.values) })...)
	return s.choose(cells, len(known), s.believe(cells))
}

// believe is what is expected of cells after all trials.
func (s *state) believe(cells []cell) belief {
	priors := make([]parts, len(cells))
	for i, c := range cells {
		priors[i] = s.opinion.of(c)
	}
	return newField(s.g, s.seen, s.opinion.of).believe(cells, priors, shapes(len(s.g.axes), s.opinion))
}

func (s *state) choose(cells []cell, known int, b belief) Step {
	leader, pointed := bestOf(b.mean, known, nil), bestOf(b.mean, known, s.withPoints(cells[:known]))
	left := s.budget.Launches - s.spent
	crash := learnCrashes(s.g, s.seen)
	at, gain := -1, 0.0
	for i := known; i < len(cells); i++ {
		p := crash.survives(cells[i])
		if p < hopeless {
			continue
		}
		if e := p * expectedGain(b.mean[i], b.sd[i], b.mean[leader]); at < 0 || e > gain {
			at, gain = i, e
		}
	}
	least := settled
	if s.opinion.known {
		least = told
	}
	behind := math.Inf(1)
	if pointed >= 0 {
		behind = b.mean[leader] - b.mean[pointed]
	}
	switch {
	case at >= 0 && (left > 1 || (pointed >= 0 && gain > behind)) && gain > least:
		step := s.launch(cells[at], fmt.Sprintf("expected gain %.2f %% over the best so far", 100*math.Expm1(gain)))
		step.Rungs = s.rungs(b.mean[leader], left)
		return step
	case behind > gap:
		return s.launch(cells[leader], "best so far, measured again with its full load points")
	case at < 0:
		return s.done("every combination that may run was tried")
	default:
		return s.done(fmt.Sprintf("another launch is expected to gain %.2f %%", 100*math.Expm1(gain)))
	}
}

// rungs takes a closer look at what may be the best. Nothing is measured fully in the first four tenths of the budget,
// since later launches will be better: a good candidate gets more probes. From then on what reaches the best so far
// goes on to its full load points.
func (s *state) rungs(best float64, left int) []Rung {
	within := func(behind float64) float64 { return math.Exp(best - behind) }
	out := []Rung{{Probes: 2}, {From: within(0.02), Probes: 2}}
	if 10*left > 6*s.budget.Launches {
		return append(out, Rung{From: within(0.005), Probes: 4})
	}
	return append(out, Rung{From: within(0), Points: true})
}

// expectedGain is E[max(0, x − best)] for x normal.
func expectedGain(mean, sd, best float64) float64 {
	z := (mean - best) / sd
	return (mean-best)*0.5*math.Erfc(-z/math.Sqrt2) + sd*math.Exp(-z*z/2)/math.Sqrt(2*math.Pi)
}

// unmeasured chooses when nothing has come up yet: what the prior likes among the likeliest to come up.
func (s *state) unmeasured() Step {
	crash := learnCrashes(s.g, s.seen)
	var at cell
	worth := math.Inf(-1)
	for _, c := range s.pool(func(a axis) int { return len(a.values) }) {
		p := s.opinion.of(c)
		if w := p.level + p.pair + math.Log(crash.survives(c)+1e-9); w > worth {
			at, worth = c, w
		}
	}
	if at == nil {
		return s.done("every combination was tried, none came up")
	}
	return s.launch(at, "nothing has come up yet: the likeliest to")
}

// distinct gives the measured cells once each.
func (s *state) distinct() []cell {
	var out []cell
	seen := map[string]bool{}
	for _, o := range s.seen {
		if o.ok && !seen[o.cell.key()] {
			seen[o.cell.key()] = true
			out = append(out, o.cell)
		}
	}
	return out
}

// withPoints says of each cell whether it has full load points.
func (s *state) withPoints(cells []cell) []bool {
	have := map[string]bool{}
	for _, o := range s.seen {
		if o.points {
			have[o.cell.key()] = true
		}
	}
	out := make([]bool, len(cells))
	for i, c := range cells {
		out[i] = have[c.key()]
	}
	return out
}

// bestOf is the index of the largest of the first n values that are allowed, −1 for none.
func bestOf(values []float64, n int, allowed []bool) int {
	at := -1
	for i := range n {
		if (allowed == nil || allowed[i]) && (at < 0 || values[i] > values[at]) {
			at = i
		}
	}
	return at
}

// pick is the cell with full load points that is believed best.
func (s *state) pick() (cell, bool) {
	known := s.distinct()
	allowed := s.withPoints(known)
	if bestOf(make([]float64, len(known)), len(known), allowed) < 0 {
		return nil, false
	}
	b := s.believe(known)
	return known[bestOf(b.mean, len(known), allowed)], true
}
