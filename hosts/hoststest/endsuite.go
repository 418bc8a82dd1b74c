package hoststest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// family starts a child and a grandchild, writes down who they are, and waits.
const family = `
sh -c 'sleep 300 & echo $! >"$1/grandchild"; wait' sh "$1" &
echo $! >"$1/child"; echo $$ >"$1/self"
while [ ! -s "$1/grandchild" ]; do sleep 0.02; done
echo ready; mv "$1/self" "$1/ready"
wait`

// conformCancel: what Run started ends with its context, its whole group, and nothing else does.
func conformCancel(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	t.Run("kills the group", func(t *testing.T) {
		dir := scratch(t, conn)
		ctx, cancel := context.WithCancel(t.Context())
		type ended struct {
			res hosts.Result
			err error
		}
		done := make(chan ended, 1)
		go func() {
			res, err := conn.Run(ctx, shell(family, dir))
			done <- ended{res, err}
		}()
		eventually(t, conn, `[ -s "$1/ready" ]`, dir)
		bystander, err := conn.Start(t.Context(), hosts.Cmd{Argv: []string{"sleep", "300"}})
		require.NoError(t, err)
		defer must(t, conn, shell(`kill "$1"`, fmt.Sprint(bystander)))
		cancel()
		e := <-done
		require.Equal(t, fault.Canceled, fault.CodeOf(e.err), "%v", e.err)
		require.ErrorIs(t, e.err, context.Canceled)
		require.NotContains(t, e.err.Error(), "may still run")
		require.Equal(t, "ready\n", string(e.res.Stdout))
		for _, who := range []string{"ready", "child", "grandchild"} {
			pid := strings.TrimSpace(content(t, conn, dir+"/"+who))
			eventually(t, conn, isGone, pid)
		}
		res, err := conn.Run(t.Context(), shell(isGone, fmt.Sprint(bystander)))
		require.NoError(t, err)
		require.False(t, res.IsSuccess(), "a process that Start began was killed")
	})
	t.Run("children that outlive the command", func(t *testing.T) {
		dir := scratch(t, conn)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := conn.Run(ctx, shell(`sleep 300 & echo $! >"$1/pid.tmp"; mv "$1/pid.tmp" "$1/pid"`, dir))
			done <- err
		}()
		eventually(t, conn, `[ -s "$1/pid" ]`, dir)
		cancel() // the shell has ended, its child holds the output
		require.Equal(t, fault.Canceled, fault.CodeOf(<-done))
		eventually(t, conn, isGone, strings.TrimSpace(content(t, conn, dir+"/pid")))
	})
	t.Run("time limit", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := conn.Run(ctx, shell(`sleep 300`))
		require.Equal(t, fault.Timeout, fault.CodeOf(err), "%v", err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := conn.Run(ctx, shell(`true`))
		require.Equal(t, fault.Canceled, fault.CodeOf(err), "%v", err)
		_, err = conn.Start(ctx, shell(`true`))
		require.Equal(t, fault.Canceled, fault.CodeOf(err), "%v", err)
	})
	require.Equal(t, "fine", must(t, conn, shell(`echo fine`)), "the connection is of use afterwards")
}

// conformConcurrent: calls do not get into each other's way, however many there are.
func conformConcurrent(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	var wg sync.WaitGroup
	said := make([]string, 24)
	errs := make([]error, len(said))
	for i := range said {
		wg.Go(func() {
			res, err := conn.Run(t.Context(), shell(`cat; echo "$1" >&2`, fmt.Sprint(i)))
			said[i], errs[i] = string(res.Stderr), err
		})
	}
	wg.Wait()
	for i := range said {
		require.NoError(t, errs[i])
		require.Equal(t, fmt.Sprintln(i), said[i])
	}
}

// conformClose: a closed connection ends what it runs, and takes no more.
func conformClose(t *testing.T, newConn NewConn) {
	conn, witness := newConn(t), newConn(t)
	dir := scratch(t, witness)
	done := make(chan error, 1)
	go func() {
		_, err := conn.Run(t.Context(), shell(family, dir))
		done <- err
	}()
	eventually(t, witness, `[ -s "$1/ready" ]`, dir)
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-done, hosts.ErrClosed)
	eventually(t, witness, isGone, strings.TrimSpace(content(t, witness, dir+"/grandchild")))
	require.NoError(t, conn.Close(), "closing twice")
	_, err := conn.Run(t.Context(), shell(`true`))
	require.ErrorIs(t, err, hosts.ErrClosed)
	_, err = conn.Start(t.Context(), shell(`true`))
	require.ErrorIs(t, err, hosts.ErrClosed)
	require.ErrorIs(t, conn.Upload(t.Context(), strings.NewReader(""), dir+"/x", 0o600), hosts.ErrClosed)
	require.ErrorIs(t, conn.Download(t.Context(), dir+"/ready", &strings.Builder{}), hosts.ErrClosed)
}
