package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// File is one chain on disk with its verified entries in memory. It reads only what is new since it last looked, and
// everything again when the file was replaced or became shorter. Any number of processes may hold a File on one path.
// Its methods may be called concurrently.
type File struct {
	path string
	opts Options

	mu      sync.Mutex
	entries []Entry     // verified
	offset  int64       // bytes of entries in the file
	seen    fs.FileInfo // the file they were read from
	whole   bool        // they were compared with the head file since they were read
}

// Open gives the chain at path. It touches nothing; the file is made by the first append.
func Open(path string, opts Options) (*File, error) {
	if opts.HeadPath != "" && opts.LockPath == "" {
		return nil, errors.New("a chain with a head file needs a lock file")
	}
	return &File{path: path, opts: opts}, nil
}

// Append opens the chain at path and appends once; see File.Append.
func Append(ctx context.Context, path string, opts Options, check func([]Entry) ([]Pending, error)) ([]Entry, error) {
	f, err := Open(path, opts)
	if err != nil {
		return nil, err
	}
	return f.Append(ctx, check)
}

// Path is where the chain lies.
func (f *File) Path() string { return f.path }

// Entries gives all complete lines, verified. A file that does not exist yet has none. It takes no lock: a line that
// is being written is not in the answer. A file that is behind its head has lost lines, and is refused as damaged. The
// slice is the caller's; payloads must not be changed.
func (f *File) Entries() ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.refresh()
	if err != nil {
		// A reader without the lock can meet the moment in which an appender cuts a torn line; the second look is whole.
		_, err = f.refresh()
	}
	if err == nil && !f.whole {
		err = f.checkWhole()
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(f.entries), nil
}

// checkWhole refuses lines that were read and are behind their head file.
func (f *File) checkWhole() error {
	h, err := f.readHead()
	if err != nil {
		return err
	}
	if _, err = h.Check(f.entries); err != nil { // an append since they were read is in the head already
		if _, err = f.refresh(); err == nil {
			_, err = h.Check(f.entries)
		}
	}
	f.whole = err == nil
	return within(err, f.path)
}

// Append locks the chain against all processes, reads what is new, and calls check with every entry; what check gives
// is written behind them as one write, synced, and followed by the head. An error of check, or nothing pending,
// writes nothing. The new entries are given. Waiting for the lock ends with ctx; check must not append to this File.
//
// A writer that dies leaves a prefix of its lines, whole but for a torn last one, which the next Append cuts.
func (f *File) Append(ctx context.Context, check func(existing []Entry) ([]Pending, error)) ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	unlock, err := acquire(ctx, f.opts.LockPath)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", f.path, err)
	}
	defer unlock()
	torn, err := f.refresh()
	if err != nil {
		return nil, err
	}
	if err := f.checkHead(f.entries); err != nil {
		return nil, err
	}
	pending, err := check(slices.Clip(f.entries))
	if err != nil || len(pending) == 0 {
		return nil, err
	}
	return f.write(pending, torn)
}

// refresh reads the lines behind the known ones and gives the length of a torn tail.
func (f *File) refresh() (torn int64, err error) {
	r, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if f.offset > 0 {
			return 0, &CorruptError{Path: f.path, Err: errors.New("the file is gone")}
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < f.offset || f.seen != nil && !os.SameFile(f.seen, info) {
		f.entries, f.offset, f.whole = nil, 0, false
	}
	f.seen = info
	if info.Size() == f.offset {
		return 0, nil
	}
	if _, err := r.Seek(f.offset, io.SeekStart); err != nil {
		return 0, err
	}
	entries, t, err := decodeAfter(r, f.entries, f.opts.Kinds)
	if err != nil {
		return 0, within(err, f.path)
	}
	f.entries, f.whole = entries, false
	f.offset += t.read
	return t.torn, nil
}

// write cuts a torn tail and appends pending; the caller holds the lock.
func (f *File) write(pending []Pending, torn int64) ([]Entry, error) {
	fresh, raw, err := f.encodeAll(pending)
	if err != nil {
		return nil, err
	}
	w, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err = f.put(w, raw, torn); err == nil {
		f.seen, err = w.Stat()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("append to %s: %w", f.path, err)
	}
	if f.offset == 0 && !f.opts.SkipSync {
		syncDir(filepath.Dir(f.path))
	}
	f.entries = append(f.entries, fresh...)
	f.offset += int64(len(raw))
	if err := f.writeHead(HeadOf(f.entries)); err != nil {
		return nil, fmt.Errorf("head of %s: %w", f.path, err)
	}
	return fresh, nil
}

// encodeAll chains pending behind the known entries.
func (f *File) encodeAll(pending []Pending) ([]Entry, []byte, error) {
	var last Entry
	if n := len(f.entries); n > 0 {
		last = f.entries[n-1]
	}
	fresh, raw, now := make([]Entry, 0, len(pending)), []byte(nil), time.Now()
	for _, p := range pending {
		e, line, err := Next(last, p, now)
		if err != nil {
			return nil, nil, err
		}
		if err := f.opts.Kinds.check(e.Kind, e.V); err != nil {
			return nil, nil, err
		}
		if len(line) > maxLine {
			return nil, nil, fmt.Errorf("a line of kind %q is %d bytes long, at most %d are allowed", e.Kind, len(line), maxLine)
		}
		fresh, raw, last = append(fresh, e), append(raw, line...), e
	}
	return fresh, raw, nil
}

// put writes raw behind the known lines, and takes it back when it cannot be written whole.
func (f *File) put(w *os.File, raw []byte, torn int64) error {
	if torn > 0 {
		if err := w.Truncate(f.offset); err != nil {
			return err
		}
	}
	if _, err := w.WriteAt(raw, f.offset); err != nil {
		return errors.Join(err, w.Truncate(f.offset))
	}
	if f.opts.SkipSync {
		return nil
	}
	return w.Sync()
}
