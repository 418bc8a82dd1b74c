//go:build linux

package worker_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// longPoint is load for about half a minute.
func longPoint(id string) worker.Point {
	p := point(id)
	p.Spec.Scenario.NumPrompts, p.Spec.Scenario.OutputLen = 200, 300
	return p
}

func loading(st worker.Status) bool { return strings.Contains(kinds(st), "launch.ready") }

func TestCallerMayDie(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	plan, err := json.Marshal(r.plan("orphan", r.launch("l1", nil, point("p1"))))
	require.NoError(t, err)
	// The caller is a process of its own that is killed the moment the worker has begun.
	caller := exec.Command(r.binary, "worker", worker.VerbPrepare)
	caller.Stdin = strings.NewReader(string(plan))
	out, err := caller.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), `"state":"starting"`)
	dir := filepath.Join(r.workdir, "runs", "orphan")
	shell := exec.Command("/bin/sh", "-c", `"$0" worker run --dir "$1" </dev/null >/dev/null 2>&1 & sleep 30`, r.binary, dir)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, shell.Start())
	r.until("orphan", loading)
	require.NoError(t, shell.Process.Kill())
	_ = shell.Wait()
	st := r.finish("orphan")
	require.Equal(t, worker.StateDone, st.State)
	require.Equal(t, "run.started launch.started launch.ready point.done launch.stopped run.done", kinds(st))
	_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
}

func TestKilledWorkerIsLostAndReaped(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("lost", r.launch("l1", []string{"ignore-term", "grandchild"}, longPoint("p1")))
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	st := r.until("lost", loading)
	engine := event(t, st, worker.EventLaunchReady).Proc.PID
	require.Len(t, r.processes(), 3, "worker, engine and its child")
	_, err := r.client.Reap(t.Context(), "lost")
	require.Equal(t, fault.Busy, fault.CodeOf(err), "a living worker is not reaped")

	require.NoError(t, syscall.Kill(r.workerPID("lost"), syscall.SIGKILL))
	st = r.finish("lost")
	require.Equal(t, worker.StateLost, st.State)
	require.Equal(t, "run.started launch.started launch.ready", kinds(st), "what was done stays known")
	require.NoError(t, r.client.Start(t.Context(), p, nil), "a lost run is not begun again")
	require.Equal(t, worker.StateLost, r.finish("lost").State)

	bystander := exec.Command("/bin/sleep", "60")
	require.NoError(t, bystander.Start())
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()

	q := r.plan("next", r.launch("l1", nil))
	q.Campaign = "another"
	err = r.client.Start(t.Context(), q, nil)
	require.Equal(t, fault.Busy, fault.CodeOf(err), "another campaign does not signal what is not its own")
	require.ErrorContains(t, err, "its processes still run")

	reaped, err := r.client.Reap(t.Context(), "lost")
	require.NoError(t, err)
	var pids []int
	for _, p := range reaped.Killed {
		pids = append(pids, p.PID)
	}
	require.Contains(t, pids, engine)
	require.Len(t, pids, 2)
	require.NotContains(t, pids, bystander.Process.Pid)
	require.NoError(t, bystander.Process.Signal(syscall.Signal(0)))
	require.Empty(t, r.processes())
	require.NoError(t, r.client.Start(t.Context(), q, nil), "the lease was freed with the worker")
	require.Equal(t, worker.StateDone, r.finish("next").State)
}

func TestReapKeepsToItsOwnFolder(t *testing.T) {
	t.Parallel()
	r, other := newRig(t, nil), newRig(t, nil) // two homes of one account, with runs of one name
	held, open := other.gate()
	require.NoError(t, r.client.Start(t.Context(), r.plan("same", r.launch("l1", nil, longPoint("p1"))), nil))
	require.NoError(t, other.client.Start(t.Context(), other.plan("same", other.launch("l1", []string{held}, point("p1"))), nil))
	r.until("same", loading)
	other.until("same", loading)
	require.NoError(t, syscall.Kill(r.workerPID("same"), syscall.SIGKILL))
	require.Equal(t, worker.StateLost, r.finish("same").State)
	_, err := r.client.Reap(t.Context(), "same")
	require.NoError(t, err)
	open()
	st := other.finish("same")
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	require.Equal(t, "run.started launch.started launch.ready point.done launch.stopped run.done", kinds(st))
}

func TestReapLeavesReusedPIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("old", r.launch("l1", nil))
	require.Equal(t, worker.StateDone, r.run(p).State)
	bystander := exec.Command("/bin/sleep", "60")
	require.NoError(t, bystander.Start())
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	line, err := json.Marshal(worker.Proc{PID: bystander.Process.Pid, StartTime: 12345, BootID: strings.TrimSpace(string(boot))})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.workdir, "runs", "old", "procs.jsonl"), append(line, "\n{\"pid\": torn"...), 0o600))
	reaped, err := r.client.Reap(t.Context(), "old")
	require.NoError(t, err)
	require.Empty(t, reaped.Killed)
	require.NoError(t, bystander.Process.Signal(syscall.Signal(0)))
}

func TestTwoRunsOnOneDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	first := r.plan("first", r.launch("l1", nil, longPoint("p1")))
	require.NoError(t, r.client.Start(t.Context(), first, nil))
	second := r.plan("second", r.launch("l1", nil))
	second.Campaign = "other"
	err := r.client.Start(t.Context(), second, nil)
	require.Equal(t, fault.Busy, fault.CodeOf(err))
	require.ErrorContains(t, err, `campaign "camp"`)
	require.ErrorContains(t, err, "since 20")
	held := leasesHeld(t, r)
	require.Len(t, held, 1+len(ownCores(t)), "a plan that names no cores takes all of them")
	for _, l := range held {
		require.Equal(t, "first", l.RunID)
	}
	require.NoError(t, r.client.Cancel(t.Context(), "first", "make room"))
	require.NoError(t, r.client.Start(t.Context(), second, nil), "a refused run may be started again")
	require.Equal(t, worker.StateDone, r.finish("second").State)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("run", r.launch("l1", []string{"ignore-term", "grandchild"}, longPoint("p1")), r.launch("l2", nil))
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	r.until("run", loading)
	require.NoError(t, r.client.Cancel(t.Context(), "run", "no longer needed"))
	require.Empty(t, r.processes(), "cancel returns after the teardown")
	st := r.finish("run")
	require.Equal(t, worker.StateCanceled, st.State)
	require.Equal(t, "no longer needed", st.Reason)
	require.Equal(t, "run.started launch.started launch.ready point.failed launch.stopped run.done", kinds(st))
}

func TestCancelBeforeAnyWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("run", r.launch("l1", nil))
	p.Launches[0].Overlay = &worker.Overlay{Tree: "t", Tar: "t.tar", ImportName: "x"}
	require.ErrorContains(t, r.client.Start(t.Context(), p, nil), `needs inbox file "t.tar"`)
	require.NoError(t, r.client.Cancel(t.Context(), "run", "never mind"))
	require.Equal(t, worker.StateCanceled, r.finish("run").State)
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	require.Equal(t, "run.done", kinds(r.finish("run")))
}

func TestTerminatedWorkerTearsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	require.NoError(t, r.client.Start(t.Context(), r.plan("run", r.launch("l1", nil, longPoint("p1"))), nil))
	r.until("run", loading)
	require.NoError(t, syscall.Kill(r.workerPID("run"), syscall.SIGTERM))
	st := r.finish("run")
	require.Equal(t, worker.StateCanceled, st.State)
	require.Contains(t, st.Reason, "terminated")
}

func TestEventsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, want := range []string{worker.StateFailed, worker.StateCanceled} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			gate, open := r.gate()
			require.NoError(t, r.client.Start(t.Context(), r.plan("run", r.launch("l1", []string{gate}, point("p0")), r.launch("l2", nil)), nil))
			r.until("run", loading)
			info, err := os.Stat(filepath.Join(r.workdir, "runs", "run", "events.jsonl"))
			require.NoError(t, err)
			limit := unix.Rlimit{Cur: uint64(info.Size()), Max: uint64(info.Size())}
			require.NoError(t, unix.Prlimit(r.workerPID("run"), unix.RLIMIT_FSIZE, &limit, nil))
			if want == worker.StateCanceled {
				require.NoError(t, r.client.Cancel(t.Context(), "run", "enough"))
			}
			open()
			st := r.finish("run")
			require.Equal(t, want, st.State)
			require.Contains(t, st.Reason, map[string]string{worker.StateFailed: "file too large", worker.StateCanceled: "enough"}[want])
			require.Equal(t, "run.started launch.started launch.ready", kinds(st), "no torn event is left")
			require.Empty(t, leasesHeld(t, r))
		})
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"runs on", "waits for its engine", "is canceled"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			require.NoError(t, os.MkdirAll(r.workdir, 0o700))
			if err := unix.Mount("tmpfs", r.workdir, "tmpfs", 0, "size=512k"); err != nil {
				t.Skipf("mounting a small file system needs privileges: %v", err)
			}
			t.Cleanup(func() { _ = unix.Unmount(r.workdir, unix.MNT_DETACH) })
			var points []worker.Point
			for _, id := range []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6"} {
				points = append(points, point(id))
			}
			gate, open := r.gate()
			require.NoError(t, r.client.Start(t.Context(), r.plan("run", r.launch("l1", []string{gate}, points...), r.launch("l2", nil)), nil))
			r.until("run", loading)
			fill(t, filepath.Join(r.workdir, "ballast"))
			if name == "is canceled" {
				require.NoError(t, r.client.Cancel(t.Context(), "run", "full"))
				require.Contains(t, []string{worker.StateCanceled, worker.StateFailed}, r.finish("run").State, "whichever came first")
				return
			}
			if name == "runs on" {
				open()
			}
			st := r.finish("run")
			require.Equal(t, worker.StateFailed, st.State)
			require.Contains(t, st.Reason, "no space left on device")
			require.Regexp(t, "launch.stopped run.done$", kinds(st), "the reserve is for the last events")
			require.NotContains(t, kinds(st), "launch.started launch.ready launch.started")
		})
	}
}

// fill takes all the space there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
