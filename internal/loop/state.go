package loop

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

// State is a campaign as its ledger tells it. It is built by Replay and never changed afterwards.
type State struct {
	Entries    int
	Head       string // hash of the last entry
	First      string // hash of the first entry, which no other campaign has
	Contract   *contract.Contract
	Digest     string // of the contract
	Key        string
	Jobs       []*Job
	Help       map[string]HelpCaptured // by entry
	Candidates []CandidateAdded
	Plans      map[string]RunPlanned
	Runs       map[string]RunEnded // runs that have ended
	Launches   []LaunchEnded
	Points     []PointMeasured
	Searches   map[string]SearchEnded // by entry
	Verdicts   []VerdictTaken
	Traces     []TraceCaptured
	Analyses   map[string]TraceAnalyzed // by trace
	Proposals  []*ProposalState
	Refusals   []RuleRefused
	Reports    []ReportWritten
	Costs      []CostCorrected
	Family     *FamilyCounted // as it was counted last, nil before a report was asked for
	Seals      []ReportSealed
	Witnessed  []LedgerWitnessed
	Recovered  []LedgerRecovered
	Tests      []TestsRun
	Receipts   map[string]ReceiptRecorded // of the host's account, by run; the first of a run counts
	// Policy holds the bytes of the policy that the campaign was opened under; nil where they were not kept.
	Policy   *ledger.Artifact
	heads    map[string]int // hash → sequence number of every entry
	seen     map[string]bool
	ended    []time.Time // when each of Launches was recorded
	order    []string    // run ids as they were planned
	reported int         // sequence number of the newest report
	worked   int         // sequence number of the newest entry that a report would tell of
}

// Job is one job with its end.
type Job struct {
	JobStarted
	End *JobEnded
}

// ProposalState is a proposal and what became of it.
type ProposalState struct {
	PatchProposed
	Seq       int // of the entry that proposed it
	Approvals []Decided
	Branch    *BranchCreated
	Reval     *RevalidationEnded
}

// Decided is a decision with the place and the time at which it was recorded.
type Decided struct {
	ApprovalRecorded
	Seq int
	At  time.Time
}

// Replay builds the state from verified entries.
func Replay(entries []chain.Entry) (*State, error) {
	s := &State{
		Entries: len(entries), Help: map[string]HelpCaptured{}, Plans: map[string]RunPlanned{}, Runs: map[string]RunEnded{}, Searches: map[string]SearchEnded{},
		Analyses: map[string]TraceAnalyzed{}, Receipts: map[string]ReceiptRecorded{}, seen: map[string]bool{}, heads: make(map[string]int, len(entries)),
	}
	for _, e := range entries {
		if err := s.apply(e); err != nil {
			return nil, fmt.Errorf("ledger entry %d (%s): %w", e.Seq, e.Kind, err)
		}
		s.follow(e)
	}
	return s, nil
}

// follow moves the head to an entry that was applied.
func (s *State) follow(e chain.Entry) {
	if s.First == "" {
		s.First = e.Hash
	}
	s.Head, s.heads[e.Hash] = e.Hash, e.Seq
}

// apply adds one entry; a key that was seen before is ignored.
func (s *State) apply(e chain.Entry) error {
	switch e.Kind {
	case kindReport:
		s.reported = e.Seq
	case kindSearch, kindPoint, kindVerdict, kindTrace, kindProposed, kindApproval, kindBranch, kindReval:
		s.worked = e.Seq
	}
	switch e.Kind {
	case kindContract:
		return s.applyContract(e)
	case kindJob, kindJobEnded:
		return s.applyJob(e)
	case kindRun, kindRunEnded, kindLaunch, kindPoint, kindCost:
		return s.applyRun(e)
	case kindProposed, kindApproval, kindBranch, kindReval:
		return s.applyPatch(e)
	case kindTrace:
		return appendOnce(s, e, &s.Traces, func(t TraceCaptured) string { return t.ID })
	case kindAnalysis:
		return set(e, s.Analyses, func(t TraceAnalyzed) string { return t.Trace })
	case kindHelp:
		return set(e, s.Help, func(h HelpCaptured) string { return h.Entry })
	case kindCandidate:
		return appendOnce(s, e, &s.Candidates, func(c CandidateAdded) string { return c.ID })
	case kindSearch:
		return set(e, s.Searches, func(x SearchEnded) string { return x.Entry })
	case kindVerdict:
		return appendOnce(s, e, &s.Verdicts, func(v VerdictTaken) string { return fmt.Sprint(v.Phase, " ", v.Family, " ", v.Proposal, " ", v.Look) })
	case kindRefused:
		return appendOnce(s, e, &s.Refusals, func(RuleRefused) string { return fmt.Sprint(e.Seq) })
	case kindReport:
		return appendOnce(s, e, &s.Reports, func(ReportWritten) string { return fmt.Sprint(e.Seq) })
	case kindFamily:
		s.Family = &FamilyCounted{}
		return json.Unmarshal(e.Payload, s.Family)
	case kindSealed:
		return appendOnce(s, e, &s.Seals, func(ReportSealed) string { return fmt.Sprint(e.Seq) })
	case kindWitnessed:
		return appendOnce(s, e, &s.Witnessed, func(LedgerWitnessed) string { return fmt.Sprint(e.Seq) })
	case kindTests:
		return appendOnce(s, e, &s.Tests, func(t TestsRun) string { return t.ID })
	case kindReceipt:
		var list []ReceiptRecorded
		if err := appendOnce(s, e, &list, func(r ReceiptRecorded) string { return r.RunID }); err != nil {
			return err
		}
		for _, r := range list {
			s.Receipts[r.RunID] = r
		}
		return nil
	case kindRecovered:
		return appendOnce(s, e, &s.Recovered, func(LedgerRecovered) string { return fmt.Sprint(e.Seq) })
	}
	return fmt.Errorf("unknown kind")
}

func (s *State) applyContract(e chain.Entry) error {
	var p ContractFrozen
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return err
	}
	if got := contract.Digest(p.Contract); got != p.Digest {
		return fmt.Errorf("the contract's digest is %s, the entry says %s", got, p.Digest)
	}
	c, err := contract.Parse(p.Contract)
	if err != nil {
		return err
	}
	s.Contract, s.Digest, s.Key, s.Policy = c, p.Digest, p.Key, p.Policy
	return nil
}

func (s *State) applyJob(e chain.Entry) error {
	if e.Kind == kindJob {
		var p JobStarted
		if err := json.Unmarshal(e.Payload, &p); err != nil {
			return err
		}
		s.Jobs = append(s.Jobs, &Job{JobStarted: p})
		return nil
	}
	var p JobEnded
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return err
	}
	if j := s.Job(p.Job); j != nil && j.End == nil {
		j.End = &p
	}
	return nil
}

func (s *State) applyRun(e chain.Entry) error {
	switch e.Kind {
	case kindRun:
		return set(e, s.Plans, func(r RunPlanned) string {
			if _, ok := s.Plans[r.RunID]; !ok {
				s.order = append(s.order, r.RunID)
			}
			return r.RunID
		})
	case kindRunEnded:
		return set(e, s.Runs, func(r RunEnded) string { return r.RunID })
	case kindLaunch:
		err := appendOnce(s, e, &s.Launches, func(l LaunchEnded) string { return l.RunID + "/" + l.Launch })
		if len(s.ended) < len(s.Launches) {
			s.ended = append(s.ended, e.Time)
		}
		return err
	case kindCost:
		return appendOnce(s, e, &s.Costs, func(c CostCorrected) string { return c.Launch })
	}
	return appendOnce(s, e, &s.Points, func(p PointMeasured) string { return p.Key })
}

func (s *State) applyPatch(e chain.Entry) error {
	var id struct {
		Proposal string `json:"proposal"`
	}
	if err := json.Unmarshal(e.Payload, &id); err != nil {
		return err
	}
	p := s.Proposal(id.Proposal)
	switch e.Kind {
	case kindProposed:
		var x PatchProposed
		if err := json.Unmarshal(e.Payload, &x); err != nil {
			return err
		}
		if s.Proposal(x.ID) == nil {
			s.Proposals = append(s.Proposals, &ProposalState{PatchProposed: x, Seq: e.Seq})
		}
		return nil
	case kindApproval:
		var x ApprovalRecorded
		if err := json.Unmarshal(e.Payload, &x); err != nil || p == nil {
			return err
		}
		p.Approvals = append(p.Approvals, Decided{ApprovalRecorded: x, Seq: e.Seq, At: e.Time})
	case kindBranch:
		var x BranchCreated
		if err := json.Unmarshal(e.Payload, &x); err != nil || p == nil {
			return err
		}
		p.Branch = &x
	case kindReval:
		var x RevalidationEnded
		if err := json.Unmarshal(e.Payload, &x); err != nil || p == nil {
			return err
		}
		p.Reval = &x
	}
	return nil
}

// appendOnce decodes an entry and adds it to list unless its key was seen.
func appendOnce[T any](s *State, e chain.Entry, list *[]T, key func(T) string) error {
	var p T
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return err
	}
	k := e.Kind + " " + key(p)
	if !s.seen[k] {
		s.seen[k] = true
		*list = append(*list, p)
	}
	return nil
}

// set decodes an entry into a map; the last one counts.
func set[T any](e chain.Entry, m map[string]T, key func(T) string) error {
	var p T
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return err
	}
	m[key(p)] = p
	return nil
}

// has says whether an entry of that kind and key is there.
func (s *State) has(kind, key string) bool { return s.seen[kind+" "+key] }

// Job finds a job by id.
func (s *State) Job(id string) *Job {
	for _, j := range s.Jobs {
		if j.Job == id {
			return j
		}
	}
	return nil
}

// lastJob is the newest job of a spec, nil where there is none.
func (s *State) lastJob(spec string) *Job {
	for i := len(s.Jobs) - 1; i >= 0; i-- {
		if s.Jobs[i].Spec == spec {
			return s.Jobs[i]
		}
	}
	return nil
}

// Proposal finds a proposal by id.
func (s *State) Proposal(id string) *ProposalState {
	for _, p := range s.Proposals {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// Candidate finds a candidate by id.
func (s *State) Candidate(id string) (CandidateAdded, bool) {
	for _, c := range s.Candidates {
		if c.ID == id {
			return c, true
		}
	}
	return CandidateAdded{}, false
}

// Trace finds a trace by id.
func (s *State) Trace(id string) (TraceCaptured, bool) {
	for _, t := range s.Traces {
		if t.ID == id {
			return t, true
		}
	}
	return TraceCaptured{}, false
}

// Rows gives the rows of a phase and use, in the order they were measured.
func (s *State) Rows(phase compare.Phase, use string) []compare.Row {
	var rows []compare.Row
	for _, p := range s.Points {
		if p.Row.Phase == phase && p.Use == use {
			rows = append(rows, p.Row)
		}
	}
	return rows
}

// rowsOf are a candidate's rows of a phase that were measured for a use.
func (s *State) rowsOf(candidate string, phase compare.Phase, use string) []compare.Row {
	var rows []compare.Row
	for _, p := range s.Points {
		if p.Row.CandidateID == candidate && p.Row.Phase == phase && p.Use == use {
			rows = append(rows, p.Row)
		}
	}
	return rows
}

// LastVerdict is the newest look of a phase and family.
func (s *State) LastVerdict(phase, family string) (VerdictTaken, bool) {
	for i := len(s.Verdicts) - 1; i >= 0; i-- {
		if v := s.Verdicts[i]; v.Phase == phase && v.Family == family {
			return v, true
		}
	}
	return VerdictTaken{}, false
}

// Behind says whether the target lost anywhere at the newest look of the campaign's blocks.
func (s *State) Behind() bool {
	v, ok := s.LastVerdict(string(compare.PhaseBlock), familyCampaign)
	if !ok {
		return false
	}
	for _, x := range v.Result.Verdicts {
		if x.Verdict == "loss" {
			return true
		}
	}
	return false
}
