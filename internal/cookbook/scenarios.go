package cookbook

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// promptsPerSlot is how many prompts a closed loop needs for every slot, so that a window lies between its first wave
// and its last.
const promptsPerSlot = 5

// Scenarios gives every request shape at every load level: closed loops named after their slots (`chat-c8`), and bursts
// (`chat-burst`) where the entry's concurrency is open. Prompts are random token ids of the given lengths, ends are
// ignored, and the primary metric is the arrival mode's own. A rate search takes its shape from here, its bounds from
// Rate, and needs more prompts than these.
func (e Entry) Scenarios() []contract.Scenario {
	var out []contract.Scenario
	for _, shape := range e.Shapes {
		for _, slots := range e.Concurrency {
			s := contract.Scenario{
				Name: shape.Name + "-burst", Kind: contract.KindRandom, InputLen: shape.InputLen, OutputLen: shape.OutputLen,
				NumPrompts: e.NumPrompts, Arrival: contract.ArrivalBurst, IgnoreEOS: true, Stream: true, WarmupWaves: 5,
			}
			if slots != nil {
				s.Name, s.Arrival = fmt.Sprintf("%s-c%d", shape.Name, *slots), contract.ArrivalClosed
				n := *slots
				s.MaxConcurrency, s.NumPrompts = &n, max(e.NumPrompts, promptsPerSlot*n)
			}
			s.Primary = contract.PrimaryMetric(s.Arrival)
			out = append(out, s)
		}
	}
	return out
}

// LongestSequence is the largest input plus output length over all shapes, in tokens.
func (e Entry) LongestSequence() int {
	longest := 0
	for _, s := range e.Shapes {
		longest = max(longest, s.InputLen+s.OutputLen)
	}
	return longest
}
