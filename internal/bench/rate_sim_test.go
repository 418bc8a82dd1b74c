package bench_test

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// queue is a server of so many slots in order of arrival, whose service times are log-normal. Its capacity is slots/mean.
type queue struct {
	slots    int
	mean, cv float64 // seconds; standard deviation over mean
	q, limit float64 // the quantile of the waiting time that the SLA limits, and the limit in seconds
	prompts  int
}

type slotsFree []float64

func (h slotsFree) Len() int           { return len(h) }
func (h slotsFree) Less(i, j int) bool { return h[i] < h[j] }
func (h slotsFree) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *slotsFree) Push(x any)        { *h = append(*h, x.(float64)) }
func (h *slotsFree) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// wait offers Poisson arrivals for a window of a minute, or as long as the prompts take, after a tenth of it as lead, and
// gives the quantile of the waits in the window.
func (s queue) wait(rate float64, arrivals, service *rand.Rand) float64 {
	window := max(60, float64(s.prompts)/rate)
	free := make(slotsFree, s.slots)
	for i := range free {
		free[i] = -window / 10
	}
	sigma := math.Sqrt(math.Log(1 + s.cv*s.cv))
	var waits []float64
	for t := -window / 10; t < window; t += arrivals.ExpFloat64() / rate {
		begin := max(t, free[0])
		free[0] = begin + s.mean*math.Exp(sigma*service.NormFloat64()-sigma*sigma/2)
		heap.Fix(&free, 0)
		if t >= 0 {
			waits = append(waits, begin-t)
		}
	}
	slices.Sort(waits)
	return waits[int(s.q*float64(len(waits)-1))] + 0.05
}

// probe measures a rate as a search sees it.
func (s queue) probe(rate float64, arrivals, service *rand.Rand) bench.RateTried {
	margin := math.Log(s.limit / s.wait(rate, arrivals, service))
	return bench.RateTried{Rate: rate, Passed: margin >= 0, Margin: &margin}
}

// even is the rate at which half of all load points pass: what a search of one load point a rate is about.
func (s queue) even(trials int) float64 {
	low, high := 0.5*float64(s.slots)/s.mean, 1.5*float64(s.slots)/s.mean
	for range 12 {
		rate, passed := math.Sqrt(low*high), 0
		for i := range trials {
			if s.probe(rate, rand.New(rand.NewPCG(uint64(i), 1)), rand.New(rand.NewPCG(uint64(i), 2))).Passed {
				passed++
			}
		}
		if 2*passed > trials {
			low = rate
		} else {
			high = rate
		}
	}
	return math.Sqrt(low * high)
}

// searcher finds a rate by probes and says how many it took.
type searcher func(seed uint64, probe func(rate float64) bench.RateTried) (rate float64, points int)

// isotonic is the product's search.
func isotonic(tolerance float64) searcher {
	return func(seed uint64, probe func(float64) bench.RateTried) (float64, int) {
		terms := bench.RateTerms{Search: contract.RateSearch{Low: 2, High: 64, Tolerance: tolerance}.Complete(), Seed: seed}
		var tried []bench.RateTried
		for rate := terms.Next(tried); rate > 0; rate = terms.Next(tried) {
			tried = append(tried, probe(rate))
		}
		found := terms.Result(tried)
		if found.Rate == nil {
			return math.NaN(), len(tried)
		}
		return *found.Rate, len(tried)
	}
}

// bisection halves the bracket by a majority of so many agreeing probes and gives its middle.
func bisection(tolerance float64, agree int) searcher {
	return func(_ uint64, probe func(float64) bench.RateTried) (float64, int) {
		points := 0
		low, high := 2.0, 64.0
		for high/low > 1+tolerance {
			mid, votes := math.Sqrt(low*high), map[bool]int{}
			for votes[true] < agree && votes[false] < agree {
				votes[probe(mid).Passed]++
				points++
			}
			if votes[true] > votes[false] {
				low = mid
			} else {
				high = mid
			}
		}
		return math.Sqrt(low * high), points
	}
}

// Whose arrivals a load point has.
const (
	ownArrivals    = "every load point its own"
	probeArrivals  = "the n-th of both sides alike"
	sharedArrivals = "all of a block alike"
)

// simulated is how a searcher did: as figures of a launch, and as the ratio of two sides of a block.
type simulated struct {
	bias, sd, ratioBias, ratioSD, points float64 // of ln rate, and of ln ratio
	lost                                 int
}

// simulate runs blocks of two sides; the second serves 4 % faster.
func (s queue) simulate(find searcher, arrivals string, blocks int, even float64) simulated {
	var logs, ratios []float64
	out := simulated{}
	for b := range uint64(blocks) {
		var rates [2]float64
		for side := range rates {
			server, k, points := s, uint64(0), 0
			server.mean *= 1 - 0.04*float64(side)
			rates[side], points = find(b, func(rate float64) bench.RateTried {
				k++
				draw := rand.NewPCG(b, 7)
				switch arrivals {
				case ownArrivals:
					draw = rand.NewPCG(b*1000+k, 11+uint64(side))
				case probeArrivals:
					draw = rand.NewPCG(b*1000+k, 11)
				}
				return server.probe(rate, rand.New(draw), rand.New(rand.NewPCG(b*1000+k, 100+uint64(side))))
			})
			out.points += float64(points) / float64(2*blocks)
		}
		if math.IsNaN(rates[0]) || math.IsNaN(rates[1]) {
			out.lost++
			continue
		}
		logs = append(logs, math.Log(rates[0]/even))
		ratios = append(ratios, math.Log(rates[1]/rates[0]*0.96))
	}
	out.bias, out.sd = meanAndSD(logs)
	out.ratioBias, out.ratioSD = meanAndSD(ratios)
	return out
}

func meanAndSD(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sd += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, math.Sqrt(sd)
}

// TestRateSearchOnAQueue holds the search against plain bisection on a queue whose every window is luck.
func TestRateSearchOnAQueue(t *testing.T) {
	t.Parallel()
	s := queue{slots: 8, mean: 0.8, cv: 0.3, q: 0.5, limit: 0.3, prompts: contract.NeedsFor(0.5)}
	const blocks = 120
	even := s.even(150)
	plain := s.simulate(bisection(0.03, 1), ownArrivals, blocks, even)
	ours := s.simulate(isotonic(0.03), ownArrivals, blocks, even)
	shared := s.simulate(isotonic(0.03), sharedArrivals, blocks, even)
	t.Logf("even %.2f; plain %+v; isotonic %+v; shared arrivals %+v", even, plain, ours, shared)
	require.Zero(t, ours.lost+shared.lost)
	require.Less(t, math.Abs(ours.bias), 0.02, "three standard errors and the truth's own")
	require.Less(t, ours.sd, 0.85*plain.sd, "one lucky load point does not decide")
	require.Less(t, ours.points, 12.0)
	require.Less(t, shared.ratioSD, 0.5*ours.ratioSD, "the luck of a draw cancels between sides")
	require.Less(t, math.Abs(shared.ratioBias), 0.01)
}

// BenchmarkRateSearch prints the figures of docs/RATE.md.
func BenchmarkRateSearch(b *testing.B) {
	for range b.N {
		for _, s := range []queue{
			{slots: 32, mean: 2, cv: 0.3, q: 0.5, limit: 0.3, prompts: contract.NeedsFor(0.5)},
			{slots: 32, mean: 2, cv: 0.3, q: 0.95, limit: 1, prompts: contract.NeedsFor(0.95)},
			{slots: 32, mean: 2, cv: 0.3, q: 0.99, limit: 1.5, prompts: contract.NeedsFor(0.99)},
		} {
			even := s.even(800)
			fmt.Printf("\np%.0f of TTFT at most %g s: half of all load points pass at %.2f requests/s\n", 100*s.q, s.limit, even)
			for _, x := range []struct {
				name     string
				find     searcher
				arrivals string
			}{
				{"bisection", bisection(0.03, 1), ownArrivals},
				{"bisection, two must agree", bisection(0.03, 2), ownArrivals},
				{"isotonic", isotonic(0.03), ownArrivals},
				{"isotonic", isotonic(0.03), probeArrivals},
				{"isotonic", isotonic(0.03), sharedArrivals},
				{"isotonic, 6 %", isotonic(0.06), sharedArrivals},
			} {
				r := s.simulate(x.find, x.arrivals, 300, even)
				fmt.Printf("| %s | %s | %+.1f %% | %.1f %% | %+.1f %% | %.1f %% | %.1f |\n", x.name, x.arrivals, 100*r.bias, 100*r.sd, 100*r.ratioBias, 100*r.ratioSD, r.points)
			}
		}
	}
}
