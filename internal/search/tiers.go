package search

import (
	"math"
	"math/rand/v2"
	"time"
)

// Tiers lists strategies that only a replay knows: what sglang.auto_benchmark does, for comparison. A campaign cannot
// choose them.
//
// They follow python/sglang/auto_benchmark_lib.py of sgl-project/sglang at commit 2e45aa870c4e (functions
// build_candidates, run_candidate, run_trial, result_sort_key), in words and code of our own:
//   - Candidate 0 is the base. Tier 1 goes on with the first six knobs, each at its first two values, one changed at a
//     time. Tier 2 takes the first eight knobs at their first three values: the product of the first three, then the
//     others one at a time. Tier 3 is the whole product. Duplicates are dropped, and eight candidates are kept
//     (DEFAULT_MAX_CANDIDATES).
//   - The first candidate's highest rate within the limits is found by five rounds of bisection. Every later one is
//     first tried at the leader's rate, dropped when it fails there, and else bisected above it. Each of those trials
//     launches the server anew and takes one sample.
//
// A table has scores and no rates. So a trial at a rate passes when the cell's score, with the noise of a launch of its
// own and of one load point, reaches it, and a bisection ends at the mean of its five trials, without the error of its
// last interval. That favours the tiers a little.
var Tiers = []string{"auto_benchmark_tier1", "auto_benchmark_tier2", "auto_benchmark_tier3"}

const (
	tierCandidates = 8
	tierRounds     = 5
	tierPoint      = pointsCost / tierRounds
)

// tier plays one of them within a budget of launches, each of its relaunches counted.
type tier struct {
	t      *Table
	rng    *rand.Rand
	budget Budget
	run    Run
}

func (t *Table) replayTier(number, launches int, seed uint64) Run {
	p := tier{t: t, rng: rand.New(rand.NewPCG(seed, 0x74696572)), budget: Budget{Launches: launches, Noise: DefaultNoise}}
	var leader cell
	best := 0.0
	for _, c := range t.grid.tier(number) {
		score := p.candidate(c, best)
		if score > best {
			leader, best = c, score
		}
	}
	if leader != nil {
		p.run.Pick.Flags = t.grid.flags(leader)
		p.run.Share = t.cells[leader.key()].score / t.best
	}
	var cells []cell
	for _, o := range observe(t.grid, p.run.Trials, DefaultNoise) {
		cells = append(cells, o.cell)
	}
	p.run.lookBack(t)
	p.run.Coverage = t.grid.coverage(cells).Share
	return p.run
}

// candidate gives the score that its trials come to, 0 when it does not reach the leader's.
func (p *tier) candidate(c cell, leader float64) float64 {
	if leader > 0 {
		if at := p.trial(c); at < leader {
			return 0
		}
	}
	sum, n := 0.0, 0.0
	for range tierRounds {
		if v := p.trial(c); v > 0 {
			sum, n = sum+v, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return math.Max(sum/n, leader*(1+1e-9)) // it passed at the leader's rate
}

// trial launches a cell and takes one load point; 0 when it crashed or the budget is spent.
func (p *tier) trial(c cell) float64 {
	if len(p.run.Trials) >= p.budget.Launches {
		return 0
	}
	e, n := p.t.cells[c.key()], p.budget.Noise
	trial := Trial{Flags: p.t.grid.flags(c), Status: e.status}
	score, spent := 0.0, time.Duration(crashCost)
	if e.status == StatusOK {
		point := n.Points * math.Sqrt(tierRounds) // five points together deviate by n.Points
		score = e.score * math.Exp(n.Launch*p.rng.NormFloat64()+point*p.rng.NormFloat64())
		trial.Score = &score
		spent = launchCost + tierPoint
	}
	p.run.Spent += spent
	p.run.Trials = append(p.run.Trials, trial)
	return score
}

// tier gives a tier's candidates in order.
func (g *grid) tier(number int) []cell {
	knobs, values := len(g.axes), math.MaxInt
	switch number {
	case 1:
		knobs, values = min(6, knobs), 2
	case 2:
		knobs, values = min(8, knobs), 3
	}
	var out []cell
	seen := map[string]bool{}
	add := func(c cell) bool {
		if key := c.key(); !seen[key] && g.legal(c) {
			seen[key], out = true, append(out, c)
		}
		return len(out) < tierCandidates
	}
	add(g.base)
	crossed := map[int]int{1: 0, 2: min(3, knobs), 3: knobs}[number]
	if crossed > 0 {
		g.walk(func(a axis) int { return min(values, max(1, a.listed)) }, func(c cell) bool {
			for k := crossed; k < len(c); k++ {
				if c[k] != 0 {
					return true
				}
				c[k] = g.base[k]
			}
			return add(c)
		})
	}
	for k := crossed; k < knobs; k++ {
		for j := range min(values, g.axes[k].listed) {
			c := append(cell{}, g.base...)
			if c[k] = j; !add(c) {
				return out
			}
		}
	}
	return out[:min(len(out), tierCandidates)]
}
