package loop

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// equalityBlocks is in how many blocks base and patched answer the same prompts for output digests.
const equalityBlocks = 2

// testTimeout bounds the proposal's tests on the host.
const testTimeout = 10 * time.Minute

type revalArgs struct {
	Proposal string `json:"proposal"`
	Blocks   int    `json:"blocks"`
}

// Revalidate measures base, patched and the leader in interleaved three-way blocks under the same contract.
func (l *Loop) Revalidate(ctx context.Context, campaignID, proposal string, blocks int) (Revalidation, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return Revalidation{}, err
	}
	p := st.Proposal(proposal)
	facts := &rules.Facts{Contract: st.Contract, Blocks: &rules.BlockFacts{Blocks: blocks}}
	if p == nil {
		_, err := st.waiting(proposal)
		return Revalidation{}, err
	}
	if p.Branch != nil {
		facts.Branch = p.Branch.Branch
	}
	if v := rules.Check(rules.AtRevalidate, facts); v != nil {
		return Revalidation{}, c.refuse(ctx, "revalidate", v)
	}
	if blocks == 0 {
		blocks = st.Contract.Blocks.Looks[0]
	}
	j, err := c.ensureJob(ctx, "revalidate", revalArgs{Proposal: proposal, Blocks: blocks})
	if err != nil {
		return Revalidation{}, err
	}
	answer, err := c.jobAnswer(j)
	if err != nil {
		return Revalidation{}, err
	}
	out := Revalidation{Answer: answer, Predicted: round(p.Predicted), Interval: []float64{}, Verdicts: []map[string]any{}}
	if answer.State == StateRunning {
		return out, nil
	}
	if st, err = c.state(); err != nil {
		return out, err
	}
	r := st.Proposal(proposal).Reval
	out.Verdict, out.OutputsEqual, out.Tests = r.Verdict, r.Outputs, r.Tests
	if r.Measured != nil {
		measured := round(*r.Measured)
		out.Measured = &measured
	}
	for _, end := range r.Interval {
		out.Interval = append(out.Interval, round(end))
	}
	for _, t := range r.Results {
		for _, v := range t.Result.Verdicts {
			line := verdictLine(v)
			line["family"] = t.Family
			out.Verdicts = append(out.Verdicts, line)
		}
	}
	out.Warnings = append(out.Warnings, st.marks()...)
	return out, nil
}

// sides3 are the three sides of a revalidation block.
type sides3 struct {
	base, patched launchSpec
	leaders       []launchSpec
	inbox         map[string]worker.Opener
	patch         string
}

// runRevalidation is the job: tests, blocks, output equality, unseen shapes, verdicts, a profile of the patched target.
func (c *campaign) runRevalidation(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[revalArgs](j)
	if err != nil {
		return err
	}
	st, err := c.state()
	if err != nil {
		return err
	}
	prop := st.Proposal(args.Proposal)
	if prop.Reval != nil {
		return nil
	}
	sides, err := c.threeSides(st, prop)
	if err != nil {
		return err
	}
	p.Set(0.01, "running the proposal's tests")
	tests, log, err := c.runTests(ctx, st, prop)
	if err != nil {
		return err
	}
	launches, special, err := c.revalLaunches(st, prop, sides, args.Blocks)
	if err != nil {
		return err
	}
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	err = c.execute(ctx, step{job: "revalidate/" + prop.ID, name: fmt.Sprintf("blocks/%d", args.Blocks), plan: c.plan(st, host, launches), inbox: sides.inbox,
		use: uses(launches, special), scenario: prop.Symptom.Scenario, from: 0.02, to: 0.9}, p)
	if err != nil {
		return err
	}
	if !oneLaunchProfiles(st) {
		p.Set(0.9, "profiling the patched target")
		profile := profileArgs{Candidate: sides.base.candidate.ID, Scenario: prop.Symptom.Scenario, Patch: prop.ID}
		if err := c.profile(ctx, profile, sides.patched.overlay, sides.inbox, p); err != nil {
			return err
		}
	}
	return c.endRevalidation(ctx, prop, sides, RevalidationEnded{Tests: tests, TestsLog: log}, args.Blocks)
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

// equalityPoint asks every launch the same prompts, first alone and then under load, greedily.
func equalityPoint(c *contract.Contract) worker.Point {
	slots := 2
	s := c.Scenarios[0]
	s.Name, s.NumPrompts, s.MaxConcurrency, s.RequestRate, s.Arrival, s.Temperature, s.WarmupWaves = useEquality, 10, &slots, nil, contract.ArrivalClosed, 0, 0
	p := point(c, s, useEquality, 0)
	p.Spec.WantLogprobs, p.Spec.KeepOutputs = true, true
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
	s := st.Contract.Scenarios[0]
	s.Name = "unseen"
	s.InputLen = drawLength(src, s.InputLen)
	s.OutputLen = drawLength(src, s.OutputLen)
	if s.MaxConcurrency != nil {
		slots := max(1, *s.MaxConcurrency*3/4+src.IntN(*s.MaxConcurrency/2+1))
		s.MaxConcurrency, s.NumPrompts = &slots, max(5*slots, s.NumPrompts)
	}
	return s, nil
}

// drawLength draws from half to one and a half times n, never n itself.
func drawLength(src *rand.Rand, n int) int {
	v := max(2, n/2+src.IntN(max(1, n)))
	if v == n {
		v++
	}
	return v
}

// runTests runs the proposal's tests on the host with the declared runner and says how they went, with their log.
func (c *campaign) runTests(ctx context.Context, st *State, prop *ProposalState) (string, *ledger.Artifact, error) {
	if len(prop.Tests) == 0 {
		return "none named", nil, nil
	}
	_, target, err := c.target(st)
	if err != nil {
		return "", nil, err
	}
	if len(target.TestRunner) == 0 {
		return "not run: the engine entry declares no test_runner", nil, nil
	}
	h, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return "", nil, err
	}
	client, _, err := h.worker(ctx)
	if err != nil {
		return "", nil, err
	}
	env := map[string]string{}
	maps.Copy(env, host.Env)
	out, exit, err := client.Query(ctx, append(append([]string{}, target.TestRunner...), prop.Tests...), env, testTimeout)
	if err != nil {
		return "", nil, err
	}
	log, err := c.ledger.Put("patches/"+prop.ID+".tests.log", strings.NewReader(c.loop.opt.Redact.String(out)))
	if err != nil {
		return "", nil, err
	}
	if exit != 0 {
		return fmt.Sprintf("failed: exit %d", exit), &log, nil
	}
	return "passed", &log, nil
}

// endRevalidation takes the verdicts and records predicted against measured.
func (c *campaign) endRevalidation(ctx context.Context, prop *ProposalState, sides sides3, end RevalidationEnded, blocks int) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	base := compare.Selector{Side: sides.base.candidate.Entry, Candidate: sides.base.candidate.ID}
	var leaders []compare.Selector
	for _, l := range sides.leaders {
		leaders = append(leaders, compare.Selector{Side: l.candidate.Entry, Candidate: l.candidate.ID})
	}
	if err := judgePatch(st, prop, patchedSides{base: base, leaders: leaders, blocks: blocks, read: c.ledger.ReadAll}, &end); err != nil {
		return err
	}
	return c.record(ctx, func(s *State) ([]chain.Pending, error) {
		if s.Proposal(prop.ID).Reval != nil {
			return nil, nil
		}
		var pending []chain.Pending
		for _, t := range end.Results {
			e, err := entry(kindVerdict, t)
			if err != nil {
				return nil, err
			}
			pending = append(pending, e)
		}
		e, err := entry(kindReval, end)
		return append(pending, e), err
	})
}

// patchedSides is what a revalidation compares.
type patchedSides struct {
	base    compare.Selector
	leaders []compare.Selector
	blocks  int
	read    func(ledger.Artifact) ([]byte, error)
}

// judgePatch fills in what follows from a revalidation's rows and records: verdicts, output equality, the measured gain.
func judgePatch(st *State, prop *ProposalState, s patchedSides, end *RevalidationEnded) (err error) {
	suffix := patchSuffix + prop.ID
	end.Proposal, end.Predicted, end.Interval, end.Results = prop.ID, prop.Predicted, []float64{}, nil
	if end.Equality, end.Outputs, err = equality(st, prop, suffix, s.read); err != nil {
		return err
	}
	patched := compare.Selector{Side: s.base.Side + suffix, Candidate: s.base.Candidate + suffix}
	for _, f := range []struct {
		family, use string
		against     []compare.Selector
		m           int
	}{
		{familyPatched, useMain, []compare.Selector{s.base}, len(st.Contract.Scenarios)},
		{familyCampaign, useMain, s.leaders, st.Contract.Blocks.Comparisons},
		{familyUnseen, useUnseen, []compare.Selector{s.base}, 1},
	} {
		taken, err := takeVerdict(st, prop.ID, f.family, f.use, patched, f.against, f.m, s.blocks)
		if err != nil {
			return err
		}
		end.Results = append(end.Results, taken)
	}
	measured(end, prop.Symptom.Scenario)
	return nil
}

// takeVerdict compares the patched side with others over one use of the revalidation's rows.
func takeVerdict(st *State, proposal, family, use string, target compare.Selector, against []compare.Selector, m, blocks int) (VerdictTaken, error) {
	rows := proposalRows(st, proposal, use, append([]compare.Selector{target}, against...))
	scenarios := st.Contract.Scenarios
	if use == useUnseen {
		scenarios = nil
		prop := st.Proposal(proposal)
		if s, err := unseenScenario(st, prop); err == nil {
			scenarios = []contract.Scenario{s}
		}
	}
	result, err := compare.Verdicts(rows, compare.Terms{
		Target: target, Against: against, Delta: st.Contract.Delta, Looks: st.Contract.Blocks.Looks, M: m, Phase: compare.PhaseRevalidate, Campaign: true,
		ContractDigest: st.Digest, SLA: st.Contract.SLA, Scenarios: scenarios, Effort: st.effort(),
	})
	if err != nil {
		return VerdictTaken{}, fault.Wrap(fault.InvalidInput, err, "the revalidation's rows cannot be compared (%s)", family)
	}
	return VerdictTaken{Look: blocks, Phase: string(compare.PhaseRevalidate), Family: family, Result: result, Rows: len(rows), Digest: rowsDigest(rows), Proposal: proposal}, nil
}

// proposalRows are one revalidation's rows of the given sides.
func proposalRows(st *State, proposal, use string, sides []compare.Selector) []compare.Row {
	var out []compare.Row
	for _, r := range st.Rows(compare.PhaseRevalidate, use) {
		for _, s := range sides {
			if r.Side == s.Side && r.CandidateID == s.Candidate && strings.Contains(r.LaunchID, "."+proposal+".") {
				out = append(out, r)
			}
		}
	}
	return out
}

// measured reads gain, interval and verdict of the patched family off the symptom's scenario.
func measured(end *RevalidationEnded, scenario string) {
	for _, t := range end.Results {
		if t.Family != familyPatched {
			continue
		}
		for _, v := range t.Result.Verdicts {
			if v.Scenario != scenario {
				continue
			}
			end.Verdict = string(v.Verdict)
			lower := contract.LowerIsBetter(v.Metric)
			if v.Ratio != nil {
				g := gain(*v.Ratio, lower)
				end.Measured = &g
			}
			if v.Interval != nil {
				end.Interval = []float64{gain(v.Interval[0], lower), gain(v.Interval[1], lower)}
				if lower {
					end.Interval[0], end.Interval[1] = end.Interval[1], end.Interval[0]
				}
			}
		}
	}
}

// gain is a ratio's improvement, as ratio − 1.
func gain(ratio float64, lowerIsBetter bool) float64 {
	if lowerIsBetter {
		return 1/ratio - 1
	}
	return ratio - 1
}

// equality counts requests whose output digests differ: between two launches of the base, and between base and patched.
func equality(st *State, prop *ProposalState, suffix string, read func(ledger.Artifact) ([]byte, error)) (Equality, string, error) {
	base, patched := [][]string{}, [][]string{}
	for _, p := range st.Points {
		if p.Use != useEquality || p.Records == nil || !strings.Contains(p.Row.LaunchID, "."+prop.ID+".") {
			continue
		}
		digests, err := outputs(*p.Records, read)
		if err != nil {
			return Equality{}, "", err
		}
		if strings.HasSuffix(p.Row.Side, suffix) {
			patched = append(patched, digests)
		} else {
			base = append(base, digests)
		}
	}
	if len(base) < 2 || len(patched) < 1 {
		return Equality{}, "not_measured", nil
	}
	e := Equality{Requests: len(base[0])}
	e.BaseBase = differing(base[0], base[1])
	worst := 0
	for _, b := range base {
		for _, p := range patched {
			worst = max(worst, differing(b, p))
			e.Comparisons++
		}
	}
	e.BasePatched = worst
	if worst > e.BaseBase {
		return e, "differ", nil
	}
	return e, "equal", nil
}

// outputs reads the output digests of measured requests, by index.
func outputs(a ledger.Artifact, read func(ledger.Artifact) ([]byte, error)) ([]string, error) {
	raw, err := read(a)
	if err != nil {
		return nil, err
	}
	rec, err := bench.ReadRecords(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range rec.Records {
		if r.Role != bench.RoleWarmup {
			out = append(out, fmt.Sprintf("%d %s", r.Index, r.Digest))
		}
	}
	return out, nil
}

func differing(a, b []string) int {
	n := 0
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			n++
		}
	}
	return n
}
