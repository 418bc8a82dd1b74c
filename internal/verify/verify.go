// Package verify checks a run directory or a bundle offline, with nothing but its files: the chain holds, every artifact is the one
// the ledger names, and every number that follows from others is computed again and compared. Integers, words and
// verdicts must be equal; floating-point figures may differ by 1e-9 of their size, since Go fuses multiply-add on some
// machines and not on others.
//
// What it shows is that the directory is consistent. Whoever can write all of it could have made another one; only a
// witness outside says more, and approvals only with an approvers file that does not come from the directory.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/sotaloop/sotaloop/internal/bundle"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// Options are what a check may know from elsewhere than the directory.
type Options struct {
	// Approvers is an allowed_signers file; nil leaves signatures unchecked. A directory's own keys are never trusted.
	Approvers []byte
	// Revoked is a list of keys that may approve no more, whenever they signed; nil is none.
	Revoked []byte
	// Signers is an allowed_signers file for the namespace sotaloop-seal; nil leaves the signature of a seal unchecked.
	Signers []byte
	// Witnesses is an allowed_signers file for the namespace sotaloop-witness; nil leaves what witnesses answered unchecked.
	Witnesses []byte
	// Hosts is an allowed_signers file for the namespace sotaloop-receipt; nil leaves open whose key signed receipts.
	Hosts []byte
	// Version is this release. A report that another release wrote may be worded otherwise than this one renders it: that
	// is noted, and its figures rest on the rows and verdicts that are computed again all the same.
	Version string
	// StopAtFirst ends the check at the first difference; else every group of checks is made and told.
	StopAtFirst bool
	// Require names what must hold beyond consistency, of Requirements.
	Require []string
	// Datasets are files of datasets, with their keys beside them where they are private: the kept indexes are compared
	// with what is in them. Without, draws are made again from the indexes alone.
	Datasets []string
}

// What can be required.
const (
	RequireApproval = "approval" // every applied patch carries an approval that verifies against Approvers
	RequireWitness  = "witness"  // somebody outside has seen the ledger's head
	RequireHost     = "host"     // the account of the host signed for every measured row, with a key of Hosts
)

// Requirements lists what can be required.
func Requirements() []string { return []string{RequireApproval, RequireWitness, RequireHost} }

// Path checks the run directory or the bundle at path. An error means that there is nothing to check; what does not hold is in the
// result.
func Path(ctx context.Context, path string, opt Options) (*Result, error) {
	for _, r := range opt.Require {
		if !slices.Contains(Requirements(), r) {
			return nil, fault.New(fault.InvalidInput, "unknown requirement %q", r).At("require", r, Requirements()...)
		}
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return ofBundle(ctx, path, opt)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, noLedger(path, err)
	}
	defer root.Close()
	if info, err := root.Lstat(ledger.ChainFile); err != nil || !info.Mode().IsRegular() {
		return nil, noLedger(path, err)
	}
	return run(ctx, path, root.FS(), "", opt)
}

// ofBundle checks a bundle, which is read where it lies and never unpacked to disk.
func ofBundle(ctx context.Context, path string, opt Options) (*Result, error) {
	b, err := bundle.Open(path)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if _, err := b.Stat(ledger.ChainFile); err != nil {
		return nil, noLedger(path, err)
	}
	return run(ctx, path, b, b.Digest(), opt)
}

// run checks the campaign whose files are given; digest is the bundle's that they are of, "" for a run directory.
func run(ctx context.Context, path string, files fs.FS, digest string, opt Options) (*Result, error) {
	v := &verifier{ctx: ctx, files: files, opt: opt, res: newResult(path), named: map[string]*named{}}
	v.res.Bundle = digest
	if !v.check("ledger", v.chain) {
		return v.res, nil
	}
	if err := v.rest(); err != nil {
		return nil, err
	}
	v.res.OK = v.res.First == nil
	v.levels()
	return v.res, nil
}

func noLedger(path string, err error) error {
	what := "holds no " + ledger.ChainFile
	if _, statErr := os.Stat(path); errors.Is(statErr, fs.ErrNotExist) {
		what = "does not exist"
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		what = "cannot be read: " + err.Error()
	}
	return fault.New(fault.NotFound, "%q is no run directory and no bundle: it %s", path, what).At("path", path).
		Hint("name a campaign's folder, for example runs/20261123_qwen3-8b_sota_loop, or a bundle that write_report made of it")
}

// verifier is one check of one directory.
type verifier struct {
	ctx      context.Context
	files    fs.FS // the run directory's, or a bundle's
	opt      Options
	res      *Result
	entries  []chain.Entry
	decoded  []any // payloads of entries
	state    *loop.State
	named    map[string]*named // artifacts by name
	about    *loop.Bundled     // what a bundle says it is of, nil for a run directory
	plans    []planned         // in the order of the ledger
	shown    []Witnessed       // what witnesses answered
	commits  int               // commits of branches whose trailers hold
	indexes  map[string]*dataset.Index
	divided  map[string]*dataset.Division // by digest and what divides
	vouched  []*receipted                 // runs for which the host's account signed
	unsigned error                        // why receipts could not be read
	unread   error                        // why plans or artifacts could not be gathered
}

// rest runs every group but the chain. Plans are read first: what visits entries asks for them.
func (v *verifier) rest() error {
	if _, err := guarded(func() (string, error) { return "", errors.Join(v.gather(), v.loadPlans()) }); err != nil {
		v.unread = err
	}
	if v.res.Bundle != "" && !v.check("bundle", v.bundle) {
		return nil
	}
	groups := v.groups()
	var problems map[string]error
	for _, g := range groups {
		err := v.ctx.Err()
		if g.visit != nil && problems == nil { // what needs no visit is cheap and comes first
			problems, err = v.visitAll(groups)
		}
		if err != nil {
			return err
		}
		if v.opt.StopAtFirst && v.res.First != nil {
			return nil
		}
		v.check(g.name, func() (string, error) {
			if err := problems[g.name]; err != nil {
				return "", err
			}
			return g.end()
		})
	}
	return nil
}

// check runs one group of checks and says whether it held.
func (v *verifier) check(name string, run func() (string, error)) bool {
	what, err := guarded(run)
	c := Check{Name: name, What: what, OK: err == nil}
	if err != nil {
		c.Problem = err.Error()
		if v.res.First == nil {
			v.res.First = &Difference{Rule: RuleReproducible, Check: name, What: c.Problem}
		}
	}
	v.res.Checks = append(v.res.Checks, c)
	return c.OK
}

// guarded runs a check over bytes that anybody may have written: what they break is a difference, not a crash.
func guarded(run func() (string, error)) (what string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("what is recorded cannot be computed with: %v", p)
		}
	}()
	return run()
}

// levels says what a reader may rely on.
func (v *verifier) levels() {
	if v.res.First != nil {
		return
	}
	v.res.Levels = append(v.res.Levels, "consistent", v.sealLevel(), v.witnessLevel(), v.hostLevel())
	for _, r := range v.state.Recovered {
		v.res.Levels = append(v.res.Levels, fmt.Sprintf("recovered from a damaged ledger after its line %d", r.Lines))
	}
	for _, a := range v.res.Approvals {
		if a.Verified {
			v.res.Levels = append(v.res.Levels, "approval of "+a.Proposal+" verified")
		}
		if a.Decision == "approve" {
			v.res.Levels = append(v.res.Levels, fmt.Sprintf("approval of %s %s", a.Proposal, loop.Level{Level: a.Level, Why: a.LevelWhy}))
		}
	}
	if v.state.Contract.Host.Simulated {
		v.res.Levels = append(v.res.Levels, "simulated")
	}
	if mark := v.state.Contract.Host.Mark(); mark != "" {
		v.res.Levels = append(v.res.Levels, mark)
	}
	for _, r := range v.opt.Require {
		switch {
		case r == RequireWitness && v.unwitnessed() != "":
			v.res.Lacking = append(v.res.Lacking, "witness: "+v.unwitnessed())
		case r == RequireWitness:
		case r == RequireHost:
			if why := v.unprotected(); why != "" {
				v.res.Lacking = append(v.res.Lacking, "host: "+why)
			}
		case v.unapproved() != "":
			v.res.Lacking = append(v.res.Lacking, "approval: "+v.unapproved())
		}
	}
}

// unapproved says which applied patch lacks an approval that verifies, "" where every one has it.
func (v *verifier) unapproved() string {
	applied := false
	for _, p := range v.state.Proposals {
		if p.Branch == nil {
			continue
		}
		applied = true
		if !slices.ContainsFunc(v.res.Approvals, func(a Approval) bool { return a.Proposal == p.ID && a.Decision == "approve" && a.Verified }) {
			return p.ID + " carries none that verifies against a given approvers file"
		}
	}
	if !applied {
		return "no patch was applied"
	}
	return ""
}
