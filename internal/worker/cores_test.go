//go:build linux

package worker_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// ownCores are the cores that this test, and so the worker that it starts, may run on.
func ownCores(t *testing.T) []int {
	t.Helper()
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	var cores []int
	for core := range 1024 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores
}

// allowedList reads which cores the kernel lets every thread of a process run on.
func allowedList(t *testing.T, pid int) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	seen := map[string]bool{}
	var all []string
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(raw)) {
			if v, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok && !seen[v] {
				seen[v] = true
				all = append(all, strings.TrimSpace(v))
			}
		}
	}
	return all
}

func TestEngineAndClientArePinned(t *testing.T) {
	t.Parallel()
	cores := ownCores(t)
	r := newRig(t, nil)
	gate, open := r.gate()
	l := r.launch("l1", []string{"grandchild", gate}, point("p1"))
	worker.SetThreads(l.Env, 1)
	p := r.plan("pinned", l)
	p.Cores = cores[:1]
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	st := r.until("pinned", func(st worker.Status) bool { return strings.Contains(kinds(st), "launch.ready") })
	pin := event(t, st, worker.EventLaunchStarted).Pinning
	require.NotNil(t, pin)
	engine := strconv.Itoa(cores[0])
	facts := event(t, st, worker.EventLaunchReady).Engine
	require.Len(t, facts.Processes, 2, "the engine and its child, which has left the session")
	for _, proc := range facts.Processes {
		require.Equal(t, []string{engine}, allowedList(t, proc.PID))
	}
	require.Equal(t, cores[:1], pin.Cores)
	require.Equal(t, map[string]int{"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1}, pin.Threads)
	client := allowedList(t, r.workerPID("pinned"))
	require.Len(t, client, 1, "every thread of the worker has the same cores")
	if len(cores) > 1 {
		require.Equal(t, cores[1:], pin.ClientCores)
		require.Empty(t, pin.Warning)
		require.NotEqual(t, engine, client[0])
	} else {
		require.Contains(t, pin.Warning, "no core is left for the load client")
	}
	open()
	done := event(t, r.finish("pinned"), worker.EventPointDone)
	require.Nil(t, done.Failure)
	require.Empty(t, done.Quiet.OffCores)
	require.NotNil(t, done.Quiet.ForeignCoreShare)
}

func TestClientSharesWhereNoCoreIsLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("shared", r.launch("l1", nil, point("p1")))
	p.Cores = ownCores(t)
	st := r.run(p)
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	pin := event(t, st, worker.EventLaunchStarted).Pinning
	require.Equal(t, p.Cores, pin.ClientCores)
	require.Contains(t, pin.Warning, "no core is left for the load client")
}

func TestCoresAreLeased(t *testing.T) {
	t.Parallel()
	cores := ownCores(t)
	r := newRig(t, nil)
	gate, open := r.gate()
	plan := func(id string, core int, faults ...string) worker.Plan {
		p := r.plan(id, r.launch("l1", faults, point("p1")))
		p.Cores, p.Campaign = []int{core}, "camp-"+id
		return p
	}
	require.NoError(t, r.client.Start(t.Context(), plan("first", cores[0], gate), nil))
	r.until("first", func(st worker.Status) bool { return strings.Contains(kinds(st), "launch.ready") })
	held := leasesHeld(t, r)
	require.Len(t, held, 1)
	require.Equal(t, "cpu-"+strconv.Itoa(cores[0]), held[0].GPU)
	require.FileExists(t, filepath.Join(r.leases, held[0].GPU+".lease"))

	err := r.client.Start(t.Context(), plan("same", cores[0]), nil)
	busy, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, fault.Busy, busy.Code)
	require.Equal(t, "host.lease", busy.Rule)
	require.Equal(t, "cores", busy.Field)
	require.Contains(t, busy.Message, "core "+strconv.Itoa(cores[0])+` is leased by campaign "camp-first"`)

	all := r.plan("all", r.launch("l1", nil, point("p1")))
	require.Equal(t, fault.Busy, fault.CodeOf(r.client.Start(t.Context(), all, nil)), "a plan that names no cores takes all of them")

	if len(cores) > 1 {
		st := r.run(plan("other", cores[1]))
		require.Equal(t, worker.StateDone, st.State, st.Reason)
		if len(cores) == 2 {
			require.Contains(t, event(t, st, worker.EventLaunchStarted).Pinning.Warning, "which another campaign has leased")
		}
	}
	open()
	require.Equal(t, worker.StateDone, r.finish("first").State)
	require.Empty(t, leasesHeld(t, r))

	none := plan("none", 1023)
	err = r.client.Start(t.Context(), none, nil)
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "core 1023 is planned")
}

func TestTreeMemoryCountsSharedPagesOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	st := r.run(r.plan("memory", r.launch("l1", []string{"allocate=64", "sharers=2"}, point("p1"))))
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	point := event(t, st, worker.EventPointDone).Memory
	require.Equal(t, worker.MemoryPSS, point.Method)
	require.Greater(t, point.PeakMiB, 64.0)
	launch := event(t, st, worker.EventLaunchStopped).Memory
	require.GreaterOrEqual(t, launch.PeakMiB, point.PeakMiB)
	rss := event(t, st, worker.EventPointDone).Quiet.PeakRSSMiB
	require.Greater(t, rss, 3*64.0, "resident sizes count the pages for each of three processes")
	require.Less(t, point.PeakMiB, rss-64)
}

func TestEngineThatLeavesItsCores(t *testing.T) {
	t.Parallel()
	cores := ownCores(t)
	if len(cores) < 2 {
		t.Skip("an engine cannot leave the only core")
	}
	r := newRig(t, nil)
	p := r.plan("roam", r.launch("l1", []string{"roam"}, point("p1")), r.launch("l2", []string{"roam-on"}, point("p1")))
	p.Cores = cores[:1]
	st := r.run(p)
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	once, again := st.Events[3].Quiet, st.Events[7].Quiet
	require.Positive(t, once.Repinned)
	require.Empty(t, once.OffCores, "put back, it stays")
	require.Len(t, again.OffCores, 1)
	require.Contains(t, again.OffCores[0], "on cores ["+strconv.Itoa(cores[0])+" "+strconv.Itoa(cores[1]))
}
