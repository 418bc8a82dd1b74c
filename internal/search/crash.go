package search

import (
	"math"
	"slices"
)

// How likely each cause of crashes is before any launch, and where it covers a launch that came up.
const (
	likelyLevel  = 0.1   // one level
	likelyPair   = 0.005 // two levels together
	likelyRoom   = 0.03  // one threshold of the sum of places
	likelyWorked = 0.002

	byChance   = 0.005 // chance that a crash has none of these causes
	thresholds = 8
	sweeps     = 10
)

// crashes is how likely each cause of crashes is: a level; two levels that do not go together; memory, which ordinal
// knobs fill together, the more the higher they are.
type crashes struct {
	g      *grid
	level  []int     // by knob: the cause of its level 0; the others follow
	pair   [][]int   // by two knobs: the cause of their levels 0 and 0; the others follow, last knob fastest
	room   []float64 // sums of places that are too much, rising
	first  int       // the cause of room's first; the others follow
	cause  []float64 // how likely each is
	failed map[string]bool
}

func newCrashes(g *grid) *crashes {
	m := &crashes{g: g, failed: map[string]bool{}}
	add := func(n int, likely float64) (first int) {
		first = len(m.cause)
		m.cause = append(m.cause, slices.Repeat([]float64{likely}, n)...)
		return first
	}
	ordinal := 0.0
	for _, a := range g.axes {
		m.level = append(m.level, add(len(a.values), likelyLevel))
		if a.ordinal {
			ordinal++
		}
	}
	for k, a := range g.axes {
		m.pair = append(m.pair, make([]int, len(g.axes)))
		for l := k + 1; l < len(g.axes); l++ {
			m.pair[k][l] = add(len(a.values)*len(g.axes[l].values), likelyPair)
		}
	}
	for i := range thresholds {
		m.room = append(m.room, ordinal*(0.2+0.1*float64(i)))
	}
	m.first = add(thresholds, likelyRoom)
	return m
}

// of gives the causes that cover a cell.
func (m *crashes) of(c cell) []int {
	out := make([]int, 0, len(c)*(len(c)+1)/2+thresholds)
	filled := 0.0
	for k, level := range c {
		out = append(out, m.level[k]+level)
		for l := k + 1; l < len(c); l++ {
			out = append(out, m.pair[k][l]+level*len(m.g.axes[l].values)+c[l])
		}
		if a := m.g.axes[k]; a.ordinal && !math.IsNaN(a.rank[level]) {
			filled += a.rank[level] / float64(len(a.values)-1)
		}
	}
	for i, full := range m.room {
		if filled > 0 && filled >= full-1e-9 {
			out = append(out, m.first+i)
		}
	}
	return out
}

// learnCrashes clears what covers a launch that came up, and puts every crash down to what is left, shared by how likely
// each is from all others. The shipped default counts as one that came up, unless it crashed.
func learnCrashes(g *grid, trials []observed) *crashes {
	m := newCrashes(g)
	var crashed [][]int
	worked := [][]int{m.of(g.base)}
	for _, t := range trials {
		switch {
		case t.ok:
			worked = append(worked, m.of(t.cell))
		case t.crashed:
			m.failed[t.cell.key()] = true
			crashed = append(crashed, m.of(t.cell))
		}
	}
	if m.failed[g.base.key()] {
		worked = worked[1:]
	}
	for _, causes := range worked {
		for _, x := range causes {
			m.cause[x] = likelyWorked
		}
	}
	m.blame(crashed)
	return m
}

// blame finds how likely each cause is once each crash has one at least: belief propagation on a noisy or (Pearl 1988).
// What a crash says of one of its causes is how well the others explain it, from all that is known but this crash.
func (m *crashes) blame(crashed [][]int) {
	odds := make([]float64, len(m.cause)) // logarithms
	for x, p := range m.cause {
		odds[x] = math.Log(p / (1 - p))
	}
	said := make([][]float64, len(crashed))
	for i := range said {
		said[i] = make([]float64, len(crashed[i]))
	}
	for range sweeps {
		for i, causes := range crashed {
			none := math.Log1p(-byChance)
			innocent := make([]float64, len(causes)) // logarithms of the chance that a cause is not real
			for y, x := range causes {
				innocent[y] = -math.Log1p(math.Exp(odds[x] - said[i][y]))
				none += innocent[y]
			}
			for y, x := range causes {
				next := (said[i][y] - math.Log(-math.Expm1(none-innocent[y]))) / 2
				odds[x] += next - said[i][y]
				said[i][y] = next
			}
		}
	}
	for x := range m.cause {
		m.cause[x] = 1 / (1 + math.Exp(-odds[x]))
	}
}

// survives is how likely a cell is to come up.
func (m *crashes) survives(c cell) float64 {
	if m.failed[c.key()] {
		return 0
	}
	p, full := 1.0, 0.0
	for _, x := range m.of(c) {
		if x >= m.first {
			full += m.cause[x] // there is one threshold
		} else {
			p *= 1 - m.cause[x]
		}
	}
	return p * math.Max(0, 1-full)
}
