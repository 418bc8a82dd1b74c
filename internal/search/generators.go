package search

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Generators are the kinds of tables that the search is tuned and judged on. The curves and the structure of effects of
// a test generator are in no train generator; normal tables of pairs and crashing levels are on both sides.
func Generators() []Generator {
	return []Generator{
		{"ramps", Train, "saturating ordinal knobs of very unequal size, few random pairs, crashing levels; prior wrong by level and cell", ramps},
		{"walks", Train, "ordinal knobs as smooth random walks, categorical ones with one good level, crashing pairs; prior wrong by any mix of level, pair and cell", walks},
		{"gates", Train, "knobs that matter only beside one level of another; prior wrong by pair and cell", gates},
		{"bumps", Train, "small effects and a cell's own of 1 %; prior wrong by cell only", bumps},
		{"heavy", Train, "effects with heavy tails: most knobs idle, a few decide; crashing levels; prior wrong with heavy tails", heavy},
		{"memory", Train, "more of anything is better until the memory is full; prior wrong by level", memory},
		{"batches", Train, "two ordinal knobs and their product count, the product crashes above a bound; prior wrong by level and pair with heavy tails", batches},
		{"peaks", Test, "ordinal knobs with a quadratic peak, pairs of normal size, crashing levels and pairs; prior wrong by level and cell", peaks},
		{"steps", Test, "ordinal knobs that jump at a threshold, ordinal knobs that multiply each other; prior wrong by level, pair and cell alike", steps},
		{"spikes", Test, "one knob in three decides, by one level that stands out; a prior that is right but for one knob it misreads altogether", spikes},
		{"budgets", Test, "every ordinal level takes twice the memory of the one before, one level of another knob a share of its own, and crashes above what a host has; effects saturate; prior wrong by any mix of level, pair and cell with heavy tails", budgets},
		{"clashes", Test, "levels of two knobs that crash together, a top level beside one level of another; the scarcer of two knobs decides, odd levels differ from even ones; prior wrong by level, pair and cell", clashes},
		{"modest", Test, "near ties everywhere, wrong by cell, differences taken 30 % too small", modest},
	}
}

// tableLevels are the numbers of levels of a table's knobs: 36 to 576 cells.
func tableLevels() [][]int {
	return [][]int{{3, 3, 4}, {4, 3, 2, 3}, {2, 2, 3, 2, 3}, {5, 4, 3}, {4, 4, 3, 3}, {3, 2, 4, 2, 4}, {6, 4, 3, 3}, {3, 3, 2, 4, 2, 4}}
}

// outline draws the sizes of a table, and whether knobs are ordinal: those with four levels and more always, of the
// others a third.
func outline(rng *rand.Rand) []made {
	var out []made
	sizes := tableLevels()
	for _, n := range sizes[rng.IntN(len(sizes))] {
		out = append(out, made{ordinal: n >= 4 || (n >= 3 && rng.IntN(3) == 0), effect: make([]float64, n), error: make([]float64, n), bad: make([]bool, n)})
	}
	return out
}

// errors fills in what the performance model gets wrong by level and by pair.
func (r *recipe) errors(rng *rand.Rand, f flaws) {
	r.wrong = f
	for _, k := range r.knobs {
		for j := range k.error {
			k.error[j] = f.level * f.draw(rng)
		}
	}
	for _, p := range r.pairs {
		for i := range p.error {
			for j := range p.error[i] {
				p.error[i][j] = f.pair * f.draw(rng)
			}
		}
	}
}

// crashes lets each knob have a level, and each pair two, that crash.
func (r *recipe) crashes(rng *rand.Rand, level, pair float64) {
	for _, k := range r.knobs {
		if rng.Float64() < level {
			k.bad[1+rng.IntN(len(k.bad)-1)] = true
		}
	}
	for i := range r.pairs {
		p := &r.pairs[i]
		if rng.Float64() < pair {
			p.full = append(p.full, [2]int{1 + rng.IntN(len(p.effect)-1), rng.IntN(len(p.effect[0]))})
		}
	}
}

// join makes a pair of each two knobs; fill gives its effects.
func (r *recipe) join(fill func(a, b int, effect [][]float64)) {
	for a := range r.knobs {
		for b := a + 1; b < len(r.knobs); b++ {
			p := madePair{a: a, b: b}
			for range r.knobs[a].effect {
				p.effect = append(p.effect, make([]float64, len(r.knobs[b].effect)))
				p.error = append(p.error, make([]float64, len(r.knobs[b].effect)))
			}
			fill(a, b, p.effect)
			r.pairs = append(r.pairs, p)
		}
	}
}

// some fills a share of the pairs with normal effects.
func some(rng *rand.Rand, share, size float64) func(a, b int, effect [][]float64) {
	return func(_, _ int, effect [][]float64) {
		if rng.Float64() >= share {
			return
		}
		for i := range effect {
			for j := range effect[i] {
				effect[i][j] = size * rng.NormFloat64()
			}
		}
	}
}

func none(int, int, [][]float64) {}

func normal(rng *rand.Rand, to []float64, size float64) {
	for j := range to {
		to[j] = size * rng.NormFloat64()
	}
}

func ramps(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		size := []float64{0.01, 0.02, 0.05, 0.12, 0.2}[rng.IntN(5)]
		if !k.ordinal {
			normal(rng, k.effect, size/2)
			continue
		}
		rate, falls := 0.5+rng.Float64(), rng.IntN(3) == 0
		for j := range k.effect {
			k.effect[j] = size * (1 - math.Exp(-rate*float64(j)))
			if falls {
				k.effect[j] = -k.effect[j]
			}
		}
	}
	r.join(some(rng, 0.25, 0.015))
	r.crashes(rng, 0.15, 0)
	r.errors(rng, flaws{level: 0.028, cell: 0.05})
	return r
}

func walks(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		size := 0.03 * math.Exp(0.8*rng.NormFloat64())
		if !k.ordinal {
			normal(rng, k.effect, size/3)
			k.effect[rng.IntN(len(k.effect))] += 1.5 * size
			continue
		}
		drift := rng.NormFloat64()
		for j := 1; j < len(k.effect); j++ {
			drift = 0.6*drift + 0.8*rng.NormFloat64()
			k.effect[j] = k.effect[j-1] + 0.7*size*drift
		}
	}
	r.own = 0.005
	r.join(some(rng, 0.4, 0.02))
	r.crashes(rng, 0.05, 0.12)
	a, b, c := rng.ExpFloat64(), rng.ExpFloat64(), rng.ExpFloat64()
	level, pair, cell := a/(a+b+c), b/(a+b+c), c/(a+b+c)
	n := float64(len(r.knobs))
	r.errors(rng, flaws{level: 0.08 * math.Sqrt(level/n), pair: 0.08 * math.Sqrt(2*pair/n/(n-1)), cell: 0.08 * math.Sqrt(cell)})
	return r
}

func gates(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		normal(rng, k.effect, 0.03*math.Exp(0.6*rng.NormFloat64()))
	}
	r.join(func(_, _ int, effect [][]float64) {
		if rng.Float64() >= 0.3 {
			return
		}
		row := rng.IntN(len(effect))
		normal(rng, effect[row], 0.05)
	})
	r.crashes(rng, 0.1, 0.05)
	r.errors(rng, flaws{pair: 0.02, cell: 0.06})
	return r
}

func bumps(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng), own: 0.01}
	for _, k := range r.knobs {
		normal(rng, k.effect, 0.02)
	}
	r.join(none)
	r.crashes(rng, 0.1, 0)
	r.errors(rng, flaws{cell: 0.08})
	return r
}

func peaks(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		if !k.ordinal {
			normal(rng, k.effect, 0.05)
			continue
		}
		top, width := rng.Float64()*float64(len(k.effect)-1), math.Abs(0.04*rng.NormFloat64())
		for j := range k.effect {
			k.effect[j] = -width * (float64(j) - top) * (float64(j) - top)
		}
	}
	r.join(some(rng, 0.35, 0.02))
	r.crashes(rng, 0.15, 0.05)
	r.errors(rng, flaws{level: 0.03, cell: 0.05})
	return r
}

func steps(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	place := func(k, j int) float64 { return float64(j)/float64(len(r.knobs[k].effect)-1) - 0.5 }
	for _, k := range r.knobs {
		size := 0.05 * tailed(rng, 5)
		if !k.ordinal {
			normal(rng, k.effect, math.Abs(size))
			continue
		}
		for j, from := 0, 1+rng.IntN(len(k.effect)-1); j < len(k.effect); j++ {
			if j >= from {
				k.effect[j] = 1.5 * size
			}
		}
	}
	r.join(func(a, b int, effect [][]float64) {
		size := 0.12 * rng.NormFloat64()
		for i := range effect {
			for j := range effect[i] {
				if r.knobs[a].ordinal && r.knobs[b].ordinal {
					effect[i][j] = size * place(a, i) * place(b, j)
				}
			}
		}
	})
	r.crashes(rng, 0.1, 0.05)
	n := float64(len(r.knobs))
	each := 0.08 / math.Sqrt(3)
	r.errors(rng, flaws{level: each / math.Sqrt(n), pair: each / math.Sqrt(n*(n-1)/2), cell: each})
	return r
}

func heavy(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng), own: 0.003}
	for _, k := range r.knobs {
		size := 0.04 * math.Abs(tailed(rng, 3))
		for j := range k.effect {
			k.effect[j] = size * tailed(rng, 3)
		}
	}
	r.join(some(rng, 0.2, 0.02))
	r.crashes(rng, 0.2, 0)
	r.errors(rng, flaws{level: 0.025, cell: 0.055, tail: 3})
	return r
}

func memory(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	filled := 0.0
	for i, k := range r.knobs {
		size := 0.12 * rng.Float64()
		r.takes = append(r.takes, make([]float64, len(k.effect)))
		if !k.ordinal {
			normal(rng, k.effect, size/2)
			continue
		}
		filled++
		for j := range k.effect {
			place := float64(j) / float64(len(k.effect)-1)
			k.effect[j], r.takes[i][j] = size*math.Sqrt(place), place
		}
	}
	r.room = filled * (0.5 + 0.3*rng.Float64())
	r.join(none)
	r.errors(rng, flaws{level: 0.08 / math.Sqrt(float64(len(r.knobs)))})
	return r
}

func modest(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		normal(rng, k.effect, 0.015+0.03*rng.Float64())
	}
	r.join(some(rng, 0.5, 0.01))
	r.crashes(rng, 0.1, 0.05)
	r.errors(rng, flaws{cell: 0.075, shrink: 0.3})
	return r
}

func spikes(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		normal(rng, k.effect, 0.01)
		if rng.IntN(3) == 0 {
			k.effect[rng.IntN(len(k.effect))] += 0.05 + 0.15*rng.Float64()
		}
	}
	r.join(some(rng, 0.2, 0.02))
	r.crashes(rng, 0.15, 0.05)
	r.errors(rng, flaws{level: 0.015, cell: 0.05})
	misread := r.knobs[rng.IntN(len(r.knobs))]
	normal(rng, misread.error, 0.1)
	return r
}

func batches(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		normal(rng, k.effect, 0.025)
	}
	var first, second int
	for k := range r.knobs { // the two with most levels
		switch n := len(r.knobs[k].effect); {
		case n > len(r.knobs[first].effect):
			first, second = k, first
		case k != first && (second == first || n > len(r.knobs[second].effect)):
			second = k
		}
	}
	a, b := min(first, second), max(first, second)
	bound := 0.35 + 0.5*rng.Float64()
	gain := 0.1 + 0.15*rng.Float64()
	r.join(none)
	for i := range r.pairs {
		p := &r.pairs[i]
		for x := range p.effect {
			for y := range p.effect[x] {
				full := float64((x+1)*(y+1)) / float64(len(p.effect)*len(p.effect[0]))
				if p.a != a || p.b != b {
					continue
				}
				p.effect[x][y] = gain * math.Sqrt(full)
				if full > bound {
					p.full = append(p.full, [2]int{x, y})
				}
			}
		}
	}
	n := float64(len(r.knobs))
	r.errors(rng, flaws{level: 0.055 / math.Sqrt(n), pair: 0.055 / math.Sqrt(n*(n-1)/2), tail: 4})
	return r
}

func budgets(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng), own: 0.003}
	for _, k := range r.knobs {
		taken, need := make([]float64, len(k.effect)), 0.5+rng.Float64()
		if k.ordinal {
			size, half := 0.05+0.2*rng.Float64(), 0.3+1.5*rng.Float64()
			for j := range k.effect {
				k.effect[j] = size * float64(j) / (float64(j) + half)
				taken[j] = need * math.Exp2(float64(j-len(k.effect)+1))
			}
		} else {
			normal(rng, k.effect, 0.03)
			taken[rng.IntN(len(taken))] = need * 0.5 * rng.Float64()
		}
		r.takes = append(r.takes, taken)
	}
	most := 0.0
	for _, taken := range r.takes {
		most += slices.Max(taken)
	}
	r.room = most * (0.45 + 0.4*rng.Float64())
	r.join(some(rng, 0.3, 0.015))
	a, b, c := rng.ExpFloat64(), rng.ExpFloat64(), rng.ExpFloat64()
	n, all := float64(len(r.knobs)), a+b+c
	r.errors(rng, flaws{level: 0.08 * math.Sqrt(a/all/n), pair: 0.08 * math.Sqrt(2*b/all/n/(n-1)), cell: 0.08 * math.Sqrt(c/all), tail: 4})
	return r
}

func clashes(rng *rand.Rand) recipe {
	r := recipe{knobs: outline(rng)}
	for _, k := range r.knobs {
		size := 0.06 * rng.Float64()
		for j := range k.effect {
			k.effect[j] = size*float64(j%2) + 0.01*rng.NormFloat64()
		}
	}
	r.join(none)
	order := rng.Perm(len(r.pairs))
	scarce := r.pairs[order[0]]
	first, second := make([]float64, len(scarce.effect)), make([]float64, len(scarce.effect[0]))
	normal(rng, first, 0.08)
	normal(rng, second, 0.08)
	for i := range scarce.effect {
		for j := range scarce.effect[i] {
			scarce.effect[i][j] = math.Min(first[i], second[j])
		}
	}
	for _, at := range order[:2] {
		p := &r.pairs[at]
		level := rng.IntN(len(p.effect))
		for j := range p.effect[0] {
			if rng.IntN(2) == 0 {
				p.full = append(p.full, [2]int{level, j})
			}
		}
	}
	p := &r.pairs[order[2]]
	p.full = append(p.full, [2]int{len(p.effect) - 1, rng.IntN(len(p.effect[0]))})
	n := float64(len(r.knobs))
	r.errors(rng, flaws{level: 0.045 / math.Sqrt(n), pair: 0.045 / math.Sqrt(n*(n-1)/2), cell: 0.05})
	return r
}
