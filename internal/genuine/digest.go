package genuine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// stamp identifies a file's content without reading it.
type stamp struct {
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime_ns"`
	CTime int64  `json:"ctime_ns,omitempty"`
	Inode uint64 `json:"inode,omitempty"`
}

// seen is a digest with the stamp that the file had.
type seen struct {
	stamp
	SHA256 string `json:"sha256"`
}

// digests remembers what files held: a file is read again where its size, times or inode changed.
type digests struct {
	path  string // of the memory; empty: none
	mu    sync.Mutex
	known map[string]seen
	dirty bool
}

// recall reads the digests of an earlier look. A memory that cannot be read is none: everything is hashed again.
func recall(path string) *digests {
	d := &digests{path: path, known: map[string]seen{}}
	raw, err := os.ReadFile(path)
	if path == "" || err != nil || json.Unmarshal(raw, &d.known) != nil || d.known == nil {
		d.known = map[string]seen{}
	}
	return d
}

// keep writes the memory; a folder that cannot be written costs hashing again.
func (d *digests) keep() {
	if d.path == "" || !d.dirty {
		return
	}
	raw, err := json.Marshal(d.known)
	if err != nil {
		return
	}
	tmp := d.path + ".part"
	if os.MkdirAll(filepath.Dir(d.path), 0o700) == nil && os.WriteFile(tmp, raw, 0o600) == nil {
		_ = os.Rename(tmp, d.path)
	}
}

// of is the hex SHA-256 of a regular file; errGone where there is none.
func (d *digests) of(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "", errGone
	}
	now := stampOf(info)
	d.mu.Lock()
	old, ok := d.known[path]
	d.mu.Unlock()
	if ok && old.stamp == now {
		return old.SHA256, nil
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[path], d.dirty = seen{now, sum}, true
	return sum, nil
}

var errGone = errors.New("no such file")

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errGone
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// found is one file's digest, or why there is none.
type found struct {
	path, sum string
	err       error
}

// all takes the digests of many files on all cores that this process may use.
func (d *digests) all(ctx context.Context, paths []string) map[string]found {
	work, results := make(chan string), make(chan found)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range work {
				sum, err := d.of(p)
				results <- found{p, sum, err}
			}
		})
	}
	go func() {
		defer close(work)
		for _, p := range paths {
			select {
			case work <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() { wg.Wait(); close(results) }()
	out := make(map[string]found, len(paths))
	for f := range results {
		out[f.path] = f
	}
	return out
}
