//go:build linux

package worker_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// holder is a server whose child holds 2 GiB of GPU memory.
const holder = `
import http.server, multiprocessing, sys, time
def hold(q):
    import torch
    x = torch.zeros(1 << 29, device="cuda"); torch.cuda.synchronize(); q.put(1); time.sleep(600)
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    q = multiprocessing.Queue(); multiprocessing.Process(target=hold, args=(q,)).start(); q.get()
    print("ready to roll", flush=True)
    if len(sys.argv) > 1:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
    time.sleep(600)
`

// TestRealGPU needs a CUDA host with torch: SOTALOOP_TEST_GPU names the Python interpreter.
func TestRealGPU(t *testing.T) {
	python := os.Getenv("SOTALOOP_TEST_GPU")
	if python == "" {
		t.Skip("SOTALOOP_TEST_GPU names no interpreter")
	}
	r := newRig(t, nil)
	script := filepath.Join(t.TempDir(), "holder.py")
	write(t, script, holder)
	l := r.launch("l1", nil)
	l.Argv = []string{python, script, framework.PortPlaceholder}
	l.Protocol.ReadyPath = "/"
	p := r.plan("run", l)
	p.Device, p.GPUs, p.LaunchDeadline, p.StallAfter = "cuda", []int{0}, 3*60e9, 60e9
	st := r.run(p)
	require.Equal(t, "run.started launch.started launch.ready launch.stopped run.done", kinds(st), "%+v", st.Events)
	ready := event(t, st, worker.EventLaunchReady)
	require.GreaterOrEqual(t, len(ready.Engine.Processes), 2)
	t.Logf("ready after %v; libraries %v", ready.Phases, ready.Engine.Libraries)

	other := exec.Command(python, script)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, other.Start())
	defer func() { _ = syscall.Kill(-other.Process.Pid, syscall.SIGKILL); _ = other.Wait() }()
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	q := r.plan("second", l)
	q.Device, q.GPUs = "cuda", []int{0}
	f := event(t, r.run(q), worker.EventLaunchFailed).Failure
	require.Equal(t, framework.FailForeign, f.Class)
	t.Log(f.Reason)
}
