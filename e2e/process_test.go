//go:build linux

package e2e_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// process is a running `sotaloop serve`.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	stderr string // file
	http   bool   // its input's end does not end it
}

// environ is what a program of the world sees: nothing of this process but the search path.
func (w *world) environ() []string {
	return []string{"HOME=" + filepath.Join(w.home, "user"), "PATH=" + os.Getenv("PATH"), "TERM=dumb",
		"GORACE=atexit_sleep_ms=0 log_path=" + filepath.Join(w.home, "race", "server")}
}

// serve starts a server on the home. It ends with the test, orderly, or earlier by kill.
func (w *world) serve(args ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, cmd: exec.Command(w.programs.server, append([]string{"serve", "--home", w.home, "--worker-dir", w.programs.workers}, args...)...)} //nolint:noctx // ended by stop
	p.cmd.Env = w.environ()
	log, err := os.CreateTemp(w.home, "stderr-")
	require.NoError(w.t, err)
	defer log.Close()
	p.stderr, p.cmd.Stderr = log.Name(), log
	p.in, err = p.cmd.StdinPipe()
	require.NoError(w.t, err)
	out, outW, err := os.Pipe() // not StdoutPipe: the client may still read when the process is waited for
	require.NoError(w.t, err)
	p.out, p.cmd.Stdout = out, outW
	require.NoError(w.t, p.cmd.Start())
	require.NoError(w.t, outW.Close())
	w.t.Cleanup(p.stop)
	return p
}

// stdio speaks to the server over its standard streams.
func (p *process) stdio(era string) *server.Client {
	p.t.Helper()
	c, err := server.DialPipes(p.t.Context(), p.out, p.in, server.DialOptions{Era: era, Name: "e2e", Version: "0"})
	require.NoError(p.t, err, "stderr: %s", p.errors())
	return c
}

// servedAt finds the address that a server prints when it serves HTTP.
var servedAt = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/mcp`)

// serveHTTP starts a server on a free port and speaks streamable HTTP to it.
func (w *world) serveHTTP(era string) (*process, *server.Client) {
	w.t.Helper()
	p := w.serve("--http", "127.0.0.1:0")
	p.http = true
	require.Eventually(w.t, func() bool { return servedAt.MatchString(p.errors()) }, 20*time.Second, 20*time.Millisecond)
	c, err := server.DialHTTP(w.t.Context(), servedAt.FindString(p.errors()), server.DialOptions{Era: era, Name: "e2e", Version: "0", Token: w.token()})
	require.NoError(w.t, err)
	return p, c
}

// token is what a server that serves HTTP wrote beside hosts.yaml, for its own account alone.
func (w *world) token() string {
	w.t.Helper()
	path := filepath.Join(w.home, "config", "http-token")
	raw, err := os.ReadFile(path)
	require.NoError(w.t, err)
	info, err := os.Stat(path)
	require.NoError(w.t, err)
	require.Equal(w.t, os.FileMode(0o600), info.Mode())
	return strings.TrimSpace(string(raw))
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	if p.cmd.ProcessState == nil {
		require.NoError(p.t, p.cmd.Process.Kill())
		_ = p.cmd.Wait()
	}
}

// stop ends the server as a client does, and as a person does where that is not enough.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.in.Close()
	if p.http {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-ended:
			return
		case <-time.After(8 * time.Second):
			p.t.Errorf("the server did not end within 8 s: %s", p.errors())
			_ = p.cmd.Process.Signal(sig)
		}
	}
	<-ended
}

func (p *process) errors() string {
	raw, _ := os.ReadFile(p.stderr)
	return string(raw)
}

// cli runs a command for people and gives its output and exit code.
func (w *world) cli(args ...string) (string, int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.programs.plain, args...)
	cmd.Env = w.environ()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(w.t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
