//go:build linux

package worker_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// bystander is somebody's process, with what a lease would have to say of it.
func bystander(t *testing.T) (*exec.Cmd, worker.Proc) {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "60")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "stat"))
	require.NoError(t, err)
	start, err := strconv.ParseUint(strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[19], 10, 64)
	require.NoError(t, err)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	return cmd, worker.Proc{PID: cmd.Process.Pid, StartTime: start, BootID: strings.TrimSpace(string(boot))}
}

// forge writes what a lease file says and gives its path.
func (r *rig) forge(record string) string {
	r.t.Helper()
	require.NoError(r.t, os.MkdirAll(r.leases, 0o755))
	path := filepath.Join(r.leases, "gpu-cpu.lease")
	require.NoError(r.t, os.WriteFile(path, []byte(record), 0o666))
	return path
}

// TestALeaseThatNamesSomebodysProcess: a record that nobody holds says that a run of this very campaign left a process
// behind, in a folder that is none of ours. It is named and never signalled.
func TestALeaseThatNamesSomebodysProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	cmd, proc := bystander(t)
	dir := t.TempDir()
	line, err := json.Marshal(proc)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "procs.jsonl"), append(line, '\n'), 0o600))
	r.forge(`{"gpu":"cpu","campaign":"camp","run_id":"theirs","owner":"eve\u001b[31m","run_dir":"` + dir + `"}`)
	err = r.client.Start(t.Context(), r.plan("run", r.launch("l1", nil)), nil)
	require.Equal(t, fault.Busy, fault.CodeOf(err))
	f, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, "host.lease", f.Rule)
	require.Contains(t, f.Message, strconv.Itoa(cmd.Process.Pid))
	require.NotContains(t, f.Message, "\x1b")
	require.NoError(t, cmd.Process.Signal(syscall.Signal(0)), "it lives")
}

// TestALeaseOfAReusedPID: the record's process is gone and another has its number.
func TestALeaseOfAReusedPID(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	cmd, proc := bystander(t)
	dir := t.TempDir()
	proc.StartTime--
	line, err := json.Marshal(proc)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "procs.jsonl"), append(line, '\n'), 0o600))
	r.forge(`{"gpu":"cpu","campaign":"camp","run_id":"theirs","run_dir":"` + dir + `"}`)
	require.Equal(t, worker.StateDone, r.run(r.plan("run", r.launch("l1", nil))).State, "an expired lease is free")
	require.NoError(t, cmd.Process.Signal(syscall.Signal(0)))
}

// TestRubbishInLeases: what a record says never opens a device that is held, and rubbish closes none that is free.
func TestRubbishInLeases(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]string{
		"nothing": "", "no JSON": "rubbish", "torn": `{"gpu":"cpu","run_id":"x`, "another boot": `{"gpu":"cpu","campaign":"c","run_id":"x","run_dir":"/nowhere","proc":{"pid":1,"boot_id":"other"}}`,
		"a folder that is everybody's": `{"gpu":"cpu","campaign":"camp","run_id":"x","run_dir":"/"}`, "no folder": `{"gpu":"cpu","campaign":"camp","run_id":"x","run_dir":""}`,
		"long": strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.forge(record)
			require.Equal(t, worker.StateDone, r.run(r.plan("run", r.launch("l1", nil))).State)
		})
	}
}

// TestAnEditedLeaseIsStillHeld empties and forges the record of a lease that a living worker holds.
func TestAnEditedLeaseIsStillHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	require.NoError(t, r.client.Start(t.Context(), r.plan("first", r.launch("l1", nil, longPoint("p1"))), nil))
	second := r.plan("second", r.launch("l1", nil))
	for _, record := range []string{"", `{"gpu":"cpu","campaign":"camp","run_id":"second"}`} {
		r.forge(record)
		err := r.client.Start(t.Context(), second, nil)
		require.Equal(t, fault.Busy, fault.CodeOf(err), "%v", err)
	}
	require.NoError(t, r.client.Cancel(t.Context(), "first", "done"))
	r.finish("first")
}

// TestLeaseFilesThatAreNone puts links, pipes and folders where the lease belongs. None is followed, none is waited for.
func TestLeaseFilesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(t *testing.T, path string){
		"a link": func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "precious")
			write(t, target, "precious")
			require.NoError(t, os.Symlink(target, path))
			t.Cleanup(func() {
				raw, err := os.ReadFile(target)
				require.NoError(t, err)
				require.Equal(t, "precious", string(raw))
			})
		},
		"a link into nothing": func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "made")
			require.NoError(t, os.Symlink(target, path))
			t.Cleanup(func() { require.NoFileExists(t, target) })
		},
		"a pipe":   func(t *testing.T, path string) { require.NoError(t, unix.Mkfifo(path, 0o666)) },
		"a folder": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			path := r.forge("")
			require.NoError(t, os.Remove(path))
			put(t, path)
			err := r.client.Start(t.Context(), r.plan("run", r.launch("l1", nil)), nil)
			require.Error(t, err)
			require.Contains(t, []fault.Code{fault.Denied, fault.Internal}, fault.CodeOf(err), "%v", err)
		})
	}
}
