package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/jobs"
)

var key = jobs.Key{Campaign: "c", ID: "job-1"}

func manager(ctx context.Context) *jobs.Manager {
	return jobs.New(ctx, slog.New(slog.DiscardHandler))
}

func TestStartIsIdempotentWhileRunning(t *testing.T) {
	t.Parallel()
	m, release, runs := manager(t.Context()), make(chan struct{}), 0
	work := func(context.Context, *jobs.Progress) error { runs++; <-release; return nil }
	require.True(t, m.Start(key, work))
	require.False(t, m.Start(key, work))
	close(release)
	v, ok := m.Wait(t.Context(), key, time.Minute, 0)
	require.True(t, ok)
	require.False(t, v.Running)
	require.Equal(t, 1, runs)
}

func TestWaitEndsWithItsTimeoutAndTheJobGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		m := manager(ctx)
		m.Start(key, func(ctx context.Context, p *jobs.Progress) error {
			p.Set(0.5, "measuring block 3")
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		v, _ := m.Wait(t.Context(), key, 45*time.Second, 0)
		require.True(t, v.Running)
		require.Equal(t, []string{"measuring block 3"}, v.Log)
		require.Equal(t, 45*time.Second, v.ETA)
		later, _ := m.View(key, v.Cursor)
		require.Empty(t, later.Log)
		stop()
		m.Close()
		v, _ = m.View(key, 0)
		require.ErrorIs(t, v.Err, context.Canceled)
	})
}

func TestCancelCarriesItsCause(t *testing.T) {
	t.Parallel()
	m, cause := manager(t.Context()), make(chan error, 1)
	m.Start(key, func(ctx context.Context, _ *jobs.Progress) error {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return context.Cause(ctx)
	})
	require.True(t, m.Cancel(t.Context(), key))
	require.ErrorIs(t, <-cause, jobs.ErrCanceled)
	require.False(t, m.Cancel(t.Context(), jobs.Key{ID: "job-9"}))
}

func TestPanicEndsTheJobOnly(t *testing.T) {
	t.Parallel()
	m := manager(t.Context())
	m.Start(key, func(context.Context, *jobs.Progress) error { panic("boom") })
	v, _ := m.Wait(t.Context(), key, time.Minute, 0)
	require.ErrorContains(t, v.Err, "boom")
	require.True(t, m.Start(key, func(context.Context, *jobs.Progress) error { return errors.New("again") }), "an ended job may start again")
}

func TestLogIsBoundedAndCursorsStayValid(t *testing.T) {
	t.Parallel()
	m := manager(t.Context())
	m.Start(key, func(_ context.Context, p *jobs.Progress) error {
		for i := range 2500 {
			p.Log(fmt.Sprint("line ", i))
		}
		return nil
	})
	v, _ := m.Wait(t.Context(), key, time.Minute, 2498)
	require.Equal(t, []string{"line 2498", "line 2499"}, v.Log)
	v, _ = m.View(key, 10)
	require.Len(t, v.Log, 1000)
}
