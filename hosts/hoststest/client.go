package hoststest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
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
)

// Client is a user's home folder with a key, an SSH configuration and known hosts.
type Client struct {
	Home   string
	Public ssh.PublicKey // of ~/.ssh/id_ed25519

	t testing.TB
}

// NewClient makes a home folder with a new key, an empty configuration and no known host.
func NewClient(t testing.TB) *Client {
	t.Helper()
	c := &Client{Home: t.TempDir(), t: t}
	require.NoError(t, os.Mkdir(filepath.Join(c.Home, ".ssh"), 0o700))
	c.Public = c.WriteKey("id_ed25519")
	c.Config()
	c.write("known_hosts", "")
	return c
}

// WriteKey makes a new key in ~/.ssh.
func (c *Client) WriteKey(name string) ssh.PublicKey {
	c.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(c.t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(c.File(name), pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(c.t, err)
	return signer.PublicKey()
}

// File is a path below ~/.ssh.
func (c *Client) File(name string) string { return filepath.Join(c.Home, ".ssh", name) }

// Config appends lines to the configuration.
func (c *Client) Config(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		c.write("config", line+"\n")
	}
	if len(lines) == 0 {
		c.write("config", "")
	}
}

// Alias appends a Host block that leads to an address.
func (c *Client) Alias(name, addr string, lines ...string) {
	c.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(c.t, err)
	c.Config("Host "+name, "  HostName "+host, "  Port "+port, strings.Join(lines, "\n"))
}

// Know appends the keys of a host to the known hosts.
func (c *Client) Know(addr string, keys ...ssh.PublicKey) {
	c.t.Helper()
	for _, k := range keys {
		c.write("known_hosts", knownhosts.Line([]string{addr}, k)+"\n")
	}
}

// write appends to a file below ~/.ssh.
func (c *Client) write(name, text string) {
	c.t.Helper()
	f, err := os.OpenFile(c.File(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(c.t, err)
	_, err = fmt.Fprint(f, text)
	require.NoError(c.t, err)
	require.NoError(c.t, f.Close())
}

// Options dial with this home's files only.
func (c *Client) Options() hosts.DialOptions {
	return hosts.DialOptions{
		SSHConfig: []string{c.File("config")}, KnownHosts: []string{c.File("known_hosts")}, HomeDir: c.Home, KeepAlive: time.Second,
	}
}

// Dial connects to an alias or address; the connection is closed with the test.
func (c *Client) Dial(t testing.TB, dest string) (hosts.Conn, error) {
	t.Helper()
	conn, err := hosts.Dial(t.Context(), "testhost", hosts.HostEntry{SSH: dest}, c.Options())
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}
