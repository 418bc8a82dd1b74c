package loop

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// equalityBlocks is in how many blocks base and patched answer the same prompts for output digests.
const equalityBlocks = 2

// equalityPoint asks every launch the same prompts, first alone and then under load, greedily.
func equalityPoint(c *contract.Contract) worker.Point {
	slots := 2
	s := standIn(c.Scenarios[0])
	s.Name, s.NumPrompts, s.MaxConcurrency, s.RequestRate, s.Arrival, s.Temperature, s.WarmupWaves = useEquality, 10, &slots, nil, contract.ArrivalClosed, 0, 0
	p := point(c, s, useEquality, 0)
	open := !c.Private() // of private text, digests are compared and nothing is kept
	p.Spec.WantLogprobs, p.Spec.KeepOutputs = open, open
	return p
}

// unseenScenario draws a shape nobody could know before the approval: from SHA-256(signature ‖ patch digest ‖ ledger
// head of the approval).
func unseenScenario(st *State, prop *ProposalState) (contract.Scenario, error) {
	a := prop.Approvals[len(prop.Approvals)-1]
	signed, err := gitops.ParseStatement(a.Statement)
	if err != nil {
		return contract.Scenario{}, err
	}
	digest := contract.Digest([]byte(a.Signature + prop.Digest + signed.LedgerHead))
	var seed [2]uint64
	seed[0] = binary.LittleEndian.Uint64([]byte(digest[:8]))
	seed[1] = binary.LittleEndian.Uint64([]byte(digest[8:16]))
	src := rand.New(rand.NewPCG(seed[0], seed[1])) //nolint:gosec // recomputable by design
	s := standIn(st.Contract.Scenarios[0])
	s.Name = "unseen"
	s.InputLen = drawLength(src, s.InputLen)
	s.OutputLen = drawLength(src, s.OutputLen)
	if s.MaxConcurrency != nil {
		slots := max(1, *s.MaxConcurrency*3/4+src.IntN(*s.MaxConcurrency/2+1)) // at most mostSlots
		s.MaxConcurrency, s.NumPrompts = &slots, max(5*slots, s.NumPrompts)
	}
	s.Temperature = 0.25 * float64(1+src.IntN(4)) // sampling is code that a patch could leave out where everybody is greedy
	return s, nil
}

// mostSlots is the most slots that an unseen shape may have.
func mostSlots(slots int) int { return max(1, slots*3/4+slots/2) }

// drawLength draws from half to one and a half times n, never n itself.
func drawLength(src *rand.Rand, n int) int {
	v := max(2, n/2+src.IntN(max(1, n)))
	if v == n {
		v++
	}
	return v
}
