package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/loop"
)

func TestPhaseAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	analyzed := func(t *testing.T) *written { return honest(t).traced().analyzed() }
	for name, c := range map[string]struct {
		ledger *written
		phase  string
		allows []string
	}{
		"opened":             {opened(t), loop.PhaseOpened, []string{"list_flags", "list_flags"}},
		"one help captured":  {opened(t).flags("sglang"), loop.PhaseFlags, []string{"list_flags"}},
		"both captured":      {opened(t).flags("sglang", "vllm"), loop.PhaseSearch, []string{"search_deployments", "search_deployments"}},
		"one side searched":  {opened(t).flags("sglang", "vllm").searched("sglang"), loop.PhaseSearch, []string{"search_deployments"}},
		"both searched":      {opened(t).flags("sglang", "vllm").searched("sglang", "vllm"), loop.PhaseBlocks, []string{"run_benchmark"}},
		"measured":           {opened(t).flags("sglang", "vllm").searched("sglang", "vllm").blocks(8, 0.8), loop.PhaseMeasured, []string{"compare_results"}},
		"lost":               {honest(t), loop.PhaseCompared, []string{"capture_profile", "write_report"}},
		"undecided":          {opened(t).searched("sglang", "vllm").blocks(8, 1).verdict("inconclusive"), loop.PhaseCompared, []string{"write_report", "run_benchmark"}},
		"undecided for good": {opened(t).searched("sglang", "vllm").blocks(12, 1).verdict("inconclusive"), loop.PhaseCompared, []string{"write_report"}},
		"won":                {opened(t).searched("sglang", "vllm").blocks(12, 2).verdict("win"), loop.PhaseCompared, []string{"write_report"}},
		"profiled":           {honest(t).traced(), loop.PhaseProfiled, []string{"analyze_trace"}},
		"analyzed":           {analyzed(t), loop.PhaseAnalyzed, []string{"analyze_trace", "propose_patch", "write_report"}},
		"proposed":           {analyzed(t).proposed("patch-1"), loop.PhaseProposed, []string{"wait_job"}},
		"rejected":           {analyzed(t).proposed("patch-1").decided("patch-1", "reject"), loop.PhaseAnalyzed, []string{"analyze_trace", "propose_patch", "write_report"}},
		"approved":           {analyzed(t).proposed("patch-1").decided("patch-1", "approve"), loop.PhaseApproved, []string{"apply_patch_branch"}},
		"approval taken back": {analyzed(t).proposed("patch-1").decided("patch-1", "approve").decided("patch-1", "reject"), loop.PhaseAnalyzed,
			[]string{"analyze_trace", "propose_patch", "write_report"}},
		"applied":                {analyzed(t).proposed("patch-1").decided("patch-1", "approve").applied("patch-1"), loop.PhaseApplied, []string{"revalidate"}},
		"revalidated":            {patched(t), loop.PhaseRevalidated, []string{"write_report", "capture_profile"}},
		"reported":               {patched(t).reported(), loop.PhaseReported, []string{"get_campaign", "capture_profile", "open_campaign"}},
		"reported without patch": {honest(t).reported(), loop.PhaseReported, []string{"get_campaign", "capture_profile", "open_campaign"}},
		"gone on after a report": {honest(t).reported().traced().analyzed(), loop.PhaseAnalyzed, []string{"analyze_trace", "propose_patch", "write_report"}},
		"patched after a report": {honest(t).reported().traced().analyzed().proposed("patch-1").decided("patch-1", "approve").applied("patch-1").revalidated("patch-1"),
			loop.PhaseRevalidated, []string{"write_report", "capture_profile"}},
		"reported while a human is waited for": {analyzed(t).proposed("patch-1").reported(), loop.PhaseProposed, []string{"wait_job"}},
		"a second round":                       {patched(t).reported().proposed("patch-2"), loop.PhaseProposed, []string{"wait_job"}},
	} {
		s := c.ledger.state()
		require.Equal(t, c.phase, s.Phase(), name)
		var tools []string
		for _, n := range s.Allowed() {
			tools = append(tools, n.Tool)
			require.NotEmpty(t, n.Why, name)
		}
		require.Equal(t, c.allows, tools, name)
	}
}

// patched is an honest campaign whose patch is revalidated.
func patched(t *testing.T) *written {
	return honest(t).traced().analyzed().proposed("patch-1").decided("patch-1", "approve").applied("patch-1").revalidated("patch-1")
}

func TestRoundsCountRevalidations(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1, honest(t).state().Round())
	require.Equal(t, 1, patched(t).state().Round())
	require.Equal(t, 1, patched(t).reported().state().Round())
	require.Equal(t, 2, patched(t).reported().proposed("patch-2").state().Round())
}

func TestProposalsSayWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	w := honest(t).proposed("patch-1")
	for _, step := range []struct {
		next func()
		is   string
	}{
		{func() {}, "waiting"}, {func() { w.decided("patch-1", "reject") }, "rejected"}, {func() { w.decided("patch-1", "approve") }, "approved"},
		{func() { w.applied("patch-1") }, "applied"}, {func() { w.revalidated("patch-1") }, "revalidated"},
	} {
		step.next()
		require.Equal(t, step.is, w.state().Proposal("patch-1").State())
	}
}

func TestAVerdictIsTheWorstOfItsScenarios(t *testing.T) {
	t.Parallel()
	require.Equal(t, "none", opened(t).state().Verdict())
	s := honest(t).state()
	require.Equal(t, "loss", s.Verdict())
	require.True(t, s.Behind())
	require.True(t, s.CanClaimSOTA())
	w := honest(t)
	w.c.Host.Simulated = true
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	simulated := &written{t: t, c: w.c}
	simulated.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest})
	require.False(t, simulated.state().CanClaimSOTA(), "a simulated host carries no claim")
}

func TestABlockCountsWhenEverySideIsInIt(t *testing.T) {
	t.Parallel()
	w := opened(t).flags("sglang", "vllm").searched("sglang", "vllm").blocks(7, 1).row("sglang", "block", 7, 1000)
	require.Equal(t, loop.PhaseBlocks, w.state().Phase())
	home := t.TempDir()
	l := newLoop(t, home, newHost())
	_, err := l.Compare(t.Context(), w.in(home), "")
	require.ErrorContains(t, err, "7 of 8 blocks")
}
