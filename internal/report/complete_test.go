package report_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/report"
)

// TestAReportWithoutAPartIsRefused takes each part away once; the whole report, and that of a campaign that ended early,
// are complete.
func TestAReportWithoutAPartIsRefused(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*campaign{"finished": finished(t), "opened": opened(t), "failed": opened(t).row("sglang", 0, 0, "CUDA out of memory")} {
		text, _ := w.render()
		st := w.state()
		require.NoError(t, report.Complete([]byte(text), st), name)
		for _, sign := range report.Signs(st) {
			f, ok := fault.As(report.Complete([]byte(strings.ReplaceAll(text, "\n"+sign, "\n")), st))
			require.True(t, ok, "%s without %q", name, sign)
			require.Equal(t, report.RuleComplete, f.Rule)
		}
	}
	require.Greater(t, len(report.Signs(finished(t).state())), len(report.Signs(opened(t).state())), "what was done is asked for")
}

func TestAHeadlineWithoutItsLevelsIsRefused(t *testing.T) {
	t.Parallel()
	levels := []string{"consistent", "unwitnessed", "approval of patch-1 agent-reachable"}
	head := "# a\n\n- Claim: best\n- Evidence: consistent; unwitnessed; approval of patch-1 agent-reachable\n- Artifacts: x\n"
	require.NoError(t, report.Labelled([]byte(head), levels))
	for _, level := range levels {
		f, ok := fault.As(report.Labelled([]byte(strings.Replace(head, level, "fine", 1)+level+"\n"), levels))
		require.True(t, ok, "without %q", level)
		require.Equal(t, report.RuleLevels, f.Rule, "said further below does not count")
	}
	f, ok := fault.As(report.Labelled([]byte(head), nil))
	require.True(t, ok)
	require.Equal(t, report.RuleLevels, f.Rule)
}
