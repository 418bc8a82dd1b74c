package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Next says what to launch after trials. Candidate 0 is always the shipped default; a candidate that was launched is
// never launched again, except by Auto to give the pick its full load points; the cap is exact. When Done, Candidate
// is the pick: the best of those with full load points, by what is believed of it after all trials.
func Next(trials []Trial, space Space, budget Budget, strategy Strategy) Step {
	s := newState(trials, space, budget)
	step := s.next(strategy)
	step.Candidate.Index = len(trials)
	step.Coverage = s.g.coverage(s.cells())
	return step
}

func newState(trials []Trial, space Space, budget Budget) *state {
	if budget.Noise == (Noise{}) {
		budget.Noise = DefaultNoise
	}
	g := newGrid(space)
	return &state{g: g, budget: budget, spent: len(trials), seen: observe(g, trials, budget.Noise), opinion: newOpinion(g)}
}

// state is what a strategy sees.
type state struct {
	g       *grid
	budget  Budget
	spent   int // launches, those outside the space too
	seen    []observed
	opinion *opinion
}

func (s *state) next(strategy Strategy) Step {
	switch {
	case s.spent >= s.budget.Launches:
		return s.done(fmt.Sprintf("the budget of %d launches is spent", s.budget.Launches))
	case s.spent == 0:
		return s.first(strategy)
	}
	switch strategy {
	case Product:
		return s.product()
	case Random:
		return s.random()
	default:
		return s.auto()
	}
}

// first launches the shipped default.
func (s *state) first(strategy Strategy) Step {
	step := s.launch(s.g.base, "shipped default")
	if strategy == Auto && s.budget.Launches > 1 {
		step.Rungs = []Rung{{Probes: firstProbes}}
	}
	return step
}

func (s *state) cells() []cell {
	out := make([]cell, 0, len(s.seen))
	for _, o := range s.seen {
		out = append(out, o.cell)
	}
	return out
}

func (s *state) tried() map[string]bool {
	out := map[string]bool{}
	for _, o := range s.seen {
		out[o.cell.key()] = true
	}
	return out
}

// launch is a step that launches a cell and takes its full load points.
func (s *state) launch(c cell, why string) Step {
	return Step{Candidate: Candidate{Flags: s.g.flags(c), Why: why}, Rungs: fully, Why: why}
}

// done ends the search with its pick.
func (s *state) done(why string) Step {
	step := Step{Done: true, Why: why}
	step.Candidate.Flags = map[string]any{}
	if c, ok := s.pick(); ok {
		step.Candidate.Flags = s.g.flags(c)
		step.Candidate.Why = "best with full load points"
	}
	return step
}

// product is the seed's order: the listed values' product, last knob fastest, duplicates skipped.
func (s *state) product() Step {
	tried := s.tried()
	var found cell
	looked := 0
	s.g.walk(func(a axis) int { return max(1, a.listed) }, func(c cell) bool {
		if looked++; !tried[c.key()] && s.g.legal(c) {
			found = c
		}
		return found == nil && looked < lookLimit
	})
	switch {
	case found == nil && looked == lookLimit:
		return s.done(fmt.Sprintf("none of the next %d combinations may run", lookLimit))
	case found == nil:
		return s.done("every combination was tried")
	}
	return s.launch(found, "next of the product")
}

// lookLimit bounds how far the product is walked for a combination that may run.
const lookLimit = 1 << 18

// random draws uniformly among the listed combinations that were not tried.
func (s *state) random() Step {
	left := s.pool(func(a axis) int { return max(1, a.listed) })
	if len(left) == 0 {
		return s.done("every combination was tried")
	}
	rng := rand.New(rand.NewPCG(s.budget.Seed, uint64(s.spent)))
	return s.launch(left[rng.IntN(len(left))], "uniform draw")
}

// poolLimit bounds the cells that are weighed for one step.
const poolLimit = 4096

// pool gives the cells that were not tried and may run: all of them where they are few; else neighbours of the best
// trials, those with one and two changes from the default, and uniform draws.
func (s *state) pool(levels func(axis) int) []cell {
	tried := s.tried()
	var out []cell
	add := func(c cell) {
		if key := c.key(); !tried[key] && s.g.legal(c) {
			tried[key] = true
			out = append(out, c)
		}
	}
	if s.g.size(poolLimit) <= poolLimit {
		s.g.walk(levels, func(c cell) bool { add(c); return true })
		return out
	}
	for _, c := range append([]cell{s.g.base}, s.best(3)...) {
		s.around(c, levels, add)
	}
	rng := rand.New(rand.NewPCG(s.budget.Seed, 1<<32+uint64(s.spent)))
	for range poolLimit / 4 {
		c := make(cell, len(s.g.axes))
		for k, a := range s.g.axes {
			c[k] = rng.IntN(levels(a))
		}
		add(c)
	}
	return out
}

// around gives the cells within two changes of c.
func (s *state) around(c cell, levels func(axis) int, add func(cell)) {
	for k := range c {
		for i := range levels(s.g.axes[k]) {
			one := slices.Clone(c)
			one[k] = i
			add(one)
			for l := k + 1; l < len(c); l++ {
				for j := range levels(s.g.axes[l]) {
					two := slices.Clone(one)
					two[l] = j
					add(two)
				}
			}
		}
	}
}

// best gives the n best measured cells.
func (s *state) best(n int) []cell {
	ok := slices.DeleteFunc(slices.Clone(s.seen), func(o observed) bool { return !o.ok })
	slices.SortStableFunc(ok, func(a, b observed) int {
		switch {
		case a.value > b.value:
			return -1
		case a.value < b.value:
			return 1
		default:
			return 0
		}
	})
	var out []cell
	for _, o := range ok[:min(n, len(ok))] {
		out = append(out, o.cell)
	}
	return out
}
