//go:build linux

package worker_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/worker"
)

// burn keeps every core of the host busy until the test ends.
func burn(t *testing.T) {
	t.Helper()
	me, err := os.Executable()
	require.NoError(t, err)
	for range runtime.NumCPU() {
		cmd := exec.CommandContext(t.Context(), me, "toy-engine", "0", "burn")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
}

// pointOf gives the only event of a point.
func pointOf(t *testing.T, st worker.Status, id string) worker.Event {
	t.Helper()
	for _, e := range st.Events {
		if e.Point == id {
			return e
		}
	}
	require.Fail(t, "no event", "point %s in %s", id, kinds(st))
	return worker.Event{}
}

// TestABurnerDuringAPoint starts foreign CPU load while one point of two is measured: it is repeated and stays disturbed,
// and what it says of itself is beyond the limit.
func TestABurnerDuringAPoint(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	fault, open := r.gate()
	slow := point("slow")
	slow.Spec.Scenario.OutputLen = 12
	p := r.plan("burnt", r.launch("l1", []string{fault, "itl=15ms"}, slow))
	limits := worker.DefaultQuietLimits()
	limits.CPUShare, limits.PressedShare = 0.10, 1
	p.QuietLimits = &limits
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	r.until("burnt", loading)
	burn(t)
	open()
	st := r.finish("burnt")
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	e := pointOf(t, st, "slow")
	require.Contains(t, e.Repeated, "foreign CPU load")
	require.Greater(t, e.Quiet.ForeignCPUShare, 0.10)
	require.NotEmpty(t, e.Quiet.Disturbed(limits))
	require.Len(t, e.Files, 2, "both tries are kept")
}
