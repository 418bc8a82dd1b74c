package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// blocksArgs are a benchmark job's arguments.
type blocksArgs struct {
	Candidates []string `json:"candidates"`
	Blocks     int      `json:"blocks"`
	AA         bool     `json:"aa,omitempty"` // so many pairs of candidate 0 instead
}

// Benchmark measures one candidate of each side in randomised interleaved blocks, up to a look frozen in the contract.
func (l *Loop) Benchmark(ctx context.Context, r BenchmarkRequest) (Benchmark, error) {
	c, st, err := l.open(r.Campaign)
	if err != nil {
		return Benchmark{}, err
	}
	if r.AA {
		return l.calibration(ctx, c, st)
	}
	f := &rules.Facts{Contract: st.Contract, Blocks: st.blockFacts(r.Scenarios, r.Blocks, r.Candidates)}
	if v := rules.Check(rules.AtBenchmark, f); v != nil {
		return Benchmark{}, c.refuse(ctx, "run_benchmark", v)
	}
	if r.Blocks == 0 {
		r.Blocks = st.Contract.Blocks.Looks[0]
	}
	candidates := slices.Clone(r.Candidates)
	sort.Strings(candidates)
	out, st, err := c.benchmark(ctx, blocksArgs{Candidates: candidates, Blocks: r.Blocks}, func(now *State) *rules.Violation {
		return rules.Check(rules.AtBenchmark, &rules.Facts{Contract: now.Contract, Blocks: now.blockFacts(r.Scenarios, r.Blocks, r.Candidates)})
	})
	if err != nil || out.State == StateRunning {
		return out, err
	}
	out.Rows = rowLines(st, st.Rows(compare.PhaseBlock, useMain), r.Scenarios)
	out.Evidence = []string{"benchmark/candidates.jsonl"}
	out.Warnings = append(out.Warnings, coreWarnings(st.Contract.Host)...)
	out.Warnings = append(out.Warnings, rowWarnings(st.Rows(compare.PhaseBlock, useMain))...)
	return out, nil
}

// benchmark starts a benchmark's job, or finds it, and answers without its rows; the state is the one to read them from.
func (c *campaign) benchmark(ctx context.Context, args blocksArgs, check func(*State) *rules.Violation) (Benchmark, *State, error) {
	j, err := c.ensureJob(ctx, "run_benchmark", args, check)
	if err != nil {
		return Benchmark{}, nil, err
	}
	answer, err := c.jobAnswer(j)
	if err != nil {
		return Benchmark{}, nil, err
	}
	st, err := c.state()
	if err != nil {
		return Benchmark{}, nil, err
	}
	return Benchmark{Answer: answer, Blocks: st.blocks(), Rows: []map[string]any{}}, st, nil
}

// blockFacts gathers what rules ask about named candidates.
func (s *State) blockFacts(scenarios []string, blocks int, candidates []string) *rules.BlockFacts {
	f := &rules.BlockFacts{Scenarios: scenarios, Blocks: blocks, Searched: map[string]bool{}, Measured: s.blocks(), Finalists: s.finalists()}
	for entry := range s.Searches {
		f.Searched[entry] = true
	}
	f.Uncaptured = s.uncaptured()
	for _, id := range candidates {
		fact := rules.CandidateFact{ID: id}
		if cand, ok := s.Candidate(id); ok {
			fact.Entry = cand.Entry
			fact.Status, fact.Reason = s.candidateStatus(id)
			fact.Reason = fault.Foreign(fact.Reason, 200)
			fact.Best = s.bests(cand.Entry)
			if side, ok := s.Contract.Side(cand.Entry); ok && side.Flags != nil && fact.Status == "" {
				fact.Status = "ok" // a fixed command is measured as given
			}
		}
		f.Candidates = append(f.Candidates, fact)
	}
	return f
}

// bests are the candidates that a side's search found best, one a scenario at most. Where the best of a scenario failed
// in its blocks, any that worked may take its place.
func (s *State) bests(entry string) []string {
	var out []string
	for _, scenario := range s.Contract.Scenarios {
		id := s.Searches[entry].Best[scenario.Name]
		if id != "" && s.fellInBlocks(id) {
			return nil
		}
		if id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// finalists are the candidates that blocks were begun with, by entry; one that failed in its blocks is none.
func (s *State) finalists() map[string]string {
	out := map[string]string{}
	for _, j := range s.Jobs {
		if j.Tool != "run_benchmark" {
			continue
		}
		args, err := decodeArgs[blocksArgs](j.JobStarted)
		if err != nil {
			continue
		}
		for _, id := range args.Candidates {
			if cand, ok := s.Candidate(id); ok && !s.fellInBlocks(id) {
				out[cand.Entry] = id
			}
		}
	}
	return out
}

// fellInBlocks says whether a launch of the candidate failed in its blocks.
func (s *State) fellInBlocks(id string) bool {
	return slices.ContainsFunc(s.Launches, func(l LaunchEnded) bool {
		return l.Candidate == id && l.Phase == string(compare.PhaseBlock) && l.Failure != nil && l.Failure.Class != framework.FailCanceled
	})
}

// spareBlocks is how many void blocks one call replaces: two, or half of what was asked for.
func spareBlocks(want int) int { return max(2, want/2) }

// voidReasons says why points of blocks are void, and how many for each reason.
func (s *State) voidReasons() string {
	count, blocks := map[string]int{}, map[int][]*compare.Row{}
	rows := s.Rows(compare.PhaseBlock, useMain)
	for i := range rows {
		if why := rows[i].Void(); why != "" {
			count[why]++
		} else if b := rows[i].Block; b != nil {
			blocks[*b] = append(blocks[*b], &rows[i])
		}
	}
	for _, of := range blocks {
		if compare.UnevenLoad(of...) != "" {
			count["uneven foreign load within the block"]++
		}
	}
	var out []string
	for _, why := range sortedKeys(count) {
		out = append(out, fmt.Sprintf("%s (%d)", why, count[why]))
	}
	return strings.Join(out, "; ")
}

// runBlocks is the job: every block that is missing, each a launch of every side in random order, in one plan. A block
// that is void by its own audit is followed by another with a new number; it stays on record.
func (c *campaign) runBlocks(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[blocksArgs](j)
	if err != nil {
		return err
	}
	if args.AA {
		return c.runCalibration(ctx, args, p)
	}
	most := 0
	for {
		st, err := c.state()
		if err != nil {
			return err
		}
		full, void := st.blockNumbers()
		if most == 0 {
			most = len(void) + spareBlocks(args.Blocks)
		}
		name, open := st.openStep("blocks")
		switch {
		case open: // begun before this process: its end comes first
		case len(full) >= args.Blocks:
			return nil
		case len(void) > most:
			return fault.New(fault.Busy, "%d blocks are void and %d of %d count: %s", len(void), len(full), args.Blocks, st.voidReasons()).
				Hint("look at the audits in section rows of get_campaign: foreign load, a limited client, points that do not settle").
				Hint("points whose requests are short settle with more warmup_waves, in the terms of a new campaign")
		default:
			name = fmt.Sprintf("blocks/%d", args.Blocks+len(void))
		}
		if len(void) > 0 {
			p.Log(fmt.Sprintf("%d void blocks are replaced", len(void)))
		}
		if err := c.measureBlocks(ctx, st, args.Candidates, args.Blocks+len(void), name, p); err != nil {
			return err
		}
		if now, err := c.state(); err != nil || now.Entries == st.Entries {
			return errors.Join(err, fault.New(fault.Internal, "the blocks are over and %d of %d count", len(full), args.Blocks))
		}
	}
}

// measureBlocks runs the missing launches of blocks 0 to n−1.
func (c *campaign) measureBlocks(ctx context.Context, st *State, candidates []string, n int, name string, p *jobs.Progress) error {
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	if err := rowsLeft(st.Contract, n); err != nil {
		return err
	}
	var launches []worker.Launch
	for b := range n {
		for _, id := range blockOrder(st.Contract.Seed, "block", b, candidates) {
			cand, _ := st.Candidate(id)
			l, err := c.launch(st, host, launchSpec{
				id: fmt.Sprintf("%s.block-%d", id, b), candidate: cand, phase: string(compare.PhaseBlock), block: b,
				points: points(st.Contract, string(compare.PhaseBlock), b),
			})
			if err != nil {
				return err
			}
			launches = append(launches, l)
		}
	}
	return c.execute(ctx, step{job: "blocks", name: name, plan: c.plan(st, host, launches), use: uses(launches, nil), from: 0, to: 1}, p)
}

// openStep is the step of a job's run that was planned and has not ended.
func (s *State) openStep(job string) (string, bool) {
	for id, r := range s.Plans {
		if _, over := s.Runs[id]; r.Job == job && !over {
			return r.Step, true
		}
	}
	return "", false
}

// blockOrder draws the order of a block's launches: random, recomputable, different from block to block.
func blockOrder(seed uint64, what string, block int, ids []string) []string {
	src := rand.New(rand.NewPCG(seed, uint64(block)<<8^uint64(len(what)))) //nolint:gosec // an order, not a secret
	out := slices.Clone(ids)
	src.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	return out
}

// rowLines renders rows for answers: the figures a reader compares, not the whole row.
func rowLines(st *State, rows []compare.Row, scenarios []string) []map[string]any {
	out := []map[string]any{}
	for _, r := range rows {
		if len(scenarios) > 0 && !slices.Contains(scenarios, r.Workload.Scenario) {
			continue
		}
		line := map[string]any{"candidate": r.CandidateID, "side": r.Side, "scenario": r.Workload.Scenario, "launch": r.LaunchID, "status": r.Status, "sla_passed": r.SLA.Passed}
		if r.Block != nil {
			line["block"] = *r.Block
		}
		for _, m := range answerMetrics(st.Contract, r.Workload.Scenario) {
			if v, ok := r.Metrics.Get(m); ok {
				line[m] = round(v)
			}
		}
		if r.Rate != nil {
			line["rate"] = rateLine(r.Rate)
		}
		if r.FailureReason != "" {
			line["reason"] = fault.Foreign(r.FailureReason, 160)
		}
		if st.Contract.Host.Simulated {
			line["simulated"] = true
		}
		if r.Mark != "" {
			line["mark"] = r.Mark
		}
		out = append(out, line)
	}
	return out
}

func answerMetrics(c *contract.Contract, scenario string) []string {
	base := []string{"output_token_throughput", "p50_ttft_user_ms", "p50_tpot_ms", "success_rate"}
	if p := primaryOf(c, scenario); p != "" && !slices.Contains(base, p) {
		base = append([]string{p}, base...)
	}
	return base
}

// rowWarnings sums up what audits said, once a reason.
func rowWarnings(rows []compare.Row) []string {
	count := map[string]int{}
	for _, r := range rows {
		if r.Status != compare.StatusOK {
			count[fmt.Sprintf("launch of %s failed: %s", r.CandidateID, fault.Foreign(r.FailureReason, 100))]++
		}
		if r.Rate != nil {
			countRate(count, r)
		}
		if e := r.Engine; e != nil && len(e.Modified) > 0 {
			count[fmt.Sprintf("points of %s are of a modified engine, and support no claim against it: %s", r.Side, fault.Foreign(e.Modified[0], 160))]++
		}
		if a := r.Audit; a != nil {
			if a.ClientLimited {
				count["points were limited by the client and can neither win nor lose"]++
			}
			if a.Untrusted {
				count["points were disturbed by foreign load and are not trusted"]++
			}
			if a.Overloaded {
				count["points were overloaded and fail the SLA"]++
			}
			if r.Undecided() {
				count[fmt.Sprintf("points at a load that a window of theirs cannot tell from an overload: neither kept nor broken is their SLA; a window of %.0f s would tell", r.Audit.LoadTest.NeedsS)]++
			}
		}
	}
	var out []string
	for _, k := range sortedKeys(count) {
		out = append(out, fmt.Sprintf("%d × %s", count[k], k))
	}
	return out
}
