package loop

import (
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

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
	end.Lengths = st.OutputLengths(prop.ID, s.base, patched)
	if slices.ContainsFunc(end.Lengths, func(x OutputLength) bool { return x.Differs }) {
		end.Outputs = "differ"
	}
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
		ContractDigest: st.Digest, SLA: st.Contract.SLA, Scenarios: scenarios, Effort: st.effort(), AssumedSD: st.AssumedSD(),
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
