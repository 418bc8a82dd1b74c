package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/trace"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// This file gives what a ledger's entries must say because of the entries and artifacts before them. It is how
// internal/verify computes a campaign again without a copy of its formulas.

// mostAttempts bounds how often a lost run is looked for under another number.
const mostAttempts = 1000

// ReadArtifact gives an artifact's bytes.
type ReadArtifact func(ledger.Artifact) ([]byte, error)

// Walk shows visit every entry with the state before it. That state goes on changing: visit must not keep it.
func Walk(entries []chain.Entry, visit func(before *State, e chain.Entry) error) error {
	s, err := Replay(nil)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if err := visit(s, e); err != nil {
			return fmt.Errorf("ledger entry %d (%s): %w", e.Seq, e.Kind, err)
		}
		if err := s.apply(e); err != nil {
			return fmt.Errorf("ledger entry %d (%s): %w", e.Seq, e.Kind, err)
		}
		s.Entries = i + 1
		s.follow(e)
	}
	return nil
}

// Decode reads an entry's payload strictly into its type: unknown, missing, repeated and misspelt fields are refused. A
// field that a later release adds to a payload must carry omitempty, or older ledgers would be refused here.
func Decode(e chain.Entry) (any, error) {
	p := payloadOf(e.Kind)
	if p == nil {
		return nil, fmt.Errorf("unknown kind %q", e.Kind)
	}
	return p, chain.Strict(e.Payload, p)
}

// payloadOf gives an empty payload of a kind, nil for an unknown one.
func payloadOf(kind string) any {
	switch kind {
	case kindContract:
		return &ContractFrozen{}
	case kindJob:
		return &JobStarted{}
	case kindJobEnded:
		return &JobEnded{}
	case kindHelp:
		return &HelpCaptured{}
	case kindCandidate:
		return &CandidateAdded{}
	case kindRun:
		return &RunPlanned{}
	case kindRunEnded:
		return &RunEnded{}
	case kindLaunch:
		return &LaunchEnded{}
	case kindPoint:
		return &PointMeasured{}
	case kindSearch:
		return &SearchEnded{}
	case kindVerdict:
		return &VerdictTaken{}
	case kindReport:
		return &ReportWritten{}
	case kindReceipt:
		return &ReceiptRecorded{}
	case kindTests:
		return &TestsRun{}
	}
	return patchPayloadOf(kind)
}

func patchPayloadOf(kind string) any {
	switch kind {
	case kindTrace:
		return &TraceCaptured{}
	case kindAnalysis:
		return &TraceAnalyzed{}
	case kindProposed:
		return &PatchProposed{}
	case kindApproval:
		return &ApprovalRecorded{}
	case kindBranch:
		return &BranchCreated{}
	case kindReval:
		return &RevalidationEnded{}
	case kindRefused:
		return &RuleRefused{}
	case kindCost:
		return &CostCorrected{}
	case kindFamily:
		return &FamilyCounted{}
	case kindSealed:
		return &ReportSealed{}
	case kindWitnessed:
		return &LedgerWitnessed{}
	case kindRecovered:
		return &LedgerRecovered{}
	}
	return nil
}

// JobSpec is the digest that names a job's call.
func JobSpec(j JobStarted) (string, error) {
	spec, _, err := specDigest(j.Tool, j.Args)
	return spec, err
}

// NamesRun says whether a planned run's id is that of its campaign, job and step.
func (s *State) NamesRun(r RunPlanned) bool {
	for attempt := range mostAttempts {
		if runID(s.Digest, r.Job, fmt.Sprintf("%s#%d", r.Step, attempt+1)) == r.RunID {
			return true
		}
	}
	return false
}

// PlanFrame is a plan as contract and run fix it, with its launches and the host's folders taken from p.
func (s *State) PlanFrame(r RunPlanned, p worker.Plan) worker.Plan {
	want := worker.Plan{
		Kind: worker.PlanKind, V: worker.PlanVersion, RunID: r.RunID, Campaign: s.Contract.Campaign, Job: r.Job, ContractDigest: s.Digest,
		Workdir: p.Workdir, LeaseDir: p.LeaseDir, Device: s.Contract.Host.Device, GPUs: s.Contract.Host.GPUs, Cores: s.Contract.Host.Cores, Simulated: s.Contract.Host.Simulated,
		LaunchDeadline: p.LaunchDeadline, StallAfter: p.StallAfter, StopGrace: p.StopGrace, ProofWait: p.ProofWait, TraceWait: p.TraceWait, TraceSettle: p.TraceSettle, WarmUp: p.WarmUp, Launches: p.Launches,
	}
	if s.FitsTests(r, p.Tests) {
		want.Tests = p.Tests
	}
	if p.Expects != nil { // plans of before it compare nothing
		want.Expects = expected(s.Contract)
	}
	if want.Simulated {
		want.AuditLimits, want.QuietLimits = p.AuditLimits, p.QuietLimits // wider there, by how much is the release's choice; a real host has the design's
	}
	return want
}

// PlannedPoint is the point that a launch carries under an id, with its use, as the contract and, for the unseen shape,
// the approval fix it; false where they know none.
func (s *State) PlannedPoint(l worker.Launch, id string) (p worker.Point, use string, ok bool) {
	c := s.Contract
	if sc, found := c.Scenario(id); found {
		return gated(l, point(c, sc, l.Phase, l.Block)), useMain, true
	}
	k, of, isProbe := probeOf(id)
	switch {
	case id == usePreflight && l.Phase == string(compare.PhaseSearch):
		return preflightPoint(c), usePreflight, true
	case isProbe && mayScreen(l.Phase):
		sc, found := c.Scenario(of)
		return gated(l, probePoint(c, sc, k, launchAt{l.Phase, l.Block})), useProbe, found
	case id == useEquality && l.Phase == string(compare.PhaseRevalidate):
		return equalityPoint(c), useEquality, true
	case id == useUnseen && l.Phase == string(compare.PhaseRevalidate):
		for _, prop := range s.Proposals {
			if !strings.Contains(l.ID, "."+prop.ID+".") || len(prop.Approvals) == 0 {
				continue
			}
			unseen, err := unseenScenario(s, prop)
			return point(c, unseen, l.Phase+"/unseen", l.Block), useUnseen, err == nil
		}
	}
	return worker.Point{}, "", false
}

// gated gives a point of a search's launch the gate that the plan has for it: how good is good enough was the strategy's
// to say, from what had been measured then. A gate waits for probes of its own launch and for nothing else.
func gated(l worker.Launch, p worker.Point) worker.Point {
	planned, ok := pointOf(l, p.ID)
	if !ok || planned.Gate == nil || !mayScreen(l.Phase) {
		return p
	}
	for _, id := range planned.Gate.Points {
		if _, _, is := probeOf(id); !is {
			return p
		}
	}
	p.Gate = planned.Gate
	return p
}

// Skipped says whether a planned point's gate stayed shut, by the rows of the probes that it waited for.
func (s *State) Skipped(l worker.Launch, p worker.Point) bool {
	return p.Gate != nil && !p.Gate.Open(func(id string) (float64, bool) {
		for _, m := range s.Points {
			if m.Key == l.ID+"/"+id && m.Row.Status == compare.StatusOK {
				return m.Row.Metrics.Get(contract.PrimaryMetric(contract.ArrivalBurst))
			}
		}
		return 0, false
	})
}

// PlannedEnd is a launch's end as its plan fixes it, with what happened taken from got.
func PlannedEnd(l worker.Launch, got LaunchEnded) LaunchEnded {
	got.Candidate, got.Entry, got.Phase, got.Block, got.Command, got.Tree = l.Candidate, l.Entry, l.Phase, l.Block, commandLine(l), ""
	if l.Overlay != nil {
		got.Tree = l.Overlay.Tree
	}
	return got
}

// OverlayTree is the tree that a launch has to lie over: base or result of the proposal it belongs to, "" for none. A
// capture of the unpatched target has none.
func (s *State) OverlayTree(l worker.Launch) string {
	if _, id, patched := strings.Cut(l.Entry, patchSuffix); patched {
		if p := s.Proposal(id); p != nil {
			return p.ResultTree
		}
		return ""
	}
	if l.Phase != string(compare.PhaseRevalidate) || l.Entry != s.Contract.Target.Entry {
		return ""
	}
	for _, p := range s.Proposals {
		if strings.Contains(l.ID, "."+p.ID+".") {
			return p.BaseTree
		}
	}
	return ""
}

// PlannedRow is a point's row as contract, help and plan fix it, with what was measured taken from got and the judgement
// of it made anew.
func (s *State) PlannedRow(l worker.Launch, p worker.Point, got compare.Row) compare.Row {
	row := baseRow(s, &launchSoFar{spec: l}, p)
	row.Status, row.FailureReason, row.StartedAt, row.WarmupRequests = got.Status, got.FailureReason, got.StartedAt, got.WarmupRequests
	row.Metrics, row.Audit, row.Cache, row.RepeatIndex = got.Metrics, got.Audit, withHitRate(got.Cache, got.Metrics), got.RepeatIndex
	row.Rate, row.Engine = got.Rate, got.Engine
	row.RawSHA256, row.Artifacts.RawResult = got.RawSHA256, got.Artifacts.RawResult
	row.Interference = row.Audit != nil && row.Audit.Untrusted
	row.Hardware.ClientCores = got.Hardware.ClientCores
	if got.Memory != nil {
		row.Memory.PeakRSSMethod = got.Memory.PeakRSSMethod
	}
	judge(&row)
	return row
}

// MeasuredMetrics computes a recording's metrics as a row carries them.
func MeasuredMetrics(r *bench.Recording) compare.Metrics { return metrics(bench.Measure(r)) }

// HostMetric says whether a row's metric was observed on the host and is not a function of the records.
func HostMetric(name string) bool { return name == "peak_gpu_mem_mib" || name == compare.PeakRSS }

// ParseHelp reads a captured help text as list_flags does.
func (s *State) ParseHelp(entry, text string) (*framework.Help, error) {
	for _, side := range s.Contract.Sides() {
		if baseEntry(side.Entry) != baseEntry(entry) {
			continue
		}
		fw, err := framework.Of(side.Framework)
		if err != nil {
			return nil, err
		}
		help, err := fw.ParseHelp(text)
		return &help, err
	}
	return nil, fmt.Errorf("%q is no side of the contract", entry)
}

// Scored is a search's end with effort, scores and best candidates computed anew.
func (s *State) Scored(e SearchEnded) SearchEnded {
	scoreSearch(s, &e)
	return e
}

// Look takes the verdict on the first n blocks anew.
func (s *State) Look(n int) (VerdictTaken, error) {
	rows := s.firstBlocks(n)
	result, err := compare.Verdicts(rows, s.terms(rows, compare.PhaseBlock))
	return VerdictTaken{Look: n, Phase: string(compare.PhaseBlock), Family: familyCampaign, Result: result, Rows: len(rows), Digest: rowsDigest(rows)}, err
}

// Revalidated computes a revalidation's end anew; the words for how its tests went are taken from got.
func (s *State) Revalidated(got RevalidationEnded, read ReadArtifact) (RevalidationEnded, error) {
	prop := s.Proposal(got.Proposal)
	if prop == nil || len(prop.Approvals) == 0 || len(got.Results) == 0 {
		return RevalidationEnded{}, fmt.Errorf("no approved proposal %q, or no result", got.Proposal)
	}
	sides := patchedSides{blocks: got.Results[0].Look, read: read}
	rows := s.Rows(compare.PhaseBlock, useMain)
	for _, side := range s.Contract.Sides() {
		if side.Entry == s.Contract.Target.Entry {
			sides.base = selector(rows, side.Entry)
		} else {
			sides.leaders = append(sides.leaders, selector(rows, side.Entry))
		}
	}
	end := RevalidationEnded{Tests: got.Tests}
	if s.Contract.PatchTests {
		end.TestOutcome, _ = s.testOutcome(prop)
	}
	return end, judgePatch(s, prop, sides, &end)
}

// Weighed is a proposal with what follows from its cited rows computed anew.
func (s *State) Weighed(p PatchProposed, read ReadArtifact) (PatchProposed, error) {
	var cited []foundRow
	for _, id := range p.Rows {
		row, ok := citedRow(s, id, read)
		if !ok {
			return p, fmt.Errorf("row %q is in no analysed trace before it", id)
		}
		cited = append(cited, row)
	}
	weigh(s, cited, &p)
	verdict, _ := s.LastVerdict(string(compare.PhaseBlock), familyCampaign)
	p.Verdict = verdict.Digest
	return p, nil
}

// Tables computes a trace's tables anew from its file, with the mapping trace that the record names; files is
// the run directory.
func (s *State) Tables(ctx context.Context, rec TraceAnalyzed, files fs.FS) (*trace.Analysis, error) {
	t, ok := s.Trace(rec.Trace)
	mapping, mapped := s.Trace(rec.Mapping)
	if !ok || mapped != (rec.Mapping != "") {
		return nil, fmt.Errorf("no trace %q, or no mapping trace %q", rec.Trace, rec.Mapping)
	}
	return tablesOf(ctx, s, t, mapping, files, func(int64, int64) {})
}

// Markdown renders tables as the stored text has them.
func Markdown(a *trace.Analysis) ([]byte, error) {
	var b bytes.Buffer
	err := trace.WriteMarkdown(&b, a)
	return b.Bytes(), err
}

// CandidateRows renders the projection of every row.
func (s *State) CandidateRows() []byte { return rowsJSON(s) }

// ReportInput is what a report of this state is made of.
func (s *State) ReportInput(version string, read ReadArtifact) (ReportInput, error) {
	in := ReportInput{Campaign: s.Contract.Campaign, State: s, Tables: map[string]*trace.Analysis{}, Read: read, Claim: s.claim(), Version: version, Levels: s.levels()}
	for id, rec := range s.Analyses {
		raw, err := read(rec.Tables)
		if err != nil {
			return in, err
		}
		in.Tables[id] = &trace.Analysis{}
		if err := json.Unmarshal(raw, in.Tables[id]); err != nil {
			return in, fmt.Errorf("read tables of %s: %w", id, err)
		}
	}
	return in, nil
}

// SymptomDigest is what an approval says of a proposal's symptom.
func SymptomDigest(s Symptom) string { return contract.Digest([]byte(s.Scenario + "\n" + s.Metric)) }

// RunID is the id of a step's first run: it names the folder on the host.
func RunID(contractDigest, job, step string) string { return runID(contractDigest, job, step+"#1") }
