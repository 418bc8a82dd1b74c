//go:build linux

package worker_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestRunPlan(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"TOY_SECRET": "hunter2hunter2", "LEAK": "never"})
	p := r.plan("run-full", r.launch("l1", []string{"busy=2"}, point("p1"), point("p2")), r.launch("l2", []string{"oom"}), r.launch("l3", nil, point("p1")))
	st := r.run(p)

	require.Equal(t, worker.StateDone, st.State, st.Reason)
	for _, e := range st.Events {
		require.NotEqual(t, worker.EventPointFailed, e.Kind, "%s: %+v", e.Point, e.Failure)
	}
	require.Equal(t, "run.started launch.started launch.ready point.done point.done launch.stopped "+
		"launch.started launch.failed launch.stopped launch.started launch.ready point.done launch.stopped run.done", kinds(st))
	for i, e := range st.Events {
		require.Equal(t, i+1, e.Seq)
	}
	ready := st.Events[2]
	require.Contains(t, ready.Info, `"GIVEN=yes"`)
	require.Contains(t, ready.Info, filepath.Join(r.workdir, "runs", "run-full", "launches", "l1"))
	require.NotContains(t, ready.Info, "LEAK", "the environment is built, never inherited")
	require.Contains(t, ready.Info, "TOY_SECRET=[redacted:toy_secret]", "the engine has the secret, the event does not")
	require.Contains(t, ready.Engine.EnvNames, "TOY_SECRET")
	require.NotContains(t, ready.Engine.EnvNames, "LEAK")
	require.Equal(t, []string{"toy-engine", strconv.Itoa(ready.Port), "busy=2"}, ready.Engine.Argv[1:])
	require.Len(t, ready.Engine.Processes, 1)
	require.Greater(t, ready.Phases["ready"], 0.0)
	require.LessOrEqual(t, ready.Phases["weights"], ready.Phases["ready"])

	done := st.Events[3]
	require.Equal(t, "flushed", done.Cache)
	require.Equal(t, 10, done.Measured.Counts.Offered)
	require.NotNil(t, done.Audit)
	require.NotEmpty(t, *done.Metrics)
	require.GreaterOrEqual(t, done.Quiet.ForeignCPUShare, 0.0)
	require.Greater(t, done.Quiet.PeakRSSMiB, 1.0)
	require.Len(t, done.Files, 1)
	rec, err := bench.ReadRecords(bytes.NewReader(r.fetch("run-full", done.Files[0].Name)))
	require.NoError(t, err)
	require.Len(t, rec.Records, 10)

	failed := event(t, st, worker.EventLaunchFailed).Failure
	require.Equal(t, framework.FailOOM, failed.Class, "the first pattern in list order wins")
	require.Contains(t, failed.Reason, "Tried to allocate 2.00 GiB")
	require.Equal(t, 1, *failed.Exit)
	require.NotContains(t, failed.LogTail, "\x1b")
	require.NotContains(t, failed.LogTail, "hunter2hunter2")

	after, err := r.client.Status(t.Context(), "run-full", 12)
	require.NoError(t, err)
	require.Len(t, after.Events, 2)
	require.InDelta(t, 1.0, after.Fraction, 0)
	require.Empty(t, leasesHeld(t, r))
}

func leasesHeld(t *testing.T, r *rig) []worker.Lease {
	t.Helper()
	f, err := r.client.Probe(t.Context(), worker.ProbeRequest{LeaseDir: r.leases})
	require.NoError(t, err)
	return f.Leases
}

func TestUnsettledPointIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	restless := point("p1")
	restless.Spec.MaxWarmupWaves = 2
	p := r.plan("again", r.launch("l1", nil, restless, point("p2")))
	p.AuditLimits.SettleTolerance = 1e-12 // no two waves are so alike
	st := r.run(p)
	require.Equal(t, "run.started launch.started launch.ready point.done point.done launch.stopped run.done", kinds(st))
	done, plain := st.Events[3], st.Events[4]
	require.Equal(t, "unsettled", done.Repeated)
	require.Len(t, done.Files, 2)
	require.Equal(t, []string{"records", worker.RoleFirstRecords}, []string{done.Files[0].Role, done.Files[1].Role})
	require.NotEqual(t, done.Files[0].SHA256, done.Files[1].SHA256)
	for _, f := range done.Files {
		require.NotEmpty(t, r.fetch("again", f.Name))
	}
	require.Empty(t, plain.Repeated, "a point without settling waves is taken as it is")
}

func TestStartAgainAttaches(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("again", r.launch("l1", nil, point("p1")))
	starts := make(chan error, 4)
	for range cap(starts) {
		go func() { starts <- r.client.Start(t.Context(), p, nil) }()
	}
	for range cap(starts) {
		require.NoError(t, <-starts)
	}
	st := r.finish("again")
	require.Equal(t, "run.started launch.started launch.ready point.done launch.stopped run.done", kinds(st))
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	require.Equal(t, st.Events, r.finish("again").Events, "a run that ended is not run again")

	other := r.plan("again", r.launch("l2", nil))
	require.ErrorContains(t, r.client.Start(t.Context(), other, nil), "another plan")
}

func TestStatusOfAbsentRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	st, err := r.client.Status(t.Context(), "nothing", 0)
	require.NoError(t, err)
	require.Equal(t, worker.StateAbsent, st.State)
	require.NoError(t, r.client.Cancel(t.Context(), "nothing", "why not"))
	_, err = os.Stat(r.workdir)
	require.ErrorIs(t, err, os.ErrNotExist, "asking makes nothing")
}

func TestLaunchFailures(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault  string
		class  framework.FailureClass
		reason string
	}{
		{"exit", framework.FailExited, "the server exited with code 3"},
		{"never-ready", framework.FailDeadline, "not ready after 700ms"},
		{"silent", framework.FailStalled, "no log line, CPU time or bytes read for 1s"},
		{"port-in-use", framework.FailPort, "is held by pid"},
		{"port-in-use lingers", framework.FailPort, "not ready 1s after it found a port taken; log: [Errno 98]"},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			p := r.plan("run", r.launch("l1", strings.Fields(tc.fault), point("p1")))
			switch tc.fault {
			case "never-ready":
				p.LaunchDeadline = 7e8
			case "silent", "port-in-use lingers":
				p.StallAfter = 1e9
			}
			st := r.run(p)
			require.Equal(t, worker.StateDone, st.State, "a failed launch is a result")
			require.Equal(t, "run.started launch.started launch.failed launch.stopped run.done", kinds(st))
			f := event(t, st, worker.EventLaunchFailed).Failure
			require.Equal(t, tc.class, f.Class, f.Reason)
			require.Contains(t, f.Reason, tc.reason)
		})
	}
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	l := r.launch("l1", nil)
	l.Argv[0] = filepath.Join(r.workdir, "no", "python")
	st := r.run(r.plan("run", l))
	require.Equal(t, "run.started launch.failed launch.stopped run.done", kinds(st))
	require.Contains(t, event(t, st, worker.EventLaunchFailed).Failure.Reason, "not an executable file")
}

func TestDeadServerFailsItsPoints(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	st := r.run(r.plan("run", r.launch("l1", []string{"die-after=3"}, point("p1"), point("p2"))))
	require.Equal(t, "run.started launch.started launch.ready point.failed point.failed launch.stopped run.done", kinds(st))
	for _, e := range st.Events[3:5] {
		require.Equal(t, framework.FailChild, e.Failure.Class, e.Failure.Reason)
		require.Equal(t, 9, *e.Failure.Exit)
	}
}

func TestHangingStreamFailsItsPointOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := point("p1")
	p.Spec.Deadline = 5e8
	p.Flush = false
	st := r.run(r.plan("run", r.launch("l1", []string{"hang"}, p)))
	require.Equal(t, "run.started launch.started launch.ready point.failed launch.stopped run.done", kinds(st))
	e := event(t, st, worker.EventPointFailed)
	require.Equal(t, framework.FailDeadline, e.Failure.Class, e.Failure.Reason)
	require.Equal(t, "kept", e.Cache)
	require.Len(t, e.Files, 1, "the records of a failed point are evidence too")
}
