package chain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// headKind is the kind of a head file.
const headKind = "sotaloop.head"

// Head is the last seq and hash of a chain; the zero Head is the empty chain's.
type Head struct {
	Seq  int
	Hash string
}

// headFile is the head on disk.
type headFile struct {
	Kind string `json:"kind"`
	V    int    `json:"v"`
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
}

// HeadOf gives the head of verified entries.
func HeadOf(entries []Entry) Head {
	if len(entries) == 0 {
		return Head{}
	}
	last := entries[len(entries)-1]
	return Head{Seq: last.Seq, Hash: last.Hash}
}

// ReadHead reads a head file. A missing one is an fs.ErrNotExist.
func ReadHead(path string) (Head, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Head{}, err
	}
	h, err := ParseHead(raw)
	return h, within(err, path)
}

// ParseHead decodes a head file's bytes.
func ParseHead(raw []byte) (Head, error) {
	var f headFile
	if err := Strict(raw, &f); err != nil {
		return Head{}, &CorruptError{Err: err}
	}
	if err := (Kinds{headKind: 1}).check(f.Kind, f.V); err != nil {
		return Head{}, &CorruptError{Err: err}
	}
	return Head{Seq: f.Seq, Hash: f.Hash}, nil
}

// File renders the head file that says h.
func (h Head) File() ([]byte, error) {
	return encode(headFile{Kind: headKind, V: 1, Seq: h.Seq, Hash: h.Hash})
}

// Check compares entries with their head file's content and gives by how many lines they are ahead of it: 0, or the
// length of the last append where its writer died before it wrote the head.
func (h Head) Check(entries []Entry) (ahead int, err error) {
	n := len(entries)
	if h.Seq > n {
		return 0, &CorruptError{Line: n + 1, Err: fmt.Errorf("%d of %d lines are missing: the head file names seq %d", h.Seq-n, h.Seq, h.Seq)}
	}
	if h.Seq > 0 && entries[h.Seq-1].Hash != h.Hash {
		return 0, &CorruptError{Line: h.Seq, Err: fmt.Errorf("hashes to %.12q…, the head file names %.12q…", entries[h.Seq-1].Hash, h.Hash)}
	}
	return n - h.Seq, nil
}

// checkHead refuses entries that are behind their head file.
func (f *File) checkHead(entries []Entry) error {
	h, err := f.readHead()
	if err != nil {
		return err
	}
	_, err = h.Check(entries)
	return within(err, f.path)
}

// readHead reads the head file; the zero Head where there is none.
func (f *File) readHead() (Head, error) {
	if f.opts.HeadPath == "" {
		return Head{}, nil
	}
	h, err := ReadHead(f.opts.HeadPath)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	return h, err
}

// writeHead replaces the head file atomically; the caller holds the lock.
func (f *File) writeHead(h Head) error {
	if f.opts.HeadPath == "" {
		return nil
	}
	raw, err := h.File()
	if err != nil {
		return err
	}
	twin := f.opts.LockPath + ".head"
	if err := writeSynced(twin, raw, f.opts.SkipSync); err != nil {
		return err
	}
	return os.Rename(twin, f.opts.HeadPath)
}

// writeSynced writes a new file and its bytes to disk.
func writeSynced(path string, raw []byte, skipSync bool) error {
	w, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	if err == nil && !skipSync {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}
