package search

import (
	"math"
	"slices"
)

// grid is a space in numbers: every knob has levels 0 to n − 1, in listed order, the base's last where it is not
// listed.
type grid struct {
	space Space
	axes  []axis
	base  cell
}

// axis is one knob's levels.
type axis struct {
	name    string
	values  []any
	texts   []string
	listed  int       // levels that were listed; the base's own is not counted when it was not
	ordinal bool      // numbers with an order
	rank    []float64 // place of a level in that order; NaN for a level without a number
}

// cell is one level a knob.
type cell []int

func (c cell) key() string {
	b := make([]byte, 0, 2*len(c))
	for _, l := range c {
		b = append(b, byte(l), byte(l>>8))
	}
	return string(b)
}

func newGrid(s Space) *grid {
	g := &grid{space: s}
	for _, k := range s.Knobs {
		a := axis{name: k.Name}
		for _, v := range k.Values {
			if t := text(v); !slices.Contains(a.texts, t) {
				a.values, a.texts = append(a.values, v), append(a.texts, t)
			}
		}
		a.listed = len(a.values)
		at := slices.Index(a.texts, text(s.Base[k.Name]))
		if at < 0 {
			at = len(a.values)
			a.values, a.texts = append(a.values, s.Base[k.Name]), append(a.texts, text(s.Base[k.Name]))
		}
		a.order()
		g.axes = append(g.axes, a)
		g.base = append(g.base, at)
	}
	return g
}

// order finds out whether the levels are numbers, at least three of them, and their places.
func (a *axis) order() {
	numbers := make([]float64, len(a.values))
	var sorted []float64
	for i, v := range a.values {
		f, ok := numeric(v)
		if !ok {
			f = math.NaN()
		} else {
			sorted = append(sorted, f)
		}
		numbers[i] = f
	}
	slices.Sort(sorted)
	a.ordinal = len(sorted) >= 3 && len(sorted) >= len(a.values)-1
	for _, f := range numbers {
		place := math.NaN()
		if i, ok := slices.BinarySearch(sorted, f); ok {
			place = float64(i)
		}
		a.rank = append(a.rank, place)
	}
}

// flags is what a cell changes in the base command.
func (g *grid) flags(c cell) map[string]any {
	out := map[string]any{}
	for k, level := range c {
		if level != g.base[k] {
			out[g.axes[k].name] = g.axes[k].values[level]
		}
	}
	return out
}

// at is the cell of a trial's flags; ok is false for flags outside the space.
func (g *grid) at(flags map[string]any) (c cell, ok bool) {
	c = slices.Clone(g.base)
	known := 0
	for k, a := range g.axes {
		v, said := flags[a.name]
		if !said {
			continue
		}
		known++
		if c[k] = slices.Index(a.texts, text(v)); c[k] < 0 {
			return nil, false
		}
	}
	return c, known == len(flags)
}

// size is the number of cells, or limit + 1 when there are more.
func (g *grid) size(limit int) int {
	n := 1
	for _, a := range g.axes {
		if n *= len(a.values); n > limit {
			return limit + 1
		}
	}
	return n
}

// walk gives cells in product order over the listed values, last knob fastest, until visit says stop.
func (g *grid) walk(levels func(axis) int, visit func(cell) bool) {
	c := make(cell, len(g.axes))
	for {
		if !visit(slices.Clone(c)) {
			return
		}
		k := len(c) - 1
		for ; k >= 0; k-- {
			if c[k]++; c[k] < levels(g.axes[k]) {
				break
			}
			c[k] = 0
		}
		if k < 0 {
			return
		}
	}
}

func (g *grid) legal(c cell) bool {
	return g.space.Legal == nil || g.space.Legal(g.flags(c)) == ""
}

// coverage counts listed values seen in trials.
func (g *grid) coverage(cells []cell) Coverage {
	var cov Coverage
	for k, a := range g.axes {
		cov.Listed += a.listed
		for level := range a.listed {
			if slices.ContainsFunc(cells, func(c cell) bool { return c[k] == level }) {
				cov.Tried++
			}
		}
	}
	cov.Share = 1
	if cov.Listed > 0 {
		cov.Share = float64(cov.Tried) / float64(cov.Listed)
	}
	return cov
}
