package chain

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Waiting for a lock polls, because a blocking flock could not be given up; the step grows from the first to the
// second. A holder keeps the lock for milliseconds.
const (
	firstPoll = 200 * time.Microsecond
	lastPoll  = 10 * time.Millisecond
)

// acquire takes the exclusive lock at path, or nothing for an empty path, and gives its release. The kernel frees it
// when the process dies. The lock file itself stays: removing it would let two processes lock two files.
func acquire(ctx context.Context, path string) (release func(), err error) {
	if path == "" {
		return func() {}, ctx.Err()
	}
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	for step := firstPoll; ; step = min(2*step, lastPoll) {
		held, err := tryLock(f)
		if held {
			return func() { _ = f.Close() }, nil
		}
		if err == nil {
			err = pause(ctx, step)
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
	}
}

// openLock opens the lock file and makes its folder when that is missing.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if !os.IsNotExist(err) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
