package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxSocketPath is what fits into a socket's address on every system, the shortest being 104 bytes with their end.
const maxSocketPath = 103

// ListenUnix opens a listener for ServeListener on a Unix socket that this account alone may use (mode 0600). A socket
// that a dead server left is replaced; one that answers, and anything that is no socket, is refused.
func ListenUnix(ctx context.Context, path string) (net.Listener, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS == "windows" {
		return nil, fault.New(fault.Denied, "permissions of Unix sockets are not judged on this system").At("unix", path).Hint("serve with --http and its token")
	}
	if err := clearStale(ctx, abs); err != nil {
		return nil, err
	}
	// Between bind and chmod everybody could connect, so the socket is made in a folder of our own and moved.
	dir, err := os.MkdirTemp(filepath.Dir(abs), ".s")
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "no socket can be made at %q", path).At("unix", path).Hint("name a path in a folder of yours")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	made := filepath.Join(dir, "s")
	if len(made) > maxSocketPath || len(abs) > maxSocketPath {
		return nil, fault.New(fault.InvalidInput, "%q is too long for a socket: at most %d bytes, and 15 for its folder while it is made", path, maxSocketPath).At("unix", path).
			Hint("choose a shorter path")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", made)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen: %T is no socket", l), l.Close())
	}
	u.SetUnlinkOnClose(false) // it knows the name it was made under
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, abs)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	info, err := os.Lstat(abs)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{UnixListener: u, path: abs, info: info}, nil
}

// socket is a listener that removes its file when it closes, unless another server has replaced it.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

// Close implements net.Listener.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if now, e := os.Lstat(s.path); e == nil && os.SameFile(now, s.info) {
		_ = os.Remove(s.path)
	}
	return err
}

// clearStale removes a socket that nobody answers.
func clearStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.Conflict, "%q exists and is no socket", path).At("unix", path).Hint("name another path")
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fault.New(fault.Conflict, "another server answers at %q", path).At("unix", path).Hint("end it, or name another path")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Denied, err, "the socket of a server that has ended cannot be removed").At("unix", path)
	}
	return nil
}
