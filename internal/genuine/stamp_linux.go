package genuine

import (
	"io/fs"
	"syscall"
)

// stampOf is what changes when a file's bytes do, as far as the file system tells.
func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), MTime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.CTime, s.Inode = st.Ctim.Nano(), st.Ino
	}
	return s
}
