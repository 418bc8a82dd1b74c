package verify

import (
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// searches computes every search's effort, scores and best candidates again.
func (v *verifier) searches() group {
	n := 0
	visit := func(before *loop.State, _ chain.Entry, payload any) error {
		end, ok := payload.(*loop.SearchEnded)
		if !ok {
			return nil
		}
		n++
		return equal(before.Scored(*end), *end)
	}
	return group{"searches", visit, func() (string, error) { return fmt.Sprintf("%d searches: effort, scores, best candidates", n), nil }}
}

// verdicts takes every verdict again from the rows that were there.
func (v *verifier) verdicts() group {
	n := 0
	var pending []loop.VerdictTaken // of a revalidation, which follows in the same write
	visit := func(before *loop.State, _ chain.Entry, payload any) error {
		switch p := payload.(type) {
		case *loop.VerdictTaken:
			n++
			if p.Phase != "block" {
				pending = append(pending, *p)
				return nil
			}
			return look(before, p)
		case *loop.RevalidationEnded:
			taken := pending
			pending = nil
			if err := equal(p.Results, taken); err != nil {
				return fmt.Errorf("results are not the verdicts before them: %w", err)
			}
			return v.revalidation(before, p)
		}
		return nil
	}
	return group{"verdicts", visit, func() (string, error) {
		if len(pending) > 0 {
			return "", fmt.Errorf("%d verdicts of a revalidation are not followed by its end", len(pending))
		}
		return fmt.Sprintf("%d looks", n), nil
	}}
}

// look takes a verdict on the campaign's blocks again.
func look(before *loop.State, p *loop.VerdictTaken) error {
	if !slices.Contains(before.Contract.Blocks.Looks, p.Look) {
		return fmt.Errorf("a look at %d blocks is not one that the contract froze", p.Look)
	}
	again, err := before.Look(p.Look)
	if err != nil {
		return err
	}
	return equal(again, *p)
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
