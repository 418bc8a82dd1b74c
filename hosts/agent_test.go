//go:build unix

package hosts_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"os"
	"testing"

	"github.com/skeema/knownhosts"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// xknownhostsHash spells an address as HashKnownHosts does.
func xknownhostsHash(addr string) string {
	salt := make([]byte, sha1.Size)
	_, _ = rand.Read(salt)
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(knownhosts.Normalize(addr)))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// startAgent serves new keys on a socket and gives it with the public keys.
func startAgent(t *testing.T, keys int) (socket string, public []ssh.PublicKey) {
	t.Helper()
	ring := agent.NewKeyring()
	for range keys {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: private}))
		signer, err := ssh.NewSignerFromKey(private)
		require.NoError(t, err)
		public = append(public, signer.PublicKey())
	}
	socket = hoststest.ServeAgent(t, ring)
	return socket, public
}

func TestAgent(t *testing.T) {
	t.Parallel()
	socket, held := startAgent(t, 8)
	client := hoststest.NewClient(t)
	require.NoError(t, os.Remove(client.File("id_ed25519")))
	server := hoststest.NewServer(t, hoststest.ServerOptions{Accept: held[7:]})
	client.Know(server.Addr, server.Keys()...)
	require.NoError(t, os.WriteFile(client.File("work.pub"), ssh.MarshalAuthorizedKey(held[7]), 0o644))
	client.Alias("all", server.Addr)
	client.Alias("named", server.Addr, "IdentityFile ~/.ssh/work.pub", "IdentitiesOnly yes")
	client.Alias("beside", server.Addr, "IdentityFile ~/.ssh/work", "IdentitiesOnly yes")
	client.Alias("only", server.Addr, "IdentityFile ~/.ssh/none", "IdentitiesOnly yes")
	client.Alias("off", server.Addr, "IdentityAgent none")
	client.Alias("elsewhere", server.Addr, "IdentityAgent "+socket, "IdentityFile ~/.ssh/work.pub")
	dial := func(dest, socket string) (hosts.Conn, error) {
		opt := client.Options()
		opt.AgentSocket = socket
		conn, err := hosts.Dial(t.Context(), dest, hosts.HostEntry{SSH: dest}, opt)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return conn, err
	}
	for _, dest := range []string{"named", "beside"} {
		conn, err := dial(dest, socket)
		works(t, conn, err)
	}
	conn, err := dial("elsewhere", "")
	works(t, conn, err)
	for _, dest := range []string{"only", "off", "all"} { // "all": the server hangs up after six wrong keys
		_, err := dial(dest, socket)
		require.Equal(t, fault.HostUnreachable, fault.CodeOf(err), "%s: %v", dest, err)
	}
}
