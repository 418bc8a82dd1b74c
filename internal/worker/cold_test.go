//go:build linux

package worker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// A build's first launch on a host compiles kernels; none of the launches that are measured does.
func TestABuildsFirstLaunchMeasuresNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("run-cold", r.launch("l1", []string{"jit-at=3"}, point("p1")), r.launch("l2", []string{"jit-at=3"}, point("p1")))
	p.WarmUp = true
	st := r.run(p)
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	require.Equal(t, "run.started launch.started launch.cold launch.started launch.ready point.done launch.stopped "+
		"launch.started launch.ready point.done launch.stopped run.done", kinds(st))
	cold := event(t, st, worker.EventLaunchCold)
	require.Greater(t, cold.ColdS, 0.0)
	require.Greater(t, cold.Phases["ready"], 0.0)
	require.Contains(t, string(r.fetch("run-cold", cold.Files[0].Name)), "compiled", "the kernel was compiled where nothing is measured")
	require.NotContains(t, string(r.fetch("run-cold", "launches/l1/engine.log")), "compiled")
	for _, e := range st.Events {
		if e.Kind == worker.EventPointDone {
			require.Zero(t, e.Quiet.CacheWrites)
			require.Empty(t, e.Repeated)
			require.Equal(t, 10, e.Measured.Counts.Offered)
		}
	}

	again := r.plan("run-warm", r.launch("l3", nil, point("p1")))
	again.WarmUp = true
	require.NotContains(t, kinds(r.run(again)), "launch.cold", "the build has been here")
}

func TestWhatFailsColdIsTheLaunchsFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("run-cold-oom", r.launch("l1", []string{"oom"}, point("p1")), r.launch("l2", nil, point("p1")))
	p.WarmUp = true
	st := r.run(p)
	require.Equal(t, "run.started launch.started launch.failed launch.stopped "+
		"launch.started launch.cold launch.started launch.ready point.done launch.stopped run.done", kinds(st), "it is tried once, and the next one is still the first")
	require.Equal(t, framework.FailOOM, event(t, st, worker.EventLaunchFailed).Failure.Class)
	require.Contains(t, string(r.fetch("run-cold-oom", st.Events[3].Files[0].Name)), "CUDA out of memory")
}

// Kernels that are compiled in a measured window show in the cache's files; the point is measured once more.
func TestKernelsCompiledInTheWindowSpoilIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	st := r.run(r.plan("run-jit", r.launch("l1", []string{"jit-at=5", "itl=20ms"}, point("p1")), r.launch("l2", []string{"jit-at=5", "itl=20ms"}, point("p1"))))
	var done []worker.Event
	for _, e := range st.Events {
		if e.Kind == worker.EventPointDone {
			done = append(done, e)
		}
	}
	require.Len(t, done, 2)
	require.Equal(t, "kernels were compiled in the window", done[0].Repeated)
	require.Zero(t, done[0].Quiet.CacheWrites, "the second time nothing was left to compile")
	require.Empty(t, done[1].Repeated, "another launch of the build shares the cache")

	caches, err := filepath.Glob(filepath.Join(r.workdir, "caches", "*", "triton", "*"))
	require.NoError(t, err)
	require.Len(t, caches, 2)
	for _, c := range caches {
		require.NoError(t, os.RemoveAll(c))
	}
	st = r.run(r.plan("run-always", r.launch("l3", []string{"jit-at=5", "jit-always", "itl=20ms"}, point("p1"))))
	spoilt := event(t, st, worker.EventPointDone)
	require.NotEmpty(t, spoilt.Repeated)
	require.NotZero(t, spoilt.Quiet.CacheWrites, "what compiles again and again stays spoilt")
	for _, f := range spoilt.Quiet.CacheFiles {
		require.Regexp(t, `^triton/kernel-[0-9]+\.cubin$`, f, "logs do not count")
	}
}
