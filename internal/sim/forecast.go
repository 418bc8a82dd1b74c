package sim

import (
	"context"
	"errors"
	"fmt"
)

// Traffic is a closed loop of equal requests: so many at once, each with so many tokens in and out.
type Traffic struct{ Input, Output, Concurrency int }

// ErrMemory is a launch that runs out of memory, or has no room for one request.
var ErrMemory = errors.New("out of memory")

// waves is how many times a forecast fills the loop.
const waves = 2

// Forecast is the output throughput, in tokens/s, that the model of time predicts for an engine's arguments under a
// traffic: the scheduler and roofline that a simulated launch runs, played without waiting, without noise and
// without a process. The error wraps ErrMemory where the launch would not come up.
func Forecast(engine string, args []string, m Model, gpu GPU, t Traffic) (float64, error) {
	flags, err := flagsOf(engine)
	if err != nil {
		return 0, err
	}
	v, err := flags.parse(args, dialect{})
	if err != nil {
		return 0, err
	}
	if len(v.unknown)+len(v.positional) > 0 {
		return 0, fmt.Errorf("%s does not know %v %v", engine, v.unknown, v.positional)
	}
	set, err := configureOf(engine)(v, m, gpu)
	if err != nil {
		return 0, err
	}
	b := memoryBudget(set, gpu, 0)
	if b.weights > b.free || b.kv <= 0 || !b.fits() || b.tokens < t.Input+t.Output {
		return 0, fmt.Errorf("%s: %w", engine, ErrMemory)
	}
	return play(&scheduler{set: set, roof: newRoof(gpu, set), pool: b.tokens}, t), nil
}

// play steps a scheduler through a closed loop in virtual time.
func play(s *scheduler, t Traffic) float64 {
	prompt := make([]int, t.Input)
	left := waves * t.Concurrency
	steps := stepTimes{roof: s.roof, known: map[[2]int]float64{}}
	us, tokens := 0.0, 0
	for range t.Concurrency {
		s.waiting = append(s.waiting, &request{ctx: context.Background(), prompt: prompt, maxTokens: t.Output})
	}
	left -= t.Concurrency
	for {
		b := s.next()
		if b == nil {
			return float64(tokens) / us * 1e6
		}
		us += steps.of(b.work())
		tokens += len(b.decodes)
		for _, r := range b.decodes {
			r.produced++
		}
		for _, c := range b.prefills {
			if c.req.computed += c.n; c.req.prefilled() {
				c.req.produced, tokens = 1, tokens+1
			}
		}
		keep := s.running[:0]
		for _, r := range s.running {
			if r.produced < r.maxTokens {
				keep = append(keep, r)
				continue
			}
			s.used -= r.reserved
			if left > 0 {
				left--
				s.waiting = append(s.waiting, &request{ctx: r.ctx, prompt: prompt, maxTokens: t.Output})
			}
		}
		s.running = keep
	}
}

// stepTimes remembers what pure decode steps take, by batch and mean context to coarse tokens: they are most steps.
type stepTimes struct {
	roof  roof
	known map[[2]int]float64
}

const coarse = 32

func (t *stepTimes) of(w work) float64 {
	if len(w.prefills) > 0 || w.decodes == 0 {
		return t.roof.stepUS(t.roof.plan(w))
	}
	key := [2]int{w.decodes, w.decodeCtx / w.decodes / coarse}
	us, ok := t.known[key]
	if !ok {
		w.decodeCtx = (key[1]*coarse + coarse/2) * w.decodes
		us = t.roof.stepUS(t.roof.plan(w))
		t.known[key] = us
	}
	return us
}
