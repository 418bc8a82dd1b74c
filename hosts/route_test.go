//go:build unix

package hosts_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// TestReadRoute asks nothing of the network: nobody listens at these addresses.
func TestReadRoute(t *testing.T) {
	t.Parallel()
	c := hoststest.NewClient(t)
	c.Alias("gpu", "192.0.2.7:2222", "  User bench", "  ProxyJump jump")
	c.Know("192.0.2.7:2222", hoststest.NewKey(t).PublicKey())
	r, err := hosts.ReadRoute("gpu", c.Options())
	require.NoError(t, err)
	require.Equal(t, hosts.Route{Address: "192.0.2.7:2222", User: "bench", Jumps: []string{"jump"}, KeyName: "[192.0.2.7]:2222",
		KnownHosts: []string{c.File("known_hosts")}, KnownTypes: []string{"ssh-ed25519"}}, r)
	r, err = hosts.ReadRoute("nobody@192.0.2.8", c.Options())
	require.NoError(t, err)
	require.Empty(t, r.KnownTypes)
	c.Config("Host bad", "  ProxyCommand nc %h %p")
	_, err = hosts.ReadRoute("bad", c.Options())
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	_, err = hosts.ReadRoute("-oProxyCommand=x", c.Options())
	require.Error(t, err)
}

// TestKeyAccepted tells the key that a host really showed.
func TestKeyAccepted(t *testing.T) {
	t.Parallel()
	c := hoststest.NewClient(t)
	s := hoststest.NewServer(t, hoststest.ServerOptions{Accept: []ssh.PublicKey{c.Public}})
	c.Know(s.Addr, s.Keys()...)
	c.Alias("h", s.Addr)
	var told []string
	opt := c.Options()
	opt.KeyAccepted = func(name, kind, fingerprint string) { told = append(told, name, kind, fingerprint) }
	conn, err := hosts.Dial(t.Context(), "h", hosts.HostEntry{SSH: "h"}, opt)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Equal(t, ssh.FingerprintSHA256(s.Keys()[0]), told[2])
	require.Equal(t, "ssh-ed25519", told[1])

	told = nil
	stranger := hoststest.NewServer(t, hoststest.ServerOptions{Accept: []ssh.PublicKey{c.Public}})
	c.Alias("s", stranger.Addr)
	_, err = hosts.Dial(t.Context(), "s", hosts.HostEntry{SSH: "s"}, opt)
	require.Equal(t, fault.HostKey, fault.CodeOf(err))
	require.Empty(t, told, "a key that was not accepted is not told")
}
