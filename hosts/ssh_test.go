//go:build unix

package hosts_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// pair is a client and a server that know each other.
func pair(t *testing.T, opt hoststest.ServerOptions) (*hoststest.Client, *hoststest.Server) {
	t.Helper()
	client := hoststest.NewClient(t)
	opt.Accept = append(opt.Accept, client.Public)
	server := hoststest.NewServer(t, opt)
	client.Know(server.Addr, server.Keys()...)
	return client, server
}

// ecdsaKey makes a key of another type than hoststest.NewKey.
func ecdsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer
}

// refusal is the fault that dialling gives; the connection must be nil.
func refusal(t *testing.T, client *hoststest.Client, dest string) *fault.Error {
	t.Helper()
	conn, err := client.Dial(t, dest)
	require.Nil(t, conn)
	f, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, f.Hints, "no next step: %v", err)
	return f
}

// says that commands run over a connection.
func works(t *testing.T, conn hosts.Conn, err error) {
	t.Helper()
	require.NoError(t, err)
	res, err := conn.Run(t.Context(), hosts.Cmd{Argv: []string{"echo", "fine"}})
	require.NoError(t, err)
	require.Equal(t, "fine\n", string(res.Stdout))
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	ed, ec, stranger := hoststest.NewKey(t), ecdsaKey(t), hoststest.NewKey(t)
	for _, c := range []struct {
		name    string
		has     []ssh.Signer
		known   []ssh.PublicKey
		problem hosts.KeyProblem
		hint    string
	}{
		{name: "known", has: []ssh.Signer{ed}, known: []ssh.PublicKey{ed.PublicKey()}},
		{name: "one of several", has: []ssh.Signer{ed, ec}, known: []ssh.PublicKey{ec.PublicKey()}},
		{name: "the other of several", has: []ssh.Signer{ec, ed}, known: []ssh.PublicKey{ed.PublicKey()}},
		{name: "none known", has: []ssh.Signer{ed}, problem: hosts.KeyUnknown, hint: ssh.FingerprintSHA256(ed.PublicKey())},
		{name: "changed", has: []ssh.Signer{ed}, known: []ssh.PublicKey{stranger.PublicKey()}, problem: hosts.KeyChanged, hint: "known_hosts:1"},
		{name: "another type known", has: []ssh.Signer{ed}, known: []ssh.PublicKey{ec.PublicKey()}, problem: hosts.KeyUnoffered, hint: "known_hosts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := hoststest.NewClient(t), (*hoststest.Server)(nil)
			server = hoststest.NewServer(t, hoststest.ServerOptions{HostKeys: c.has, Accept: []ssh.PublicKey{client.Public}})
			client.Alias("box", server.Addr)
			client.Know(server.Addr, c.known...)
			before, err := os.ReadFile(client.File("known_hosts"))
			require.NoError(t, err)
			if c.problem == "" {
				conn, err := client.Dial(t, "box")
				works(t, conn, err)
				return
			}
			f := refusal(t, client, "box")
			require.Equal(t, fault.HostKey, f.Code)
			var e *hosts.HostKeyError
			require.ErrorAs(t, f, &e)
			require.Equal(t, c.problem, e.Problem)
			require.Equal(t, c.problem == hosts.KeyChanged, strings.Contains(f.Error(), "changed"))
			require.Equal(t, c.problem == hosts.KeyChanged, f.Rule == "host.changed")
			require.Contains(t, strings.Join(f.Hints, "\n"), c.hint)
			require.Zero(t, server.Connections())
			after, err := os.ReadFile(client.File("known_hosts"))
			require.NoError(t, err)
			require.Equal(t, before, after, "known_hosts was written to")
		})
	}
}

func TestHostKeyLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		line  func(addr string, key ssh.PublicKey) string
		alias []string
		code  fault.Code
	}{
		{name: "hashed", line: func(addr string, key ssh.PublicKey) string {
			return strings.Replace(knownhosts.Line([]string{addr}, key), knownhosts.Normalize(addr), hashed(addr), 1)
		}},
		{name: "wildcard", line: func(_ string, key ssh.PublicKey) string { return "127.0.* " + authorized(key) }},
		{name: "by alias", alias: []string{"HostKeyAlias rack-7"}, line: func(_ string, key ssh.PublicKey) string { return "rack-7 " + authorized(key) }},
		{name: "alias hides the address", alias: []string{"HostKeyAlias rack-7"}, code: fault.HostKey,
			line: func(addr string, key ssh.PublicKey) string { return knownhosts.Line([]string{addr}, key) }},
		{name: "revoked", code: fault.HostKey, line: func(addr string, key ssh.PublicKey) string {
			return knownhosts.Line([]string{addr}, key) + "\n@revoked " + knownhosts.Line([]string{addr}, key)
		}},
		{name: "excluded by the configuration", alias: []string{"HostKeyAlgorithms ecdsa-sha2-nistp256"}, code: fault.HostKey,
			line: func(addr string, key ssh.PublicKey) string { return knownhosts.Line([]string{addr}, key) }},
		{name: "broken", code: fault.HostKey, line: func(string, ssh.PublicKey) string { return "box ssh-ed25519 !!!" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := hoststest.NewClient(t)
			server := hoststest.NewServer(t, hoststest.ServerOptions{Accept: []ssh.PublicKey{client.Public}})
			client.Alias("box", server.Addr, c.alias...)
			line := c.line(server.Addr, server.Keys()[0]) + "\n"
			require.NoError(t, os.WriteFile(client.File("known_hosts"), []byte(line), 0o600))
			if c.code != "" {
				require.Equal(t, c.code, refusal(t, client, "box").Code)
				return
			}
			conn, err := client.Dial(t, "box")
			works(t, conn, err)
		})
	}
}

func authorized(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

func hashed(addr string) string { return xknownhostsHash(addr) }

func TestUnreachable(t *testing.T) {
	t.Parallel()
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		client.Alias("box", l.Addr().String())
		f := refusal(t, client, "box")
		require.Equal(t, fault.HostUnreachable, f.Code)
		require.Contains(t, f.Message, l.Addr().String())
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		client.Alias("box", l.Addr().String(), "ConnectTimeout 1")
		f := refusal(t, client, "box")
		require.Equal(t, fault.HostUnreachable, f.Code)
		require.ErrorContains(t, f, "no answer within the connect timeout of 1s")
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = hosts.Dial(ctx, "box", hosts.HostEntry{SSH: l.Addr().String()}, client.Options())
		require.Equal(t, fault.Timeout, fault.CodeOf(err), "%v", err)
	})
	t.Run("not SSH", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_ = conn.Close()
			}
		}()
		require.Equal(t, fault.HostUnreachable, refusal(t, client, l.Addr().String()).Code)
	})
	t.Run("destination", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		for _, dest := range []string{"", "-oProxyCommand=id", "a b", "x:0", "u@", "@h", "x;id", "[::1", "a:b:c:d@"} {
			_, err := client.Dial(t, dest)
			require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%q: %v", dest, err)
		}
	})
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	t.Run("not accepted", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		server := hoststest.NewServer(t, hoststest.ServerOptions{})
		client.Know(server.Addr, server.Keys()...)
		client.Alias("box", server.Addr, "User carol")
		f := refusal(t, client, "box")
		require.Equal(t, fault.HostUnreachable, f.Code)
		require.Contains(t, f.Message, `does not accept user "carol"`)
		require.Contains(t, f.Message, ssh.FingerprintSHA256(client.Public))
	})
	t.Run("named file only", func(t *testing.T) {
		t.Parallel()
		client := hoststest.NewClient(t)
		other := client.WriteKey("other key")
		server := hoststest.NewServer(t, hoststest.ServerOptions{Accept: []ssh.PublicKey{other}})
		client.Know(server.Addr, server.Keys()...)
		client.Alias("box", server.Addr, `IdentityFile "~/.ssh/other key"`, "IdentitiesOnly yes")
		client.Alias("plain", server.Addr)
		conn, err := client.Dial(t, "box")
		works(t, conn, err)
		require.Equal(t, fault.HostUnreachable, refusal(t, client, "plain").Code)
	})
	t.Run("readable by others", func(t *testing.T) {
		t.Parallel()
		client, server := pair(t, hoststest.ServerOptions{})
		require.NoError(t, os.Chmod(client.File("id_ed25519"), 0o644))
		f := refusal(t, client, server.Addr)
		require.Contains(t, strings.Join(f.Hints, "\n"), "id_ed25519: others may read it (mode 0644)")
	})
	t.Run("dead agent", func(t *testing.T) {
		t.Parallel()
		client, server := pair(t, hoststest.ServerOptions{})
		opt := client.Options()
		opt.AgentSocket = filepath.Join(client.Home, "no-socket")
		conn, err := hosts.Dial(t.Context(), "box", hosts.HostEntry{SSH: server.Addr}, opt)
		works(t, conn, err)
		require.NoError(t, conn.Close())
	})
}
