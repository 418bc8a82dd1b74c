//go:build linux

package worker_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// toyserve is a Python package that serves; its limits are what a patch touches.
var toyserve = map[string]string{
	"__init__.py": "",
	"server.py": `
import http.server, sys, threading, time
from toyserve.core import limits
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b"%d" % limits.LIMIT)
    def log_message(self, *a):
        pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H)
print("limit", limits.LIMIT, flush=True)
print("ready to roll", flush=True)
s.serve_forever()
`,
	"core/__init__.py": "",
	"core/limits.py":   "LIMIT = 1\n",
	"core/unused.py":   "UNUSED = 1\n",
	"core/table.json":  "{}\n",
	"native.so":        "not really",
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// python finds the interpreter behind python3 and the name of its library folder; empty where there is none.
var python = sync.OnceValues(func() (path, lib string) {
	out, err := exec.Command("python3", "-c", `import sys, os; print(os.path.realpath(sys._base_executable)); print("python%d.%d" % sys.version_info[:2])`).Output()
	if f := strings.Fields(string(out)); err == nil && len(f) == 2 {
		return f[0], f[1]
	}
	return "", ""
})

// venv makes a virtual environment that holds toyserve, and gives it with its site-packages.
func venv(t *testing.T) (dir, site string) {
	t.Helper()
	interpreter, lib := python()
	if interpreter == "" {
		t.Skip("no python3 here")
	}
	dir = t.TempDir()
	site = filepath.Join(dir, "lib", lib, "site-packages")
	write(t, filepath.Join(dir, "pyvenv.cfg"), "home = "+filepath.Dir(interpreter)+"\n")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Symlink(interpreter, filepath.Join(dir, "bin", "python")))
	for name, text := range toyserve {
		write(t, filepath.Join(site, "toyserve", name), text)
	}
	return dir, site
}

// customizes says whether the environment's own sitecustomize is the one that its interpreter runs; a distribution's
// may stand before it.
func customizes(t *testing.T, dir string) bool {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "bin", "python"), "-c", "pass")
	cmd.Env = []string{"TOY_DIR=" + t.TempDir()}
	require.NoError(t, cmd.Run())
	_, err := os.Stat(filepath.Join(strings.TrimPrefix(cmd.Env[0], "TOY_DIR="), "chained"))
	return err == nil
}

// entry is one member of an archive.
type entry struct {
	name, text string
	kind       byte
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		if e.kind != 0 {
			h.Typeflag, h.Linkname, h.Size = e.kind, e.text, 0
			e.text = ""
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(e.text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

const patched = "LIMIT = 2\nfrom toyserve.core import extra\n"

// overlaid makes a launch of toyserve from an overlay whose tree changes limits and table, adds extra and drops unused.
func overlaid(r *rig, venvDir string, tarball []byte) worker.Launch {
	l := r.launch("l1", nil)
	l.Argv = []string{filepath.Join(venvDir, "bin", "python"), "-m", "toyserve.server", framework.PortPlaceholder}
	l.Overlay = &worker.Overlay{
		Tree: "0123abcd", Tar: "tree.tar", TarDigest: digest(string(tarball)), ImportName: "toyserve", PackageRoot: "python/toyserve",
		Base: map[string]string{"core/limits.py": digest(toyserve["core/limits.py"]), "core/unused.py": digest(toyserve["core/unused.py"]),
			"core/table.json": digest(toyserve["core/table.json"]), "server.py": digest(toyserve["server.py"])},
		Want: map[string]string{"core/limits.py": digest(patched), "core/extra.py": digest("EXTRA = 1\n"), "core/table.json": digest("[]\n"),
			"server.py": digest(toyserve["server.py"])},
	}
	return l
}

func tree(t *testing.T, more ...entry) []byte {
	t.Helper()
	return archive(t, append([]entry{
		{name: "python/toyserve/core/limits.py", text: patched}, {name: "python/toyserve/core/extra.py", text: "EXTRA = 1\n"},
		{name: "python/toyserve/core/table.json", text: "[]\n"}, {name: "python/other/x.py", text: "x"},
		{name: "docs/link", text: "../../etc/passwd", kind: tar.TypeSymlink}, {name: "./python/toyserve/server.py", text: toyserve["server.py"]},
	}, more...)...)
}

func TestOverlayIsLoadedAndProven(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	dir, site := venv(t)
	write(t, filepath.Join(site, "sitecustomize.py"), "import os\nopen(os.environ['TOY_DIR'] + '/chained', 'w').close()\n")
	chained := customizes(t, dir)
	tarball := tree(t)
	for _, runID := range []string{"one", "two"} { // the second finds the overlay made
		require.NoError(t, r.client.Start(t.Context(), r.plan(runID, overlaid(r, dir, tarball)), map[string]worker.Opener{"tree.tar": opener(tarball)}))
		st := r.finish(runID)
		require.Equal(t, "run.started launch.started launch.ready launch.stopped run.done", kinds(st), "%+v", st.Events)
		ready := event(t, st, worker.EventLaunchReady)
		require.Equal(t, map[string]string{"core/limits.py": digest(patched), "core/extra.py": digest("EXTRA = 1\n"),
			"server.py": digest(toyserve["server.py"])}, ready.Loaded)
		log := string(r.fetch(runID, "launches/l1/engine.log"))
		require.Contains(t, log, "limit 2")
		_, err := os.Stat(filepath.Join(r.workdir, "runs", runID, "launches", "l1", "chained"))
		require.Equal(t, chained, err == nil, "the sitecustomize that ran without us runs with us")
	}
	for name, text := range toyserve {
		raw, err := os.ReadFile(filepath.Join(site, "toyserve", name))
		require.NoError(t, err)
		require.Equal(t, text, string(raw), "the installed package is untouched")
	}
	found, err := filepath.Glob(filepath.Join(r.workdir, "overlays", "0123abcd", "*", "toyserve"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	_, err = os.Stat(filepath.Join(found[0], "core", "unused.py"))
	require.ErrorIs(t, err, os.ErrNotExist)
	in, err := os.Stat(filepath.Join(found[0], "native.so"))
	require.NoError(t, err)
	out, err := os.Stat(filepath.Join(site, "toyserve", "native.so"))
	require.NoError(t, err)
	require.True(t, os.SameFile(in, out), "what the tree does not touch is linked")
}

func TestOverlayRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("run")
	inbox := map[string]worker.Opener{}
	cases := []struct {
		name   string
		change func(l *worker.Launch, site string)
		more   []entry
		reason string
	}{
		{name: "installed file differs", reason: "core/limits.py of the installed package differs from the base commit",
			change: func(_ *worker.Launch, site string) {
				_ = os.WriteFile(filepath.Join(site, "toyserve/core/limits.py"), []byte("LIMIT = 3\n"), 0o600)
			}},
		{name: "installed file missing", reason: "core/limits.py of the base commit is not in the installed package",
			change: func(_ *worker.Launch, site string) { _ = os.Remove(filepath.Join(site, "toyserve/core/limits.py")) }},
		{name: "new file is installed", reason: "core/extra.py is new to the base commit but",
			change: func(_ *worker.Launch, site string) {
				_ = os.WriteFile(filepath.Join(site, "toyserve/core/extra.py"), nil, 0o600)
			}},
		{name: "tree lacks what is wanted", reason: "core/limits.py of tree 0123abcd has sha256",
			change: func(l *worker.Launch, _ string) { l.Overlay.Want["core/limits.py"] = digest("LIMIT = 9\n") }},
		{name: "archive was changed", reason: "the plan says",
			change: func(l *worker.Launch, _ string) { l.Overlay.TarDigest = digest("other") }},
		{name: "link in the package", reason: "is a link or device", more: []entry{{name: "python/toyserve/core/l.py", text: "/etc/passwd", kind: tar.TypeSymlink}}},
		{name: "hard link", reason: "is a link or device", more: []entry{{name: "python/toyserve/l.py", text: "python/toyserve/server.py", kind: tar.TypeLink}}},
		{name: "escaping path", reason: "not a plain path", more: []entry{{name: "python/toyserve/../../../x", text: "x"}}},
		{name: "absolute path", reason: "not a plain path", more: []entry{{name: "/python/toyserve/x.py", text: "x"}}},
		{name: "sitecustomize", reason: "holds", more: []entry{{name: "python/toyserve/sitecustomize.py", text: "x"}}},
		{name: "module never loaded", reason: "no running process has loaded core/late.py",
			more:   []entry{{name: "python/toyserve/core/late.py", text: "x = 1\n"}},
			change: func(l *worker.Launch, _ string) { l.Overlay.Want["core/late.py"] = digest("x = 1\n") }},
		{name: "import path ignored", reason: "no running process has loaded core/extra.py",
			change: func(l *worker.Launch, _ string) {
				l.Argv = append([]string{l.Argv[0], "-E"}, l.Argv[1:]...)
			}},
	}
	for i, tc := range cases {
		dir, site := venv(t)
		tarball := tree(t, tc.more...)
		l := overlaid(r, dir, tarball)
		l.ID, l.Overlay.Tar = fmt.Sprintf("l%d", i), fmt.Sprintf("tree-%d.tar", i)
		if tc.change != nil {
			tc.change(&l, site)
		}
		p.Launches = append(p.Launches, l)
		inbox[l.Overlay.Tar] = opener(tarball)
	}
	require.NoError(t, r.client.Start(t.Context(), p, inbox))
	reasons := map[string]*worker.Failure{}
	for _, e := range r.finish("run").Events {
		require.NotEqual(t, worker.EventLaunchReady, e.Kind)
		if e.Kind == worker.EventLaunchFailed {
			reasons[e.Launch] = e.Failure
		}
	}
	for i, tc := range cases {
		f := reasons[fmt.Sprintf("l%d", i)]
		require.NotNil(t, f, tc.name)
		require.Equal(t, framework.FailOverlay, f.Class, "%s: %s", tc.name, f.Reason)
		require.Contains(t, f.Reason, tc.reason, tc.name)
	}
}

// TestForgedProof has an engine that is no Python and writes its proof itself, as the simulated ones do.
func TestForgedProof(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ pid, sha, reason string }{
		"true":          {"PID", digest(patched), ""},
		"wrong digest":  {"PID", digest("other"), "loaded core/limits.py with sha256"},
		"other process": {"1", digest(patched), "no running process has loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			site := filepath.Join(t.TempDir(), "lib", "python3.12", "site-packages")
			write(t, filepath.Join(site, "toyserve", "core", "limits.py"), toyserve["core/limits.py"])
			tarball := archive(t, entry{name: "core/limits.py", text: patched})
			l := r.launch("l1", []string{fmt.Sprintf(`proof={"pid": %s, "modules": {"toyserve.core.limits": {"file": "%s/toyserve/core/limits.py", "sha256": "%s"}}}`,
				tc.pid, framework.OverlayPlaceholder, tc.sha)})
			l.Overlay = &worker.Overlay{Tree: "t", Tar: "t.tar", TarDigest: digest(string(tarball)), ImportName: "toyserve",
				Installed: worker.Package{Venv: filepath.Dir(filepath.Dir(filepath.Dir(site)))},
				Base:      map[string]string{"core/limits.py": digest(toyserve["core/limits.py"])}, Want: map[string]string{"core/limits.py": digest(patched)}}
			p := r.plan("run", l)
			require.NoError(t, r.client.Start(t.Context(), p, map[string]worker.Opener{"t.tar": opener(tarball)}))
			st := r.finish("run")
			if tc.reason == "" {
				require.Equal(t, digest(patched), event(t, st, worker.EventLaunchReady).Loaded["core/limits.py"], "%+v", st.Events)
				return
			}
			require.Contains(t, event(t, st, worker.EventLaunchFailed).Failure.Reason, tc.reason)
		})
	}
}

func TestReadInstalled(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	dir, site := venv(t)
	e := framework.Engine{Venv: dir, ImportName: "toyserve"}
	got, err := r.client.ReadInstalled(t.Context(), e, []string{"core/limits.py", "core/none.py"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"core/limits.py": digest(toyserve["core/limits.py"])}, got)

	src := t.TempDir() // an editable install: a .pth that points to a checkout
	write(t, filepath.Join(src, "edited", "__init__.py"), "raise SystemExit('must not be imported')\n")
	write(t, filepath.Join(site, "edited.pth"), src+"\n")
	e.ImportName = "edited"
	got, err = r.client.ReadInstalled(t.Context(), e, []string{"__init__.py"})
	require.NoError(t, err)
	require.Len(t, got, 1)

	for _, bad := range []string{"nowhere", "os; import x", "../x", ""} {
		e.ImportName = bad
		_, err = r.client.ReadInstalled(t.Context(), e, nil)
		require.Error(t, err, bad)
	}
	e.ImportName = "toyserve"
	_, err = r.client.ReadInstalled(t.Context(), e, []string{"../../../../bin/python"})
	require.ErrorContains(t, err, "not a path inside the package")
}
