package search

import (
	"math"
	"math/rand/v2"
)

// opinion is what a performance model says of a space, taken apart: what levels add, what pairs of levels add, and
// what is a cell's own. A model's errors are spread over all three, while a real server's cells have little of their
// own: so the parts are followed as far as the trials bear each of them out.
type opinion struct {
	known  bool
	raw    func(cell) (float64, bool) // logarithm of the prior
	middle float64                    // its mean over the reference cells, given to a cell without an opinion
	level  [][]float64
	pair   []pairOpinion
	own    float64 // sd of what is a cell's own
}

type pairOpinion struct {
	a, b   int
	effect [][]float64
}

// parts are the three parts of an opinion on one cell.
type parts struct{ level, pair, own float64 }

const (
	referenced  = 2048 // cells that an opinion is taken apart on
	leastSpare  = 4    // degrees of freedom that must be left to tell pairs from cells
	backfitting = 6    // sweeps; one does for a full product
)

// newOpinion takes the space's prior apart, on all legal cells or, where they are many, on uniform draws.
func newOpinion(g *grid) *opinion {
	o := &opinion{known: g.space.Prior != nil}
	if !o.known {
		return o
	}
	o.raw = func(c cell) (float64, bool) {
		v, ok := g.space.Prior(g.flags(c))
		return math.Log(v), ok && v > 0 && !math.IsInf(v, 0)
	}
	var cells []cell
	var rest []float64
	add := func(c cell) {
		if !g.legal(c) {
			return
		}
		if v, ok := o.raw(c); ok {
			cells, rest = append(cells, c), append(rest, v)
		}
	}
	if g.size(referenced) <= referenced {
		g.walk(func(a axis) int { return len(a.values) }, func(c cell) bool { add(c); return true })
	} else {
		rng := rand.New(rand.NewPCG(referenced, uint64(len(g.axes))))
		for range referenced {
			c := make(cell, len(g.axes))
			for k, a := range g.axes {
				c[k] = rng.IntN(len(a.values))
			}
			add(c)
		}
	}
	o.takeApart(g, cells, rest)
	return o
}

// takeApart fits mean, levels and pairs to rest, in place. A pair's table is shrunk by how far it exceeds what the
// cells' own would leave in it (positive-part James-Stein; Efron and Morris 1973).
func (o *opinion) takeApart(g *grid, cells []cell, rest []float64) {
	n := float64(len(cells))
	for _, v := range rest {
		o.middle += v / math.Max(1, n)
	}
	for i := range rest {
		rest[i] -= o.middle
	}
	spare := n - 1
	for _, a := range g.axes {
		o.level = append(o.level, make([]float64, len(a.values)))
		spare -= float64(len(a.values) - 1)
	}
	for range backfitting {
		for k := range g.axes {
			o.fitLevels(k, cells, rest)
		}
	}
	for a := range g.axes {
		for b := a + 1; b < len(g.axes); b++ {
			spare -= float64((len(o.level[a]) - 1) * (len(o.level[b]) - 1))
		}
	}
	if spare >= leastSpare {
		o.fitPairs(cells, rest, spare)
	}
	for _, v := range rest {
		o.own += v * v / math.Max(1, n)
	}
	o.own = math.Sqrt(o.own)
}

// fitLevels moves what the levels of a knob have in common from rest to them.
func (o *opinion) fitLevels(k int, cells []cell, rest []float64) {
	sum, count := make([]float64, len(o.level[k])), make([]float64, len(o.level[k]))
	for i, c := range cells {
		sum[c[k]] += rest[i]
		count[c[k]]++
	}
	for j := range sum {
		sum[j] /= math.Max(1, count[j])
		o.level[k][j] += sum[j]
	}
	for i, c := range cells {
		rest[i] -= sum[c[k]]
	}
}

func (o *opinion) fitPairs(cells []cell, rest []float64, spare float64) {
	var mean, weight [][][]float64
	left := append([]float64{}, rest...)
	for a := range o.level {
		for b := a + 1; b < len(o.level); b++ {
			m, w := tableMeans(cells, left, a, b, len(o.level[a]), len(o.level[b]))
			for i, c := range cells {
				left[i] -= m[c[a]][c[b]]
			}
			mean, weight = append(mean, m), append(weight, w)
			o.pair = append(o.pair, pairOpinion{a: a, b: b, effect: m})
		}
	}
	noise := 0.0
	for _, v := range left {
		noise += v * v / spare
	}
	for p := range o.pair {
		free := float64((len(mean[p]) - 1) * (len(mean[p][0]) - 1))
		squares := 0.0
		for i := range mean[p] {
			for j := range mean[p][i] {
				squares += weight[p][i][j] * mean[p][i][j] * mean[p][i][j]
			}
		}
		keep := 0.0
		if squares > 0 {
			keep = math.Max(0, 1-noise*math.Max(1, free-2)/squares)
		}
		for i := range mean[p] {
			for j := range mean[p][i] {
				mean[p][i][j] *= keep
			}
		}
	}
	for i, c := range cells {
		for _, p := range o.pair {
			rest[i] -= p.effect[c[p.a]][c[p.b]]
		}
	}
}

// tableMeans gives the mean of values and their number by the levels of two knobs.
func tableMeans(cells []cell, values []float64, a, b, na, nb int) (mean, count [][]float64) {
	for range na {
		mean, count = append(mean, make([]float64, nb)), append(count, make([]float64, nb))
	}
	for i, c := range cells {
		mean[c[a]][c[b]] += values[i]
		count[c[a]][c[b]]++
	}
	for i := range mean {
		for j := range mean[i] {
			mean[i][j] /= math.Max(1, count[i][j])
		}
	}
	return mean, count
}

// of takes the opinion on a cell apart; all is zero where there is none.
func (o *opinion) of(c cell) parts {
	if !o.known {
		return parts{}
	}
	v, ok := o.raw(c)
	if !ok {
		return parts{level: o.middle}
	}
	p := parts{level: o.middle}
	for k, j := range c {
		p.level += o.level[k][j]
	}
	for _, q := range o.pair {
		p.pair += q.effect[c[q.a]][c[q.b]]
	}
	p.own = v - p.level - p.pair
	return p
}
