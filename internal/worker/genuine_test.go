//go:build linux

package worker_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// pyserve is an engine in Python: ready at once, eight tokens a request.
const pyserve = `import http.server, json, os, sys, time
def main():
    class H(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *a): pass
        def do_GET(self):
            self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.path != "/v1/completions": return self.do_GET()
            gate = os.environ.get("TOY_GATE")
            while gate and not os.path.exists(gate): time.sleep(0.01)
            self.send_response(200); self.send_header("Content-Type", "text/event-stream"); self.send_header("Connection", "close"); self.end_headers()
            n = body["max_tokens"]
            for i in range(n):
                f = '"length"' if i == n - 1 else "null"
                self.wfile.write(('data: {"id":"c","choices":[{"index":0,"text":"t%d ","finish_reason":%s}],"usage":null}\n\n' % (i, f)).encode())
            p = len(body["prompt"])
            self.wfile.write(('data: {"id":"c","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}\n\ndata: [DONE]\n\n' % (p, n, p + n)).encode())
            self.close_connection = True
    s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H)
    print("fired up and ready to roll", flush=True)
    s.serve_forever()
`

// vllmVenv is an environment as Python and pip leave it after a wheel named vllm was installed.
func vllmVenv(t *testing.T) (dir, site string) {
	t.Helper()
	interpreter, lib := python()
	if interpreter == "" {
		t.Skip("no python3 here")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	site = filepath.Join(dir, "lib", lib, "site-packages")
	write(t, filepath.Join(dir, "pyvenv.cfg"), "home = "+filepath.Dir(interpreter)+"\ninclude-system-site-packages = false\n")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Symlink(interpreter, filepath.Join(dir, "bin", "python3")))
	require.NoError(t, os.Symlink("python3", filepath.Join(dir, "bin", "python")))
	record := "vllm-0.26.0.dist-info/RECORD,,\n"
	for name, text := range map[string]string{
		"vllm/__init__.py": "", "vllm/cli.py": pyserve, "vllm-0.26.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vllm\nVersion: 0.26.0\n",
		"../../../bin/vllm": "#!" + filepath.Join(dir, "bin", "python") + "\nfrom vllm.cli import main\nmain()\n",
	} {
		path := filepath.Join(site, filepath.FromSlash(name))
		write(t, path, text)
		require.NoError(t, os.Chmod(path, 0o755))
		sum := sha256.Sum256([]byte(text))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(text))
	}
	write(t, filepath.Join(site, "vllm-0.26.0.dist-info", "RECORD"), record)
	return dir, site
}

// real makes a plan of a host that is not simulated, with one launch of the environment's engine.
func (r *rig) real(runID, dir string, points ...worker.Point) worker.Plan {
	l := r.launch("l1", nil, points...)
	l.Framework, l.Argv = contract.VLLM, []string{filepath.Join(dir, "bin", "vllm"), framework.PortPlaceholder}
	p := r.plan(runID, l)
	p.Simulated = false
	return p
}

func checked(t *testing.T, st worker.Status, point string) *worker.EngineCheck {
	t.Helper()
	e := pointOf(t, st, point)
	require.NotNil(t, e.Checked, "%+v", e.Failure) // also of a point that failed: on a busy machine no request may fall into so short a window
	return e.Checked
}

func TestAGenuineEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	dir, site := vllmVenv(t)
	write(t, filepath.Join(site, "vllm", "__pycache__", "cli.cpython-311.pyc"), "poison")
	st := r.run(r.real("genuine", dir, point("p1"), point("p2")))
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	id := event(t, st, worker.EventLaunchReady).Engine.Identity
	require.Equal(t, genuine.KindWheel, id.Kind)
	require.Equal(t, "0.26.0", id.Packages[0].Version)
	require.Equal(t, filepath.Join(dir, "bin", "vllm"), id.Program.Path)
	require.Empty(t, id.Modified)
	require.Empty(t, event(t, st, worker.EventLaunchReady).Engine.Suspect)
	require.NotEmpty(t, event(t, st, worker.EventLaunchReady).Engine.Mounts)
	require.Contains(t, event(t, st, worker.EventLaunchReady).Engine.EnvNames, "PYTHONPYCACHEPREFIX")
	for _, p := range []string{"p1", "p2"} {
		c := checked(t, st, p)
		require.Equal(t, id.Sum(), c.SHA256)
		require.Equal(t, genuine.KindWheel, c.Identity)
		require.Empty(t, c.Modified, "byte code of unknown origin is not used")
	}
}

// TestAnEngineThatIsTamperedWith changes an engine before and while it is measured. Every point says so; the measurement
// goes on.
func TestAnEngineThatIsTamperedWith(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		before, during func(t *testing.T, dir, site string)
		want           string
	}{
		"an edited file": {before: func(t *testing.T, _, site string) {
			write(t, filepath.Join(site, "vllm", "cli.py"), strings.Replace(pyserve, "for i in", "time.sleep(0.001)\n            for i in", 1))
		}, want: "vllm/cli.py of vllm differs from its RECORD"},
		"a .pth that appears in the turn": {during: func(t *testing.T, _, site string) {
			write(t, filepath.Join(site, "boost.pth"), "import os; os.nice(0)\n")
		}, want: "its files changed while it was measured"},
		"a wrapper with its own environment": {before: func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, "bin", "vllm")
			require.NoError(t, os.Rename(path, path+"-real"))
			require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nLD_BIND_NOW=1 exec '"+path+"-real' \"$@\"\n"), 0o755))
		}, want: "its process has LD_BIND_NOW, which it was not given"},
		"another interpreter": {before: func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, "bin", "python")
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+path+"3 \"$@\"\n"), 0o755))
		}, want: "is a script"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			dir, site := vllmVenv(t)
			gate := filepath.Join(t.TempDir(), "open")
			p := r.real("tampered", dir, point("p1"))
			p.Launches[0].Env["TOY_GATE"] = gate
			if x.before != nil {
				x.before(t, dir, site)
			}
			require.NoError(t, r.client.Start(t.Context(), p, nil))
			r.until("tampered", loading)
			if x.during != nil {
				x.during(t, dir, site)
			}
			write(t, gate, "")
			st := r.finish("tampered")
			require.Equal(t, worker.StateDone, st.State, st.Reason)
			require.Contains(t, strings.Join(checked(t, st, "p1").Modified, "\n"), x.want)
		})
	}
}

// TestAPortInOtherHandsMidRun takes the port over from an engine that lets go of it while it is measured: the point fails
// and names the owner.
func TestAPortInOtherHandsMidRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	dropped := filepath.Join(t.TempDir(), "dropped")
	require.NoError(t, r.client.Start(t.Context(), r.plan("port", r.launch("l1", []string{"drop-port=" + dropped}, point("p1"))), nil))
	st := r.until("port", loading)
	port := event(t, st, worker.EventLaunchReady).Port
	var thief net.Listener
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(dropped); err == nil {
			if thief, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
				break
			}
		}
		require.True(t, time.Now().Before(end), "the port stays taken")
	}
	write(t, dropped+".go", "")
	f := func() *worker.Failure {
		for {
			st := r.until("port", func(st worker.Status) bool { return strings.Contains(kinds(st), "point.") })
			return pointOf(t, st, "p1").Failure
		}
	}()
	require.NoError(t, thief.Close())
	r.finish("port")
	require.NotNil(t, f)
	require.Equal(t, worker.FailSocket, f.Class)
	require.Contains(t, f.Reason, fmt.Sprintf("pid %d", os.Getpid()))
}

func TestASimulatedEngineSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	st := r.run(r.plan("sim", r.launch("l1", nil, point("p1"))))
	require.Equal(t, genuine.KindSimulated, checked(t, st, "p1").Identity)
	require.Equal(t, genuine.KindSimulated, event(t, st, worker.EventLaunchReady).Engine.Identity.Kind)
}
