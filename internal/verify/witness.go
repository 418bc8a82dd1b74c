package verify

import (
	"fmt"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/witness"
)

// witnesses checks every answer of a witness: that it is signed, and about a line of this very ledger.
func (v *verifier) witnesses() group {
	n := 0
	visit := func(_ *loop.State, e chain.Entry, payload any) error {
		p, ok := payload.(*loop.LedgerWitnessed)
		if !ok {
			return nil
		}
		n++
		return v.witnessed(e, p)
	}
	return group{"witness", visit, func() (string, error) {
		v.res.Witnessed = append(v.res.Witnessed, v.shown...)
		if n == 0 {
			return "none has seen this ledger", nil
		}
		return fmt.Sprintf("%d answers, %s", n, v.witnessLevel()), nil
	}}
}

// witnessed checks one answer.
func (v *verifier) witnessed(e chain.Entry, p *loop.LedgerWitnessed) error {
	s, err := witness.ParseStatement(p.Statement)
	if err != nil {
		return err
	}
	switch {
	case s.Campaign != v.state.Contract.Campaign:
		return fmt.Errorf("the witness saw campaign %q, this is %q", s.Campaign, v.state.Contract.Campaign)
	case s.Seq != p.Seq || s.Head != p.Head:
		return fmt.Errorf("the witness saw line %d with head %.12s…, the entry says line %d with %.12s…", s.Seq, s.Head, p.Seq, p.Head)
	case s.Seq < 1 || s.Seq >= e.Seq || v.entries[s.Seq-1].Hash != s.Head:
		return fmt.Errorf("the witness saw line %d with head %.12s…, which is no line before it", s.Seq, s.Head)
	case s.First != v.entries[0].Hash:
		return fmt.Errorf("the witness saw a ledger whose first line hashes to %.12s…", s.First)
	}
	out := Witnessed{Seq: s.Seq, Time: s.Time}
	if v.opt.Witnesses == nil {
		if out.Key, err = witness.Inspect(p.Statement, p.Signature); err != nil {
			return err
		}
	} else {
		allowed, err := gitops.ParseAllowedSigners(v.opt.Witnesses)
		if err != nil {
			return fmt.Errorf("witnesses file: %w", err)
		}
		sig, err := gitops.Trust{Allowed: allowed}.Verify(gitops.Claim{Namespace: gitops.NamespaceWitness, At: s.Time, Now: time.Now()}, p.Statement, []byte(p.Signature))
		if err != nil {
			return err
		}
		out.Key, out.Principal, out.Verified = sig.Fingerprint, sig.Principal, true
	}
	if out.Key != p.Key {
		return fmt.Errorf("the witness's key is %s, the entry says %s", out.Key, p.Key)
	}
	v.shown = append(slices.DeleteFunc(v.shown, func(w Witnessed) bool { return w.Key == out.Key && w.Seq <= out.Seq }), out)
	return nil
}

// witnessLevel is the witness's part of what a reader may rely on.
func (v *verifier) witnessLevel() string {
	if len(v.shown) == 0 {
		return "unwitnessed"
	}
	last := slices.MaxFunc(v.shown, func(a, b Witnessed) int { return a.Seq - b.Seq })
	if !last.Verified {
		return fmt.Sprintf("witnessed to entry %d as %s says, which nobody vouches for", last.Seq, last.Key)
	}
	return fmt.Sprintf("witnessed to entry %d by %s", last.Seq, last.Principal)
}

// unwitnessed says why the ledger is not witnessed as far as its report needs it, "" where it is.
func (v *verifier) unwitnessed() string {
	need := len(v.entries)
	if _, at := v.lastSeal(); at >= 0 {
		need = at + 1
	}
	for _, w := range v.shown {
		if w.Verified && (w.Seq >= need || v.onlyWitnesses(w.Seq, need)) {
			return ""
		}
	}
	switch {
	case len(v.shown) == 0:
		return "no witness has seen this ledger"
	case v.opt.Witnesses == nil:
		return "no witnesses file was given, and a directory's own word counts for nothing"
	}
	return fmt.Sprintf("a witness has seen less than the %d lines of it", need)
}

// onlyWitnesses says whether nothing but witnesses' answers stands behind line seq up to line to.
func (v *verifier) onlyWitnesses(seq, to int) bool {
	for _, e := range v.entries[seq:to] {
		if _, ok := v.decoded[e.Seq-1].(*loop.LedgerWitnessed); !ok {
			return false
		}
	}
	return true
}
