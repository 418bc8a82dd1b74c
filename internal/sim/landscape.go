package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/sotaloop/sotaloop/internal/search"
)

// sglangKnobs are knobs of SGLang with the shipped default first.
func sglangKnobs() []search.Knob {
	return []search.Knob{
		{Name: "chunked-prefill-size", Values: []any{8192, 2048, 4096, 16384}},
		{Name: "max-running-requests", Values: []any{2048, 16, 32, 64}},
		{Name: "attention-backend", Values: []any{"fa3", "flashinfer", "triton"}},
		{Name: "mem-fraction-static", Values: []any{0.86, 0.92, 0.97}},
		{Name: "num-continuous-decode-steps", Values: []any{1, 4}},
	}
}

// Landscape is a full-factorial table for a search to be replayed on: simulated SGLang, one H100, a dense model and a
// traffic drawn by the seed. Scores are forecasts in output tokens/s; what runs out of memory is there as such. Prior
// holds a misjudging performance model's expectations.
func Landscape(seed uint64) (search.Landscape, error) {
	rng := rand.New(rand.NewPCG(seed, 0x726f6f66))
	m := DefaultModel() // 8B; the others have the shapes of dense models of 14B and 32B
	switch rng.IntN(3) {
	case 1:
		m.Layers, m.Hidden, m.Intermediate, m.Heads = 40, 5120, 17408, 40
	case 2:
		m.Layers, m.Hidden, m.Intermediate, m.Heads = 64, 5120, 25600, 64
	}
	t := Traffic{Input: 200 + rng.IntN(4000), Output: 32 + rng.IntN(160), Concurrency: 16 + rng.IntN(80)}
	l := search.Landscape{Knobs: sglangKnobs()}
	var err error
	l.Each(func(levels []int) {
		made := search.Made{Levels: levels, Status: search.StatusOK}
		args := []string{"--model-path", m.Name}
		for k, j := range levels {
			args = append(args, "--"+l.Knobs[k].Name, fmt.Sprint(l.Knobs[k].Values[j]))
		}
		score, wrong := Forecast("sglang", args, m, H100(), t)
		switch {
		case errors.Is(wrong, ErrMemory):
			made.Status = "oom"
		case wrong != nil:
			err = wrong
		default:
			made.Score = score
		}
		l.Cells = append(l.Cells, made)
	})
	if err != nil {
		return search.Landscape{}, err
	}
	if l.Cells[0].Status != search.StatusOK {
		return search.Landscape{}, fmt.Errorf("seed %d: the shipped default itself runs out of memory", seed)
	}
	l.Misjudge(seed)
	return l, nil
}
