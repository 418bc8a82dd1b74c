//go:build linux

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// smallDisk is a file system of its own under the host's run folders.
type smallDisk struct {
	t    *testing.T
	dir  string
	file string // what fills it
}

// smallDisk mounts one, where this account may; else it says so and gives nil.
func (w *world) smallDisk() *smallDisk {
	w.t.Helper()
	dir := filepath.Join(w.layout.Home, "sotaloop", "runs")
	require.NoError(w.t, os.MkdirAll(dir, 0o700))
	if err := unix.Mount("sotaloop-e2e", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=24m,mode=0700"); err != nil {
		w.t.Logf("the full disk is left out: a file system needs root: %v", err)
		return nil
	}
	w.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return &smallDisk{t: w.t, dir: dir, file: filepath.Join(dir, ".full")}
}

// fill leaves no byte.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.Create(d.file)
	require.NoError(d.t, err)
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for size := len(chunk); size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(chunk[:size])
		}
		require.ErrorIs(d.t, err, unix.ENOSPC)
	}
}

func (d *smallDisk) empty() {
	d.t.Helper()
	require.NoError(d.t, os.Remove(d.file))
}
