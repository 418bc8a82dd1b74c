//go:build unix

package server_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/server"
)

func TestNoDoorWithoutAToken(t *testing.T) {
	t.Parallel()
	for _, short := range []string{"", "secret", strings.Repeat("x", 31)} {
		l, err := server.Listen(t.Context(), "127.0.0.1:0")
		require.NoError(t, err)
		err = server.New(options()).ServeListener(t.Context(), l, short)
		require.Equal(t, fault.Denied, fault.CodeOf(err), "%q", short)
		_, err = net.Dial("tcp", l.Addr().String()) //nolint:noctx // it answers or not at once
		require.Error(t, err, "the listener is closed")
	}
}

// serveSocket serves a Unix socket in a short folder: a socket's path has some hundred bytes.
func serveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := server.ListenUnix(t.Context(), path)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- server.New(options()).ServeListener(t.Context(), l, "") }()
	t.Cleanup(func() { require.NoError(t, <-done) })
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sl")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "mcp.sock")
	serveSocket(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, info.Mode())
	c, err := server.DialHTTP(t.Context(), "http://localhost"+server.Path, server.DialOptions{Socket: path})
	require.NoError(t, err)
	defer c.Close()
	listed, err := c.Tools(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, listed)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "the folder it was made in is gone")
	_, err = server.ListenUnix(t.Context(), path)
	require.Equal(t, fault.Conflict, fault.CodeOf(err), "another server answers")
}

func TestSocketsThatAreLeft(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	serveSocket(t, stale)

	for name, make := range map[string]func(path string) error{
		"file":   func(path string) error { return os.WriteFile(path, []byte("notes"), 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":   func(path string) error { return os.Symlink(stale, path) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, make(path))
		_, err := server.ListenUnix(t.Context(), path)
		require.Equal(t, fault.Conflict, fault.CodeOf(err), name)
		_, err = os.Lstat(path)
		require.NoError(t, err, "what is no socket stays")
	}
	_, err = server.ListenUnix(t.Context(), filepath.Join(dir, strings.Repeat("x", 100)))
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
}

// TestClosingLeavesASuccessorsSocket removes only what it made.
func TestClosingLeavesASuccessorsSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "mcp.sock")
	first, err := server.ListenUnix(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	second, err := server.ListenUnix(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	_, err = os.Lstat(path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}
