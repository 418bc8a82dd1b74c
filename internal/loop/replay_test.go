package loop_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// whole is a ledger with every kind of entry.
func whole(t *testing.T) *written {
	w := honest(t)
	w.add("job.started", loop.JobStarted{Job: "job-1", Tool: "run_benchmark", Spec: "s", Args: json.RawMessage(`{}`)})
	w.add("run.planned", loop.RunPlanned{RunID: "r1", Job: "blocks", Step: "blocks/8", Host: "gpu"})
	w.add("run.ended", loop.RunEnded{RunID: "r1", State: "done"})
	w.add("job.ended", loop.JobEnded{Job: "job-1", State: "done"})
	w.add("cost.corrected", loop.CostCorrected{Launch: "sglang-00.search", LaunchS: 3})
	w.add("rule.refused", loop.RuleRefused{Tool: "run_benchmark", Rule: "fair.every-side"})
	return w.traced().analyzed().proposed("patch-1").decided("patch-1", "approve").applied("patch-1").revalidated("patch-1").reported().
		add("report.sealed", loop.ReportSealed{Lines: 1}).add("ledger.witnessed", loop.LedgerWitnessed{Seq: 1}).add("ledger.recovered", loop.LedgerRecovered{}).add("family.counted", loop.FamilyCounted{Campaigns: []loop.FamilyCampaign{}}).add("receipt.recorded", loop.ReceiptRecorded{RunID: "r1"}).add("tests.run", loop.TestsRun{ID: "patch-1.tests.patched"})
}

func TestReplayIgnoresARepeatedKey(t *testing.T) {
	t.Parallel()
	once := whole(t).state()
	repeated := []string{"candidate.added", "launch.ended", "point.measured", "verdict.taken", "trace.captured", "cost.corrected", "patch.proposed",
		"help.captured", "search.ended", "trace.analyzed", "run.planned", "run.ended", "job.ended"}
	w := whole(t)
	seen := map[string]bool{}
	for _, p := range slices.Clone(w.pending) {
		if slices.Contains(repeated, p.Kind) {
			w.pending = append(w.pending, p)
			seen[p.Kind] = true
		}
	}
	require.Len(t, seen, len(repeated))
	twice := w.state()
	require.Greater(t, twice.Entries, once.Entries)
	for name, pair := range map[string][2]any{
		"candidates": {once.Candidates, twice.Candidates}, "launches": {once.Launches, twice.Launches}, "points": {once.Points, twice.Points},
		"verdicts": {once.Verdicts, twice.Verdicts}, "traces": {once.Traces, twice.Traces}, "costs": {once.Costs, twice.Costs}, "proposals": {once.Proposals, twice.Proposals},
		"help": {once.Help, twice.Help}, "searches": {once.Searches, twice.Searches}, "analyses": {once.Analyses, twice.Analyses}, "runs": {once.Runs, twice.Runs},
		"plans": {once.Plans, twice.Plans}, "jobs": {once.Jobs, twice.Jobs},
	} {
		require.Equal(t, pair[0], pair[1], name)
	}
}

func TestTheFirstOfARepeatedKeyCounts(t *testing.T) {
	t.Parallel()
	w := opened(t).row("sglang", "block", 0, 1000).row("sglang", "block", 0, 9999)
	rows := w.state().Rows("block", "main")
	require.Len(t, rows, 1)
	require.InDelta(t, 1000, rows[0].Metrics["output_token_throughput"], 0)
	w.add("job.started", loop.JobStarted{Job: "job-1", Tool: "x"}).add("job.ended", loop.JobEnded{Job: "job-1", State: "failed"}).add("job.ended", loop.JobEnded{Job: "job-1", State: "done"})
	require.Equal(t, "failed", w.state().Job("job-1").End.State)
}

func TestLooksOfTwoPatchesAreTwoLooks(t *testing.T) {
	t.Parallel()
	w := honest(t)
	for _, id := range []string{"patch-1", "patch-2"} {
		w.add("verdict.taken", loop.VerdictTaken{Look: 8, Phase: "revalidate", Family: "campaign", Proposal: id, Digest: id})
	}
	s := w.state()
	require.Len(t, s.Verdicts, 3)
	last, ok := s.LastVerdict("revalidate", "campaign")
	require.True(t, ok)
	require.Equal(t, "patch-2", last.Proposal, "the second patch's verdict is the newest")
}

func TestReplayRefusesWhatWasNotFrozen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*loop.ContractFrozen)
		says string
	}{
		"other bytes than the digest": {func(p *loop.ContractFrozen) { p.Digest = contract.Digest([]byte("x")) }, "the contract's digest is"},
		"a looser threshold": {func(p *loop.ContractFrozen) {
			p.Contract = json.RawMessage(`{"kind":"sotaloop.contract","v":1,"delta":0.5}`)
		}, "the contract's digest is"},
		"a newer contract": {func(p *loop.ContractFrozen) {
			p.Contract = json.RawMessage(`{"kind":"sotaloop.contract","v":9}`)
			p.Digest = contract.Digest(p.Contract)
		}, "version 9"},
	} {
		raw, digest, err := terms().Freeze()
		require.NoError(t, err)
		p := loop.ContractFrozen{Contract: raw, Digest: digest}
		c.edit(&p)
		w := &written{t: t}
		w.add("contract.frozen", p)
		_, err = loop.Replay(w.entries())
		require.ErrorContains(t, err, c.says, name)
		require.ErrorContains(t, err, "ledger entry 1", name)
	}
	_, err := loop.Replay([]chain.Entry{{Kind: "patch.sneaked", Seq: 1}})
	require.ErrorContains(t, err, "unknown kind")
	_, err = loop.Replay([]chain.Entry{{Kind: "point.measured", Seq: 1, Payload: json.RawMessage(`{"key":7}`)}})
	require.ErrorContains(t, err, "ledger entry 1 (point.measured)")
}

func TestDecisionsOnUnknownProposalsChangeNothing(t *testing.T) {
	t.Parallel()
	s := honest(t).decided("patch-9", "approve").applied("patch-9").revalidated("patch-9").state()
	require.Empty(t, s.Proposals)
	require.Equal(t, loop.PhaseCompared, s.Phase())
}

func TestWalkShowsTheStateBeforeEachEntry(t *testing.T) {
	t.Parallel()
	entries := whole(t).entries()
	n := 0
	require.NoError(t, loop.Walk(entries, func(before *loop.State, e chain.Entry) error {
		n++
		require.Equal(t, n-1, before.Entries)
		want, err := loop.Replay(entries[:n-1])
		require.NoError(t, err)
		require.Equal(t, want, before)
		require.Equal(t, n, e.Seq)
		return nil
	}))
	require.Len(t, entries, n)
}

func TestEveryKindDecodesStrictly(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, e := range whole(t).entries() {
		_, err := loop.Decode(e)
		require.NoError(t, err, e.Kind)
		seen[e.Kind] = true
		e.Payload = append([]byte(`{"Sneaked":1,`), e.Payload[1:]...)
		_, err = loop.Decode(e)
		require.ErrorContains(t, err, `unknown field "Sneaked"`, e.Kind)
	}
	for kind := range loop.Kinds {
		require.True(t, seen[kind], "no entry of kind %s in this test", kind)
	}
	_, err := loop.Decode(chain.Entry{Kind: "patch.sneaked"})
	require.Error(t, err)
}
