package genuine_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/genuine"
)

// wheel packs a wheel as a build backend does.
func wheel(t *testing.T, name, version string, files map[string]string) string {
	t.Helper()
	info := strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	all := map[string]string{
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	for n, text := range files {
		all[strings.Replace(n, "INFO/", info, 1)] = text
	}
	record := info + "RECORD,,\n"
	for n, text := range all {
		sum := sha256.Sum256([]byte(text))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", n, base64.RawURLEncoding.EncodeToString(sum[:]), len(text))
	}
	all[info+"RECORD"] = record
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n, text := range all {
		w, err := z.Create(n)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	path := filepath.Join(t.TempDir(), strings.ReplaceAll(name, "-", "_")+"-"+version+"-py3-none-any.whl")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

// env is a virtual environment that Python itself made and pip filled.
type env struct {
	t            *testing.T
	dir, site    string
	memory, base string
}

func newEnv(t *testing.T) *env {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	e := &env{t: t, dir: filepath.Join(dir, "venv"), memory: filepath.Join(dir, "memory.json"), base: python}
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", e.dir).CombinedOutput(); err != nil {
		t.Skipf("this python makes no environments: %s", out)
	}
	sites, err := filepath.Glob(filepath.Join(e.dir, "lib", "python3*", "site-packages"))
	require.NoError(t, err)
	require.Len(t, sites, 1)
	e.site = sites[0]
	return e
}

// install lets pip install wheels or checkouts.
func (e *env) install(args ...string) {
	e.t.Helper()
	cmd := exec.Command(e.base, append([]string{"-m", "pip", "--python", filepath.Join(e.dir, "bin", "python"), "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--no-compile"}, args...)...)
	cmd.Env = append(os.Environ(), "PIP_DISABLE_PIP_VERSION_CHECK=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Skipf("this pip cannot install: %s", out)
	}
}

func (e *env) options() genuine.Options {
	return genuine.Options{Prefix: e.dir, Program: filepath.Join(e.dir, "bin", "toyserve"), Names: []string{"toyserve", "toy-kernels"}, Import: "toyserve", Memory: e.memory}
}

func (e *env) look() *genuine.Identity {
	e.t.Helper()
	id, err := genuine.Inspect(e.t.Context(), e.options())
	require.NoError(e.t, err)
	return id
}

func (e *env) at(parts ...string) string { return filepath.Join(append([]string{e.site}, parts...)...) }

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func toyWheels(t *testing.T) []string {
	t.Helper()
	return []string{
		wheel(t, "toyserve", "1.2", map[string]string{
			"toyserve/__init__.py": "", "toyserve/cli.py": "def main():\n    print('serving')\n", "toyserve/data.txt": "x",
			"INFO/entry_points.txt": "[console_scripts]\ntoyserve = toyserve.cli:main\n",
		}),
		wheel(t, "toy-kernels", "0.4", map[string]string{"toy_kernels/__init__.py": "", "toy_kernels/ops.abi3.so": "\x7fELF kernels", "toy_kernels.pth": "import toy_kernels\n"}),
		wheel(t, "helper", "3", map[string]string{"helper/__init__.py": "", "helper/tests/test_it.py": "", "shared/__init__.py": "one"}),
		wheel(t, "helper-two", "3", map[string]string{"helper_two/__init__.py": "", "shared/__init__.py": "other"}),
	}
}

// TestTamperedEnvironments changes an environment in every way that a faster or slower engine could be smuggled in by,
// and undoes it: each is seen, and what is left is genuine again.
func TestTamperedEnvironments(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	wheels := toyWheels(t)
	e.install(wheels...)
	honest := e.look()
	require.Equal(t, genuine.KindWheel, honest.Kind)
	require.Empty(t, honest.Modified)
	require.Equal(t, "toyserve", honest.Packages[0].Name)
	require.Equal(t, "1.2", honest.Packages[0].Version)
	require.Equal(t, 2, honest.Others)
	require.Equal(t, filepath.Join(e.dir, "bin"), filepath.Dir(honest.Interpreter.Path))

	for name, x := range map[string]struct {
		do   func() (undo func())
		want string // of Modified; empty: it is only noted, or nothing
	}{
		"an edited file":              {e.write("toyserve/cli.py", "def main():\n    import time; time.sleep(1)\n"), "toyserve/cli.py of toyserve differs from its RECORD"},
		"an edited file of a helper":  {e.write("helper/__init__.py", "import time"), "helper/__init__.py of helper differs"},
		"an edited kernel":            {e.write("toy_kernels/ops.abi3.so", "\x7fELF slow"), "toy_kernels/ops.abi3.so of toy-kernels differs"},
		"edited data":                 {e.write("toyserve/data.txt", "y"), "toyserve/data.txt of toyserve differs"},
		"a removed kernel":            {e.remove("toy_kernels/ops.abi3.so"), "toy_kernels/ops.abi3.so of toy-kernels is gone"},
		"stripped tests":              {e.remove("helper/tests/test_it.py"), ""},
		"a module that shadows":       {e.write("toyserve/cli.cpython-311-x86_64-linux-gnu.so", "\x7fELF"), "toyserve/cli.cpython-311-x86_64-linux-gnu.so is in no RECORD"},
		"byte code in the sources":    {e.write("toyserve/cli.pyc", "x"), "toyserve/cli.pyc is in no RECORD"},
		"byte code where it belongs":  {e.write("toyserve/__pycache__/cli.cpython-311.pyc", "x"), ""},
		"a module beside the engine":  {e.write("toy_kernels.so", "\x7fELF"), "toy_kernels.so stands beside toy_kernels"},
		"somebody's module":           {e.write("mine.py", "x = 1"), ""},
		"a .pth that imports":         {e.write("zz_boost.pth", "import mine; mine.go()\n"), "zz_boost.pth runs code before the engine: import mine; mine.go()"},
		"a .pth that hides it":        {e.write("zz.pth", "# nothing\n\n/nowhere\nimport\tsys\n"), "zz.pth runs code before the engine"},
		"a .pth with a folder":        {e.write("paths.pth", t.TempDir()+"\n"), ""},
		"a .pth with an engine":       {e.folder("toyserve/__init__.py"), "puts"},
		"a .pth with a sitecustomize": {e.folder("sitecustomize.py"), "which holds a sitecustomize"},
		"a sitecustomize":             {e.write("sitecustomize.py", "import sys"), "sitecustomize.py runs code before the engine"},
		"a usercustomize package":     {e.write("usercustomize/__init__.py", "import sys"), "usercustomize runs code before the engine"},
		"debian's sitecustomize":      {e.write("sitecustomize.py", "# install the apport exception handler if available\ntry:\n    import apport_python_hook\nexcept ImportError:\n    pass\nelse:\n    apport_python_hook.install()\n"), ""},
		"uv's start file, replaced":   {e.both(e.write("_virtualenv.pth", "import _virtualenv"), e.write("_virtualenv.py", "import sys")), "_virtualenv.py is none of those"},
		"a PATH shim":                 {e.file(filepath.Join(e.dir, "bin", "toyserve"), "#!/bin/sh\nLD_PRELOAD=/tmp/x.so exec real \"$@\"\n"), "bin/toyserve of toyserve differs from its RECORD"},
		"a swapped interpreter":       {e.link(filepath.Join(e.dir, "bin", "python3"), "/bin/true"), "which is not that of its home"},
		"a wrapped interpreter":       {e.link(filepath.Join(e.dir, "bin", "python3"), e.script()), "is a script"},
		"a RECORD with a weak digest": {e.write("toy_kernels-0.4.dist-info/RECORD", "toy_kernels/__init__.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,0\n"), "which is no SHA-256"},
		"a RECORD that leaves":        {e.write("toy_kernels-0.4.dist-info/RECORD", "../../../../etc/passwd,,\n"), "outside the environment"},
		"a RECORD of nothing":         {e.write("toy_kernels-0.4.dist-info/RECORD", ""), "lists nothing"},
		"no RECORD":                   {e.remove("toyserve-1.2.dist-info/RECORD"), "no RECORD that can be read"},
		"installed twice":             {e.write("toyserve-9.9.dist-info/RECORD", "x,,\n"), "toyserve is installed twice"},
		"nothing installed":           {e.both(e.remove("toyserve-1.2.dist-info/RECORD"), e.move("toyserve-1.2.dist-info")), "no distribution \"toyserve\""},
	} {
		undo := x.do()
		got := e.look()
		undo()
		if x.want == "" {
			require.Empty(t, got.Modified, name)
		} else {
			require.Contains(t, strings.Join(got.Modified, "\n"), x.want, name)
			require.NotEqual(t, honest.Sum(), got.Sum(), name)
		}
		again := e.look()
		require.Empty(t, again.Modified, "after %s", name)
		require.Equal(t, honest.Sum(), again.Sum(), "after %s", name)
	}
	e.noticesChanges(t)

	there := newEnv(t)
	there.install(wheels...)
	require.Equal(t, honest.Packages[0].Content, there.look().Packages[0].Content)
	require.Equal(t, honest.Sum(), there.look().Sum(), "the same build at another place")
}

// noticesChanges edits a file, keeping its size and setting its time back: the change time gives it away.
func (e *env) noticesChanges(t *testing.T) {
	t.Helper()
	path := e.at("toyserve", "data.txt")
	info, err := os.Stat(path)
	require.NoError(t, err)
	put(t, path, "y")
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	require.Contains(t, strings.Join(e.look().Modified, "\n"), "toyserve/data.txt")
	put(t, e.memory, "{rubbish")
	require.Contains(t, strings.Join(e.look().Modified, "\n"), "toyserve/data.txt", "without a memory everything is read")
	put(t, path, "x")
}

// TestEditableInstalls installs a git checkout in development mode.
func TestEditableInstalls(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here")
	}
	e := newEnv(t)
	src := filepath.Join(filepath.Dir(e.dir), "src")
	put(t, filepath.Join(src, "python", "pyproject.toml"), "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \"toyserve\"\nversion = \"2.0\"\n")
	put(t, filepath.Join(src, "python", "backend.py"), backend)
	put(t, filepath.Join(src, "python", "toyserve", "__init__.py"), "")
	put(t, filepath.Join(src, "python", "toyserve", "cli.py"), "def main():\n    pass\n")
	put(t, filepath.Join(src, ".gitignore"), "*.egg-info\n")
	run := func(args ...string) {
		cmd := exec.Command(git, append([]string{"-C", src, "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	run("init", "-q")
	run("add", "-A")
	run("commit", "-qm", "one")
	e.install("-e", filepath.Join(src, "python"))

	id := e.look()
	require.Equal(t, genuine.KindEditable, id.Kind)
	require.Empty(t, id.Modified)
	require.Equal(t, src, id.Checkout.Root)
	require.Equal(t, []string{"python/toyserve"}, id.Checkout.Folders)
	require.Len(t, id.Checkout.Commit, 40)

	cli := filepath.Join(src, "python", "toyserve", "cli.py")
	put(t, cli, "def main():\n    import time; time.sleep(1)\n")
	dirty := e.look()
	require.Contains(t, dirty.Modified, fmt.Sprintf("python/toyserve/cli.py of toyserve differs from commit %.12s", id.Checkout.Commit))
	require.Equal(t, []string{"python/toyserve/cli.py"}, dirty.Checkout.Changed)
	run("commit", "-qam", "two")
	clean := e.look()
	require.Empty(t, clean.Modified)
	require.NotEqual(t, id.Sum(), clean.Sum(), "another commit is another engine")

	put(t, filepath.Join(src, "python", "toyserve", "ext.so"), "\x7fELF built")
	put(t, filepath.Join(src, "python", "toyserve", "_version.py"), "v = 1")
	built := e.look()
	require.Empty(t, built.Modified)
	require.Equal(t, []string{"python/toyserve/_version.py", "python/toyserve/ext.so"}, built.Checkout.Built)
	require.NotEqual(t, clean.Sum(), built.Sum())
	undo := e.write("toyserve/cli.py", "def main(): pass")()
	require.Contains(t, strings.Join(e.look().Modified, "\n"), "toyserve is imported before the editable install")
	undo()
	put(t, filepath.Join(src, "python", "toyserve", "boost.py"), "x = 1")
	require.Contains(t, strings.Join(e.look().Modified, "\n"), "boost.py of toyserve differs from commit")
	require.NoError(t, os.Remove(filepath.Join(src, "python", "toyserve", "boost.py")))
	require.NoError(t, os.RemoveAll(filepath.Join(src, ".git")))
	require.Contains(t, strings.Join(e.look().Modified, "\n"), "not in one git checkout")
}

// backend builds an editable wheel with the two files that setuptools makes.
const backend = `import base64, hashlib, os, zipfile
INFO = "toyserve-2.0.dist-info/"
FINDER = """import sys
from importlib.util import spec_from_file_location
MAPPING = {'toyserve': %r}
class F:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.split(".")
        if top[0] in MAPPING:
            at = os.path.join(MAPPING[top[0]], *top[1:])
            return spec_from_file_location(name, at + (".py" if top[1:] else "/__init__.py"))
def install():
    sys.meta_path.append(F)
"""
def build_editable(directory, config_settings=None, metadata_directory=None):
    files = {
        INFO + "METADATA": "Metadata-Version: 2.1\nName: toyserve\nVersion: 2.0\n",
        INFO + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        INFO + "entry_points.txt": "[console_scripts]\ntoyserve = toyserve.cli:main\n",
        "__editable__.toyserve-2.0.pth": "import __editable___toyserve_2_0_finder; __editable___toyserve_2_0_finder.install()",
        "__editable___toyserve_2_0_finder.py": FINDER % os.path.abspath("toyserve"),
    }
    record = INFO + "RECORD,,\n"
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\n" % (name, digest, len(text))
    files[INFO + "RECORD"] = record
    out = "toyserve-2.0-0.editable-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, out), "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    return out
`

func TestSimulatedSaysSo(t *testing.T) {
	t.Parallel()
	me, err := os.Executable()
	require.NoError(t, err)
	id, err := genuine.Simulated(genuine.Options{Prefix: filepath.Dir(me), Program: me})
	require.NoError(t, err)
	require.Equal(t, genuine.KindSimulated, id.Kind)
	require.Len(t, id.Program.SHA256, 64)
	_, err = genuine.Simulated(genuine.Options{Program: filepath.Join(t.TempDir(), "gone")})
	require.Error(t, err)
}
