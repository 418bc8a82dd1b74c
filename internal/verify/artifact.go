package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/sotaloop/sotaloop/internal/ledger"
)

// named is an artifact as the last entry that names it says it is.
type named struct {
	ledger.Artifact
	seq int
}

// rewritten are the kinds whose artifacts a later entry may replace: a report is written again, help captured again, a
// trace analysed again when a mapping trace gives its kernels their source.
var rewritten = []string{"report.written", "help.captured", "trace.analyzed"} //nolint:gochecknoglobals // a constant list

// artifacts checks every file that an entry names.
func (v *verifier) artifacts() (string, error) {
	if v.unread != nil {
		return "", v.unread
	}
	size, out := int64(0), 0
	for _, name := range slices.Sorted(maps.Keys(v.named)) {
		a := v.named[name]
		if v.leftOut(a.Artifact) {
			out++
			continue
		}
		if err := v.sameFile(a); err != nil {
			return "", err
		}
		size += a.Size
	}
	return fmt.Sprintf("%d files, %.1f MiB", len(v.named)-out, float64(size)/(1<<20)), nil
}

// gather finds every artifact that an entry names.
func (v *verifier) gather() error {
	for _, e := range v.entries {
		for _, a := range ledger.Artifacts(e.Payload) {
			if !filepath.IsLocal(filepath.FromSlash(a.Name)) {
				return fmt.Errorf("ledger entry %d names %q, which lies outside the directory", e.Seq, a.Name)
			}
			old := v.named[a.Name]
			if old != nil && old.Artifact != a && !slices.Contains(rewritten, e.Kind) {
				return fmt.Errorf("ledger entry %d names %q with sha256 %s, entry %d with %s", e.Seq, a.Name, a.SHA256, old.seq, old.SHA256)
			}
			v.named[a.Name] = &named{Artifact: a, seq: e.Seq}
		}
	}
	return nil
}

// sameFile checks that a file is there, is a plain file, and has the digest that the ledger names.
func (v *verifier) sameFile(a *named) error {
	info, err := fs.Lstat(v.files, a.Name)
	switch {
	case err != nil:
		return fmt.Errorf("%q, named by ledger entry %d: %w", a.Name, a.seq, plain(err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is no plain file", a.Name)
	}
	f, err := v.files.Open(a.Name)
	if err != nil {
		return plain(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("%q: %w", a.Name, plain(err))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA256 {
		return fmt.Errorf("%q was changed: its sha256 is %s, ledger entry %d names %s", a.Name, got, a.seq, a.SHA256)
	}
	if info.Size() != a.Size {
		return fmt.Errorf("%q has %d bytes, ledger entry %d names %d", a.Name, info.Size(), a.seq, a.Size)
	}
	return nil
}

// readFile gives an artifact's bytes.
func (v *verifier) readFile(a ledger.Artifact) ([]byte, error) {
	raw, err := fs.ReadFile(v.files, a.Name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", a.Name, plain(err))
	}
	return raw, nil
}

// plain takes the path out of a file error: it is of the machine that verifies, not of the evidence.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("the file is missing")
		}
		return p.Err
	}
	return err
}
