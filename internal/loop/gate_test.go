package loop_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// TestGatesRefuseByRule makes the calls that come too early or ask for what is not fair, one at each gate. Each is
// refused by its rule, with a call that is allowed instead, and the refusal is in the ledger.
func TestGatesRefuseByRule(t *testing.T) {
	t.Parallel()
	best := []string{"sglang-00", "vllm-00"}
	tuned := func(t *testing.T) *written { return opened(t).flags("sglang", "vllm").searched("sglang", "vllm") }
	for name, c := range map[string]struct {
		ledger func(t *testing.T) *written
		call   func(ctx context.Context, l *loop.Loop, id string) error
		rule   string
	}{
		"a search before the help": {opened, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Search(ctx, loop.SearchRequest{Campaign: id, Framework: "sglang"})
			return err
		}, "flow.help-first"},
		"blocks of an unsearched side": {func(t *testing.T) *written { return opened(t).flags("sglang", "vllm").searched("sglang") }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Benchmark(ctx, loop.BenchmarkRequest{Campaign: id, Candidates: best})
			return err
		}, "fair.tuned-competitor"},
		"blocks of an invented candidate": {tuned, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Benchmark(ctx, loop.BenchmarkRequest{Campaign: id, Candidates: []string{"sglang-77", "vllm-00"}})
			return err
		}, "fair.known-candidate"},
		"blocks of one side": {tuned, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Benchmark(ctx, loop.BenchmarkRequest{Campaign: id, Candidates: best[:1]})
			return err
		}, "fair.every-side"},
		"a block count nobody froze": {tuned, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Benchmark(ctx, loop.BenchmarkRequest{Campaign: id, Candidates: best, Blocks: 9})
			return err
		}, "flow.contract-frozen"},
		"an easier scenario": {tuned, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Benchmark(ctx, loop.BenchmarkRequest{Campaign: id, Candidates: best, Scenarios: []string{"short"}})
			return err
		}, "flow.contract-frozen"},
		"a verdict on search scores": {tuned, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Compare(ctx, id, "")
			return err
		}, "flow.blocks-first"},
		"a verdict on too few blocks": {func(t *testing.T) *written { return tuned(t).blocks(7, 0.8) }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Compare(ctx, id, "")
			return err
		}, "flow.blocks-first"},
		"a profile before the verdict": {func(t *testing.T) *written { return tuned(t).blocks(8, 0.8) }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.CaptureProfile(ctx, loop.ProfileRequest{Campaign: id, Candidate: best[0], Scenario: "chat"})
			return err
		}, "evid.gap-decided"},
		"a profile of a win": {func(t *testing.T) *written { return tuned(t).blocks(8, 2).verdict("win") }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.CaptureProfile(ctx, loop.ProfileRequest{Campaign: id, Candidate: best[0], Scenario: "chat"})
			return err
		}, "evid.gap-decided"},
		"a profile at other lengths": {honest, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.CaptureProfile(ctx, loop.ProfileRequest{Campaign: id, Candidate: best[0], Scenario: "short"})
			return err
		}, "flow.contract-frozen"},
		"a patch that nobody signed": {func(t *testing.T) *written { return honest(t).proposed("patch-1") }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Apply(ctx, id, "patch-1")
			return err
		}, "patch.approved"},
		"a patch that was rejected": {func(t *testing.T) *written { return honest(t).proposed("patch-1").decided("patch-1", "reject") }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Apply(ctx, id, "patch-1")
			return err
		}, "patch.approved"},
		"an approval written into the ledger": {func(t *testing.T) *written { return honest(t).proposed("patch-1").decided("patch-1", "approve") }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Apply(ctx, id, "patch-1")
			return err
		}, "patch.approved"},
		"a revalidation without a branch": {func(t *testing.T) *written { return honest(t).proposed("patch-1") }, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.Revalidate(ctx, id, "patch-1", 0)
			return err
		}, "flow.branch-first"},
		"a report of nothing": {opened, func(ctx context.Context, l *loop.Loop, id string) error {
			_, err := l.WriteReport(ctx, id)
			return err
		}, "flow.rows-first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			id := c.ledger(t).in(home)
			before := len(ledgerKinds(t, home))
			err := c.call(t.Context(), newLoop(t, home, newHost()), id)
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, c.rule, f.Rule, "%v", f)
			require.NotEmpty(t, f.Hints)
			require.NotEmpty(t, f.Next, "what would be allowed")
			kinds := ledgerKinds(t, home)
			require.Equal(t, []string{"rule.refused"}, kinds[before:], "the refusal and nothing else")
		})
	}
}

func TestUnknownNamesAreNotRuleViolations(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := honest(t).in(home)
	l := newLoop(t, home, newHost())
	for name, c := range map[string]struct {
		call func() error
		code fault.Code
	}{
		"campaign":            {func() error { _, err := l.Get(t.Context(), "20261123_other_sota_loop", "", ""); return err }, fault.NotFound},
		"no campaign":         {func() error { _, err := l.Compare(t.Context(), "", ""); return err }, fault.InvalidInput},
		"path for a campaign": {func() error { _, err := l.Get(t.Context(), "../../etc", "", ""); return err }, fault.NotFound},
		"proposal":            {func() error { _, err := l.Apply(t.Context(), id, "patch-9"); return err }, fault.NotFound},
		"trace": {func() error {
			_, err := l.AnalyzeTrace(t.Context(), loop.AnalyzeRequest{Campaign: id, Trace: "trace-9"})
			return err
		}, fault.NotFound},
		"table": {func() error {
			_, err := l.AnalyzeTrace(t.Context(), loop.AnalyzeRequest{Campaign: id, Trace: "trace-9", Table: "secrets"})
			return err
		}, fault.InvalidInput},
		"section": {func() error { _, err := l.Get(t.Context(), id, "secrets", ""); return err }, fault.InvalidInput},
		"cursor":  {func() error { _, err := l.Get(t.Context(), id, "rows", "-1"); return err }, fault.InvalidInput},
		"framework": {func() error {
			_, err := l.Search(t.Context(), loop.SearchRequest{Campaign: id, Framework: "vlm"})
			return err
		}, fault.InvalidInput},
		"strategy": {func() error {
			_, err := l.Search(t.Context(), loop.SearchRequest{Campaign: id, Framework: "vllm", Strategy: "luck"})
			return err
		}, fault.InvalidInput},
	} {
		err := c.call()
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, c.code, f.Code, "%s: %v", name, f)
	}
	require.NotContains(t, ledgerKinds(t, home), "rule.refused")
}

func TestALookIsRecordedOnce(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).searched("sglang", "vllm").blocks(8, 0.8).in(home)
	l := newLoop(t, home, newHost())
	first, err := l.Compare(t.Context(), id, "")
	require.NoError(t, err)
	require.Len(t, first.Verdicts, 1)
	require.Equal(t, "loss", first.Verdicts[0]["verdict"])
	require.True(t, first.Behind)
	again, err := l.Compare(t.Context(), id, "chat")
	require.NoError(t, err)
	require.Equal(t, first.Verdicts, again.Verdicts)
	other, err := newLoop(t, home, newHost()).Compare(t.Context(), id, "")
	require.NoError(t, err)
	require.Equal(t, first.Verdicts, other.Verdicts)
	n := 0
	for _, k := range ledgerKinds(t, home) {
		if k == "verdict.taken" {
			n++
		}
	}
	require.Equal(t, 1, n)
}

func TestAReportIsWrittenAndNamed(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := honest(t).in(home)
	out, err := newLoop(t, home, newHost()).WriteReport(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "loss", out.Verdict)
	require.Equal(t, "# "+id+"\n", readFile(t, out.Report))
	dir := filepath.Join(home, "runs", id)
	require.Equal(t, string(honest(t).state().CandidateRows()), readFile(t, filepath.Join(dir, "benchmark", "candidates.jsonl")), "the projection is the ledger's rows")
	kinds := ledgerKinds(t, home)
	require.Equal(t, []string{"report.written", "report.sealed"}, kinds[len(kinds)-2:])
}
