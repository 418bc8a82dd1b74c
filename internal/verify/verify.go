// Package verify checks a run directory offline, with nothing but its files: the chain holds, every artifact is the one
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
	"path/filepath"
	"slices"

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
	// Version is this release. A report that another release wrote may be worded otherwise than this one renders it: that
	// is noted, and its figures rest on the rows and verdicts that are computed again all the same.
	Version string
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
)

// Requirements lists what can be required.
func Requirements() []string { return []string{RequireApproval, RequireWitness} }

// Dir checks the run directory at path. An error means that there is nothing to check; what does not hold is in the
// result.
func Dir(ctx context.Context, path string, opt Options) (*Result, error) {
	for _, r := range opt.Require {
		if !slices.Contains(Requirements(), r) {
			return nil, fault.New(fault.InvalidInput, "unknown requirement %q", r).At("require", r, Requirements()...)
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(filepath.Join(abs, ledger.ChainFile)); err != nil || !info.Mode().IsRegular() {
		return nil, noLedger(path, err)
	}
	v := &verifier{ctx: ctx, dir: abs, opt: opt, res: newResult(path), files: map[string]*named{}}
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
	return fault.New(fault.NotFound, "%q is no run directory: it %s", path, what).At("path", path).
		Hint("name a campaign's folder, for example runs/20261123_qwen3-8b_sota_loop")
}

// verifier is one check of one directory.
type verifier struct {
	ctx     context.Context
	dir     string
	opt     Options
	res     *Result
	entries []chain.Entry
	decoded []any // payloads of entries
	state   *loop.State
	files   map[string]*named // artifacts by name
	plans   []planned         // in the order of the ledger
	commits int               // commits of branches whose trailers hold
	indexes map[string]*dataset.Index
	divided map[string]*dataset.Division // by digest and what divides
	unread  error                        // why plans or artifacts could not be gathered
}

// rest runs every group but the chain. Plans are read first: what visits entries asks for them.
func (v *verifier) rest() error {
	if _, err := guarded(func() (string, error) { return "", errors.Join(v.gather(), v.loadPlans()) }); err != nil {
		v.unread = err
	}
	groups := v.groups()
	problems, err := v.visitAll(groups)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := v.ctx.Err(); err != nil {
			return err
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

// path is where an artifact lies on disk.
func (v *verifier) path(name string) string { return filepath.Join(v.dir, filepath.FromSlash(name)) }

// levels says what a reader may rely on.
func (v *verifier) levels() {
	if v.res.First != nil {
		return
	}
	v.res.Levels = append(v.res.Levels, "consistent", "unwitnessed")
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
		case r == RequireWitness:
			v.res.Lacking = append(v.res.Lacking, "witness: no witness has seen this ledger")
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
