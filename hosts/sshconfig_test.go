//go:build unix

package hosts_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestDirectives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		lines []string // in a Host block of the destination
		names string   // what a refusal must name; empty: the connection works
	}{
		{name: "none"},
		{name: "harmless", lines: []string{"ServerAliveInterval 30", "Compression yes", "ForwardAgent yes", "ControlMaster auto",
			"ControlPath ~/.ssh/%C", "SendEnv LANG LC_*", "GSSAPIAuthentication yes", "StrictHostKeyChecking no", "AddKeysToAgent yes"}},
		{name: "notations", lines: []string{"serveraliveinterval=30", "\tCOMPRESSION =\tyes # why not", `"LogLevel" "QUIET"`}},
		{name: "switched off", lines: []string{"ProxyCommand none", "CanonicalizeHostname no", "PKCS11Provider none", "RemoteCommand none"}},
		{name: "algorithms", lines: []string{"Ciphers aes128-ctr,unknown@example.org", "MACs +hmac-sha1", "KexAlgorithms ^curve25519-sha256",
			"HostKeyAlgorithms -ssh-rsa", "CASignatureAlgorithms ssh-ed25519", "RequiredRSASize 3072", "PubkeyAcceptedAlgorithms ssh-ed25519"}},
		{name: "addresses", lines: []string{"AddressFamily inet", "ConnectTimeout 5"}},
		{name: "ignored on request", lines: []string{"IgnoreUnknown Use*,Flux*", "FluxCapacitor yes"}},
		{name: "after another block", lines: []string{"Host elsewhere", "ProxyCommand id", "FluxCapacitor yes"}},
		{name: "first wins", lines: []string{"ProxyCommand none", "ProxyCommand id"}},
		{name: "keys first of all", lines: []string{"PreferredAuthentications publickey,password"}},

		{name: "ProxyCommand", lines: []string{"ProxyCommand nc %h %p"}, names: `directive "proxycommand"`},
		{name: "CanonicalizeHostname", lines: []string{"CanonicalizeHostname yes"}, names: `directive "canonicalizehostname"`},
		{name: "PKCS11Provider", lines: []string{"PKCS11Provider /usr/lib/token.so"}, names: `directive "pkcs11provider"`},
		{name: "RemoteCommand", lines: []string{"RemoteCommand tmux"}, names: `directive "remotecommand"`},
		{name: "BindAddress", lines: []string{"BindAddress 10.0.0.1"}, names: `directive "bindaddress"`},
		{name: "KnownHostsCommand", lines: []string{"KnownHostsCommand /bin/keys %H"}, names: `directive "knownhostscommand"`},
		{name: "RevokedHostKeys", lines: []string{"RevokedHostKeys /etc/revoked"}, names: `directive "revokedhostkeys"`},
		{name: "no public keys", lines: []string{"PubkeyAuthentication no"}, names: `directive "pubkeyauthentication"`},
		{name: "passwords only", lines: []string{"PreferredAuthentications password"}, names: `directive "preferredauthentications"`},
		{name: "unknown", lines: []string{"FluxCapacitor yes"}, names: `directive "fluxcapacitor"`},
		{name: "Match exec", lines: []string{"Match exec true"}, names: `directive "match exec"`},
		{name: "variable", lines: []string{"IdentityFile ${HOME}/.ssh/id"}, names: `directive "identityfile"`},
		{name: "token", lines: []string{"IdentityFile ~/.ssh/%Z"}, names: `directive "identityfile"`},
		{name: "port", lines: []string{"Ciphers nonsense"}, names: `ciphers "nonsense"`},
		{name: "timeout", lines: []string{"ConnectTimeout soon"}, names: `connecttimeout "soon"`},
		{name: "family", lines: []string{"AddressFamily ipx"}, names: `addressfamily "ipx"`},
		{name: "jump", lines: []string{"ProxyJump -oProxyCommand=id"}, names: `proxyjump "-oProxyCommand=id"`},
		{name: "quote", lines: []string{`User "carol`}, names: "config:7: a quote is not closed"},
		{name: "value", lines: []string{"User"}, names: "config:7: no value after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := pair(t, hoststest.ServerOptions{})
			client.Config("# a user's file", "")
			client.Alias("box", server.Addr)
			client.Config(c.lines...)
			conn, err := client.Dial(t, "box")
			if c.names == "" {
				works(t, conn, err)
				return
			}
			require.Nil(t, conn)
			require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, c.names)
			require.ErrorContains(t, err, client.File("config")+":")
			require.Zero(t, server.Connections())
		})
	}
}

func TestConfigurationBlocks(t *testing.T) {
	t.Parallel()
	client, server := pair(t, hoststest.ServerOptions{})
	include := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(client.File(name)), 0o700))
		require.NoError(t, os.WriteFile(client.File(name), []byte(text), 0o600))
	}
	include("conf.d/10-box", "Host inc*\n  HostName 127.0.0.1\nHost other\n  ProxyCommand id\n")
	include("conf.d/20-port", "Match final host 127.0.0.1\n  Port "+server.Addr[len("127.0.0.1:"):]+"\n")
	include("again", "Include again\n")
	client.Config(
		"Include conf.d/*",
		"Match originalhost by-match user carol", "  ProxyCommand id",
		"Match originalhost by-match !user carol", "  HostName 127.0.0.1",
		"Host *.wild !not.wild", "  HostName 127.0.0.1",
		"Host token", "  HostName 127.0.0.%h",
		"Host 1", "  HostName 127.0.0.%h",
		"Match host 127.0.0.1 exec true", "  User never", // decided only where the host matches, after all else
	)
	for _, dest := range []string{"incoming", "by-match", "a.wild", "1"} {
		_, err := client.Dial(t, dest)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%s: %v", dest, err)
		require.ErrorContains(t, err, `directive "match exec"`, dest)
	}
	text, err := os.ReadFile(client.File("config"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(client.File("config"), text[:len(text)-len("Match host 127.0.0.1 exec true\n  User never\n")], 0o600))
	for _, dest := range []string{"incoming", "by-match", "a.wild", "1"} {
		conn, err := client.Dial(t, dest)
		works(t, conn, err)
	}
	for _, dest := range []string{"carol@by-match", "other"} {
		_, err := client.Dial(t, dest)
		require.ErrorContains(t, err, `directive "proxycommand"`, dest)
	}
	client.Config("Host deep", "  Include again")
	_, err = client.Dial(t, "deep")
	require.ErrorContains(t, err, "nested more than 16 deep")
}
