package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Upload implements [Conn].
func (l *Local) Upload(ctx context.Context, r io.Reader, dst string, mode fs.FileMode) error {
	if err := validateDestination(dst); err != nil {
		return err
	}
	ctx, end, err := l.life.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	path := l.expand(dst)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return notRegular(l.name, dst)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return l.writeFault(dst, err)
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".sotaloop-*.part")
	if err != nil {
		return l.writeFault(dst, err)
	}
	source := &countingReader{from: contextReader{ctx, r}}
	err = fill(part, source, mode)
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err == nil {
		return syncFolder(filepath.Dir(path))
	}
	_ = os.Remove(part.Name())
	if stopped := l.life.stopped(ctx, nil); stopped != nil {
		return stopped
	}
	if _, _, readErr := source.end(); readErr != nil {
		return fmt.Errorf("read what to upload: %w", readErr)
	}
	return l.writeFault(dst, err)
}

// fill writes all of r to f, on disk, and closes it.
func fill(f *os.File, r io.Reader, mode fs.FileMode) error {
	_, err := io.Copy(f, r)
	return errors.Join(err, f.Chmod(mode.Perm()), f.Sync(), f.Close())
}

// syncFolder makes a rename in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// writeFault says why a file could not be written.
func (l *Local) writeFault(dst string, err error) error {
	return fault.Wrap(fault.Denied, err, "host %q: cannot write %q", l.name, dst).At("dst", dst).
		Hint("check the folder's permissions and the space left on the host")
}

// Download implements [Conn].
func (l *Local) Download(ctx context.Context, path string, w io.Writer) error {
	if err := validatePath("path", path); err != nil {
		return err
	}
	ctx, end, err := l.life.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	info, err := os.Stat(l.expand(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missingFile(l.name, path)
	case err == nil && !info.Mode().IsRegular(): // opening a pipe would block
		return notRegular(l.name, path)
	case err != nil:
		return unreadable(l.name, path, err.Error())
	}
	f, err := os.Open(l.expand(path))
	if err != nil {
		return unreadable(l.name, path, err.Error())
	}
	defer func() { _ = f.Close() }()
	source := &countingReader{from: contextReader{ctx, f}}
	_, err = io.Copy(w, source)
	if stopped := l.life.stopped(ctx, nil); stopped != nil {
		return stopped
	}
	if _, _, readErr := source.end(); readErr != nil {
		return unreadable(l.name, path, readErr.Error())
	}
	if err != nil {
		return fmt.Errorf("write what was downloaded: %w", err)
	}
	return nil
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(p)
}
