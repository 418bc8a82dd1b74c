//go:build unix

package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Bits of access(2).
const (
	accessWrite  = 2
	accessSearch = 1
)

// unwritable says why this account can neither write in a folder nor make it, "" where it can.
func unwritable(dir string) string {
	at := existing(dir)
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return err.Error()
	case !info.IsDir():
		return at + " is no folder"
	case syscall.Access(at, accessWrite|accessSearch) != nil:
		return at + " cannot be written by this account"
	}
	return ""
}

// existing is the folder itself, or the nearest one above it that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// freeMiB is what this account may still write where dir is or will be.
func freeMiB(dir string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(existing(dir), &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize) >> 20, true //nolint:gosec,unconvert // sizes of real disks; the fields' types differ between systems
}
