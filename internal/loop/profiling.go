package loop

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// The profiling window, equal for every framework of a comparison.
const (
	profileWarmup = 10
	profileSteps  = 5
	decodeWarmup  = 1 // requests; the steps before the window are the answers' own
	phaseProfile  = "profile"
)

// profileArgs are a capture job's arguments.
type profileArgs struct {
	Candidate string `json:"candidate"`
	Scenario  string `json:"scenario"`
	Mapping   bool   `json:"mapping"`
	Patch     string `json:"patch,omitempty"`
}

// CaptureProfile captures prefill and decode apart, at the scenario's lengths.
func (l *Loop) CaptureProfile(ctx context.Context, r ProfileRequest) (Profile, error) {
	c, st, err := l.open(r.Campaign)
	if err != nil {
		return Profile{}, err
	}
	f := &rules.Facts{Contract: st.Contract, Blocks: st.blockFacts([]string{r.Scenario}, 0, []string{r.Candidate}), Verdicts: st.verdictFacts()}
	if v := rules.Check(rules.AtProfile, f); v != nil {
		return Profile{}, c.refuse(ctx, "capture_profile", v)
	}
	args := profileArgs{Candidate: r.Candidate, Scenario: r.Scenario, Mapping: r.Mapping}
	j, err := c.ensureJob(ctx, "capture_profile", args)
	if err != nil {
		return Profile{}, err
	}
	answer, err := c.jobAnswer(j)
	if err != nil || answer.State == StateRunning {
		return Profile{Answer: answer, Traces: []TraceView{}}, err
	}
	if st, err = c.state(); err != nil {
		return Profile{}, err
	}
	out := Profile{Answer: answer, Traces: traceViews(st, args)}
	for _, t := range out.Traces {
		out.Evidence = append(out.Evidence, t.Trace+"@"+t.Digest[:16])
	}
	out.Warnings = append(out.Warnings, st.marks()...)
	return out, nil
}

func traceViews(st *State, args profileArgs) []TraceView {
	out := []TraceView{}
	for _, t := range st.Traces {
		if t.Candidate == args.Candidate && t.Scenario == args.Scenario && t.Mapping == args.Mapping && t.Patch == args.Patch {
			out = append(out, TraceView{Trace: t.ID, Candidate: t.Candidate, Stage: t.Stage, Rank: t.Rank, Digest: t.File.SHA256})
		}
	}
	return out
}

// runProfile is the job.
func (c *campaign) runProfile(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[profileArgs](j)
	if err != nil {
		return err
	}
	return c.profile(ctx, args, nil, nil, p)
}

// profile captures both stages of a candidate: in one launch, or in one each where the engine fixes its trace's name at
// the first start.
func (c *campaign) profile(ctx context.Context, args profileArgs, overlay *worker.Overlay, inbox map[string]worker.Opener, p *jobs.Progress) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	cand, ok := st.Candidate(args.Candidate)
	if !ok {
		return fault.New(fault.NotFound, "no candidate %q", args.Candidate)
	}
	s, _ := st.Contract.Scenario(args.Scenario)
	spec := launchSpec{candidate: cand, phase: phaseProfile, capture: true, overlay: overlay}
	if overlay != nil {
		spec.suffix = patchSuffix + args.Patch
	}
	if args.Mapping {
		if spec.candidate.Flags, err = eager(cand, st); err != nil {
			return err
		}
	}
	launches, err := c.captureLaunches(st, spec, args, captures(st.Contract, s))
	if err != nil {
		return err
	}
	name := strings.Join([]string{"profile", args.Candidate, args.Scenario, args.Patch, fmt.Sprint(args.Mapping)}, "/")
	err = c.execute(ctx, step{job: phaseProfile, name: name, plan: c.plan(st, host, launches), inbox: inbox, use: map[string]string{}, scenario: args.Scenario, from: 0, to: 1}, p)
	if err != nil {
		return err
	}
	if st, err = c.state(); err != nil {
		return err
	}
	return captureFailure(st, launches, traceViews(st, args))
}

// captures are the two stages at a scenario's lengths: prefill is input → 1 token, decode is 1 → output tokens.
func captures(c *contract.Contract, s contract.Scenario) []worker.Capture {
	batch := 1
	if s := standIn(s); s.MaxConcurrency != nil {
		batch = *s.MaxConcurrency
	}
	seed := bench.MixSeed(c.Seed, phaseProfile, s.Name, 0)
	return []worker.Capture{
		{ID: "prefill", Stage: "prefill", InputLen: s.InputLen, OutputLen: 1, Batch: 1, Warmup: profileWarmup, Steps: profileSteps, Seed: seed, Vocab: vocabulary(c)},
		{ID: "decode", Stage: "decode", InputLen: 1, OutputLen: max(s.OutputLen, 4*profileSteps), Batch: batch, Warmup: decodeWarmup, Steps: profileSteps, Seed: seed + 1, Vocab: vocabulary(c)},
	}
}

// captureFacts are what rules ask about a planned profile.
func captureFacts(c *contract.Contract, entry string, s contract.Scenario, l worker.Launch) *rules.Facts {
	f := &rules.CaptureFacts{Entry: entry, Endpoint: l.Protocol.Profile.Start != nil, Scenario: s, Windows: map[string]rules.WindowFact{
		"prefill": {Warmup: profileWarmup, Steps: profileSteps}, "decode": {Warmup: decodeWarmup, Steps: profileSteps},
	}}
	for _, x := range l.Captures {
		f.Stages = append(f.Stages, rules.StageFact{Stage: x.Stage, InputLen: x.InputLen, OutputLen: x.OutputLen, Warmup: x.Warmup, Steps: x.Steps})
	}
	return &rules.Facts{Contract: c, Capture: f}
}

// captureLaunches renders one launch, or one a stage.
func (c *campaign) captureLaunches(st *State, spec launchSpec, args profileArgs, stages []worker.Capture) ([]worker.Launch, error) {
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return nil, err
	}
	base := strings.Join([]string{args.Candidate + spec.suffix, phaseProfile, args.Scenario}, ".")
	spec.id, spec.captures = base+mappingOf(args), stages
	l, err := c.launch(st, host, spec)
	if err != nil {
		return nil, err
	}
	scenario, _ := st.Contract.Scenario(args.Scenario)
	if v := rules.Check(rules.AtCapture, captureFacts(st.Contract, spec.candidate.Entry, scenario, l)); v != nil {
		return nil, v.Fault()
	}
	if !l.Protocol.Profile.OneStage {
		return []worker.Launch{l}, nil
	}
	var out []worker.Launch
	for _, stage := range stages {
		spec.id, spec.captures = base+"."+stage.Stage+mappingOf(args), []worker.Capture{stage}
		l, err := c.launch(st, host, spec)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// mappingSuffix marks the launches of mapping traces.
const mappingSuffix = ".mapping"

func mappingOf(args profileArgs) string {
	if args.Mapping {
		return mappingSuffix
	}
	return ""
}

// captureFailure says why no trace came of the launches.
func captureFailure(st *State, launches []worker.Launch, got []TraceView) error {
	if len(got) > 0 {
		return nil
	}
	for _, l := range st.Launches {
		for _, want := range launches {
			if l.Launch == want.ID && l.Failure != nil {
				return fault.New(fault.FrameworkFailed, "no trace was captured: %s", fault.Foreign(l.Failure.Reason, 300)).Hint("the launch's log is in benchmark/logs; call again after mending the cause")
			}
		}
	}
	return fault.New(fault.FrameworkFailed, "no trace was captured").Hint("look into benchmark/logs of this campaign")
}

// eager turns CUDA graphs off for a mapping trace, which says where kernels come from and never how long they take.
func eager(cand CandidateAdded, st *State) (map[string]any, error) {
	side, ok := st.Contract.Side(baseEntry(cand.Entry))
	if !ok {
		return nil, fault.New(fault.NotFound, "no side %q", cand.Entry)
	}
	flags, err := framework.EagerFlags(side.Framework)
	if err != nil {
		return nil, err
	}
	for k, v := range cand.Flags {
		if _, set := flags[k]; !set {
			flags[k] = v
		}
	}
	return flags, nil
}

// keepTraces fetches a capture's trace files, but for large ones, and records each.
func (c *campaign) keepTraces(ctx context.Context, client *worker.Client, in *intake, l *launchSoFar, e worker.Event) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	commit := ""
	if l.spec.Overlay != nil || baseEntry(l.spec.Entry) == st.Contract.Target.Entry {
		if commit, err = c.targetCommit(st); err != nil {
			return err
		}
	}
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	for i, f := range e.Files {
		if f.Role != "trace" {
			continue
		}
		name := fmt.Sprintf("profiles/%s/%s/%s", l.spec.ID, e.Capture, path.Base(f.Name))
		if st.traceOf(name) {
			continue
		}
		file := TraceFile{Artifact: ledger.Artifact{Name: name, SHA256: f.SHA256, Size: f.Size}, OnHost: f.Size > host.MaxTrace()}
		if !file.OnHost {
			if file.Artifact, err = c.fetch(ctx, client, in.plan.RunID, f, name); err != nil {
				return err
			}
		}
		if st, err = c.state(); err != nil {
			return err
		}
		t := traceRecord(st, in, l, e, commit)
		t.ID, t.File, t.Rank = fmt.Sprintf("trace-%d", len(st.Traces)+1), file, i
		t.Run, t.HostFile = in.plan.RunID, f.Name
		if err := c.once(ctx, kindTrace, t.ID, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) traceOf(name string) bool {
	for _, t := range s.Traces {
		if t.File.Name == name {
			return true
		}
	}
	return false
}

// traceRecord says what was traced.
func traceRecord(st *State, in *intake, l *launchSoFar, e worker.Event, commit string) TraceCaptured {
	t := TraceCaptured{
		Candidate: baseCandidate(l.spec.Candidate), Entry: baseEntry(l.spec.Entry), Launch: l.spec.ID, Stage: e.Capture, Commit: commit,
		Simulated: st.Contract.Host.Simulated, Mapping: strings.HasSuffix(l.spec.ID, mappingSuffix), Scenario: in.step.scenario,
	}
	if _, patch, ok := strings.Cut(l.spec.Candidate, patchSuffix); ok {
		t.Patch = patch
	}
	if e.Proc != nil {
		t.BootID = e.Proc.BootID
	}
	if l.spec.Overlay != nil {
		t.Tree = l.spec.Overlay.Tree
	}
	for _, x := range l.spec.Captures {
		if x.ID == e.Capture {
			t.Stage, t.InputLen, t.OutputLen, t.Batch = x.Stage, x.InputLen, x.OutputLen, x.Batch
		}
	}
	return t
}

// verdictFacts are the newest look's verdicts for the rules.
func (s *State) verdictFacts() []rules.VerdictFact {
	v, ok := s.LastVerdict("block", familyCampaign)
	if !ok {
		return nil
	}
	var out []rules.VerdictFact
	for _, x := range v.Result.Verdicts {
		out = append(out, rules.VerdictFact{Scenario: x.Scenario, Metric: x.Metric, Verdict: string(x.Verdict), Against: x.Against, Reason: x.Reason})
	}
	return out
}

// target opens the target's checkout.
func (c *campaign) target(st *State) (*gitops.Repo, targetEntry, error) {
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return nil, targetEntry{}, err
	}
	_, e, err := engineOf(host, st.Contract.Target.Entry)
	if err != nil {
		return nil, targetEntry{}, err
	}
	if e.Checkout == "" {
		return nil, targetEntry{}, fault.New(fault.InvalidInput, "engine entry %q has no checkout", st.Contract.Target.Entry).
			Hint("add checkout, package_root and import_name to the entry in hosts.yaml")
	}
	checkout := e.Checkout
	if below, ok := strings.CutPrefix(checkout, "~/"); ok {
		checkout = filepath.Join(c.loop.opt.UserHome, below)
	}
	repo, err := gitops.Open(checkout)
	return repo, targetEntry{Checkout: e.Checkout, PackageRoot: e.PackageRoot, ImportName: e.ImportName, TestRunner: e.TestRunner, Venv: e.Venv, Command: e.Command}, err
}

// targetCommit is the commit that the target's checkout stands at; empty where the entry has none.
func (c *campaign) targetCommit(st *State) (string, error) {
	repo, _, err := c.target(st)
	if fault.CodeOf(err) == fault.InvalidInput && repo == nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	head, err := repo.Head()
	return head.Commit, err
}

// targetEntry is what the target's inventory entry says about its source.
type targetEntry struct {
	Checkout, PackageRoot, ImportName, Venv, Command string
	TestRunner                                       []string
}
