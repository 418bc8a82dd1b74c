package loop_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/stats"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// ran is one run of a patch's tests.
func ran(side string, exit, passed int, failing ...string) loop.TestsRun {
	return loop.TestsRun{ID: "patch-1.tests." + side, Proposal: "patch-1", Side: side,
		Result: worker.TestResult{Exit: exit, Passed: passed, Failed: len(failing), Failing: failing, Counted: exit == 0 || exit == 1}}
}

// TestHowAPatchsTestsWentDecidesAClaim: who breaks a test, or names tests that nobody could run, claims nothing.
func TestHowAPatchsTestsWentDecidesAClaim(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs    []loop.TestsRun
		none    bool
		outcome string
		says    string
		claims  bool
	}{
		"all pass":                        {runs: []loop.TestsRun{ran("patched", 0, 3)}, outcome: "passed", says: "3 passed, 0 failed", claims: true},
		"none named":                      {none: true, outcome: "none", says: "none named", claims: true},
		"one breaks":                      {runs: []loop.TestsRun{ran("patched", 1, 2, "t::a"), ran("base", 0, 3)}, outcome: "failed", says: "only with it: t::a"},
		"it failed before":                {runs: []loop.TestsRun{ran("patched", 1, 2, "t::a"), ran("base", 1, 2, "t::a")}, outcome: "failed_without_it", says: "fail without it too", claims: true},
		"another one failed before":       {runs: []loop.TestsRun{ran("patched", 1, 2, "t::a"), ran("base", 1, 2, "t::b")}, outcome: "failed", says: "only with it: t::a"},
		"the base was not run to its end": {runs: []loop.TestsRun{ran("patched", 1, 2, "t::a"), ran("base", 4, 0)}, outcome: "failed", says: "without it they were not run to an end"},
		"never run":                       {outcome: "not_run", says: "not run"},
		"no pytest":                       {runs: []loop.TestsRun{ran("patched", 4, 0)}, outcome: "not_run", says: "is pytest installed"},
		"no overlay": {runs: []loop.TestsRun{{ID: "patch-1.tests.patched", Proposal: "patch-1", Side: "patched", Failure: &worker.Failure{Reason: "the archive is another"}}},
			outcome: "not_run", says: "the archive is another"},
		"more than can be named": {runs: []loop.TestsRun{func() loop.TestsRun { r := ran("patched", 1, 2, "t::a"); r.Result.Failed = 300; return r }(), ran("base", 1, 2, "t::a")}, outcome: "failed", says: "300 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := patchWon(t, "equal", stats.Win)
			var end loop.RevalidationEnded
			last := &w.pending[len(w.pending)-1]
			require.NoError(t, json.Unmarshal(last.Payload, &end))
			w.pending = w.pending[:len(w.pending)-1]
			for i := range w.pending {
				if w.pending[i].Kind == "patch.proposed" && !c.none {
					w.pending[i].Payload = bytes.Replace(w.pending[i].Payload, []byte(`"tests":null`), []byte(`"tests":["test/test_x.py"]`), 1)
				}
			}
			for _, r := range c.runs {
				w.add("tests.run", r)
			}
			outcome, text := loop.HowTestsWent(w.state(), "patch-1")
			require.Equal(t, c.outcome, outcome)
			require.Contains(t, text, c.says)
			end.TestOutcome, end.Tests = outcome, text
			home := t.TempDir()
			out, err := newLoop(t, home, newHost()).WriteReport(t.Context(), w.add("revalidation.ended", end).in(home))
			require.NoError(t, err)
			if c.claims {
				require.Contains(t, out.Claim, "best observed, reproducible performance")
			} else {
				require.Contains(t, out.Claim, "not the best observed: patch.tested: ")
			}
		})
	}
}

// TestPlannedTestsAreTheProposals edits a plan's tests as somebody would who wants others to have run.
func TestPlannedTestsAreTheProposals(t *testing.T) {
	t.Parallel()
	w := honest(t)
	w.add("patch.proposed", loop.PatchProposed{ID: "patch-1", ResultTree: "t1", BaseTree: "t0", Tests: []string{"test/test_x.py"}})
	s := w.state()
	fresh := func() []worker.TestRun {
		return []worker.TestRun{{ID: "patch-1.tests.patched", Tests: []string{"test/test_x.py"}, Overlay: &worker.Overlay{Tree: "t1"}},
			{ID: "patch-1.tests.base", Tests: []string{"test/test_x.py"}, Overlay: &worker.Overlay{Tree: "t0"}}}
	}
	run := loop.RunPlanned{Job: "revalidate/patch-1"}
	require.True(t, s.FitsTests(run, fresh()))
	require.True(t, s.FitsTests(run, fresh()[:1]))
	require.True(t, s.FitsTests(loop.RunPlanned{Job: "blocks"}, nil))
	require.False(t, s.FitsTests(loop.RunPlanned{Job: "blocks"}, fresh()))
	require.False(t, s.FitsTests(loop.RunPlanned{Job: "revalidate/patch-2"}, fresh()))
	for name, edit := range map[string]func(x *worker.TestRun){
		"other tests":    func(x *worker.TestRun) { x.Tests = []string{"test/test_easy.py"} },
		"no tests":       func(x *worker.TestRun) { x.Tests = nil },
		"the base tree":  func(x *worker.TestRun) { x.Overlay.Tree = "t0" },
		"no overlay":     func(x *worker.TestRun) { x.Overlay = nil },
		"another's name": func(x *worker.TestRun) { x.ID = "patch-2.tests.patched" },
	} {
		runs := fresh()
		edit(&runs[0])
		require.False(t, s.FitsTests(run, runs), name)
	}
}
