package loop_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// audited adds a block in which SGLang's point says something about itself.
func (w *written) audited(block int, a *compare.Audit, status compare.Status) *written {
	launch := fmt.Sprintf("sglang-00.block-%d", block)
	r := compare.Row{Framework: "sglang", Side: "sglang", CandidateID: "sglang-00", Status: status, FailureReason: "as told", Phase: compare.PhaseBlock, LaunchID: launch, Block: &block,
		Client: "sotaloop", Model: "tiny", ContractDigest: w.digest(), Workload: compare.Workload{Scenario: "chat", NumPrompts: &w.c.Scenarios[0].NumPrompts}, Audit: a,
		Metrics: compare.Metrics{"output_token_throughput": 10, "success_rate": 1}}
	w.add("point.measured", loop.PointMeasured{Key: launch + "/chat", Point: "chat", Use: "main", Row: r})
	return w.row("vllm", "block", block, 1000)
}

func TestVoidBlocksCountForNothing(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*compare.Audit{"unsettled": {Unsettled: true}, "client limited": {ClientLimited: true}, "untrusted": {Untrusted: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := opened(t).flags("sglang", "vllm").searched("sglang", "vllm").blocks(7, 0.8).audited(7, a, compare.StatusOK)
			require.Equal(t, loop.PhaseBlocks, w.state().Phase())
			next := w.state().Allowed()
			require.Equal(t, "run_benchmark", next[0].Tool, "seven blocks of eight count: %v", next)
			// the block that replaces it has a number of its own
			w.row("sglang", "block", 8, 800).row("vllm", "block", 8, 1000)
			require.Equal(t, loop.PhaseMeasured, w.state().Phase())
			look, err := w.state().Look(8)
			require.NoError(t, err)
			require.Equal(t, 16, look.Rows)
			require.Equal(t, 8, look.Result.Verdicts[0].Blocks)
			require.EqualValues(t, "loss", look.Result.Verdicts[0].Verdict)
		})
	}
}

func TestAFailedLaunchIsAResultAndNoVoidBlock(t *testing.T) {
	t.Parallel()
	w := opened(t).flags("sglang", "vllm").searched("sglang", "vllm").blocks(7, 0.8).audited(7, nil, compare.StatusOOM)
	look, err := w.state().Look(8)
	require.NoError(t, err)
	require.Equal(t, 16, look.Rows, "the failed launch stays among the eight")
}

func TestFixedCommandsNeedCapturedFlagsToo(t *testing.T) {
	t.Parallel()
	r := request()
	r.Study, r.Against = "look", []string{"vllm"}
	l := newLoop(t, t.TempDir(), newHost())
	out, err := l.Open(t.Context(), r)
	require.NoError(t, err)
	_, err = l.Benchmark(t.Context(), loop.BenchmarkRequest{Campaign: out.Campaign, Candidates: []string{"sglang-00", "vllm-00"}})
	refusedBy(t, "flow.help-first", err)
}

// TestLoadBesideOneSideOfABlock measures a block in which others used the CPUs in the competitor's turn: it is void although
// neither point is beyond the limit by itself.
func TestLoadBesideOneSideOfABlock(t *testing.T) {
	t.Parallel()
	f := func(v float64) *compare.Audit { return &compare.Audit{ForeignCPU: &v} }
	for other, want := range map[float64]string{0.02: loop.PhaseMeasured, 0.20: loop.PhaseBlocks} {
		w := opened(t).flags("sglang", "vllm").searched("sglang", "vllm").blocks(7, 0.8).audited(7, f(0.01), compare.StatusOK)
		launch, block := "vllm-00.again", 7
		r := compare.Row{Framework: "vllm", Side: "vllm", CandidateID: "vllm-00", Status: compare.StatusOK, Phase: compare.PhaseBlock, LaunchID: launch, Block: &block,
			Workload: compare.Workload{Scenario: "chat"}, Audit: f(other), Metrics: compare.Metrics{"output_token_throughput": 10}}
		w.add("point.measured", loop.PointMeasured{Key: launch + "/chat", Point: "chat", Use: "main", Row: r})
		require.Equal(t, want, w.state().Phase(), "%v beside the other side", other)
	}
}
