package dataset

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Set is a stored dataset: its index, and a file that rows are read from.
type Set struct {
	*Index
	path string
	key  []byte // nil for a public dataset
}

// keyLen is the length of a private dataset's key.
const keyLen = 32

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// IsDigest says whether a text has the form of a dataset's name.
func IsDigest(text string) bool { return digestForm.MatchString(text) }

// Store normalises a file into dir, named by its digest. The name appears when everything is on the disk; on any error
// nothing stays. A private dataset gets its key first, and keeps it: storing it again, private or not, changes nothing.
func Store(dir string, src io.Reader, opt Options) (*Set, error) {
	tmp, err := os.CreateTemp(dir, ".dataset-*")
	if err != nil {
		return nil, fmt.Errorf("store dataset: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where all went well
	ix, err := fill(tmp, src, opt)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return nil, err
	}
	if opt.Want != "" && ix.Digest != opt.Want {
		return nil, fault.New(fault.Corrupt, "the dataset has the digest %s, not %s", ix.Digest, opt.Want).At("dataset", ix.Digest, opt.Want).Hint("add it again")
	}
	s := &Set{Index: ix, path: filepath.Join(dir, fileName(ix.Digest))}
	if opt.Private {
		if err := makeKey(s.path + ".key"); err != nil {
			return nil, err
		}
	}
	if s.key, err = readKey(s.path + ".key"); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp.Name(), s.path); err != nil {
		return nil, fmt.Errorf("store dataset: %w", err)
	}
	if s.key == nil {
		return s, nil
	}
	keyed, err := Open(dir, ix.Digest)
	if err != nil {
		return nil, err
	}
	keyed.Format, keyed.Skipped = ix.Format, ix.Skipped
	return keyed, nil
}

// fill writes the normalised rows into an open file, down to the disk.
func fill(f *os.File, src io.Reader, opt Options) (*Index, error) {
	r, err := NewReader(src, opt)
	if err != nil {
		return nil, err
	}
	ix, err := Normalise(f, r)
	if err != nil {
		return nil, err
	}
	return ix, f.Sync()
}

// Open reads a stored dataset again and holds it against its digest.
func Open(dir, digest string) (*Set, error) {
	if !digestForm.MatchString(digest) {
		return nil, fault.New(fault.InvalidInput, "%q is no digest of a dataset", shorten(digest)).At("dataset", shorten(digest)).Hint("give sha256: and 64 hexadecimal digits")
	}
	s := &Set{path: filepath.Join(dir, fileName(digest))}
	f, err := os.Open(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "dataset %s is not stored here", digest).At("dataset", digest).Hint("add it with sotaloop dataset add")
	}
	if err != nil {
		return nil, fmt.Errorf("open dataset: %w", err)
	}
	defer f.Close()
	changed := func(cause error) error {
		return fault.Wrap(fault.Corrupt, cause, "dataset %s is not what was stored", digest).At("dataset", digest).Hint("add it again")
	}
	r, err := NewReader(f, Options{Private: true, MaxLine: maxMaxLine, MaxRows: 1 << 31})
	if err != nil {
		return nil, changed(err)
	}
	if s.key, err = readKey(s.path + ".key"); err != nil {
		return nil, err
	}
	if s.Index, err = normalise(io.Discard, r, s.key); err != nil {
		return nil, changed(err)
	}
	if s.Digest != digest {
		return nil, changed(nil)
	}
	return s, nil
}

func fileName(digest string) string { return strings.Replace(digest, ":", "-", 1) + ".jsonl" }

// Private says that text of this dataset must not leave its host.
func (s *Set) Private() bool { return s.key != nil }

// Path is the file of canonical lines.
func (s *Set) Path() string { return s.path }

// Rows reads rows by their numbers, and holds each against its digest.
func (s *Set) Rows(numbers []int) ([]Row, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("read dataset: %w", err)
	}
	defer f.Close()
	out := make([]Row, 0, len(numbers))
	for _, i := range numbers {
		row, err := s.read(f, i)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

func (s *Set) read(f io.ReaderAt, i int) (Row, error) {
	if i < 0 || i >= len(s.rows) {
		return Row{}, fmt.Errorf("read dataset: there is no row %d among %d", i, len(s.rows))
	}
	e := s.rows[i]
	line := make([]byte, e.size)
	if _, err := f.ReadAt(line, e.off); err != nil {
		return Row{}, fmt.Errorf("read dataset: row %d: %w", i, err)
	}
	v, bad := parse(line)
	if bad == nil {
		var row Row
		if row, bad = (Options{}).row(v); bad == nil && rowSum(row.Line(), s.key) == e.row {
			return row, nil
		}
	}
	return Row{}, fault.New(fault.Corrupt, "dataset %s: row %d is not what was stored", s.Digest, i).Hint("add the dataset again")
}

// each reads all rows in order.
func (s *Set) each(do func(i int, r Row) error) error {
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("read dataset: %w", err)
	}
	defer f.Close()
	for i := range s.rows {
		row, err := s.read(f, i)
		if err != nil {
			return err
		}
		if err := do(i, row); err != nil {
			return err
		}
	}
	return nil
}

// makeKey draws a key unless there is one. The key has its name only once all of it is on the disk.
func makeKey(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return fmt.Errorf("store key of dataset: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	key := make([]byte, keyLen)
	if _, err = rand.Read(key); err == nil {
		_, err = f.Write(key)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("store key of dataset: %w", err)
	}
	return nil
}

// readKey gives nil where there is no key.
func readKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read key of dataset: %w", err)
	case len(key) != keyLen || bytes.Equal(key, make([]byte, keyLen)):
		return nil, fault.New(fault.Corrupt, "the key %s of a private dataset is damaged", filepath.Base(path)).Hint("remove it and add the dataset again with --private; keyed digests made before will not match")
	}
	return key, nil
}
