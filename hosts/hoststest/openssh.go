//go:build unix

package hoststest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// OpenSSH is a real OpenSSH server on the loopback, with a configuration and a host key of its own.
type OpenSSH struct {
	Addr string
	Key  ssh.PublicKey
}

// NewOpenSSH starts a server that ends with the test and that the given key may log in to as this process's user; lines
// are added to its configuration. The test is skipped where no sshd is installed.
func NewOpenSSH(t testing.TB, accept ssh.PublicKey, lines ...string) *OpenSSH {
	t.Helper()
	program := findSSHD()
	if program == "" {
		t.Skip("no sshd on this machine: install openssh-server to run this against a real server")
	}
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	s := &OpenSSH{Addr: freeAddress(t), Key: signer.PublicKey()}
	_, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	files := map[string]string{
		"host_key":        string(pem.EncodeToMemory(block)),
		"authorized_keys": string(ssh.MarshalAuthorizedKey(accept)),
		"sshd_config": strings.Join(append(lines, []string{
			"Port " + port, "ListenAddress 127.0.0.1", "HostKey " + filepath.Join(dir, "host_key"),
			"AuthorizedKeysFile " + filepath.Join(dir, "authorized_keys"), "PidFile none", "StrictModes no", "UsePAM no",
			"SetEnv HOME=" + t.TempDir(), // neither start-up files nor files of the user who runs the test
			"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "MaxStartups 100", "",
		}...), "\n"),
	}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // where root's sshd keeps its unprivileged half
	}
	s.start(t, program, filepath.Join(dir, "sshd_config"), filepath.Join(dir, "log"))
	return s
}

// start runs the server until the test ends and waits until it answers.
func (s *OpenSSH) start(t testing.TB, program, config, log string) {
	t.Helper()
	cmd := exec.Command(program, "-D", "-f", config, "-E", log)
	require.NoError(t, cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	deadline := time.After(patience)
	for {
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			text, _ := os.ReadFile(log)
			require.FailNow(t, "sshd ended", "%v: %s", err, text)
		case <-deadline:
			require.FailNow(t, "sshd does not answer", fmt.Sprint(err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// findSSHD gives the absolute path that sshd insists on being called by.
func findSSHD() string {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, _ := exec.LookPath("sshd")
	return path
}

// freeAddress finds a port of the loopback that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
