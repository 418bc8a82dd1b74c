package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// patchWon is a campaign whose patch won everywhere; outputs and what came of the unseen shape are the caller's.
func patchWon(t *testing.T, outputs string, unseen stats.Verdict) *written {
	w := honest(t).proposed("patch-1").decided("patch-1", "approve").applied("patch-1")
	take := func(family, scenario string, v stats.Verdict) loop.VerdictTaken {
		out := loop.VerdictTaken{Look: 8, Phase: "revalidate", Family: family, Proposal: "patch-1"}
		out.Result.Verdicts = []compare.Verdict{{Scenario: scenario, Metric: "output_token_throughput", Candidate: "sglang-00+patch-1", Against: "vllm-00", Verdict: v}}
		return out
	}
	all := []loop.VerdictTaken{take("patched", "chat", stats.Win), take("campaign", "chat", stats.Win)}
	if unseen != "" {
		all = append(all, take("unseen", "unseen", unseen))
	}
	for _, v := range all {
		w.add("verdict.taken", v)
	}
	return w.add("revalidation.ended", loop.RevalidationEnded{Proposal: "patch-1", Verdict: "win", Outputs: outputs, Interval: []float64{}, Results: all})
}

// TestAPatchThatChangesAnswersOrShapesCarriesNoClaim: the verdict stands, since it was measured; the claim does not.
func TestAPatchThatChangesAnswersOrShapesCarriesNoClaim(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outputs string
		unseen  stats.Verdict
		rule    string
	}{
		"honest":                     {"equal", stats.Win, ""},
		"no worse elsewhere":         {"equal", stats.Equivalent, ""},
		"other answers":              {"differ", stats.Win, "patch.output-equal"},
		"answers nobody compared":    {"not_measured", stats.Win, "patch.output-equal"},
		"made for one shape":         {"equal", stats.Loss, "patch.unseen-shapes"},
		"a shape that was not drawn": {"equal", "", "patch.unseen-shapes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			id := patchWon(t, c.outputs, c.unseen).in(home)
			out, err := newLoop(t, home, newHost()).WriteReport(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, "win", out.Verdict)
			if c.rule == "" {
				require.Contains(t, out.Claim, "best observed, reproducible performance")
				return
			}
			require.Contains(t, out.Claim, "verdict win, not the best observed: "+c.rule)
			require.NotContains(t, out.Claim, "reproducible")
		})
	}
}

func TestBoundlessWordsDoNotReachAReport(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).add("job.started", loop.JobStarted{Job: "job-1", Tool: "list_flags", Spec: "s", Args: []byte(`{}`)}).
		add("job.ended", loop.JobEnded{Job: "job-1", State: "done"}).in(home)
	l := newLoop(t, home, newHost())
	_, err := l.CancelJob(t.Context(), id, "job-1", "SGLang is the fastest engine in the world already")
	f := refusedBy(t, "claim.scope", err)
	require.Equal(t, "reason", f.Field)
	_, err = l.CancelJob(t.Context(), id, "job-1", "the wrong engine")
	require.NoError(t, err)
}
