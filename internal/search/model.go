package search

import (
	"math"
)

// shape is one assumption about how large effects are, as standard deviations of the logarithm of the score.
type shape struct {
	level float64 // of one level's effect
	pair  float64 // of one pair of levels
	cell  float64 // of one cell beyond both
	trust float64 // how far the prior is followed, 0 to 1
}

// wide is the standard deviation of what all cells share.
const wide = 0.5

// reach is the length scale of an ordinal knob's effect, in levels.
const reach = 1.5

// shapes are averaged over, each weighted by how well it explains the trials.
func shapes(hasPrior bool) []shape {
	var out []shape
	trusts := []float64{0}
	if hasPrior {
		trusts = []float64{0, 0.6, 1}
	}
	for _, trust := range trusts {
		for _, level := range []float64{0.015, 0.03, 0.06, 0.12} {
			for _, pair := range []float64{0.15, 0.4} {
				for _, rest := range []float64{0.1, 0.5} {
					if trust > 0 {
						rest *= 2 // a model's errors are the cell's own as much as a level's
					}
					out = append(out, shape{level: level, pair: pair * level, cell: rest * level, trust: trust})
				}
			}
		}
	}
	return out
}

// belief is what is expected of each cell of a pool.
type belief struct {
	mean []float64 // of the logarithm of the score
	sd   []float64
}

// field holds what the model needs of every pool cell: likeness a knob with every observation.
type field struct {
	g     *grid
	like  [][][]float64 // by knob: likeness of two levels
	obs   []observed    // ok ones
	prior []float64     // of obs; logarithm
}

func newField(g *grid, obs []observed, prior func(cell) float64) *field {
	f := &field{g: g}
	for _, a := range g.axes {
		f.like = append(f.like, a.likeness())
	}
	for _, o := range obs {
		if o.ok {
			f.obs = append(f.obs, o)
			f.prior = append(f.prior, prior(o.cell))
		}
	}
	return f
}

// likeness of two levels: 1 with itself; by distance for ordinal knobs; 0 for exchangeable levels.
func (a axis) likeness() [][]float64 {
	out := make([][]float64, len(a.values))
	for i := range out {
		out[i] = make([]float64, len(a.values))
		for j := range out[i] {
			switch d := a.rank[i] - a.rank[j]; {
			case i == j:
				out[i][j] = 1
			case a.ordinal && !math.IsNaN(d):
				out[i][j] = math.Exp(-d * d / (2 * reach * reach))
			}
		}
	}
	return out
}

// likes sums the likeness of two cells over knobs, over pairs of knobs, and whether they are the same.
func (f *field) likes(a, b cell) (levels, pairs, same float64) {
	squares, equal := 0.0, true
	for k := range a {
		l := f.like[k][a[k]][b[k]]
		levels += l
		squares += l * l
		equal = equal && a[k] == b[k]
	}
	if equal {
		same = 1
	}
	return levels, (levels*levels - squares) / 2, same
}

func (s shape) covariance(levels, pairs, same float64) float64 {
	return wide*wide + s.level*s.level*levels + s.pair*s.pair*pairs + s.cell*s.cell*same
}

// believe averages the posterior of every shape over the pool.
func (f *field) believe(pool []cell, prior []float64, all []shape) belief {
	n := len(f.obs)
	b := belief{mean: make([]float64, len(pool)), sd: make([]float64, len(pool))}
	inner, cross := f.likenesses(pool)
	weights := make([]float64, len(all))
	fits := make([]fit, len(all))
	best := math.Inf(-1)
	for i, s := range all {
		fits[i] = f.fit(s, inner)
		best = math.Max(best, fits[i].evidence)
	}
	total := 0.0
	for i := range all {
		weights[i] = math.Exp(fits[i].evidence - best)
		total += weights[i]
	}
	k, v := make([]float64, n), make([]float64, n)
	for i, s := range all {
		w := weights[i] / total
		if w < 1e-3 {
			continue
		}
		for x := range pool {
			for j := range n {
				k[j] = s.covariance(cross[x][3*j], cross[x][3*j+1], cross[x][3*j+2])
			}
			forward(fits[i].l, k, v)
			mean, variance := fits[i].centre+s.trust*prior[x], s.covariance(f.self())
			for j := range v {
				mean += v[j] * fits[i].z[j]
				variance -= v[j] * v[j]
			}
			b.mean[x] += w * mean
			b.sd[x] += w * (math.Max(variance, 1e-12) + mean*mean)
		}
	}
	for x := range pool {
		b.sd[x] = math.Sqrt(math.Max(b.sd[x]-b.mean[x]*b.mean[x], 1e-12))
	}
	return b
}

func (f *field) self() (levels, pairs, same float64) {
	k := float64(len(f.g.axes))
	return k, k * (k - 1) / 2, 1
}

// likenesses of observations among themselves and with the pool, three numbers each.
func (f *field) likenesses(pool []cell) (inner, cross [][]float64) {
	row := func(c cell) []float64 {
		out := make([]float64, 0, 3*len(f.obs))
		for _, o := range f.obs {
			a, b, same := f.likes(c, o.cell)
			out = append(out, a, b, same)
		}
		return out
	}
	for _, o := range f.obs {
		inner = append(inner, row(o.cell))
	}
	for _, c := range pool {
		cross = append(cross, row(c))
	}
	return inner, cross
}

// fit is one shape fitted to the observations.
type fit struct {
	l        [][]float64
	z        []float64 // L⁻¹·(values − centre − prior)
	centre   float64
	evidence float64 // logarithm of the marginal likelihood
}

func (f *field) fit(s shape, inner [][]float64) fit {
	n := len(f.obs)
	out := fit{l: make([][]float64, n), z: make([]float64, n)}
	rest := make([]float64, n)
	for i, o := range f.obs {
		rest[i] = o.value - s.trust*f.prior[i]
		out.centre += rest[i] / float64(n)
		out.l[i] = make([]float64, n)
		for j := range i + 1 {
			out.l[i][j] = s.covariance(inner[i][3*j], inner[i][3*j+1], inner[i][3*j+2])
		}
		out.l[i][i] += o.noise * o.noise
	}
	for i := range rest {
		rest[i] -= out.centre
	}
	if !cholesky(out.l) {
		out.evidence = math.Inf(-1)
		return out
	}
	forward(out.l, rest, out.z)
	for i := range out.z {
		out.evidence -= out.z[i]*out.z[i]/2 + math.Log(out.l[i][i])
	}
	return out
}
