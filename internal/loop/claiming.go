package loop

import (
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// claim is the one sentence a report may make: everything that the rules of the moment hold against more is in it.
func (s *State) claim() string {
	broken := rules.Every(rules.AtClaim, &rules.Facts{Contract: s.Contract, Claim: s.claimFacts()})
	var limits []string
	for _, v := range broken {
		if v.Rule == "evid.real-host" || v.Rule == "claim.decided" || v.Rule == compare.RuleGenuineEngine {
			return s.noClaim() + v.What
		}
		limits = append(limits, v.Rule+": "+v.What)
	}
	switch {
	case len(limits) > 0:
		return "verdict " + s.Verdict() + ", not the best observed: " + strings.Join(limits, "; ")
	case s.CanClaimSOTA() && (s.Verdict() == "win" || s.Verdict() == "equivalent"):
		return "best observed, reproducible performance under the recorded model, workload, hardware, framework commits, precision and SLA" + s.familyText()
	}
	return "verdict " + s.Verdict() + " under the recorded model, workload, hardware, framework commits, precision and SLA; no claim of being the best observed"
}

// familyText says of how many tries a claim is one.
func (s *State) familyText() string {
	if s.Family == nil {
		return ""
	}
	return fmt.Sprintf(" (one of %d campaigns tried on this model, target and GPU class)", s.Family.Tried())
}

// noClaim begins a sentence that claims nothing.
func (s *State) noClaim() string {
	switch mark := s.Contract.Host.Mark(); {
	case s.Contract.Host.Simulated || s.Contract.Host.Device != hosts.DeviceCPU:
		return "none: "
	case mark != "":
		return "none about GPUs (" + mark + "): "
	}
	return "none about GPUs: " // a contract of before the mark
}

// claimFacts are what rules ask about a claim.
func (s *State) claimFacts() *rules.ClaimFacts {
	f := &rules.ClaimFacts{Verdict: s.Verdict(), Simulated: s.Contract.Host.Simulated}
	if s.Contract.Host.Device == hosts.DeviceCPU {
		f.Mark = "measured on a CPU host"
	}
	f.Modified = s.modifiedEngines()
	if s.Family != nil {
		for _, k := range s.Family.Campaigns {
			if k.State == familyGone {
				f.Gone = append(f.Gone, k.Campaign)
			}
		}
	}
	effort := s.effort()
	for _, side := range s.Contract.Sides() {
		if e, ok := effort[side.Entry]; ok {
			end := s.Searches[side.Entry]
			f.Effort = append(f.Effort, rules.EffortFact{Side: side.Entry, Launches: e.Launches, Knobs: end.Knobs, Tried: end.Tried,
				Exhausted: e.Exhausted != "", Default: end.Default, Failed: end.Failed != ""})
		}
	}
	r := s.lastRevalidation()
	if r == nil {
		return f
	}
	f.Patched, f.Outputs, f.Tests, f.TestsWhy = true, r.Outputs, r.TestOutcome, r.Tests
	f.OutputWhy = fmt.Sprintf("%d of %d requests differ, two launches of the base in %d", r.Equality.BasePatched, r.Equality.Requests, r.Equality.BaseBase)
	if q := r.Equality; q.Envelope != nil && q.Largest != nil {
		f.OutputWhy += fmt.Sprintf(", and log-probabilities by up to %.4g where %.4g are allowed", *q.Largest, *q.Envelope)
	}
	for _, t := range r.Results {
		for _, x := range t.Result.Verdicts {
			if t.Family == familyUnseen {
				f.Unseen = append(f.Unseen, rules.VerdictFact{Scenario: x.Scenario, Metric: x.Metric, Verdict: string(x.Verdict), Against: x.Against, Reason: x.Reason})
			}
		}
	}
	return f
}

// modifiedEngines are the comparison sides whose blocks were measured with an engine that is not what it is called, each
// with the first reason.
func (s *State) modifiedEngines() map[string]string {
	out := map[string]string{}
	for _, side := range s.Contract.Against {
		for _, r := range s.Rows(compare.PhaseBlock, useMain) {
			if e := r.Engine; r.Side == side.Entry && e != nil && len(e.Modified) > 0 && out[side.Entry] == "" {
				out[side.Entry] = short(e.Modified[0], 200)
			}
		}
	}
	return out
}

// lastRevalidation is the newest patch's end, nil where none was revalidated.
func (s *State) lastRevalidation() *RevalidationEnded {
	for i := len(s.Proposals) - 1; i >= 0; i-- {
		if r := s.Proposals[i].Reval; r != nil {
			return r
		}
	}
	return nil
}
