//go:build unix

package sim_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sotaloop/sotaloop/internal/sim"
)

// dial connects as a client that reads the files that ServeSSH wrote.
func dial(t *testing.T, h *sim.Host, addr string) *ssh.Client {
	t.Helper()
	key, err := os.ReadFile(h.Layout().IdentityFile)
	require.NoError(t, err)
	signer, err := ssh.ParsePrivateKey(key)
	require.NoError(t, err)
	check, err := knownhosts.New(h.Layout().KnownHosts)
	require.NoError(t, err)
	c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: "sim", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: check, Timeout: waitFor})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newSession(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSSH(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	addr, err := h.ServeSSH(t.Context())
	require.NoError(t, err)
	config, err := os.ReadFile(h.Layout().SSHConfig)
	require.NoError(t, err)
	require.Contains(t, string(config), "Host simhost\n  HostName 127.0.0.1\n")
	st, err := os.Stat(h.Layout().IdentityFile)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, st.Mode().Perm())
	c := dial(t, h, addr)

	t.Run("environment", func(t *testing.T) {
		out, err := newSession(t, c).Output("env; pwd; command -v nvidia-smi")
		require.NoError(t, err)
		text := string(out)
		require.Contains(t, text, "HOME="+h.Layout().Home+"\n")
		require.Contains(t, text, "PATH="+h.Layout().Bin+":/usr/bin:/bin\n")
		require.Contains(t, text, "LANG=C.UTF-8\n")
		require.Contains(t, text, filepath.Join(h.Layout().Bin, "nvidia-smi")+"\n")
		for line := range strings.SplitSeq(text, "\n") {
			name, _, ok := strings.Cut(line, "=")
			require.True(t, !ok || strings.Contains(" HOME PATH LANG USER LOGNAME SHELL PWD _ SHLVL OLDPWD ", " "+name+" "), line)
		}
	})
	t.Run("streams and status", func(t *testing.T) {
		s := newSession(t, c)
		s.Stdin = strings.NewReader("ping")
		var out, errs bytes.Buffer
		s.Stdout, s.Stderr = &out, &errs
		err := s.Run("cat; echo oops >&2; exit 7")
		var exit *ssh.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 7, exit.ExitStatus())
		require.Equal(t, "ping", out.String())
		require.Equal(t, "oops\n", errs.String())
	})
	t.Run("signal", func(t *testing.T) {
		s := newSession(t, c)
		require.NoError(t, s.Start("sleep 60"))
		require.NoError(t, s.Signal(ssh.SIGTERM))
		var exit *ssh.ExitError
		require.ErrorAs(t, s.Wait(), &exit)
		require.Equal(t, "TERM", exit.Signal())
	})
	t.Run("keepalive", func(t *testing.T) {
		_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		require.NoError(t, err)
	})
	t.Run("no shell", func(t *testing.T) {
		require.Error(t, newSession(t, c).Shell())
		require.Error(t, newSession(t, c).RequestPty("xterm", 24, 80, nil))
	})
	t.Run("forward to loopback only", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, _ = conn.Write([]byte("hi"))
				_ = conn.Close()
			}
		}()
		conn, err := c.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		b, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "hi", string(b))
		_, err = c.Dial("tcp", "192.0.2.1:80")
		require.ErrorContains(t, err, "only loopback")
	})
	t.Run("personality through PATH", func(t *testing.T) {
		out, err := newSession(t, c).Output("nvidia-smi -L")
		require.NoError(t, err)
		require.Contains(t, string(out), "GPU 0: NVIDIA H100 80GB HBM3 (simulated at speed 20)")
	})
	t.Run("strangers stay out", func(t *testing.T) {
		_, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: "sim", Auth: []ssh.AuthMethod{ssh.Password("x")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: waitFor})
		require.Error(t, err)
	})
}

// A command whose client goes away is ended; one that left its session lives on, which is how a worker survives.
func TestHangUp(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{})
	addr, err := h.ServeSSH(t.Context())
	require.NoError(t, err)
	c := dial(t, h, addr)
	s := newSession(t, c)
	require.NoError(t, s.Start("setsid sh -c 'echo $$ > detached; exec sleep 61' >/dev/null 2>&1 </dev/null & echo $$ > attached; sleep 62"))
	pid := func(name string) string {
		var b []byte
		require.Eventually(t, func() bool {
			b, _ = os.ReadFile(filepath.Join(h.Layout().Home, name))
			return len(b) > 1
		}, waitFor, tick)
		return strings.TrimSpace(string(b))
	}
	alive := func(pid string) bool {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		return err == nil && !strings.Contains(string(b), ") Z ")
	}
	attached, detached := pid("attached"), pid("detached")
	require.True(t, alive(attached) && alive(detached))
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return !alive(attached) }, waitFor, tick)
	time.Sleep(2 * tick) // whatever ends the one would by now have ended the other
	require.True(t, alive(detached))
	again := dial(t, h, addr)
	_, err = newSession(t, again).Output("kill " + detached)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !alive(detached) }, waitFor, tick)
}
