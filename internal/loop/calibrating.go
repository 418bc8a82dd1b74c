package loop

import (
	"context"
	"fmt"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// calibration measures the target's candidate 0 against itself, pair by pair, and answers what that found.
func (l *Loop) calibration(ctx context.Context, c *campaign, st *State) (Benchmark, error) {
	if _, err := st.candidateZero(); err != nil {
		return Benchmark{}, err
	}
	target := st.Contract.Target
	check := func(now *State) *rules.Violation {
		_, captured := now.Help[baseEntry(target.Entry)]
		return rules.Check(rules.AtSearch, &rules.Facts{Contract: now.Contract, Search: &rules.SearchFacts{Side: target, Captured: captured, Running: now.searching(target.Entry)}})
	}
	if v := check(st); v != nil {
		return Benchmark{}, c.refuse(ctx, "run_benchmark", v)
	}
	out, st, err := c.benchmark(ctx, blocksArgs{Candidates: []string{}, Blocks: aaPairs, AA: true}, check)
	if err != nil || out.State == StateRunning {
		return out, err
	}
	out.Rows = rowLines(st, st.Rows(compare.PhaseAA, useMain), nil)
	out.Calibrations = st.Calibrations()
	for i := range out.Calibrations {
		x := &out.Calibrations[i]
		x.SD, x.Ratio, x.Order, x.OrderSE = round(x.SD), round(x.Ratio), round(x.Order), round(x.OrderSE)
	}
	out.Evidence = []string{"benchmark/candidates.jsonl"}
	out.Warnings = append(append(out.Warnings, calibrationWarnings(out.Calibrations)...), st.marks()...)
	return out, nil
}

// candidateZero is the target as its framework ships it, which the search tries first, or its fixed command.
func (s *State) candidateZero() (CandidateAdded, error) {
	id := s.Contract.Target.Entry + "-00"
	cand, ok := s.Candidate(id)
	if !ok {
		return cand, fault.New(fault.Conflict, "candidate 0 of %s has not been tried yet", s.Contract.Target.Entry).At("aa", "true").
			Hint("search the target first: its first launch is candidate 0").Then("search_deployments", "searches "+s.Contract.Target.Entry)
	}
	if status, reason := s.candidateStatus(id); status != "" && status != string(compare.StatusOK) {
		return cand, fault.New(fault.Conflict, "candidate 0 of %s does not work here (%s): %s", s.Contract.Target.Entry, status, fault.Foreign(reason, 200)).At("aa", "true").
			Hint("an A/A of this host is measured in a campaign whose target runs as it is shipped")
	}
	return cand, nil
}

// calibrationWarnings say what an A/A shows besides its spread. It never overrules an interval.
func calibrationWarnings(found []Calibration) []string {
	var out []string
	for _, c := range found {
		if c.Pairs < aaLeast {
			out = append(out, fmt.Sprintf("scenario %s: %d pairs count, %d are needed for the A/A to plan anything", c.Scenario, c.Pairs, aaLeast))
		}
		if c.OrderSE > 0 && (c.Order > 3*c.OrderSE || c.Order < -3*c.OrderSE) {
			out = append(out, fmt.Sprintf("scenario %s: the launch that runs second in a pair differs by %+.2f %% ± %.2f %%: something on the host is not reset between launches", c.Scenario, 100*c.Order, 100*c.OrderSE))
		}
	}
	return out
}

// runCalibration is the job: all pairs in one plan, each two launches of candidate 0 in a drawn order. It plans and
// informs, so that a void pair is left out and not replaced.
func (c *campaign) runCalibration(ctx context.Context, args blocksArgs, p *jobs.Progress) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	cand, err := st.candidateZero()
	if err != nil {
		return err
	}
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	var launches []worker.Launch
	for b := range args.Blocks {
		for _, label := range blockOrder(st.Contract.Seed, string(compare.PhaseAA), b, []string{"a", "b"}) {
			l, err := c.launch(st, host, launchSpec{
				id: aaLaunch(cand.ID, b, label), candidate: cand, phase: string(compare.PhaseAA), block: b, points: points(st.Contract, string(compare.PhaseAA), b),
			})
			if err != nil {
				return err
			}
			launches = append(launches, l)
		}
	}
	return c.execute(ctx, step{job: "aa", name: fmt.Sprintf("pairs/%d", args.Blocks), plan: c.plan(st, host, launches), use: uses(launches, nil), from: 0, to: 1}, p)
}
