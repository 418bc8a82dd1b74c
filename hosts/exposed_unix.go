//go:build unix

package hosts

import (
	"io/fs"
	"os"
	"syscall"
)

// isExposed says, as OpenSSH does, that others can read a key file of ours. A file that someone else owns (a mounted
// secret) is that one's business.
func isExposed(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
