package loop

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// humanPoll is how often a waiting proposal looks for its approval.
const humanPoll = 200 * time.Millisecond

type proposalArgs struct {
	Proposal string `json:"proposal"`
}

// Propose checks evidence, then the patch, applies it exactly in memory and records our own rendering of it. Its job
// waits for the human. The same diff again is the same proposal.
func (l *Loop) Propose(ctx context.Context, r ProposeRequest) (Proposal, error) {
	c, st, err := l.open(r.Campaign)
	if err != nil {
		return Proposal{}, err
	}
	if err := legible(r); err != nil {
		return Proposal{}, err
	}
	repo, target, err := c.target(st)
	if err != nil {
		return Proposal{}, err
	}
	head, err := repo.Head()
	if err != nil {
		return Proposal{}, err
	}
	r.Rows = unique(r.Rows)
	facts := &rules.Facts{Contract: st.Contract, Verdicts: st.verdictFacts(), Patch: &rules.PatchFacts{Gain: r.PredictedGain, Elsewhere: r.Elsewhere},
		Words: []rules.Words{{Field: "rationale", Text: r.Rationale}, {Field: "elsewhere", Text: r.Elsewhere}}}
	var cited []foundRow
	facts.Evidence, cited = c.evidenceFacts(st, repo, head.Commit, target, r)
	if v := evidenceViolation(facts); v != nil {
		return Proposal{}, c.refuse(ctx, "propose_patch", v)
	}
	patch, proposed, err := parseAndApply(repo, head.Commit, r.Diff)
	if err != nil {
		return Proposal{}, c.refusedFault(ctx, "propose_patch", err)
	}
	digest := contract.Digest(proposed.Diff)
	if p := st.proposalOf(digest); p != nil {
		out, err := c.proposalAnswer(ctx, st, p)
		out.Warnings = append(out.Warnings, otherWords(p, r)...)
		return out, err
	}
	facts.Patch.Tests, facts.Patch.Beside = r.Tests, besidePackage(proposed, target.PackageRoot)
	facts.Patch.Paths, facts.Patch.ChangedTests, facts.Patch.MissingTests = patch.Paths(), changedTests(proposed), missingTests(repo, proposed.ResultTree, r.Tests)
	facts.Patch.Unlicensed, facts.Patch.Borrowed = provenance(string(proposed.Diff))
	facts.Patch.TouchesCited = touches(patch.Paths(), r.Location, target.PackageRoot)
	facts.Patch.OpenProposals = st.openProposals()
	if facts.Evidence.Was, facts.Evidence.Now, err = c.hostThenAndNow(ctx, st, cited); err != nil {
		return Proposal{}, err
	}
	if v := rules.Check(rules.AtPropose, facts); v != nil {
		return Proposal{}, c.refuse(ctx, "propose_patch", v)
	}
	if err := c.sameAsInstalled(ctx, st, repo, head.Commit, target, proposed); err != nil {
		return Proposal{}, c.refusedFault(ctx, "propose_patch", err)
	}
	p, err := c.recordProposal(ctx, st, repo, r, proposed, cited, digest)
	if err != nil {
		return Proposal{}, err
	}
	return c.proposalAnswer(ctx, st, p)
}

// evidenceViolation checks the evidence rules before the patch is looked at, so that made-up evidence is refused as such.
func evidenceViolation(f *rules.Facts) *rules.Violation {
	patch := f.Patch
	f.Patch = &rules.PatchFacts{TouchesCited: true, Gain: 1}
	v := rules.Check(rules.AtPropose, f)
	f.Patch = patch
	return v
}

// refusedFault records a refusal that another room made (patch.paths and the like) and gives it on.
func (c *campaign) refusedFault(ctx context.Context, tool string, err error) error {
	f, ok := fault.As(err)
	if !ok || f.Rule == "" {
		return err
	}
	if perr := c.put(ctx, kindRefused, RuleRefused{Tool: tool, Rule: f.Rule, What: f.Message}); perr != nil {
		c.loop.opt.Log.Warn("record refusal", "campaign", c.id, "err", perr)
	}
	return err
}

func parseAndApply(repo *gitops.Repo, base, diff string) (*gitops.Patch, *gitops.Proposed, error) {
	patch, err := gitops.ParsePatch([]byte(diff))
	if err != nil {
		return nil, nil, err
	}
	proposed, err := repo.Propose(base, patch)
	return patch, proposed, err
}

// evidenceFacts resolves what a proposal cites.
func (c *campaign) evidenceFacts(st *State, repo *gitops.Repo, base string, target targetEntry, r ProposeRequest) (*rules.EvidenceFacts, []foundRow) {
	f := &rules.EvidenceFacts{Stage: r.Stage, Location: r.Location, Scenario: r.Symptom.Scenario, Metric: r.Symptom.Metric, BaseCommit: base,
		HostSimulated: st.Contract.Host.Simulated, Measured: st.measured(r.Symptom.Scenario)}
	measured := st.measuredCandidates()
	var cited []foundRow
	for _, id := range r.Rows {
		row, ok := c.findRow(st, id)
		fact := rules.RowFact{ID: id, Found: ok}
		if ok {
			cited = append(cited, row)
			fact.Stage, fact.Share, fact.Candidate, fact.Entry = row.stage, row.share, row.trace.Candidate, row.trace.Entry
			fact.Commit, fact.Simulated, fact.Mapping, fact.Scenario = row.trace.Commit, row.trace.Simulated, row.trace.Mapping, row.trace.Scenario
			fact.Mapped, fact.OnCPU, fact.Paired = row.mapped, row.onCPU, row.tables.Mapping != ""
			fact.Target = row.trace.Entry == st.Contract.Target.Entry && row.trace.Patch == "" && !row.trace.Mapping && slices.Contains(measured, row.trace.Candidate)
			for _, l := range row.locations {
				fact.Locations = append(fact.Locations, fmt.Sprintf("%s:%d %s", l.Path, l.Line, l.Func))
				fact.Paths = append(fact.Paths, relative(l.Path))
			}
		}
		f.Rows = append(f.Rows, fact)
	}
	f.RequestMS, f.TTFTMS = c.requestTimes(st, r.Symptom.Scenario)
	f.LocationExists = locationExists(repo, base, target.PackageRoot, r.Location)
	return f, cited
}

// hostThenAndNow is the host as the cited traces of the target and the contract have it, and as it is, by what evidence is
// bound to.
func (c *campaign) hostThenAndNow(ctx context.Context, st *State, cited []foundRow) (was, now map[string]string, err error) {
	h, _, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return nil, nil, err
	}
	facts, gpus, _, err := h.probe(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	model, driver, _, _ := gpuFacts(gpus, st.Contract.Host.GPUs)
	now = map[string]string{"boot": facts.BootID, "driver": driver, "GPU": model}
	was = map[string]string{"driver": st.Contract.Host.Driver, "GPU": st.Contract.Host.GPUModel}
	for _, row := range cited {
		if boot := row.trace.BootID; row.trace.Entry == st.Contract.Target.Entry && boot != "" && (was["boot"] == "" || boot != facts.BootID) {
			was["boot"] = boot
		}
	}
	return was, now, nil
}

// locationExists says whether path:line is in the base commit, with or without the package root in front.
func locationExists(repo *gitops.Repo, base, root, location string) bool {
	file, line, ok := strings.Cut(location, ":")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(line, " ", 2)[0]))
	if !ok || err != nil || n < 1 {
		return false
	}
	for _, candidate := range []string{file, path.Join(path.Dir(root), file), path.Join(root, file)} {
		if raw, err := repo.Blob(base, candidate); err == nil {
			return n <= strings.Count(string(raw), "\n")+1
		}
	}
	return false
}

// touches says whether the diff changes the cited location's file.
func touches(paths []string, location, root string) bool {
	file, _, _ := strings.Cut(location, ":")
	for _, p := range paths {
		if p == file || p == path.Join(path.Dir(root), file) || p == path.Join(root, file) {
			return true
		}
	}
	return false
}

// requestTimes are how long one request keeps the target busy in each stage, in milliseconds, as its analysed formal traces
// of a scenario have it, and the median of its time to the first token in the blocks, 0 where none was measured.
func (c *campaign) requestTimes(st *State, scenario string) (busy map[string]float64, ttft float64) {
	busy = map[string]float64{}
	measured := st.measuredCandidates()
	for _, t := range st.Traces {
		if t.Scenario != scenario || t.Entry != st.Contract.Target.Entry || t.Mapping || t.Patch != "" || !slices.Contains(measured, t.Candidate) {
			continue
		}
		a, err := c.analysis(st, t.ID)
		if err != nil {
			continue // not analysed, and so not measured
		}
		for _, s := range a.Stages {
			if s.Stage != t.Stage || s.Steps == 0 || t.Batch == 0 {
				continue
			}
			step := max(s.BusyUS, s.WallUS) / float64(s.Steps) / 1000
			if busy[s.Stage] = step / float64(t.Batch); s.Stage == "decode" {
				sc, _ := st.Contract.Scenario(scenario)
				busy[s.Stage] *= float64(sc.OutputLen)
			}
		}
	}
	var seen []float64
	for _, r := range st.Rows(compare.PhaseBlock, useMain) {
		if v, ok := r.Metrics.Get("p50_ttft_ms"); ok && r.Side == st.Contract.Target.Entry && r.Workload.Scenario == scenario {
			seen = append(seen, v)
		}
	}
	if len(seen) > 0 {
		ttft = stats.Quantile(seen, 0.5)
	}
	return busy, ttft
}

// measured lists the metrics that rows of a scenario hold.
func (s *State) measured(scenario string) []string {
	seen := map[string]bool{}
	for _, r := range s.Rows("block", useMain) {
		if r.Workload.Scenario == scenario {
			for m := range r.Metrics {
				seen[m] = true
				seen[strings.TrimPrefix(strings.TrimPrefix(m, "p50_"), "mean_")] = true
			}
		}
	}
	return sortedKeys(seen)
}

// measuredCandidates are the target's candidates that the blocks hold.
func (s *State) measuredCandidates() []string {
	var out []string
	for _, r := range s.Rows("block", useMain) {
		if r.Side == s.Contract.Target.Entry && !slices.Contains(out, r.CandidateID) {
			out = append(out, r.CandidateID)
		}
	}
	return out
}

// changedTests lists existing test files that the diff changes or deletes. Lines that are only added count too: one that
// skips a module, or defines a test again below, undoes what was expected.
func changedTests(p *gitops.Proposed) []string {
	var out []string
	for _, f := range p.Files {
		if f.OldBlob != "" && isTest(f.Path) {
			out = append(out, f.Path)
		}
	}
	return out
}

// missingTests are the named tests that are no test files of the patched tree.
func missingTests(repo *gitops.Repo, tree string, ids []string) []string {
	var out []string
	for _, id := range ids {
		file, _, _ := strings.Cut(id, "::")
		if there, err := repo.FileExists(tree, file); err != nil || !there || !isTest(file) || path.Ext(file) != ".py" {
			out = append(out, id)
		}
	}
	return out
}

// isTest says whether a path is a test's by its name or by the folder it lies in.
func isTest(file string) bool {
	base := path.Base(file)
	inTests := slices.ContainsFunc(strings.Split(path.Dir(file), "/"), func(dir string) bool { return dir == "test" || dir == "tests" })
	return inTests || strings.HasPrefix(base, "test_") || strings.HasSuffix(base, "_test.py") || strings.HasSuffix(base, "_test.go")
}

// proposalOf is the proposal of a diff; a rejected one is over, and the same diff may be proposed again with an answer to
// the reason.
func (s *State) proposalOf(digest string) *ProposalState {
	for _, p := range s.Proposals {
		if p.Digest == digest && p.decision() != "reject" {
			return p
		}
	}
	return nil
}

// openProposals are those that are neither rejected nor revalidated.
func (s *State) openProposals() []string {
	var out []string
	for _, p := range s.Proposals {
		if st := p.State(); st != "rejected" && st != "revalidated" {
			out = append(out, p.ID)
		}
	}
	return out
}

// sameAsInstalled demands that every touched file of the installed package equals the base commit's blob: what was
// measured is what is patched.
func (c *campaign) sameAsInstalled(ctx context.Context, st *State, repo *gitops.Repo, base string, target targetEntry, p *gitops.Proposed) error {
	var files []string
	want := map[string]string{}
	for _, f := range p.Files {
		rel, inside := strings.CutPrefix(f.Path, strings.TrimSuffix(target.PackageRoot, "/")+"/")
		if !inside || f.OldBlob == "" {
			continue
		}
		files, want[rel] = append(files, rel), f.OldSHA256
	}
	if len(files) == 0 {
		return nil
	}
	h, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	eng, _, err := engineOf(host, st.Contract.Target.Entry)
	if err != nil {
		return err
	}
	client, _, err := h.worker(ctx)
	if err != nil {
		return err
	}
	got, err := client.ReadInstalled(ctx, eng, files)
	if err != nil {
		return err
	}
	for _, f := range files {
		if got[f] != want[f] {
			return fault.New(fault.RuleViolation, "%q in the installed package is not what commit %.12s holds", f, base).ByRule("patch.same-build").
				At("diff", f).Hint("the engineer brings checkout and installed package to the same commit; measure again after that")
		}
	}
	return nil
}

// weigh fills in what follows from the cited rows: the tables that hold them, the share of the stage, the ceiling.
func weigh(st *State, cited []foundRow, rec *PatchProposed) {
	var facts []rules.RowFact
	rec.Evidence = []string{}
	for _, row := range cited {
		facts = append(facts, rules.RowFact{ID: row.id, Share: row.share, Target: row.trace.Entry == st.Contract.Target.Entry && !row.trace.Mapping})
		if d := row.tables.Tables.SHA256; !slices.Contains(rec.Evidence, d) {
			rec.Evidence = append(rec.Evidence, d)
		}
	}
	rec.Share = min(rules.UnionShare(facts), 0.999)
	rec.Ceiling = 1/(1-rec.Share) - 1
}

// recordProposal writes the diff's artifacts and patch.proposed.
func (c *campaign) recordProposal(ctx context.Context, st *State, repo *gitops.Repo, r ProposeRequest, p *gitops.Proposed, cited []foundRow, digest string) (*ProposalState, error) {
	root, err := repo.RootCommit(p.BaseCommit)
	if err != nil {
		return nil, err
	}
	files, err := json.Marshal(p.Files)
	if err != nil {
		return nil, err
	}
	verdict, _ := st.LastVerdict("block", familyCampaign)
	rec := PatchProposed{
		BaseCommit: p.BaseCommit, BaseTree: p.BaseTree, RootCommit: root.Commit, ResultTree: p.ResultTree, Digest: digest, Files: files, Stage: r.Stage,
		Location: r.Location, Symptom: r.Symptom, Rows: r.Rows, Verdict: verdict.Digest, Predicted: r.PredictedGain, Rationale: r.Rationale,
		Elsewhere: r.Elsewhere, Tests: append([]string{}, r.Tests...), Findings: []string{}, Evidence: []string{},
	}
	for _, f := range append(p.Findings, suspects(string(p.Diff), st.Contract)...) {
		rec.Findings = append(rec.Findings, strings.TrimSpace(fmt.Sprintf("%s %s:%d %s", f.Rule, f.Path, f.Line, f.What)))
	}
	weigh(st, cited, &rec)
	if r.PredictedGain > rec.Ceiling {
		rec.Findings = append(rec.Findings, fmt.Sprintf("patch.predicted the predicted gain of %.1f %% is above the evidence's ceiling of %.1f %% of stage step time", 100*r.PredictedGain, 100*rec.Ceiling))
	}
	var refused *rules.Violation
	err = c.record(ctx, func(s *State) ([]chain.Pending, error) {
		if s.proposalOf(digest) != nil {
			return nil, nil
		}
		rec.ID = fmt.Sprintf("patch-%d", len(s.Proposals)+1)
		if refused, err = c.sizeAndBranch(s, p, &rec); err != nil || refused != nil {
			return nil, err
		}
		if rec.Diff, err = c.ledger.Put("patches/"+rec.ID+".diff", strings.NewReader(string(p.Diff))); err != nil {
			return nil, err
		}
		if rec.Given, err = c.ledger.Put("patches/"+rec.ID+".given.diff", strings.NewReader(r.Diff)); err != nil {
			return nil, err
		}
		e, err := entry(kindProposed, rec)
		return []chain.Pending{e}, err
	})
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, c.refuse(ctx, "propose_patch", refused)
	}
	now, err := c.state()
	if err != nil {
		return nil, err
	}
	return now.proposalOf(digest), nil
}

// sizeAndBranch names the proposal's branch as the frozen policy says, and holds both against the policy in force.
func (c *campaign) sizeAndBranch(s *State, p *gitops.Proposed, rec *PatchProposed) (*rules.Violation, error) {
	f, err := c.force(s)
	if err != nil {
		return nil, err
	}
	lines := 0
	for _, file := range p.Files {
		lines += file.AddedLines + file.RemovedLines
	}
	rec.Branch = f.Frozen.BranchName(c.id, rec.ID)
	facts, findings := patchFacts(f, c.id, rec.ID, rec.Branch, lines, len(p.Files))
	rec.Findings = append(rec.Findings, findings...)
	return rules.Check(rules.AtPolicy, &rules.Facts{Contract: s.Contract, Policy: append(facts, readOnlyFact(f, "propose_patch"))}), nil
}

// proposalAnswer gives a proposal with the job that waits for the human.
func (c *campaign) proposalAnswer(ctx context.Context, st *State, p *ProposalState) (Proposal, error) {
	j, err := c.ensureJob(ctx, "propose_patch", proposalArgs{Proposal: p.ID})
	if err != nil {
		return Proposal{}, err
	}
	diff, err := c.ledger.ReadAll(p.Diff)
	if err != nil {
		return Proposal{}, err
	}
	text, cut := string(diff), ""
	if len(text) > answerWords {
		end := strings.LastIndexByte(text[:answerWords], '\n') + 1
		cut = fmt.Sprintf("the diff is cut after %d of %d bytes; all of it is in %s", end, len(text), c.ledger.Path(p.Diff.Name))
		text = text[:end]
	}
	out := Proposal{Proposal: p.ID, Digest: p.Digest, BaseCommit: p.BaseCommit, ResultTree: p.ResultTree, Diff: text, Findings: p.Findings, Approve: c.approveCommand(p.ID)}
	out.Evidence = append(append([]string{}, p.Rows...), stored(p.Diff))
	if out.Warnings = append(out.Warnings, st.marks()...); cut != "" {
		out.Warnings = append(out.Warnings, cut)
	}
	out.State, out.Job = StateRunning, j.Job
	out.Next = []fault.Next{{Tool: "wait_job", Why: "the job ends when the engineer has decided; they run: " + out.Approve}}
	if j.End != nil {
		out.State, out.Next = StateDone, []fault.Next{{Tool: "apply_patch_branch", Why: "the proposal is " + p.State()}}
	}
	return out, nil
}

func (c *campaign) approveCommand(proposal string) string {
	return fmt.Sprintf(c.loop.opt.ApproveCommand, c.id, proposal)
}

// awaitHuman is the job: it ends when a decision that verifies is in the ledger.
func (c *campaign) awaitHuman(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[proposalArgs](j)
	if err != nil {
		return err
	}
	for {
		st, err := c.state()
		if err != nil {
			return err
		}
		prop := st.Proposal(args.Proposal)
		if prop == nil {
			return fault.New(fault.NotFound, "no proposal %q", args.Proposal)
		}
		doing := "waiting for a human: " + c.approveCommand(prop.ID)
		facts := c.approvalFacts(st, prop)
		switch {
		case facts.Decision == "reject":
			return fault.New(fault.Denied, "%s was rejected: %s", prop.ID, facts.Reason).ByRule("patch.approved").
				Hint("answer the reason with another proposal, or report").Then("propose_patch", "a new proposal").Then("write_report", "end here")
		case facts.Decision == "approve" && facts.Problem == "":
			return nil
		case facts.Decision == "approve":
			doing += "; the recorded approval does not hold: " + short(facts.Problem, 300)
		}
		p.Set(0, doing)
		if err := pause(ctx, humanPoll); err != nil {
			return err
		}
	}
}
