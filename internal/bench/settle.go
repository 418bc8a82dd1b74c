package bench

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Sizes of a settling wave where the scenario has no concurrency to take.
const (
	waveBurst  = 256
	waveOpen   = 64
	waveSpan   = 10 * time.Second
	waveReplay = 32
)

// waveOf plans one settling wave of the scenario's own shape.
func (r *runner) waveOf(from int) []arrival {
	s := r.spec.Scenario
	switch s.Arrival {
	case contract.ArrivalClosed:
		return together(RoleWarmup, from, *s.MaxConcurrency)
	case contract.ArrivalBurst:
		return together(RoleWarmup, from, min(s.NumPrompts, waveBurst))
	case contract.ArrivalReplay:
		return together(RoleWarmup, from, min(len(r.spec.Rows), waveReplay))
	default:
		n := int(math.Ceil(*s.RequestRate * waveSpan.Seconds()))
		return spaced(RoleWarmup, from, min(max(n, 4), waveOpen, max(4, s.NumPrompts)), time.Duration(1e9 / *s.RequestRate))
	}
}

// settle runs unmeasured waves until two in a row differ by less than the tolerance in output tokens/s. It gives the
// median latency of the last wave, and the first failure when a wave had no success.
func (r *runner) settle(ctx context.Context) (s Settling, e2e time.Duration, broken *Record, err error) {
	s = Settling{MaxWaves: r.spec.waves(), WaveTokS: []float64{}, Tolerance: r.spec.Limits.SettleTolerance}
	s.Settled = s.MaxWaves < 2 // one wave cannot tell
	offered := 0
	for wave := 1; wave <= s.MaxWaves && ctx.Err() == nil; wave++ {
		planned := r.waveOf(offered)
		offered += len(planned)
		r.begin(phaseWarmup, wave, len(planned))
		records, err := r.play(ctx, planned)
		if err != nil {
			return s, 0, nil, err
		}
		rate, median, ok := waveResult(records)
		if !ok {
			return s, 0, records[0], nil
		}
		s.WaveTokS, e2e = append(s.WaveTokS, rate), median
		if n := len(s.WaveTokS); n > 1 && math.Abs(rate/s.WaveTokS[n-2]-1) < s.Tolerance {
			s.Settled = true
			break
		}
	}
	return s, e2e, nil, nil
}

// waveResult gives a wave's output tokens/s and median latency; ok is false when no request succeeded.
func waveResult(records []*Record) (rate float64, e2e time.Duration, ok bool) {
	first, last, tokens := Offset(math.MaxInt64), Never, 0
	var took []time.Duration
	for _, r := range records {
		first = min(first, r.Sched)
		if r.OK() {
			tokens += r.Out
			last = max(last, r.End)
			took = append(took, time.Duration(r.End-r.Sched))
		}
	}
	if len(took) == 0 {
		return 0, 0, false
	}
	slices.Sort(took)
	return float64(tokens) / (float64(last-first) / 1e9), took[len(took)/2], true
}
