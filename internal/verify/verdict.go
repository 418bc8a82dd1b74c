package verify

import (
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// searches computes every search's effort, scores and best candidates again.
func (v *verifier) searches() (string, error) {
	n := 0
	err := loop.Walk(v.entries, func(before *loop.State, e chain.Entry) error {
		payload, err := loop.Decode(e)
		if err != nil {
			return err
		}
		end, ok := payload.(*loop.SearchEnded)
		if !ok {
			return nil
		}
		n++
		return equal(before.Scored(*end), *end)
	})
	return fmt.Sprintf("%d searches: effort, scores, best candidates", n), err
}

// verdicts takes every verdict again from the rows that were there.
func (v *verifier) verdicts() (string, error) {
	n := 0
	var pending []loop.VerdictTaken // of a revalidation, which follows in the same write
	err := loop.Walk(v.entries, func(before *loop.State, e chain.Entry) error {
		payload, err := loop.Decode(e)
		if err != nil {
			return err
		}
		switch p := payload.(type) {
		case *loop.VerdictTaken:
			n++
			if p.Phase != "block" {
				pending = append(pending, *p)
				return nil
			}
			if !slices.Contains(before.Contract.Blocks.Looks, p.Look) {
				return fmt.Errorf("a look at %d blocks is not one that the contract froze", p.Look)
			}
			again, err := before.Look(p.Look)
			if err != nil {
				return err
			}
			return equal(again, *p)
		case *loop.RevalidationEnded:
			taken := pending
			pending = nil
			if err := equal(p.Results, taken); err != nil {
				return fmt.Errorf("results are not the verdicts before them: %w", err)
			}
			return v.revalidation(before, p)
		}
		return nil
	})
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("%d verdicts of a revalidation are not followed by its end", len(pending))
	}
	return fmt.Sprintf("%d looks", n), err
}

// revalidation computes verdicts, output equality and the measured gain again.
func (v *verifier) revalidation(before *loop.State, p *loop.RevalidationEnded) error {
	for _, r := range p.Results {
		if !slices.Contains(before.Contract.Blocks.Looks, r.Look) {
			return fmt.Errorf("a look at %d blocks is not one that the contract froze", r.Look)
		}
	}
	again, err := before.Revalidated(*p, v.read)
	if err != nil {
		return err
	}
	return equal(again, *p)
}
