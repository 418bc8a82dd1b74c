package search

import (
	"math"
	"math/rand/v2"
)

// shape is one assumption about how large effects are, as standard deviations of the logarithm of the score.
type shape struct {
	level []float64 // of one level's effect, by knob: few knobs matter
	pair  float64   // of one pair of levels, as a share of the geometric mean of its knobs'
	cell  float64   // of one cell beyond both
	trust trust     // how far the prior is followed
}

// trust is how far each part of a prior is followed, 0 to 1.
type trust struct{ level, pair, own float64 }

// follows gives what a shape expects of a cell by its prior.
func (t trust) follows(p parts) float64 { return t.level*p.level + t.pair*p.pair + t.own*p.own }

const (
	wide  = 0.5 // standard deviation of what all cells share
	reach = 1.5 // length scale of an ordinal knob's effect, in levels
	drawn = 64  // shapes averaged over

	unexplained = 0.003 // standard deviation of a cell of its own, where a model explains the rest

	smoothEffect = 0.9 // how much of an ordinal knob's effect follows its order
	smoothError  = 0.3 // the same of what a performance model gets wrong about it
)

// shapes draws assumptions: they are averaged over, each weighted by how well it explains the trials. The draws are
// the same for every space with so many knobs.
func shapes(knobs int, o *opinion) []shape {
	rng := rand.New(rand.NewPCG(uint64(knobs), 17))
	out := make([]shape, drawn)
	for i := range out {
		if o.known {
			out[i] = mistakes(rng, knobs, o)
		} else {
			out[i] = effects(rng, knobs)
		}
	}
	return out
}

// effects draws how large the effects of knobs are: 1.5 % to 24 %, few knobs matter.
func effects(rng *rand.Rand, knobs int) shape {
	overall := 0.015 * math.Exp2(4*rng.Float64())
	s := shape{pair: 0.1 + 0.4*rng.Float64(), cell: overall * 0.5 * rng.Float64()}
	for range knobs {
		s.level = append(s.level, overall*math.Exp(0.8*rng.NormFloat64()))
	}
	return s
}

// mistakes draws what a performance model gets wrong: 1.2 % to 10 % by level, and how much of what it says of single
// cells is real. When a share r of the cells' own variance is real, its expectation is r of what is said, and
// √(r·(1 − r)) of its standard deviation is left open.
func mistakes(rng *rand.Rand, knobs int, o *opinion) shape {
	overall, spread := 0.012*math.Exp2(3*rng.Float64()), 0.3+0.7*rng.Float64()
	s := shape{pair: 0.1 + 0.7*rng.Float64()}
	if s.trust.level = 1; rng.IntN(5) == 0 {
		s.trust.level = 0.4 + 0.5*rng.Float64()
	}
	s.trust.pair = s.trust.level
	s.trust.own = []float64{0, 0.1, 0.3, 0.7}[rng.IntN(4)]
	s.cell = unexplained + o.own*math.Sqrt(s.trust.own*(1-s.trust.own))
	for range knobs {
		s.level = append(s.level, overall*math.Exp(spread*rng.NormFloat64()))
	}
	return s
}

// belief is what is expected of each cell of a pool: mean and standard deviation of the logarithm of the score.
type belief struct {
	mean []float64
	sd   []float64
}

// field is the model over one grid and its measured trials.
type field struct {
	g     *grid
	like  [][][]float64 // by knob: likeness of two levels
	obs   []observed    // ok ones
	prior []parts       // of obs; logarithm
}

func newField(g *grid, obs []observed, prior func(cell) parts) *field {
	f := &field{g: g}
	smooth := smoothEffect
	if g.space.Prior != nil {
		smooth = smoothError
	}
	for _, a := range g.axes {
		f.like = append(f.like, a.likeness(smooth))
	}
	for _, o := range obs {
		if o.ok {
			f.obs = append(f.obs, o)
			f.prior = append(f.prior, prior(o.cell))
		}
	}
	return f
}

// likeness of two levels: 1 with itself; by distance for ordinal knobs, as far as they are smooth; 0 for exchangeable
// levels.
func (a axis) likeness(smooth float64) [][]float64 {
	out := make([][]float64, len(a.values))
	for i := range out {
		out[i] = make([]float64, len(a.values))
		for j := range out[i] {
			switch d := a.rank[i] - a.rank[j]; {
			case i == j:
				out[i][j] = 1
			case a.ordinal && !math.IsNaN(d):
				out[i][j] = smooth * math.Exp(-d*d/(2*reach*reach))
			}
		}
	}
	return out
}

// covariance of two cells under a shape: what they share, levels, pairs, and the cell itself.
func (f *field) covariance(s *shape, a, b cell) float64 {
	levels, sum, squares := 0.0, 0.0, 0.0
	equal := true
	for k := range a {
		l := f.like[k][a[k]][b[k]]
		w := s.level[k] * l
		levels += s.level[k] * w
		sum += w
		squares += w * w
		equal = equal && a[k] == b[k]
	}
	out := wide*wide + levels + s.pair*s.pair*(sum*sum-squares)/2
	if equal {
		out += s.cell * s.cell
	}
	return out
}

// believe averages the posterior of every shape over the pool, by the shapes' evidence.
func (f *field) believe(pool []cell, prior []parts, all []shape) belief {
	fits := make([]fit, len(all))
	best, total := math.Inf(-1), 0.0
	for i := range all {
		fits[i] = f.fit(&all[i])
		best = math.Max(best, fits[i].evidence)
	}
	for i := range fits {
		fits[i].weight = math.Exp(fits[i].evidence - best)
		total += fits[i].weight
	}
	b := belief{mean: make([]float64, len(pool)), sd: make([]float64, len(pool))}
	kept := 0.0
	for i := range fits {
		if w := fits[i].weight / total; w >= 2e-3 {
			kept += w
			f.add(&b, &all[i], fits[i], w, pool, prior)
		}
	}
	for x := range pool {
		b.mean[x] /= kept
		b.sd[x] = math.Sqrt(math.Max(b.sd[x]/kept-b.mean[x]*b.mean[x], 1e-12))
	}
	return b
}

// add adds one shape's posterior with weight w: its mean, and its second moment under sd.
func (f *field) add(b *belief, s *shape, fitted fit, w float64, pool []cell, prior []parts) {
	k, v := make([]float64, len(f.obs)), make([]float64, len(f.obs))
	for x, c := range pool {
		for j, o := range f.obs {
			k[j] = f.covariance(s, c, o.cell)
		}
		forward(fitted.l, k, v)
		mean, variance := fitted.centre+s.trust.follows(prior[x]), f.covariance(s, c, c)
		for j := range v {
			mean += v[j] * fitted.z[j]
			variance -= v[j] * v[j]
		}
		b.mean[x] += w * mean
		b.sd[x] += w * (math.Max(variance, 1e-12) + mean*mean)
	}
}

// fit is one shape fitted to the observations.
type fit struct {
	l        [][]float64
	z        []float64 // L⁻¹·(values − centre − prior)
	centre   float64
	evidence float64 // logarithm of the marginal likelihood
	weight   float64
}

func (f *field) fit(s *shape) fit {
	n := len(f.obs)
	out := fit{l: make([][]float64, n), z: make([]float64, n)}
	rest := make([]float64, n)
	for i, o := range f.obs {
		rest[i] = o.value - s.trust.follows(f.prior[i])
		out.centre += rest[i] / float64(n)
		out.l[i] = make([]float64, n)
		for j := range i + 1 {
			out.l[i][j] = f.covariance(s, o.cell, f.obs[j].cell)
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
