package bundle

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Open gives a file's bytes, or a folder's listing: a Bundle is a file system.
func (b *Bundle) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	m, ok := b.frames[name]
	if !ok {
		list, err := b.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &folder{info: entry{name: path.Base(name), dir: true}, list: list}, nil
	}
	r, err := unpack(b.file, m.extent)
	if err == nil {
		_, err = io.CopyN(io.Discard, r, m.skip)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &opened{info: entry{name: path.Base(name), size: m.size}, r: io.LimitReader(r, m.size), close: r.Close}, nil
}

// ReadFile gives a file's bytes.
func (b *Bundle) ReadFile(name string) ([]byte, error) {
	m, ok := b.frames[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	f, err := b.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	out.Grow(int(min(m.size, 64<<20)))
	if _, err := io.Copy(&out, f); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return out.Bytes(), nil
}

// Stat implements fs.StatFS: nothing is unpacked.
func (b *Bundle) Stat(name string) (fs.FileInfo, error) {
	if m, ok := b.frames[name]; ok {
		return entry{name: path.Base(name), size: m.size}, nil
	}
	if _, err := b.ReadDir(name); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return entry{name: path.Base(name), dir: true}, nil
}

// ReadDir implements fs.ReadDirFS.
func (b *Bundle) ReadDir(name string) ([]fs.DirEntry, error) {
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	at, _ := slices.BinarySearch(b.names, prefix)
	var list []fs.DirEntry
	for _, full := range b.names[at:] {
		rest, ok := strings.CutPrefix(full, prefix)
		if !ok {
			break
		}
		base, _, deeper := strings.Cut(rest, "/")
		if n := len(list); n > 0 && list[n-1].Name() == base {
			continue
		}
		list = append(list, fs.FileInfoToDirEntry(entry{name: base, dir: deeper, size: b.frames[full].size}))
	}
	if len(list) == 0 && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	// The order of whole names is not that of one folder's: "a-b" stands before "a/c", and "a" before both.
	slices.SortFunc(list, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	return slices.CompactFunc(list, func(x, y fs.DirEntry) bool { return x.Name() == y.Name() }), nil
}

// entry is what there is to say of a file or folder.
type entry struct {
	name string
	size int64
	dir  bool
}

// Name implements fs.FileInfo.
func (e entry) Name() string { return e.name }

// Size implements fs.FileInfo.
func (e entry) Size() int64 {
	if e.dir {
		return 0
	}
	return e.size
}

// Mode implements fs.FileInfo.
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime implements fs.FileInfo: a bundle knows no times.
func (entry) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (e entry) IsDir() bool { return e.dir }

// Sys implements fs.FileInfo.
func (entry) Sys() any { return nil }

// opened is a file that is being read.
type opened struct {
	info  entry
	r     io.Reader
	close func() error
	done  bool
}

// Stat implements fs.File.
func (o *opened) Stat() (fs.FileInfo, error) { return o.info, nil }

// Read implements fs.File.
func (o *opened) Read(p []byte) (int, error) {
	if o.done {
		return 0, fs.ErrClosed
	}
	return o.r.Read(p)
}

// Close implements fs.File.
func (o *opened) Close() error {
	if o.done {
		return fs.ErrClosed
	}
	o.done = true
	return o.close()
}

// folder is a folder that is being listed.
type folder struct {
	info entry
	list []fs.DirEntry
}

// Stat implements fs.File.
func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }

// Read implements fs.File.
func (f *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: errors.New("is a folder")}
}

// Close implements fs.File.
func (*folder) Close() error { return nil }

// ReadDir implements fs.ReadDirFile.
func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		list := f.list
		f.list = nil
		return list, nil
	}
	if len(f.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.list))
	list := f.list[:n]
	f.list = f.list[n:]
	return list, nil
}
