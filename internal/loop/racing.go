package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/search"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// A search picks the best of many noisy scores, and such a pick looks better than it is. Its finalists therefore race:
// fresh launches, interleaved, that cost no launch of the search and are bounded by a budget of their own.
const (
	mostFinalists = 8
	// heldWithin is how far another candidate's mean may lie above the winner's in a scenario before it takes that scenario.
	heldWithin = 0.01
)

// racing is one side's race as far as the ledger knows it.
type racing struct {
	entries    []search.Finalist
	candidates []CandidateAdded // of entries
	step       search.RaceStep
	scale      float64
}

// raceID names a finalist's launch in a round, from 1.
func raceID(candidate string, round int) string { return fmt.Sprintf("%s.race-%d", candidate, round) }

// raceOf reads a side's race: the search's finalists with their launches so far, and what comes next.
func (c *campaign) raceOf(st *State, args searchArgs, space search.Space, first int) racing {
	budget := searchBudget(st.Contract)
	budget.Launches -= first
	r := racing{scale: st.probeScale(args.Entry)}
	for _, f := range search.Finalists(c.trials(st, args.Entry)[first:], space, budget, mostFinalists) {
		cand, ok := st.candidateOf(args.Entry, first, f.Flags)
		if !ok {
			continue
		}
		for round := 1; ; round++ {
			t, ended := st.raced(cand, round, r.scale)
			if !ended {
				break
			}
			f.Launches = append(f.Launches, t)
		}
		r.entries, r.candidates = append(r.entries, f), append(r.candidates, cand)
	}
	r.step = search.Race(r.entries, search.RaceBudget{Launches: st.Contract.Budget.Race, Seed: st.Contract.Seed})
	return r
}

func searchBudget(c *contract.Contract) search.Budget {
	return search.Budget{Launches: c.Budget.Launches, Seed: c.Seed}
}

// candidateOf finds the candidate of a search's flags: of several launches of one configuration the one that carried the
// full load.
func (s *State) candidateOf(entry string, first int, flags map[string]any) (CandidateAdded, bool) {
	want, err := json.Marshal(flags)
	if err != nil {
		return CandidateAdded{}, false
	}
	var found CandidateAdded
	ok := false
	for _, cand := range s.Candidates {
		if cand.Entry != entry || cand.Index < first {
			continue
		}
		if have, err := json.Marshal(cand.Knobs); err == nil && bytes.Equal(have, want) && (!ok || len(searchRows(s, cand.ID)) > 0) {
			found, ok = cand, true
		}
	}
	return found, ok
}

// raced is what a finalist's launch of a round measured; ended is false where there is no such launch.
func (s *State) raced(cand CandidateAdded, round int, scale float64) (t search.Trial, ended bool) {
	id := raceID(cand.ID, round)
	t = search.Trial{Flags: cand.Knobs}
	for _, l := range s.Launches {
		if l.Launch != id {
			continue
		}
		ended, t.Status = true, "ok"
		if l.State != "ok" && l.Failure != nil {
			t.Status = string(statusOf(l.Failure.Class))
		}
	}
	if !ended {
		return t, false
	}
	of := func(use string) []compare.Row {
		return slices.DeleteFunc(s.rowsOf(cand.ID, compare.PhaseRace, use), func(r compare.Row) bool { return r.LaunchID != id })
	}
	full, probes := of(useMain), of(useProbe)
	for _, r := range append(full, probes...) {
		if t.Status == "ok" && r.Status != compare.StatusOK {
			t.Status = string(r.Status)
		}
	}
	if score, ok := trialScore(s.Contract, full); ok {
		t.Score = &score
	}
	for _, v := range scoresOf(s.Contract, probes) {
		t.Probes = append(t.Probes, v*scale)
	}
	return t, true
}

// race runs a side's race to its end, round by round. It may be called again after any crash.
func (c *campaign) race(ctx context.Context, args searchArgs, space search.Space, first int, p *jobs.Progress) (racing, error) {
	for {
		st, err := c.state()
		if err != nil {
			return racing{}, err
		}
		r := c.raceOf(st, args, space, first)
		if r.step.Done {
			return r, nil
		}
		_, host, err := c.loop.host(st.Contract.Host.Name)
		if err != nil {
			return r, err
		}
		round, launches := 0, []worker.Launch{}
		for _, x := range r.step.Round {
			cand, rungs := r.candidates[x.Finalist], x.Rungs
			if !drawnAtWill(st.Contract) {
				rungs = []search.Rung{{Points: true}}
			}
			round = len(r.entries[x.Finalist].Launches) + 1
			l, err := c.launch(st, host, launchSpec{id: raceID(cand.ID, round), candidate: cand, phase: string(compare.PhaseRace), block: round,
				points: screened(st.Contract, rungs, r.scale, launchAt{string(compare.PhaseRace), round})})
			if err != nil {
				return r, err
			}
			launches = append(launches, l)
		}
		p.Set(1, fmt.Sprintf("%s: round %d of the race of %d finalists", args.Entry, round, len(launches)))
		err = c.execute(ctx, step{job: args.Entry, name: fmt.Sprintf("race/%s/%d", args.Entry, round), plan: c.plan(st, host, launches), use: uses(launches, nil), from: 1, to: 1}, p)
		if err != nil {
			return r, err
		}
	}
}

// told puts a race into a search's end.
func (r racing) told(end *SearchEnded) {
	end.Race = &RaceEnded{Why: r.step.Why, Out: map[string]string{}}
	if r.step.Leader >= 0 {
		end.Race.Winner = r.candidates[r.step.Leader].ID
	}
	for i, e := range r.entries {
		if len(e.Launches) > 0 && r.step.Out[i] != "" {
			end.Race.Out[r.candidates[i].ID] = r.step.Out[i]
		}
	}
}

// scoreRace fills in what follows from the launches of a race.
func scoreRace(st *State, end *SearchEnded) {
	if end.Race == nil {
		return
	}
	end.Race.Launches, end.Race.GPUHours = 0, 0
	for _, l := range st.Launches {
		if l.Entry == end.Entry && l.Phase == string(compare.PhaseRace) {
			end.Race.Launches++
			end.Race.GPUHours += l.SecondsS / 3600 * float64(st.Contract.GPUCount())
		}
	}
}

// meanScore is the mean over a candidate's launches, of the search and of the race, of the logarithm of its score in a
// scenario; false where no launch measured it.
func (s *State) meanScore(candidate string, sc contract.Scenario) (float64, bool) {
	one := *s.Contract
	one.Scenarios = []contract.Scenario{sc}
	byLaunch := map[string][]compare.Row{}
	for _, phase := range []compare.Phase{compare.PhaseSearch, compare.PhaseRace} {
		for _, r := range s.rowsOf(candidate, phase, useMain) {
			byLaunch[r.LaunchID] = append(byLaunch[r.LaunchID], r)
		}
	}
	sum, n := 0.0, 0.0
	for _, id := range sortedKeys(byLaunch) {
		if v, ok := trialScore(&one, byLaunch[id]); ok {
			sum, n = sum+math.Log(v), n+1
		}
	}
	return sum / max(n, 1), n > 0
}
