package bench_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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

// unbounded is the batch of an engine that takes every request at once.
const unbounded = 1 << 30

// engines differ in what usually differs: batch, lengths and their spread, cost of a prefill.
func engines() []engine {
	return []engine{
		{slots: 32, step: 0.010, share: 0.0001, prefill: 0.004, out: 100, spread: 1},     // chat
		{slots: 128, step: 0.014, share: 0.00005, prefill: 0.010, out: 200, spread: 0.5}, // summaries, a large batch
		{slots: 64, step: 0.012, share: 0.0002, prefill: 0.002, out: 128},                // lengths all equal
		{slots: 1, step: 0.001, prefill: 0.002, out: 50, spread: 1},                      // one request at a time
		{slots: 8, step: 0.010, share: 0.0002, prefill: 0.020, out: 60, spread: 1},       // a small batch, dear prefills
		{slots: 64, step: 0.018, share: 0.00005, prefill: 0.020, out: 900, spread: 0.4},  // long answers
		{slots: unbounded, step: 0.005, share: 0.001, prefill: 0.0001, out: 100},         // none ever waits for a slot
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

// lengths gives every request an output length. The window's are the quantiles of their distribution in random order, so
// that what the window asks of the engine is what the engine's capacity is stated for.
func (e engine) lengths(records []*bench.Record, rng *rand.Rand) []int {
	out, window := make([]int, len(records)), []int{}
	for i, r := range records {
		out[i] = e.length(rng)
		if r.Role == bench.RoleWindow {
			window = append(window, i)
		}
	}
	carried := 0.0
	for k, rank := range rng.Perm(len(window)) {
		at := (float64(rank) + 0.5) / float64(len(window))
		want := e.out*(1-e.spread) - e.out*e.spread*math.Log1p(-at) + carried
		out[window[k]] = max(1, int(math.Round(want)))
		carried = want - float64(out[window[k]])
	}
	return out
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
				b.r.First, b.r.K1, b.r.Gaps = at, 1, make(bench.Gaps, 0, b.left-1)
			} else {
				b.r.Gaps = append(b.r.Gaps, uint32(int64(at)/1000-int64(b.r.Last)/1000))
			}
			b.r.Last = at
			b.r.Out, b.r.Events = b.r.Out+1, b.r.Events+1
			if b.left--; b.left == 0 {
				b.r.End, b.r.Outcome = at, bench.OutcomeOK
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
	rule    bench.WindowRule
}

// alone is how long a request takes that has the engine to itself, in seconds.
func (e engine) alone() float64 { return e.prefill + e.out*(e.step+e.share) }

// full is how long a request takes in a full batch, in seconds; in one without bound, at nine tenths of the capacity.
func (e engine) full() float64 {
	batch := float64(e.slots)
	if e.slots == unbounded {
		batch = 9 * e.step / e.share
	}
	return e.prefill + e.out*(e.step+e.share*batch)
}

// offer gives the recording of one open-loop point of so many prompts, with the default window and lead.
func (e engine) offer(o offered, seed uint64) *bench.Recording {
	rate := o.share * e.capacity()
	s := contract.Scenario{Name: "sim", Kind: contract.KindRandom, Arrival: o.arrival, RequestRate: &rate, NumPrompts: o.prompts}
	window := bench.OpenWindow(s, o.rule)
	lead := bench.LeadTime(o.rule, window, time.Duration(e.alone()*1e9))
	rng := rand.New(rand.NewPCG(seed, 77))
	rec := &bench.Recording{Header: bench.Header{Scenario: s, Overload: contract.OverloadCapacity, Window: bench.Window{End: bench.Offset(window)}}}
	for _, a := range bench.OpenSchedule(s, seed, window, lead, int(rate*window.Seconds())) {
		r := bench.NewRecord(a.Index, a.Role)
		r.Sched, r.Sent = bench.Offset(a.At), bench.Offset(a.At)
		rec.Records = append(rec.Records, r)
	}
	lengths := e.lengths(rec.Records, rng)
	e.serve(rec.Records, lengths)
	return rec
}

// loadBar is what of simulated points has to be called what.
type loadBar struct {
	share      float64 // of the capacity
	prompts    int
	overloaded [2]float64 // least and most
	sustained  [2]float64
}

// Windows: as long as so many prompts take, at least 60 s.
const (
	fewPrompts  = 80
	manyPrompts = 3000
)

// loadBars: above its capacity an engine is never called healthy, and overloaded whenever the window is long; up to nine
// tenths of it an engine is not called overloaded. The rest is undecided.
func loadBars() []loadBar {
	var bars []loadBar
	for _, prompts := range []int{fewPrompts, manyPrompts} {
		for _, share := range []float64{0.5, 0.7, 0.8, 0.9} {
			bars = append(bars, loadBar{share, prompts, [2]float64{0, 0.005}, [2]float64{0.8, 1}})
		}
		for _, share := range []float64{1.01, 1.02, 1.05, 1.1, 1.2, 1.5, 2, 3} {
			least := 0.995
			if prompts == fewPrompts && share < 1.05 {
				least = 0.97
			}
			bars = append(bars, loadBar{share, prompts, [2]float64{least, 1}, [2]float64{0, 0}})
		}
	}
	return bars
}

func (b loadBar) String() string {
	return fmt.Sprintf("%.2f of the capacity, %d prompts", b.share, b.prompts)
}

// judged is the share of simulated points that are called each state, over engines, arrivals and seeds from a first one on.
// Engines whose full batch takes more than a twelfth of the window are left out: their points say that the window is short.
func (b loadBar) judged(engines []engine, from, seeds int) map[bench.LoadState]float64 {
	count, n := map[bench.LoadState]float64{}, 0.0
	for _, e := range engines {
		if window := max(60, float64(b.prompts)/(b.share*e.capacity())); 12*e.full() > window {
			continue
		}
		for _, arrival := range []contract.Arrival{contract.ArrivalPoisson, contract.ArrivalConstant} {
			for seed := from; seed < from+seeds; seed++ {
				n++
				count[bench.TestLoad(e.offer(offered{share: b.share, prompts: b.prompts, arrival: arrival}, uint64(seed))).State]++
			}
		}
	}
	for state := range count {
		count[state] /= n
	}
	return count
}

// TestOverloadIsSeenFromTheCapacityOn holds the bars on a few simulated points; the benchmark does on many.
func TestOverloadIsSeenFromTheCapacityOn(t *testing.T) {
	t.Parallel()
	for _, bar := range loadBars() {
		of := engines()
		switch {
		case !slices.Contains([]float64{0.9, 1.01, 1.2}, bar.share), bar.prompts == manyPrompts && bar.share > 1.1:
			continue // the benchmark simulates them all
		case bar.prompts == manyPrompts: // long windows take long
			of = []engine{of[0], of[3]}
		}
		t.Run(bar.String(), func(t *testing.T) {
			t.Parallel()
			got := bar.judged(of, 100, 1)
			one := 1.1 / float64(2*len(of)) // of so few points, one may be undecided
			require.InDelta(t, (bar.overloaded[0]+bar.overloaded[1])/2, got[bench.LoadOverloaded], (bar.overloaded[1]-bar.overloaded[0])/2+one)
			require.GreaterOrEqual(t, got[bench.LoadSustained], bar.sustained[0]-one)
			require.LessOrEqual(t, got[bench.LoadSustained], bar.sustained[1])
			if bar.share < 1 {
				require.Zero(t, got[bench.LoadOverloaded])
			}
		})
	}
}

// TestAnUnboundedBatchIsSeenToo: where no request ever waits for a slot, TTFT hardly moves and the batch grows instead.
func TestAnUnboundedBatchIsSeenToo(t *testing.T) {
	t.Parallel()
	e := engine{slots: unbounded, step: 0.005, share: 0.001, prefill: 0.0001, out: 100} // at most 1,000 tokens a second
	point := func(rate float64) *bench.Recording {
		return e.offer(offered{share: rate / e.capacity(), prompts: 600, arrival: contract.ArrivalPoisson}, 3)
	}
	require.Equal(t, bench.LoadOverloaded, bench.TestLoad(point(12)).State, "12 requests of 100 tokens a second")
	require.Equal(t, bench.LoadSustained, bench.TestLoad(point(7)).State)
	old := point(12)
	old.Header.Overload = contract.OverloadTrend
	require.Equal(t, bench.LoadOverloaded, bench.TestLoad(old).State, "by the method of before too")
	require.Zero(t, bench.TestLoad(old).Load)
}

// TestAShortWindowDecidesNothingCloseToTheCapacity: answers of 16 s in a window of 60 s.
func TestAShortWindowDecidesNothingCloseToTheCapacity(t *testing.T) {
	t.Parallel()
	e := engines()[5]
	for share, never := range map[float64]bench.LoadState{0.9: bench.LoadOverloaded, 1.02: bench.LoadSustained} {
		for _, arrival := range []contract.Arrival{contract.ArrivalPoisson, contract.ArrivalConstant} {
			for seed := range uint64(3) {
				got := bench.TestLoad(e.offer(offered{share: share, prompts: fewPrompts, arrival: arrival}, seed))
				require.NotEqual(t, never, got.State, "%v of the capacity: %+v", share, got)
				if got.State == bench.LoadUndecided {
					require.Greater(t, got.NeedsS, 120.0)
				}
			}
		}
	}
}

// BenchmarkOverload prints, for every share of the capacity, what simulated points are called.
func BenchmarkOverload(b *testing.B) {
	for _, bar := range loadBars() {
		b.Run(bar.String(), func(b *testing.B) {
			got := map[bench.LoadState]float64{}
			for b.Loop() {
				got = bar.judged(engines(), 1000, 10)
			}
			for state, bounds := range map[bench.LoadState][2]float64{bench.LoadOverloaded: bar.overloaded, bench.LoadSustained: bar.sustained} {
				b.ReportMetric(100*got[state], "%_"+string(state))
				b.ReportMetric(100*bounds[0], "%_"+string(state)+"_at_least")
				b.ReportMetric(100*bounds[1], "%_"+string(state)+"_at_most")
			}
			b.ReportMetric(100*got[bench.LoadUndecided], "%_undecided")
		})
	}
}
