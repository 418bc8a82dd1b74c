package loop

import (
	"fmt"
	"io"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// sides3 are the three sides of a revalidation block.
type sides3 struct {
	base, patched launchSpec
	leaders       []launchSpec
	inbox         map[string]worker.Opener
	patch         string
}

// threeSides renders base and patched with overlays made alike, and each comparison side's measured candidate.
func (c *campaign) threeSides(st *State, prop *ProposalState) (sides3, error) {
	repo, target, err := c.target(st)
	if err != nil {
		return sides3{}, err
	}
	diff, err := c.ledger.ReadAll(prop.Diff)
	if err != nil {
		return sides3{}, err
	}
	_, proposed, err := parseAndApply(repo, prop.BaseCommit, string(diff))
	if err != nil {
		return sides3{}, err
	}
	if proposed.ResultTree != prop.ResultTree {
		return sides3{}, fault.New(fault.Corrupt, "the diff gives tree %s, the proposal says %s", proposed.ResultTree, prop.ResultTree)
	}
	out := sides3{inbox: map[string]worker.Opener{}, patch: prop.ID}
	rows := st.Rows(compare.PhaseBlock, useMain)
	for _, side := range st.Contract.Sides() {
		cand, ok := st.Candidate(selector(rows, side.Entry).Candidate)
		if !ok {
			return sides3{}, fault.New(fault.RuleViolation, "%q has no measured candidate", side.Entry).ByRule("flow.blocks-first")
		}
		spec := launchSpec{candidate: cand, phase: string(compare.PhaseRevalidate)}
		if side.Entry != st.Contract.Target.Entry {
			out.leaders = append(out.leaders, spec)
			continue
		}
		out.base, out.patched = spec, spec
		out.patched.suffix = patchSuffix + prop.ID
	}
	if out.base.overlay, err = overlay(repo, target, prop.BaseTree, proposed, out.inbox, false); err != nil {
		return sides3{}, err
	}
	out.patched.overlay, err = overlay(repo, target, prop.ResultTree, proposed, out.inbox, true)
	return out, err
}

// overlay describes one tree's package root as a tar in the run's inbox, with what the process must have loaded.
func overlay(repo *gitops.Repo, t targetEntry, tree string, p *gitops.Proposed, inbox map[string]worker.Opener, after bool) (*worker.Overlay, error) {
	digest, err := repo.Tar(tree, t.PackageRoot, io.Discard)
	if err != nil {
		return nil, err
	}
	o := &worker.Overlay{Tree: tree, Tar: tree + ".tar", TarDigest: digest, ImportName: t.ImportName, Base: map[string]string{}, Want: map[string]string{}}
	for _, f := range p.Files {
		rel, inside := strings.CutPrefix(f.Path, strings.TrimSuffix(t.PackageRoot, "/")+"/")
		if !inside {
			continue
		}
		if f.OldSHA256 != "" {
			o.Base[rel] = f.OldSHA256
		}
		want := f.OldSHA256
		if after {
			want = f.NewSHA256
		}
		if want != "" && strings.HasSuffix(rel, ".py") {
			o.Want[rel] = want
		}
	}
	inbox[o.Tar] = func() (io.ReadCloser, error) {
		pr, pw := io.Pipe()
		go func() {
			_, err := repo.Tar(tree, t.PackageRoot, pw)
			pw.CloseWithError(err)
		}()
		return pr, nil
	}
	return o, nil
}

// revalLaunches renders every block: each side once, in random order. Base and patched carry the unseen shape in every
// block and the equality prompts in the first ones.
func (c *campaign) revalLaunches(st *State, prop *ProposalState, s sides3, blocks int) ([]worker.Launch, map[string]string, error) {
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return nil, nil, err
	}
	unseen, err := unseenScenario(st, prop)
	if err != nil {
		return nil, nil, err
	}
	byName := map[string]launchSpec{"base": s.base, "patched": s.patched}
	names := []string{"base", "patched"}
	for i, l := range s.leaders {
		name := fmt.Sprintf("leader-%d", i)
		byName[name], names = l, append(names, name)
	}
	phase := string(compare.PhaseRevalidate)
	special := map[string]string{unseen.Name: useUnseen, useEquality: useEquality}
	var out []worker.Launch
	for b := range blocks {
		for _, name := range blockOrder(st.Contract.Seed, phase+prop.ID, b, names) {
			spec := byName[name]
			spec.id, spec.block, spec.points = fmt.Sprintf("%s%s.%s.%s-%d", spec.candidate.ID, spec.suffix, prop.ID, name, b), b, points(st.Contract, phase, b)
			if name == "base" || name == "patched" {
				spec.points = append(spec.points, point(st.Contract, unseen, phase+"/unseen", b))
				if b < equalityBlocks {
					spec.points = append(spec.points, equalityPoint(st.Contract))
				}
			}
			if name == "patched" && b == blocks-1 && oneLaunchProfiles(st) {
				scenario, _ := st.Contract.Scenario(prop.Symptom.Scenario)
				spec.captures, spec.capture = captures(st.Contract, scenario), true
			}
			l, err := c.launch(st, host, spec)
			if err != nil {
				return nil, nil, err
			}
			out = append(out, l)
		}
	}
	return out, special, nil
}

// oneLaunchProfiles says whether the target's profiler can be used after the points of an ordinary launch; then the last
// patched launch carries the captures, and no launch is spent on them.
func oneLaunchProfiles(st *State) bool {
	fw, err := framework.Of(st.Contract.Target.Framework)
	if err != nil {
		return false
	}
	p := fw.Protocol(framework.Spec{}).Profile
	return p.Start != nil && !p.OneStage && !p.DirAtLaunch
}
