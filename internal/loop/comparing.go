package loop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// Compare takes the verdict on the measured blocks. A look at a block count is recorded once; asking again gives the
// recorded one.
func (l *Loop) Compare(ctx context.Context, campaignID, scenario string) (Comparison, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return Comparison{}, err
	}
	var scenarios []string
	if scenario != "" {
		scenarios = []string{scenario}
	}
	facts := &rules.Facts{Contract: st.Contract, Blocks: st.blockFacts(scenarios, 0, nil)}
	if v := rules.Check(rules.AtCompare, facts); v != nil {
		return Comparison{}, c.refuse(ctx, "compare_results", v)
	}
	taken, err := c.look(ctx)
	if err != nil {
		return Comparison{}, err
	}
	if st, err = c.state(); err != nil {
		return Comparison{}, err
	}
	out := Comparison{
		Answer:  Answer{State: StateDone, Next: st.allowedNow(), Warnings: slices.Clone(taken.Result.Warnings), Evidence: []string{"verdict@" + taken.Digest[:min(16, len(taken.Digest))]}},
		Behind:  st.Behind(),
		Winners: []map[string]any{}, Failed: []map[string]any{}, Verdicts: []map[string]any{},
	}
	for _, v := range taken.Result.Verdicts {
		if scenario == "" || v.Scenario == scenario {
			line := verdictLine(v)
			if rates := hitRates(st.CacheHits(taken), v.Scenario); len(rates) > 0 {
				line[compare.PrefixCacheHit] = rates
			}
			out.Verdicts = append(out.Verdicts, line)
		}
	}
	for _, r := range taken.Result.Refused {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%s: %s", r.Rule, r.What))
	}
	out.Winners = winnerLines(st)
	out.Failed = failedLines(st)
	out.Warnings = append(out.Warnings, st.marks()...)
	return out, nil
}

// look computes and records the verdict at the largest frozen block count that is measured.
func (c *campaign) look(ctx context.Context) (VerdictTaken, error) {
	var taken VerdictTaken
	err := c.record(ctx, func(s *State) ([]chain.Pending, error) {
		n := 0
		for _, look := range s.Contract.Blocks.Looks {
			if s.blocks() >= look {
				n = look
			}
		}
		for _, v := range s.Verdicts {
			if v.Phase == string(compare.PhaseBlock) && v.Look == n {
				taken = v
				return nil, nil
			}
		}
		if err := c.mayWrite(s, "compare_results"); err != nil {
			return nil, err
		}
		rows := s.firstBlocks(n)
		result, err := compare.Verdicts(rows, s.terms(rows, compare.PhaseBlock))
		if err != nil {
			return nil, err
		}
		taken = VerdictTaken{Look: n, Phase: string(compare.PhaseBlock), Family: familyCampaign, Result: result, Rows: len(rows), Digest: rowsDigest(rows)}
		p, err := entry(kindVerdict, taken)
		return []chain.Pending{p}, err
	})
	if _, ok := fault.As(err); err != nil && !ok {
		err = fault.Wrap(fault.InvalidInput, err, "the rows cannot be compared")
	}
	return taken, err
}

// terms are the contract's, for the candidates that the rows hold.
func (s *State) terms(rows []compare.Row, phase compare.Phase) compare.Terms {
	t := compare.Terms{
		Target: selector(rows, s.Contract.Target.Entry), Delta: s.Contract.Delta, Looks: s.Contract.Blocks.Looks, M: s.Contract.Blocks.Comparisons,
		Phase: phase, Campaign: true, ContractDigest: s.Digest, SLA: s.Contract.SLA, Scenarios: s.Contract.Scenarios, Effort: s.effort(), AssumedSD: s.AssumedSD(),
	}
	for _, side := range s.Contract.Against {
		t.Against = append(t.Against, selector(rows, side.Entry))
	}
	return t
}

func selector(rows []compare.Row, entry string) compare.Selector {
	for _, r := range rows {
		if r.Side == entry {
			return compare.Selector{Side: entry, Candidate: r.CandidateID}
		}
	}
	return compare.Selector{Side: entry}
}

// effort is what each side's search got. Nothing left to try counts as full effort only where the side was given as many
// knobs as any other: a space that was made narrow runs out soon.
func (s *State) effort() map[string]compare.Effort {
	out, widest := map[string]compare.Effort{}, 0
	for _, e := range s.Searches {
		widest = max(widest, e.Knobs)
	}
	for entry, e := range s.Searches {
		x := compare.Effort{Launches: e.Launches, GPUHours: e.GPUHours, Knobs: e.Knobs}
		if e.Launches < s.Contract.Budget.Launches && (e.Failed != "" || e.Knobs >= widest) {
			x.Exhausted = e.Why
		}
		out[entry] = x
	}
	return out
}

// rowsDigest names the rows a verdict rests on by their launches and raw records.
func rowsDigest(rows []compare.Row) string {
	sum := sha256.New()
	for _, r := range rows {
		fmt.Fprintf(sum, "%s %s %s\n", r.LaunchID, r.Workload.Scenario, r.RawSHA256)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// winnerLines names each framework's best candidate of every scenario among the blocks' rows, never an overall winner.
func winnerLines(st *State) []map[string]any {
	out := []map[string]any{}
	for _, w := range compare.Winners(compare.Rank(st.Rows(compare.PhaseBlock, useMain), st.RankTerms())) {
		out = append(out, winnerLine(w))
	}
	return out
}

// RankTerms says how the campaign's rows rank.
func (s *State) RankTerms() compare.RankTerms {
	return compare.RankTerms{Delta: s.Contract.Delta, SLA: s.Contract.SLA, Scenarios: s.Contract.Scenarios, RankBy: s.Contract.RankBy, Campaign: true}
}

// failedLines lists every failed or SLA-failing row of search and blocks.
func failedLines(st *State) []map[string]any {
	out := []map[string]any{}
	for _, p := range st.Points {
		r := p.Row
		failed := r.Status != compare.StatusOK || (r.SLA.Passed != nil && !*r.SLA.Passed)
		if p.Use != useMain || !failed || len(out) >= 40 {
			continue
		}
		out = append(out, map[string]any{"framework": r.Framework, "candidate": r.CandidateID, "scenario": r.Workload.Scenario, "phase": r.Phase,
			"status": r.Status, "sla_passed": r.SLA.Passed, "reason": fault.Foreign(r.FailureReason, 160)})
	}
	return out
}

// marks are the warnings that every result of a host carries.
func (s *State) marks() []string {
	var out []string
	if s.Contract.Host.Simulated {
		out = append(out, "simulated host: every figure comes from a simulator and supports no claim")
	}
	out = append(out, coreWarnings(s.Contract.Host)...)
	if text := s.changedHost(); text != "" {
		out = append(out, text)
	}
	if s.Contract.Study == contract.StudyLook {
		out = append(out, "study look: two blocks, no verdict, no claim")
	}
	return out
}
