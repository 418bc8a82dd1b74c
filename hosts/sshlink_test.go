//go:build unix

package hosts_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestProxyJump(t *testing.T) {
	t.Parallel()
	client, target := pair(t, hoststest.ServerOptions{})
	opt := hoststest.ServerOptions{}
	opt.Accept = append(opt.Accept, client.Public)
	first, second := hoststest.NewServer(t, opt), hoststest.NewServer(t, opt)
	client.Know(first.Addr, first.Keys()...)
	client.Know(second.Addr, second.Keys()...)
	client.Alias("first", first.Addr)
	client.Alias("second", second.Addr)
	client.Alias("one", target.Addr, "ProxyJump first")
	client.Alias("two", target.Addr, "ProxyJump first,second")
	client.Alias("chained", target.Addr, "ProxyJump inner")
	client.Alias("inner", second.Addr, "ProxyJump first")
	client.Alias("literal", target.Addr, "ProxyJump ssh://"+first.Addr)
	client.Alias("off", target.Addr, "ProxyJump none", "ProxyCommand nc %h %p")
	client.Alias("loop", target.Addr, "ProxyJump loop")

	for _, c := range []struct {
		dest          string
		first, second int
	}{{"one", 1, 0}, {"two", 1, 1}, {"chained", 1, 1}, {"literal", 1, 0}, {"off", 0, 0}} {
		before := []int{first.Jumps(), second.Jumps()}
		conn, err := client.Dial(t, c.dest)
		works(t, conn, err)
		require.Equal(t, []int{before[0] + c.first, before[1] + c.second}, []int{first.Jumps(), second.Jumps()}, c.dest)
	}
	f := refusal(t, client, "loop")
	require.Equal(t, fault.InvalidInput, f.Code)
	require.Contains(t, f.Message, "leads back")

	t.Run("a hop that is not known", func(t *testing.T) {
		stranger := hoststest.NewServer(t, opt)
		client.Alias("stranger", stranger.Addr)
		client.Alias("through", target.Addr, "ProxyJump stranger")
		f := refusal(t, client, "through")
		require.Equal(t, fault.HostKey, f.Code)
		require.Contains(t, f.Message, `host "stranger"`)
	})
	t.Run("a target that the hop cannot reach", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		client.Alias("gone", l.Addr().String(), "ProxyJump first")
		f := refusal(t, client, "gone")
		require.Equal(t, fault.HostUnreachable, f.Code)
		require.Contains(t, strings.Join(f.Hints, "\n"), "the jump hosts answered")
	})
}

func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*hoststest.Server){"severed": (*hoststest.Server).Sever, "silent": (*hoststest.Server).Freeze} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := pair(t, hoststest.ServerOptions{})
			opt := client.Options()
			opt.KeepAlive = 100 * time.Millisecond
			conn, err := hosts.Dial(t.Context(), "box", hosts.HostEntry{SSH: server.Addr}, opt)
			works(t, conn, err)
			t.Cleanup(func() { _ = conn.Close() })
			begun := make(chan struct{})
			go func() {
				<-begun
				breaks(server)
			}()
			_, err = conn.Run(t.Context(), hosts.Cmd{Argv: []string{"sleep", "5"}, Stdin: signalling{begun}})
			require.Equal(t, fault.HostUnreachable, fault.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, "may still run")
			require.Equal(t, 1, server.Connections())
			works(t, conn, nil)
			require.Equal(t, 2, server.Connections(), "not connected anew")
		})
	}
}

// signalling says when it is read, and has nothing to give.
type signalling struct{ read chan struct{} }

func (s signalling) Read([]byte) (int, error) {
	close(s.read)
	return 0, context.Canceled
}

func TestConnectionIsShared(t *testing.T) {
	t.Parallel()
	client, server := pair(t, hoststest.ServerOptions{})
	conn, err := client.Dial(t, server.Addr)
	for range 5 {
		works(t, conn, err)
	}
	require.Equal(t, 1, server.Connections())
}

func TestSessionsRunOut(t *testing.T) {
	t.Parallel()
	client, server := pair(t, hoststest.ServerOptions{MaxSessions: 1})
	conn, err := client.Dial(t, server.Addr)
	works(t, conn, err)
	ctx, cancel := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := conn.Run(ctx, hosts.Cmd{Argv: []string{"sleep", "5"}, Stdin: signalling{begun}})
		done <- err
	}()
	<-begun
	_, err = conn.Run(t.Context(), hosts.Cmd{Argv: []string{"true"}})
	require.Equal(t, fault.Busy, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "no further session")
	cancel()
	require.NotContains(t, (<-done).Error(), "may still run")
	require.Equal(t, 2, server.Connections(), "the kill needs a connection of its own")
}

func TestLoginShellThatRefuses(t *testing.T) {
	t.Parallel()
	client, server := pair(t, hoststest.ServerOptions{Greeting: "echo 'This account is not available.'; exit 1; "})
	conn, err := client.Dial(t, server.Addr)
	require.NoError(t, err)
	_, err = conn.Run(t.Context(), hosts.Cmd{Argv: []string{"true"}})
	require.Equal(t, fault.HostUnreachable, fault.CodeOf(err))
	require.ErrorContains(t, err, "This account is not available.")
	_, err = conn.Start(t.Context(), hosts.Cmd{Argv: []string{"true"}})
	require.Equal(t, fault.HostUnreachable, fault.CodeOf(err))
}

// TestOpenSSHSingleSession cancels a command on a server that has no room for the session that kills.
func TestOpenSSHSingleSession(t *testing.T) {
	t.Parallel()
	client := hoststest.NewClient(t)
	server := hoststest.NewOpenSSH(t, client.Public, "MaxSessions 1")
	client.Know(server.Addr, server.Key)
	conn, err := client.Dial(t, server.Addr)
	works(t, conn, err)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = conn.Run(ctx, hosts.Cmd{Argv: []string{"sh", "-c", "sleep 30"}, Stdin: cancelling{cancel}})
	require.Equal(t, fault.Canceled, fault.CodeOf(err), "%v", err)
	require.NotContains(t, err.Error(), "may still run")
}

// cancelling ends a context when it is read.
type cancelling struct{ cancel func() }

func (c cancelling) Read([]byte) (int, error) {
	c.cancel()
	return 0, context.Canceled
}
