//go:build unix

package hoststest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
)

func TestLocalConforms(t *testing.T) {
	t.Parallel()
	hoststest.Conform(t, func(t *testing.T) hosts.Conn {
		conn, err := hosts.Dial(t.Context(), "here", hosts.HostEntry{Local: true}, hosts.DialOptions{HomeDir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	})
}

// TestSSHConforms meets a login shell whose start-up file is talkative.
func TestSSHConforms(t *testing.T) {
	t.Parallel()
	client := hoststest.NewClient(t)
	server := hoststest.NewServer(t, hoststest.ServerOptions{
		Accept: []ssh.PublicKey{client.Public}, Greeting: "echo 'Welcome!'; printf 'no line end' >&2; ",
	})
	client.Know(server.Addr, server.Keys()...)
	conform(t, client, server.Addr)
}

func TestOpenSSHConforms(t *testing.T) {
	t.Parallel()
	client := hoststest.NewClient(t)
	server := hoststest.NewOpenSSH(t, client.Public)
	client.Know(server.Addr, server.Key)
	conform(t, client, server.Addr)
}

// conform runs the suite over SSH.
func conform(t *testing.T, client *hoststest.Client, addr string) {
	t.Helper()
	client.Alias("target", addr)
	hoststest.Conform(t, func(t *testing.T) hosts.Conn {
		conn, err := client.Dial(t, "target")
		require.NoError(t, err)
		return conn
	})
}
