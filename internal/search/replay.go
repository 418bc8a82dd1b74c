package search

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sotaloop/sotaloop/internal/stats"
)

// What a replayed launch costs, and how much a measurement in it deviates.
const (
	launchCost = 180 * time.Second
	crashCost  = 60 * time.Second
	probeCost  = 30 * time.Second
	pointsCost = 450 * time.Second // five load points
)

// Replayed is how well a strategy did on a table, over seeds.
type Replayed struct {
	Strategy      Strategy `json:"strategy"`
	Budget        int      `json:"budget"`
	Seeds         int      `json:"seeds"`
	MeanShare     float64  `json:"mean_share"` // noiseless score of the pick over the table's best
	P10Share      float64  `json:"p10_share"`
	MeanLaunches  float64  `json:"mean_launches"`
	MeanHostHours float64  `json:"mean_host_hours"`
	MeanCrashes   float64  `json:"mean_crashes"`
	MeanCoverage  float64  `json:"mean_coverage"`

	// Where the rest of the share was lost: the best of what was launched, and of what has its full load points. What
	// lies above the first was never launched; what lies below the second was picked wrongly.
	MeanBestLaunched float64 `json:"mean_best_launched"`
	MeanBestMeasured float64 `json:"mean_best_measured"`
}

// Run is one search replayed on a table.
type Run struct {
	Share    float64 // 0 when nothing could be picked
	Pick     Candidate
	Trials   []Trial
	Spent    time.Duration
	Coverage float64

	BestLaunched float64 // share of the best cell that came up
	BestMeasured float64 // share of the best one with full load points
}

// Replay runs a search on the table, which the strategy sees only through what it measures. The same seed gives the
// same run.
func (t *Table) Replay(strategy Strategy, launches int, seed uint64) Run {
	if number := 1 + slices.Index(Tiers, string(strategy)); number > 0 {
		return t.replayTier(number, launches, seed)
	}
	rng := rand.New(rand.NewPCG(seed, 0x736f7461))
	budget := Budget{Launches: launches, Seed: seed, Noise: DefaultNoise}
	var trials []Trial
	var run Run
	for {
		step := t.Next(trials, budget, strategy)
		if step.Done {
			run.Trials, run.Pick, run.Coverage = trials, step.Candidate, step.Coverage.Share
			run.lookBack(t)
			if hasPoints(trials) {
				run.Share = t.at(step.Candidate.Flags).score / t.best
			}
			return run
		}
		trial, spent := t.launch(step, budget.Noise, rng)
		run.Spent += spent
		trials = append(trials, trial)
	}
}

// Crashes is how many launches did not come up.
func (r Run) Crashes() int {
	n := 0
	for _, t := range r.Trials {
		if t.Status != StatusOK {
			n++
		}
	}
	return n
}

// lookBack finds the best of what was launched, as only an oracle can.
func (r *Run) lookBack(t *Table) {
	for _, trial := range r.Trials {
		share := t.at(trial.Flags).score / t.best
		r.BestLaunched = max(r.BestLaunched, share)
		if trial.Score != nil {
			r.BestMeasured = max(r.BestMeasured, share)
		}
	}
}

func hasPoints(trials []Trial) bool {
	for _, t := range trials {
		if t.Score != nil {
			return true
		}
	}
	return false
}

// launch measures one step with noise.
func (t *Table) launch(step Step, n Noise, rng *rand.Rand) (Trial, time.Duration) {
	e := t.at(step.Candidate.Flags)
	trial := Trial{Flags: step.Candidate.Flags, Status: e.status}
	if e.status != StatusOK {
		return trial, crashCost
	}
	spent := launchCost
	level := e.score * math.Exp(n.Launch*rng.NormFloat64())
	for _, rung := range step.Rungs {
		if rung.From > 0 && !(stats.Mean(trial.Probes) >= rung.From) {
			break
		}
		for range rung.Probes {
			trial.Probes = append(trial.Probes, level*math.Exp(n.Probe*rng.NormFloat64()))
			spent += probeCost
		}
		if rung.Points {
			score := level * math.Exp(n.Points*rng.NormFloat64())
			trial.Score = &score
			spent += pointsCost
		}
	}
	return trial, spent
}

// ReplaySeeds replays seeds 1 to n, on all processors, and sums them up. The result does not depend on how many there
// are. The error is the context's.
func (t *Table) ReplaySeeds(ctx context.Context, strategy Strategy, launches, n int) (Replayed, error) {
	runs := make([]Run, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				runs[i] = t.Replay(strategy, launches, uint64(i)+1)
			}
		})
	}
	workers.Wait()
	out := Replayed{Strategy: strategy, Budget: launches, Seeds: n}
	shares := make([]float64, n)
	for i, run := range runs {
		shares[i] = run.Share
		out.MeanLaunches += float64(len(run.Trials)) / float64(n)
		out.MeanHostHours += run.Spent.Hours() / float64(n)
		out.MeanCrashes += float64(run.Crashes()) / float64(n)
		out.MeanCoverage += run.Coverage / float64(n)
		out.MeanBestLaunched += run.BestLaunched / float64(n)
		out.MeanBestMeasured += run.BestMeasured / float64(n)
	}
	out.MeanShare, out.P10Share = stats.Mean(shares), stats.Quantile(shares, 0.1)
	return out, ctx.Err()
}
