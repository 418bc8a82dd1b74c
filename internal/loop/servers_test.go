package loop_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// waitFor polls for a condition that another goroutine brings about.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), what)
	}
}

func count(kinds []string, kind string) int {
	n := 0
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}

func TestServersOfOneHomeShareAJob(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).in(home)
	h := newHost()
	h.gate = make(chan struct{})
	var servers []*loop.Loop
	for range 3 {
		servers = append(servers, newLoop(t, home, h))
	}
	var wg sync.WaitGroup
	answers := make([]loop.Flags, len(servers))
	for i, l := range servers {
		wg.Go(func() {
			var err error
			answers[i], err = l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: id, Framework: "sglang"})
			require.NoError(t, err) //nolint:testifylint // every goroutine is waited for
		})
	}
	wg.Wait()
	for _, a := range answers {
		require.Equal(t, loop.StateRunning, a.State)
		require.Equal(t, "job-1", a.Job)
	}
	waitFor(t, "the runner asks the host", func() bool { return h.asked() == 1 })
	close(h.gate)
	waitFor(t, "the job ends", func() bool { return count(ledgerKinds(t, home), "job.ended") == 1 })
	require.Equal(t, 2, h.asked(), "one runner asked for version and help, once")
	for _, l := range servers {
		a, err := l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: id, Framework: "sglang", Match: "knob-5"})
		require.NoError(t, err)
		require.Equal(t, loop.StateDone, a.State)
		require.NotEmpty(t, a.Flags)
	}
	kinds := ledgerKinds(t, home)
	require.Equal(t, 1, count(kinds, "job.started"))
	require.Equal(t, 1, count(kinds, "help.captured"))
}

func TestAnotherServerTakesOverWhenTheRunnerEnds(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).in(home)
	h := newHost()
	h.gate = make(chan struct{})

	ctx, stop := context.WithCancel(context.Background())
	first := newLoopOn(ctx, home, h)
	a, err := first.ListFlags(t.Context(), loop.FlagsRequest{Campaign: id, Framework: "vllm"})
	require.NoError(t, err)
	require.Equal(t, loop.StateRunning, a.State)
	waitFor(t, "the first server asks the host", func() bool { return h.asked() == 1 })

	second := newLoop(t, home, h)
	resume, done := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { second.Resume(resume) })
	stop()
	first.Close()
	require.Zero(t, count(ledgerKinds(t, home), "job.ended"), "a server that ends leaves its jobs open")
	close(h.gate)
	waitFor(t, "the second server goes on", func() bool { return count(ledgerKinds(t, home), "job.ended") == 1 })
	done()
	wg.Wait()
	require.Equal(t, 1, count(ledgerKinds(t, home), "job.started"))
	require.Equal(t, 3, h.asked(), "the question that was cut off was asked again")
	job, err := second.WaitJob(t.Context(), id, "job-1", time.Second, "", nil)
	require.NoError(t, err)
	require.Equal(t, loop.StateDone, job.State)
}

func TestACanceledJobEndsAndCanBeStartedAnew(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).in(home)
	h := newHost()
	h.gate = make(chan struct{})
	l := newLoop(t, home, h)
	r := loop.FlagsRequest{Campaign: id, Framework: "sglang"}
	a, err := l.ListFlags(t.Context(), r)
	require.NoError(t, err)
	waitFor(t, "the host is asked", func() bool { return h.asked() == 1 })
	_, err = l.CancelJob(t.Context(), id, a.Job, "changed my mind")
	require.NoError(t, err)
	waitFor(t, "the job ends", func() bool { return count(ledgerKinds(t, home), "job.ended") == 1 })
	close(h.gate)
	_, err = l.ListFlags(t.Context(), r)
	require.Equal(t, fault.Canceled, fault.CodeOf(err), "how it ended is told once")
	again, err := l.ListFlags(t.Context(), r)
	require.NoError(t, err)
	require.NotEqual(t, a.Job, again.Job)
	waitFor(t, "the new job ends", func() bool { return count(ledgerKinds(t, home), "job.ended") == 2 })
	require.Equal(t, 1, count(ledgerKinds(t, home), "help.captured"))
}
