package worker_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// toyPytest runs functions test_* of files, and says how as pytest does.
const toyPytest = `
import sys, os, runpy, time
args = sys.argv[sys.argv.index("--") + 1:]
failing, passed = [], 0
for a in args:
    file, _, only = a.partition("::")
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    names = runpy.run_path(file)
    for name, f in names.items():
        if name.startswith("test_") and (not only or name == only):
            try:
                f()
                passed += 1
            except Exception as e:
                failing.append("FAILED %s::%s - %s" % (file, name, type(e).__name__))
print("\n".join(failing))
print("=== %d failed, %d passed in 0.01s ===" % (len(failing), passed) if failing else "=== %d passed in 0.01s ===" % passed)
sys.exit(1 if failing else 0)
`

const patchTests = `
from toyserve.core import limits
import os, sys, time
def test_limit():
    assert limits.LIMIT == 2, limits.LIMIT
def test_environment():
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and "HF_TOKEN" not in os.environ and os.environ["GIVEN"] == "yes"
def test_place():
    assert os.path.exists("test/helper.txt")
`

// testRun makes a test run of toyserve with the patch's overlay, or with the base's.
func testRun(l worker.Launch, id, python string, tests []byte, ids ...string) worker.TestRun {
	o := *l.Overlay
	return worker.TestRun{ID: id, Entry: "toy", Framework: l.Framework, Python: python, Options: []string{}, Tests: ids, PackageRoot: "python/toyserve", Env: map[string]string{"GIVEN": "yes"},
		Overlay: &o, Tar: "tests.tar", TarDigest: digest(string(tests))}
}

// baseOverlay lays the base's own tree.
func baseOverlay(l worker.Launch, tarball []byte) *worker.Overlay {
	o := *l.Overlay
	o.Tree, o.Tar, o.TarDigest = "base0", "base.tar", digest(string(tarball))
	o.Want = map[string]string{"core/limits.py": digest(toyserve["core/limits.py"])}
	return &o
}

func TestTestsOfAPatchRunOnItsBuild(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"HF_TOKEN": "hf_secret"})
	dir, site := venv(t)
	write(t, filepath.Join(site, "pytest", "__main__.py"), toyPytest)
	python := filepath.Join(dir, "bin", "python")
	tarball := tree(t, entry{name: "python/toyserve/test_inside.py", text: "from toyserve.core import limits\ndef test_inside():\n    assert limits.LIMIT == 2 and '/overlays/' in limits.__file__\n"})
	base := archive(t, entry{name: "python/toyserve/core/limits.py", text: toyserve["core/limits.py"]}, entry{name: "python/toyserve/core/unused.py", text: toyserve["core/unused.py"]})
	tests := archive(t, entry{name: "test/test_limits.py", text: patchTests}, entry{name: "test/helper.txt", text: "x"},
		entry{name: "test/test_slow.py", text: "import time, os\ndef test_slow():\n    os.fork()\n    time.sleep(600)\n"},
		entry{name: "test/test_liar.py", text: "import os\ndef test_liar():\n    print('=== 5 passed in 0.1s ===', flush=True)\n    os._exit(1)\n"},
		entry{name: "test/test_quits.py", text: "import os\nos._exit(0)\n"})
	l := overlaid(r, dir, tarball)
	p := r.plan("run")
	add := func(id string, ids ...string) *worker.TestRun {
		p.Tests = append(p.Tests, testRun(l, id, python, tests, ids...))
		return &p.Tests[len(p.Tests)-1]
	}
	add("good", "test/test_limits.py", "python/toyserve/test_inside.py")
	add("left-out", "test/test_limits.py").Unless = "good"
	add("one", "test/test_limits.py::test_place")
	add("bad", "test/test_limits.py").Overlay = baseOverlay(l, base)
	add("after-bad", "test/test_limits.py::test_limit").Unless = "bad"
	add("slow", "test/test_slow.py").Timeout = time.Second
	add("liar", "test/test_liar.py")
	add("quits", "test/test_quits.py")
	add("none", "test/test_none.py")
	add("no-python", "test/test_limits.py").Python = filepath.Join(dir, "bin", "nothing")
	wrong := add("other-tests", "test/test_limits.py")
	wrong.TarDigest = digest("other")
	require.NoError(t, r.client.Start(t.Context(), p, map[string]worker.Opener{"tree.tar": opener(tarball), "base.tar": opener(base), "tests.tar": opener(tests)}))
	st := r.finish("run")
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	got := map[string]worker.Event{}
	for _, e := range st.Events {
		if e.Kind == worker.EventTestsDone {
			got[e.Tests.ID] = e
		}
	}
	require.Len(t, got, len(p.Tests)-1, "%+v", st.Events)
	require.NotContains(t, got, "left-out", "the first run passed")
	result := func(id string) *worker.TestResult {
		t.Helper()
		require.Nil(t, got[id].Failure, "%+v", got[id].Failure)
		return got[id].Tests
	}
	require.True(t, result("good").Counted, string(r.fetch("run", got["good"].Files[0].Name)))
	require.Equal(t, []int{0, 4, 0}, []int{result("good").Exit, result("good").Passed, result("good").Failed})
	require.Equal(t, []string{python, "-m", "pytest", "-pno:cacheprovider", "-rfE", "--", "test/test_limits.py"}, result("good").Argv[:7])
	require.Equal(t, 1, result("one").Passed)
	require.Equal(t, []int{1, 2, 1}, []int{result("bad").Exit, result("bad").Passed, result("bad").Failed}, "the base's limit is another")
	require.Equal(t, []string{"test/test_limits.py::test_limit"}, result("bad").Failing)
	require.True(t, result("bad").Counted)
	require.True(t, result("after-bad").Counted)
	require.True(t, result("slow").TimedOut)
	for _, id := range []string{"slow", "liar", "quits", "none"} {
		require.False(t, result(id).Counted, "%s: %+v", id, result(id))
	}
	require.Contains(t, got["no-python"].Failure.Reason, "is not an executable file")
	require.Contains(t, got["other-tests"].Failure.Reason, "the plan says")
}

// TestRealPytestIsUnderstood uses the machine's own pytest, where it has one.
func TestRealPytestIsUnderstood(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("python3", "-c", "import pytest, os; print(os.path.dirname(os.path.dirname(pytest.__file__)))").Output()
	if err != nil {
		t.Skip("no pytest on this machine")
	}
	r := newRig(t, nil)
	dir, _ := venv(t)
	tarball := tree(t)
	tests := archive(t, entry{name: "test/srt/test_limits.py", text: "import pytest\nfrom toyserve.core import limits\ndef test_limit():\n    assert limits.LIMIT == 2\n" +
		"@pytest.mark.parametrize('x', [2, 3])\ndef test_two(x):\n    assert x == 2\n@pytest.mark.skip\ndef test_not():\n    pass\n"},
		entry{name: "test/srt/test_broken.py", text: "import nothing_of_the_kind\n"}, entry{name: "conftest.py", text: ""})
	p := r.plan("run")
	for id, tests2 := range map[string][]string{"one": {"test/srt/test_limits.py::test_limit"}, "some": {"test/srt/test_limits.py"}, "broken": {"test/srt/test_broken.py"}, "absent": {"test/srt/test_absent.py"}} {
		run := testRun(overlaid(r, dir, tarball), id, filepath.Join(dir, "bin", "python"), tests, tests2...)
		run.Env["PYTHONPATH"], run.Options = strings.TrimSpace(string(out)), []string{"-q"}
		p.Tests = append(p.Tests, run)
	}
	require.NoError(t, r.client.Start(t.Context(), p, map[string]worker.Opener{"tree.tar": opener(tarball), "tests.tar": opener(tests)}))
	got := map[string]*worker.TestResult{}
	logs := ""
	for _, e := range r.finish("run").Events {
		if e.Kind == worker.EventTestsDone {
			require.Nil(t, e.Failure, "%+v", e.Failure)
			got[e.Tests.ID] = e.Tests
			logs += string(r.fetch("run", e.Files[0].Name))
		}
	}
	told := func(id string) string {
		x := got[id]
		return fmt.Sprint(x.Exit, x.Passed, x.Failed, x.Skipped, x.Failing, x.Counted)
	}
	require.Equal(t, "0 1 0 0 [] true", told("one"), logs)
	require.Equal(t, "1 2 1 1 [test/srt/test_limits.py::test_two[3]] true", told("some"), logs)
	require.False(t, got["broken"].Counted && got["broken"].Exit == 0, logs)
	require.False(t, got["absent"].Counted, logs)
}

func TestTestRunsThatAreMoreThanTests(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	tarball := tree(t)
	for name, edit := range map[string]func(x *worker.TestRun){
		"an option":         func(x *worker.TestRun) { x.Tests = []string{"--collect-only"} },
		"a path outside":    func(x *worker.TestRun) { x.Tests = []string{"../x/test_x.py"} },
		"an absolute path":  func(x *worker.TestRun) { x.Tests = []string{"/etc/test_x.py"} },
		"no tests":          func(x *worker.TestRun) { x.Tests = nil },
		"no overlay":        func(x *worker.TestRun) { x.Overlay = nil },
		"no interpreter":    func(x *worker.TestRun) { x.Python = "" },
		"an archive beside": func(x *worker.TestRun) { x.Tar = "../x.tar" },
		"waits for nothing": func(x *worker.TestRun) { x.Unless = "later" },
		"for ever":          func(x *worker.TestRun) { x.Timeout = 100 * time.Hour },
		"a name":            func(x *worker.TestRun) { x.ID = "a/b" },
	} {
		p := r.plan("bad")
		run := testRun(overlaid(r, t.TempDir(), tarball), "x", "/bin/true", tarball, "test/test_x.py")
		edit(&run)
		p.Tests = []worker.TestRun{run}
		err := r.client.Start(t.Context(), p, map[string]worker.Opener{"tree.tar": opener(tarball), "tests.tar": opener(tarball)})
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%s: %v", name, err)
	}
}
