package bench_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// engine is a simulated continuous-batching server: requests wait in order, join the batch where a slot is free, and every
// step gives each running request one token. A step takes a constant, a share a running request, and the prefill of those
// that joined.
type engine struct {
	slots   int
	step    float64 // seconds a step
	share   float64 // seconds a running request adds to a step
	prefill float64 // seconds a prompt takes
	out     float64 // mean output tokens
	spread  float64 // of the lengths: 0 all equal, 1 exponential
}

// engines differ in what usually differs: batch, lengths and their spread, cost of a prefill.
func engines() []engine {
	return []engine{
		{slots: 32, step: 0.010, share: 0.0001, prefill: 0.004, out: 100, spread: 1},     // chat
		{slots: 128, step: 0.014, share: 0.00005, prefill: 0.010, out: 200, spread: 0.5}, // summaries, a large batch
		{slots: 64, step: 0.012, share: 0.0002, prefill: 0.002, out: 128},                // lengths all equal
		{slots: 1, step: 0.001, prefill: 0.002, out: 50, spread: 1},                      // one request at a time
		{slots: 8, step: 0.010, share: 0.0002, prefill: 0.020, out: 60, spread: 1},       // a small batch, dear prefills
		{slots: 64, step: 0.018, share: 0.00005, prefill: 0.020, out: 900, spread: 0.4},  // long answers
	}
}

// capacity is the rate in requests a second at which a full batch stays full.
func (e engine) capacity() float64 {
	return 1 / (e.out*(e.step+e.share*float64(e.slots))/float64(e.slots) + e.prefill)
}

// length draws an output length with the engine's mean.
func (e engine) length(rng *rand.Rand) int {
	return max(1, int(math.Round(e.out*(1-e.spread)+e.out*e.spread*rng.ExpFloat64())))
}

// serve runs requests through the engine and fills in when they began and ended.
func (e engine) serve(records []*bench.Record, lengths []int) {
	type running struct {
		r    *bench.Record
		left int
	}
	var batch []running
	now, next := float64(records[0].Sched)/1e9, 0
	for next < len(records) || len(batch) > 0 {
		if len(batch) == 0 && float64(records[next].Sched)/1e9 > now {
			now = float64(records[next].Sched) / 1e9
		}
		joined := 0
		for next < len(records) && len(batch) < e.slots && float64(records[next].Sched)/1e9 <= now {
			batch = append(batch, running{records[next], lengths[next]})
			next, joined = next+1, joined+1
		}
		now += e.step + e.share*float64(len(batch)) + e.prefill*float64(joined)
		at, kept := bench.Offset(now*1e9), batch[:0]
		for _, b := range batch {
			if b.r.First == bench.Never {
				b.r.First = at
			}
			if b.left--; b.left == 0 {
				b.r.Last, b.r.End, b.r.Outcome = at, at, bench.OutcomeOK
				continue
			}
			kept = append(kept, b)
		}
		batch = kept
	}
}

// offered is a simulated load.
type offered struct {
	share   float64 // of the engine's capacity
	prompts int
	arrival contract.Arrival
}

// alone is how long a request takes that has the engine to itself, in seconds.
func (e engine) alone() float64 { return e.prefill + e.out*(e.step+e.share) }

// offer gives the recording of one open-loop point of so many prompts, with the default window and lead.
func (e engine) offer(o offered, seed uint64) *bench.Recording {
	rate := o.share * e.capacity()
	s := contract.Scenario{Name: "sim", Kind: contract.KindRandom, Arrival: o.arrival, RequestRate: &rate, NumPrompts: o.prompts}
	window := bench.OpenWindow(s, bench.WindowRule{})
	lead := bench.LeadTime(bench.WindowRule{}, window, time.Duration(e.alone()*1e9))
	rng := rand.New(rand.NewPCG(seed, 77))
	rec := &bench.Recording{Header: bench.Header{Scenario: s, Window: bench.Window{End: bench.Offset(window)}}}
	var lengths []int
	for _, a := range bench.OpenSchedule(s, seed, window, lead, int(rate*window.Seconds())) {
		r := bench.NewRecord(a.Index, a.Role)
		r.Sched, r.Sent = bench.Offset(a.At), bench.Offset(a.At)
		rec.Records, lengths = append(rec.Records, r), append(lengths, e.length(rng))
	}
	e.serve(rec.Records, lengths)
	return rec
}

// overloaded is the share of simulated points, over engines, arrivals and seeds, that are called overloaded. Engines whose
// answers take too long for the window, five latencies, are left out: such a point says that its window is short.
func overloaded(share float64, prompts, seeds int) float64 {
	n, over := 0, 0
	for _, e := range engines() {
		for _, arrival := range []contract.Arrival{contract.ArrivalPoisson, contract.ArrivalConstant} {
			if window := max(60, float64(prompts)/(share*e.capacity())); 5*e.alone() > window {
				continue
			}
			for seed := range uint64(seeds) {
				n++
				for _, trend := range bench.Trends(e.offer(offered{share, prompts, arrival}, seed)) {
					if trend.Rising {
						over++
						break
					}
				}
			}
		}
	}
	return float64(over) / float64(n)
}

// overloadBar is where the share of overloaded points has to lie. manyPrompts are what shows a capacity; with few, the
// window is the shortest there is, 60 s, in which as many requests as a rate expects come only within some percent.
type overloadBar struct {
	share       float64
	prompts     int
	least, most float64
}

const (
	fewPrompts  = 80
	manyPrompts = 3000
)

func overloadBars() []overloadBar {
	return []overloadBar{
		{0.5, manyPrompts, 0, 0.01}, {0.7, manyPrompts, 0, 0.01}, {0.8, manyPrompts, 0, 0.01}, {0.9, manyPrompts, 0, 0.02},
		{1.02, manyPrompts, 0.75, 1}, {1.05, manyPrompts, 0.95, 1}, {1.1, manyPrompts, 0.99, 1}, {1.2, manyPrompts, 0.99, 1}, {1.5, manyPrompts, 0.99, 1},
		{0.5, fewPrompts, 0, 0.02}, {0.8, fewPrompts, 0, 0.04}, {0.9, fewPrompts, 0, 0.08},
		{1.1, fewPrompts, 0.95, 1}, {1.2, fewPrompts, 0.99, 1}, {1.5, fewPrompts, 0.99, 1},
	}
}

func (b overloadBar) String() string {
	return fmt.Sprintf("%.2f of the capacity, %d prompts", b.share, b.prompts)
}

// TestOverloadIsSeenFromTheCapacityOn holds the bar on a few simulated points; the benchmark does on many.
func TestOverloadIsSeenFromTheCapacityOn(t *testing.T) {
	t.Parallel()
	for _, bar := range overloadBars() {
		seeds := 10
		switch {
		case bar.prompts == manyPrompts && bar.share != 0.9 && bar.share != 1.05:
			continue // long windows take long to simulate
		case bar.prompts == manyPrompts:
			seeds = 1
		}
		t.Run(bar.String(), func(t *testing.T) {
			t.Parallel()
			got := overloaded(bar.share, bar.prompts, seeds)
			require.InDelta(t, (bar.least+bar.most)/2, got, (bar.most-bar.least)/2+0.01)
		})
	}
}

// TestAnUnboundedBatchIsSeenToo: where no request ever waits for a slot, TTFT hardly moves and the batch grows instead.
func TestAnUnboundedBatchIsSeenToo(t *testing.T) {
	t.Parallel()
	e := engine{slots: 1 << 30, step: 0.005, share: 0.001, prefill: 0.0001, out: 100} // at most 1,000 tokens a second
	point := func(rate float64) *bench.Recording {
		return e.offer(offered{rate / e.capacity(), manyPrompts / 5, contract.ArrivalPoisson}, 3)
	}
	rising := func(trends []bench.Trend) bool { return trends[0].Rising || trends[1].Rising }
	require.True(t, rising(bench.Trends(point(12))), "12 requests of 100 tokens a second")
	require.False(t, rising(bench.Trends(point(7))))
}

// BenchmarkOverload prints, for every share of the capacity, how many simulated points are called overloaded.
func BenchmarkOverload(b *testing.B) {
	for _, bar := range overloadBars() {
		b.Run(bar.String(), func(b *testing.B) {
			got := 0.0
			for b.Loop() {
				got = overloaded(bar.share, bar.prompts, 20)
			}
			b.ReportMetric(100*got, "%_overloaded")
			b.ReportMetric(100*bar.least, "%_at_least")
			b.ReportMetric(100*bar.most, "%_at_most")
		})
	}
}
