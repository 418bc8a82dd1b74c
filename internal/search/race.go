package search

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// worthRacing is by what factor a challenger has to beat the leader: less is not worth a launch.
const worthRacing = 1.01

const (
	enter     = 0.10 // least chance of beating the leader by worthRacing with which a finalist enters a race
	stay      = 0.05 // the same for staying in it
	gateSure  = 1.2816
	gateTries = 4    // short probes of a challenger's gate
	drift     = 0.03 // standard deviation of what all launches of a round share: the hour of the machine
)

// Finalist is a candidate that a race may launch.
type Finalist struct {
	Flags    map[string]any `json:"flags"`
	Mean     float64        `json:"mean"`     // logarithm of the score that the search expects of it
	SD       float64        `json:"sd"`       // and its standard deviation
	Launches []Trial        `json:"launches"` // its fresh launches in this race; the nth is of round n
}

// RaceBudget bounds a race. Every side of a comparison gets the same.
type RaceBudget struct {
	Launches int    // of all finalists together, crashes included
	Entrants int    // finalists that may enter, the leader among them; 0: three
	Seed     uint64 // of the order within a round
	Noise    Noise  // zero: DefaultNoise
}

// RaceStep is what a race does next: one round, or its winner.
type RaceStep struct {
	Round  []RaceLaunch // in this order, interleaved; empty when Done
	Done   bool
	Leader int      // index of the finalist that is believed best; the winner when Done; −1 for none
	Out    []string // of each finalist: why it is not raced, "" while it is
	Why    string
}

// RaceLaunch is one fresh launch of a finalist.
type RaceLaunch struct {
	Finalist int    // index
	Rungs    []Rung // a challenger's first launch has a gate in front of its full load points
}

// Finalists gives the n candidates that are believed best after a search, best first, with what is believed of them.
// Only candidates that came up and were measured are among them.
func Finalists(trials []Trial, space Space, budget Budget, n int) []Finalist {
	s := newState(trials, space, budget)
	known := s.distinct()
	out := make([]Finalist, 0, len(known))
	if len(known) == 0 {
		return out
	}
	b := s.believe(known)
	for i, c := range known {
		out = append(out, Finalist{Flags: s.g.flags(c), Mean: b.mean[i], SD: b.sd[i], Launches: []Trial{}})
	}
	slices.SortStableFunc(out, func(a, b Finalist) int { return cmp.Compare(b.Mean, a.Mean) })
	return out[:min(max(n, 0), len(out))]
}

// Race says which finalists are launched next, in fresh launches that are interleaved: a round launches each that is
// still in the race once, in random order, so that all of them see the same hours of the machine. It is pure, as Next.
//
// The leader is who is believed best, by the search and the race together; what a round shares is taken out. A
// challenger enters when its chance of beating the leader by worthRacing is at least enter, stays in while it is at
// least stay, and leaves when a launch of it fails. In its first launch it has to pass a gate before its full load
// points: short probes that reach worthRacing times what the leader is believed to score, with an allowance for
// noise that lets a challenger at exactly that factor pass nine times of ten. The race ends when nobody challenges
// the leader, or when the budget has no room for another round of all; then the leader wins.
func Race(entries []Finalist, budget RaceBudget) RaceStep {
	if budget.Noise == (Noise{}) {
		budget.Noise = DefaultNoise
	}
	if budget.Entrants == 0 {
		budget.Entrants = 3
	}
	r := newRace(entries, budget)
	step := RaceStep{Leader: r.leader, Out: r.out}
	left := budget.Launches - r.spent
	switch in := r.in(); {
	case r.leader < 0:
		step.Done, step.Why = true, "no finalist is left"
	case len(in) == 1:
		step.Done, step.Why = true, "nobody challenges the leader"
	case left < len(in):
		step.Done, step.Why = true, fmt.Sprintf("%d of %d launches are left, a round takes %d", left, budget.Launches, len(in))
	default:
		rng := rand.New(rand.NewPCG(budget.Seed, uint64(r.rounds)))
		rng.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		for _, i := range in {
			step.Round = append(step.Round, RaceLaunch{Finalist: i, Rungs: r.rungs(i)})
		}
		step.Why = fmt.Sprintf("round %d", r.rounds+1)
	}
	return step
}

// race is what is believed of finalists after their launches.
type race struct {
	entries []Finalist
	budget  RaceBudget
	mean    []float64
	cov     [][]float64
	leader  int
	out     []string
	spent   int
	rounds  int
}

func newRace(entries []Finalist, budget RaceBudget) *race {
	r := &race{entries: entries, budget: budget, leader: -1, out: make([]string, len(entries))}
	for _, e := range entries {
		r.spent += len(e.Launches)
		r.rounds = max(r.rounds, len(e.Launches))
	}
	r.believe()
	for i, e := range entries {
		if n := len(e.Launches); n > 0 && e.Launches[n-1].Status != StatusOK {
			r.out[i] = "its launch ended " + e.Launches[n-1].Status
		}
	}
	for i, e := range entries {
		raced := r.rounds == 0 || slices.ContainsFunc(e.Launches, func(t Trial) bool { return t.Score != nil })
		if r.out[i] == "" && raced && (r.leader < 0 || r.mean[i] > r.mean[r.leader]) {
			r.leader = i
		}
	}
	r.drop()
	return r
}

// drop takes challengers out: by the rules in the comment of Race, and those beyond the number that may enter.
func (r *race) drop() {
	var worth []int
	for i := range r.entries {
		if i == r.leader || r.out[i] != "" {
			continue
		}
		launches := r.entries[i].Launches
		least := stay
		if len(launches) == 0 {
			least = enter
		}
		switch p := r.beats(i); {
		case len(launches) > 0 && launches[0].Score == nil:
			r.out[i] = fmt.Sprintf("its first probes did not reach %.2f times the leader", worthRacing)
		case p < least:
			r.out[i] = fmt.Sprintf("its chance of %.2f times the leader is %.0f %%, below %.0f %%", worthRacing, 100*p, 100*least)
		case len(launches) < r.rounds:
			r.out[i] = "was left out of the round before"
		default:
			worth = append(worth, i)
		}
	}
	slices.SortStableFunc(worth, func(a, b int) int { return cmp.Compare(r.beats(b), r.beats(a)) })
	for place, i := range worth {
		if place+1 >= r.budget.Entrants {
			r.out[i] = fmt.Sprintf("%d others are likelier to win", r.budget.Entrants)
		}
	}
}

func (r *race) in() []int {
	var out []int
	for i, why := range r.out {
		if why == "" {
			out = append(out, i)
		}
	}
	return out
}

// beats is the chance that finalist i is at least worthRacing times the leader.
func (r *race) beats(i int) float64 {
	l := r.leader
	sd := math.Sqrt(math.Max(r.cov[i][i]+r.cov[l][l]-2*r.cov[i][l], 1e-12))
	return 0.5 * math.Erfc((math.Log(worthRacing)-(r.mean[i]-r.mean[l]))/sd/math.Sqrt2)
}

// rungs is what a launch measures: everything, or for a challenger's first one the gate before it.
func (r *race) rungs(i int) []Rung {
	if i == r.leader || len(r.entries[i].Launches) > 0 {
		return fully
	}
	n := r.budget.Noise
	sd := math.Sqrt(r.cov[r.leader][r.leader] + n.Launch*n.Launch + n.Probe*n.Probe/gateTries + drift*drift)
	return []Rung{{Probes: gateTries}, {From: worthRacing * math.Exp(r.mean[r.leader]-gateSure*sd), Points: true}}
}

// believe is the normal posterior of the finalists' scores: the search's belief, and every launch of the race with its
// own noise and what it shares with its round.
func (r *race) believe() {
	type launch struct {
		who, round   int
		value, noise float64
	}
	var seen []launch
	for i, e := range r.entries {
		for round, t := range e.Launches {
			o := observed{}
			if o.measure(t, r.budget.Noise); t.Status == StatusOK && o.ok {
				seen = append(seen, launch{i, round, o.value - e.Mean, o.noise})
			}
		}
	}
	l, rest := make([][]float64, len(seen)), make([]float64, len(seen))
	for a := range seen {
		l[a], rest[a] = make([]float64, len(seen)), seen[a].value
		for b := range a + 1 {
			l[a][b] = r.shared(seen[a].who, seen[b].who)
			if seen[a].round == seen[b].round {
				l[a][b] += drift * drift
			}
		}
		l[a][a] += seen[a].noise * seen[a].noise
	}
	cholesky(l)
	z := make([]float64, len(seen))
	forward(l, rest, z)
	solved := make([][]float64, len(r.entries))
	for i, e := range r.entries {
		k := make([]float64, len(seen))
		for a := range seen {
			k[a] = r.shared(i, seen[a].who)
		}
		solved[i] = make([]float64, len(seen))
		forward(l, k, solved[i])
		r.mean = append(r.mean, e.Mean+dot(solved[i], z))
	}
	for i := range r.entries {
		r.cov = append(r.cov, make([]float64, len(r.entries)))
		for j := range r.entries {
			r.cov[i][j] = r.shared(i, j) - dot(solved[i], solved[j])
		}
	}
}

// shared is the search's covariance of two finalists: their beliefs are taken as independent.
func (r *race) shared(i, j int) float64 {
	if i != j {
		return 0
	}
	return math.Max(r.entries[i].SD*r.entries[i].SD, 1e-8)
}
