package loop

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/search"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Probes of a search's launches: bursts of the scenario's own requests, a few seconds each. They decide which launches
// carry the full load, and never which candidate is best: only full rows do.
const (
	fewestScreened = 6  // launches a search must have before probes save any
	largestProbe   = 64 // requests
	smallestProbe  = 8
	mostProbes     = 1000 // of one launch
	probePrefix    = "probe."
)

// screens says whether a search is screened by probes: the strategy asks for them, the budget is worth it, and every
// scenario's requests can be drawn at will.
func screens(c *contract.Contract, strategy string) bool {
	return strategy == string(search.Auto) && c.Budget.Launches >= fewestScreened && drawnAtWill(c)
}

// drawnAtWill says whether every scenario's prompts are drawn from the vocabulary.
func drawnAtWill(c *contract.Contract) bool {
	return !slices.ContainsFunc(c.Scenarios, func(s contract.Scenario) bool { return s.Kind != contract.KindRandom })
}

// probeID names the k-th probe of a scenario, from 1.
func probeID(k int, scenario string) string { return probePrefix + strconv.Itoa(k) + "." + scenario }

// probeOf reads such a name.
func probeOf(id string) (k int, scenario string, ok bool) {
	rest, is := strings.CutPrefix(id, probePrefix)
	number, scenario, cut := strings.Cut(rest, ".")
	k, err := strconv.Atoi(number)
	return k, scenario, is && cut && err == nil && k >= 1
}

// launchAt is where in a campaign a launch that may be screened stands: its phase, and its round in a race.
type launchAt struct {
	phase string
	round int
}

// mayScreen says whether launches of a phase may be gated.
func mayScreen(phase string) bool { return compare.Phase(phase).Searching() }

// probePoint is a burst that fills the scenario's slots once: it saturates the engine, and takes as long as one of its
// waves. The first of a launch warms it up. Every candidate's k-th probe has the same prompts, in a race that of its round.
func probePoint(c *contract.Contract, s contract.Scenario, k int, at launchAt) worker.Point {
	s = standIn(s)
	p := s
	p.Name, p.Arrival, p.Primary, p.RequestRate, p.MaxConcurrency, p.WarmupWaves = probeID(k, s.Name), contract.ArrivalBurst, contract.PrimaryMetric(contract.ArrivalBurst), nil, nil, 0
	if k == 1 {
		p.WarmupWaves = 1
	}
	p.NumPrompts = min(max(slots(s), smallestProbe), largestProbe)
	return worker.Point{ID: p.Name, Flush: true, Spec: bench.Spec{
		Scenario: p, Seed: bench.MixSeed(c.Seed, at.phase+"/probe", s.Name, mostProbes*at.round+k), Phase: at.phase, Block: at.round, Vocab: vocabulary(c),
	}}
}

// screened turns what a launch should measure into its load points: probes of every scenario rung by rung, each behind a
// gate on those before, and the contract's scenarios. scale is what a probe's inverse makespan is worth as a score.
func screened(c *contract.Contract, rungs []search.Rung, scale float64, at launchAt) []worker.Point {
	var out []worker.Point
	var probes []string
	taken := 0
	for _, r := range rungs {
		var gate *worker.Gate
		if r.From > 0 && len(probes) > 0 {
			gate = &worker.Gate{Points: slices.Clone(probes), AtMost: scale / r.From}
		}
		var now []worker.Point
		for range r.Probes {
			taken++
			for _, s := range c.Scenarios {
				now = append(now, probePoint(c, s, taken, at))
			}
		}
		if r.Points {
			now = append(now, points(c, at.phase, at.round)...)
		}
		for _, p := range now {
			if p.Gate = gate; p.Spec.Scenario.Arrival == contract.ArrivalBurst && strings.HasPrefix(p.ID, probePrefix) {
				probes = append(probes, p.ID)
			}
			out = append(out, p)
		}
	}
	return out
}

// openingRungs are what a launch carries that nothing may be left out of: the shipped default and the base flags alone are the
// measure of the others.
var openingRungs = []search.Rung{{Probes: 2}, {Points: true}}

// probeRows are the rows of a candidate's probes.
func probeRows(s *State, candidate string) []compare.Row {
	return s.rowsOf(candidate, compare.PhaseSearch, useProbe)
}

// probeScores are a candidate's probes in order, each over all scenarios: the inverse of the geometric mean of their
// makespans, in 1/s. One that failed in any scenario is none.
func (s *State) probeScores(candidate string) []float64 {
	return scoresOf(s.Contract, probeRows(s, candidate))
}

// scoresOf are the probes of one launch's rows.
func scoresOf(c *contract.Contract, rows []compare.Row) []float64 {
	sums, counts := map[int]float64{}, map[int]int{}
	last := 0
	for _, r := range rows {
		k, _, ok := probeOf(r.Workload.Scenario)
		v, measured := r.Metrics.Get(contract.PrimaryMetric(contract.ArrivalBurst))
		if !ok || !measured || v <= 0 || r.Status != compare.StatusOK {
			continue
		}
		sums[k], counts[k], last = sums[k]+math.Log(v), counts[k]+1, max(last, k)
	}
	var out []float64
	for k := 1; k <= last; k++ {
		if n := len(c.Scenarios); counts[k] == n {
			out = append(out, math.Exp(-sums[k]/float64(n)))
		}
	}
	return out
}

// probeScale is what a probe's inverse makespan is worth as a score of the full load: the geometric mean of their ratios
// over the candidates that have both; 1 where none has.
func (s *State) probeScale(entry string) float64 {
	sum, n := 0.0, 0.0
	for _, cand := range s.Candidates {
		full, ok := fullScore(s.Contract, searchRows(s, cand.ID), 0)
		probes := s.probeScores(cand.ID)
		if cand.Entry != entry || !ok || len(probes) == 0 {
			continue
		}
		sum, n = sum+math.Log(full)-meanLog(probes), n+1
	}
	if n == 0 {
		return 1
	}
	return math.Exp(sum / n)
}

func meanLog(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return sum / float64(len(values))
}

// behind says how a screened candidate's probes compare with the best candidate's, for people; "" where it carried the
// full load, or has no probes.
func (s *State) behind(cand CandidateAdded) string {
	mine := s.probeScores(cand.ID)
	if len(mine) == 0 || len(searchRows(s, cand.ID)) > 0 {
		return ""
	}
	best := 0.0
	for _, other := range s.Candidates {
		if theirs := s.probeScores(other.ID); other.Entry == cand.Entry && len(theirs) > 0 {
			best = math.Max(best, math.Exp(meanLog(theirs)))
		}
	}
	return fmt.Sprintf("screened out: short probes reached %.0f %% of the best candidate's, so the full load was not offered", 100*math.Exp(meanLog(mine))/best)
}
