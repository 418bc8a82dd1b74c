package loop

import (
	"context"
	"fmt"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/rules"
)

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
	launches, special, err := c.revalLaunches(st, prop, sides, args.Blocks)
	if err != nil {
		return err
	}
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	plan := c.plan(st, host, launches)
	if plan.Tests, err = c.testRuns(st, prop, sides, host); err != nil {
		return err
	}
	err = c.execute(ctx, step{job: "revalidate/" + prop.ID, name: fmt.Sprintf("blocks/%d", args.Blocks), plan: plan, inbox: sides.inbox,
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
	if st, err = c.state(); err != nil {
		return err
	}
	outcome, text := st.testOutcome(prop)
	return c.endRevalidation(ctx, prop, sides, RevalidationEnded{Tests: text, TestOutcome: outcome}, args.Blocks)
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
