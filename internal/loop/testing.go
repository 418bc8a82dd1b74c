package loop

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Sides of a test run.
const (
	testsPatched = "patched"
	testsBase    = "base"
)

// How the tests that a proposal names went.
const (
	testsNone   = "none"              // it names none
	testsPassed = "passed"            // all of them, on the patched build
	testsFailed = "failed"            // some fail with the patch and not without it
	testsBefore = "failed_without_it" // those that fail with the patch fail without it too
	testsNotRun = "not_run"
)

// maxTestsTar is how many bytes of test files travel to a host.
const maxTestsTar = 256 << 20

// TestsRun is one run of a proposal's tests on the host.
type TestsRun struct {
	ID       string            `json:"id"`
	RunID    string            `json:"run_id"`
	Proposal string            `json:"proposal"`
	Side     string            `json:"side"` // patched or base
	Tree     string            `json:"tree"`
	Tests    []string          `json:"tests"`
	Result   worker.TestResult `json:"result"`
	Failure  *worker.Failure   `json:"failure,omitempty"` // why nothing was run
	Log      *ledger.Artifact  `json:"log,omitempty"`
}

func testsID(proposal, side string) string { return proposal + ".tests." + side }

// testRuns plans a proposal's tests: with the patch, and where some fail then, without it. The test files are those of the
// result tree, which are the base's and what the patch adds: no patch may change existing ones.
func (c *campaign) testRuns(st *State, prop *ProposalState, s sides3, host hosts.HostEntry) ([]worker.TestRun, error) {
	if len(prop.Tests) == 0 {
		return nil, nil
	}
	repo, target, err := c.target(st)
	if err != nil {
		return nil, err
	}
	if _, _, err := c.applied(repo, prop); err != nil {
		return nil, err
	}
	keep := testFiles(prop.Tests)
	size := &countingWriter{}
	digest, err := repo.TarOf(prop.ResultTree, keep, size)
	if err != nil {
		return nil, err
	}
	if size.n > maxTestsTar {
		return nil, fault.New(fault.InvalidInput, "the test files are %d MiB, at most %d travel to a host", size.n>>20, int64(maxTestsTar)>>20).At("tests", strings.Join(prop.Tests, " "))
	}
	eng, entry, err := engineOf(host, st.Contract.Target.Entry)
	if err != nil {
		return nil, err
	}
	run := worker.TestRun{Entry: eng.Entry, Framework: eng.Type, Python: pythonOf(eng), Options: testOptions(entry.TestRunner), Tests: prop.Tests, PackageRoot: target.PackageRoot,
		Env: engineEnv(st.Contract, host, eng.Env, nil), Tar: "tests-" + prop.ResultTree + ".tar", TarDigest: digest}
	s.inbox[run.Tar] = func() (io.ReadCloser, error) {
		pr, pw := io.Pipe()
		go func() {
			_, err := repo.TarOf(prop.ResultTree, keep, pw)
			pw.CloseWithError(err)
		}()
		return pr, nil
	}
	patched, base := run, run
	patched.ID, patched.Overlay = testsID(prop.ID, testsPatched), s.patched.overlay
	base.ID, base.Overlay, base.Unless = testsID(prop.ID, testsBase), s.base.overlay, patched.ID
	return []worker.TestRun{patched, base}, nil
}

// applied applies a proposal's diff again, so that its result tree can be read.
func (c *campaign) applied(repo *gitops.Repo, prop *ProposalState) (*gitops.Patch, *gitops.Proposed, error) {
	diff, err := c.ledger.ReadAll(prop.Diff)
	if err != nil {
		return nil, nil, err
	}
	return parseAndApply(repo, prop.BaseCommit, string(diff))
}

// pythonOf is the interpreter of an engine's environment.
func pythonOf(e framework.Engine) string {
	if e.Venv != "" {
		return path.Join(e.Venv, "bin", "python")
	}
	return path.Join(e.Command, "python3")
}

// testOptions are the engineer's options of pytest: what follows `python -m pytest` in hosts.yaml.
func testOptions(runner []string) []string {
	if len(runner) < 3 {
		return []string{}
	}
	return slices.Clone(runner[3:])
}

// testFiles says which files of a tree are needed to run tests: the top folders that hold them, and settings at the root.
func testFiles(ids []string) func(string) bool {
	settings := []string{"pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini", "conftest.py"}
	tops, files := map[string]bool{}, map[string]bool{}
	for _, id := range ids {
		file, _, _ := strings.Cut(id, "::")
		files[file] = true
		if top, _, inside := strings.Cut(file, "/"); inside && isTest(top+"/x") {
			tops[top] = true
		} else if inside {
			files[path.Dir(file)] = true
		}
	}
	return func(p string) bool {
		top, _, inside := strings.Cut(p, "/")
		return files[p] || files[path.Dir(p)] || inside && tops[top] || !inside && slices.Contains(settings, p)
	}
}

// countingWriter counts what it is given.
type countingWriter struct{ n int64 }

// Write implements io.Writer.
func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}

// unfinishedTests leaves out test runs whose end is recorded.
func unfinishedTests(s *State, runs []worker.TestRun) []worker.TestRun {
	return slices.DeleteFunc(slices.Clone(runs), func(t worker.TestRun) bool { return s.has(kindTests, t.ID) })
}

// tests records the end of a test run. What kept it from beginning and says nothing about the tests is no end.
func (in *intake) tests(ctx context.Context, client *worker.Client, e worker.Event) error {
	if e.Tests == nil {
		return fmt.Errorf("event %d has no result of tests", e.Seq)
	}
	at := slices.IndexFunc(in.plan.Tests, func(t worker.TestRun) bool { return t.ID == e.Tests.ID })
	if at < 0 {
		return fmt.Errorf("test run %q is not in the plan", e.Tests.ID)
	}
	if e.Failure != nil && (e.Failure.Class == framework.FailForeign || e.Failure.Class == framework.FailChanged || e.Failure.Class == framework.FailCanceled) {
		return nil
	}
	t := in.plan.Tests[at]
	proposal, side, _ := strings.Cut(t.ID, ".tests.")
	rec := TestsRun{ID: t.ID, RunID: in.plan.RunID, Proposal: proposal, Side: side, Tree: t.Overlay.Tree, Tests: t.Tests, Result: *e.Tests, Failure: e.Failure}
	for _, f := range e.Files {
		art, err := in.c.fetchText(ctx, client, in.plan.RunID, f, "benchmark/logs/"+t.ID+".log")
		if err != nil {
			return err
		}
		rec.Log = &art
	}
	return in.c.once(ctx, kindTests, t.ID, rec)
}

// FitsTests says whether a plan's test runs are those of the proposal that its job revalidates.
func (s *State) FitsTests(r RunPlanned, runs []worker.TestRun) bool {
	id, of := strings.CutPrefix(r.Job, "revalidate/")
	prop := s.Proposal(id)
	if len(runs) == 0 {
		return true
	}
	if !of || prop == nil {
		return false
	}
	for _, t := range runs {
		tree := map[string]string{testsID(id, testsPatched): prop.ResultTree, testsID(id, testsBase): prop.BaseTree}[t.ID]
		if tree == "" || t.Overlay == nil || t.Overlay.Tree != tree || !slices.Equal(t.Tests, prop.Tests) {
			return false
		}
	}
	return true
}

// testOutcome is how a proposal's tests went, by the runs that are recorded, with a line for people.
func (s *State) testOutcome(prop *ProposalState) (outcome, text string) {
	if len(prop.Tests) == 0 {
		return testsNone, "none named"
	}
	patched, ran := s.testsRun(prop.ID, testsPatched)
	if !ran {
		return testsNotRun, "not run"
	}
	if !patched.Result.Counted {
		return testsNotRun, "not run to an end with the patch: " + patched.why()
	}
	where := ""
	if s.Contract.Host.Simulated {
		where = ", by a simulated interpreter"
	}
	x := patched.Result
	text = fmt.Sprintf("%d passed, %d failed, %d skipped with the patch%s", x.Passed, x.Failed, x.Skipped, where)
	if x.Failed == 0 {
		return testsPassed, text
	}
	base, ran := s.testsRun(prop.ID, testsBase)
	if !ran || !base.Result.Counted {
		return testsFailed, text + "; without it they were not run to an end"
	}
	text += fmt.Sprintf("; without it %d passed, %d failed", base.Result.Passed, base.Result.Failed)
	fresh := slices.DeleteFunc(slices.Clone(x.Failing), func(id string) bool { return slices.Contains(base.Result.Failing, id) })
	if len(fresh) > 0 || x.Failed > base.Result.Failed {
		return testsFailed, text + "; only with it: " + short(strings.Join(fresh, ", "), 300)
	}
	return testsBefore, text + "; all that fail with it fail without it too"
}

// why says why a test run came to no end.
func (t TestsRun) why() string {
	switch {
	case t.Failure != nil:
		return short(t.Failure.Reason, 300)
	case t.Result.TimedOut:
		return fmt.Sprintf("its time was over after %.0f s", t.Result.SecondsS)
	case t.Result.Summary != "":
		return fmt.Sprintf("pytest ended with exit %d: %s", t.Result.Exit, short(t.Result.Summary, 200))
	}
	return fmt.Sprintf("pytest ended with exit %d and told no counts: its log says more (is pytest installed in the engine's environment?)", t.Result.Exit)
}

func (s *State) testsRun(proposal, side string) (TestsRun, bool) {
	for _, t := range s.Tests {
		if t.ID == testsID(proposal, side) {
			return t, true
		}
	}
	return TestsRun{}, false
}
