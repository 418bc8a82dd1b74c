// Package ledger keeps one campaign's evidence: the hash-chained entries, which are its only state, and the named
// artifacts that entries cite by digest. Payloads are opaque here; internal/loop knows what they mean.
//
// A run directory holds ledger.jsonl, head.json and the artifacts. Locks and temporary files lie beside it, in the
// scratch folder, so that a copy of the directory is a copy of the evidence and nothing else.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Names of the files that the ledger itself keeps in a run directory.
const (
	ChainFile = "ledger.jsonl"
	HeadFile  = "head.json"
)

// Ledger is one campaign's evidence on disk. Any number of processes may hold one on the same directory; its methods
// may be called concurrently.
type Ledger struct {
	dir, scratch, name string
	chain              *chain.File
}

// Artifact names a file of the run directory by content.
type Artifact struct {
	Name   string `json:"name"`   // slash-separated, relative to the run directory
	SHA256 string `json:"sha256"` // hex
	Size   int64  `json:"size"`   // bytes
}

// Open gives the ledger of the run directory dir, whose locks and temporary files go to scratch (on the same file
// system). Nothing is written before the first Append or Put.
func Open(dir, scratch string, kinds chain.Kinds) (*Ledger, error) {
	name := filepath.Base(dir)
	file, err := chain.Open(filepath.Join(dir, ChainFile), chain.Options{
		LockPath: filepath.Join(scratch, name+".ledger.lock"),
		HeadPath: filepath.Join(dir, HeadFile),
		Kinds:    kinds,
	})
	if err != nil {
		return nil, err
	}
	return &Ledger{dir: dir, scratch: scratch, name: name, chain: file}, nil
}

// Dir is the run directory.
func (l *Ledger) Dir() string { return l.dir }

// Entries gives all entries, verified.
func (l *Ledger) Entries() ([]chain.Entry, error) {
	entries, err := l.chain.Entries()
	if err != nil {
		return nil, damaged(err, l.dir)
	}
	return entries, nil
}

// Append locks the ledger, shows check every entry and writes what it gives, synced. An error of check writes nothing.
func (l *Ledger) Append(ctx context.Context, check func([]chain.Entry) ([]chain.Pending, error)) ([]chain.Entry, error) {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	fresh, err := l.chain.Append(ctx, check)
	if err != nil {
		return nil, damaged(err, l.dir)
	}
	return fresh, nil
}

// Put writes an artifact atomically and gives its digest. The same content again is a no-op; other content under a
// name that exists replaces the file, which is right for projections and refused by the callers for evidence.
func (l *Ledger) Put(name string, r io.Reader) (Artifact, error) {
	if err := local(name); err != nil {
		return Artifact{}, err
	}
	if err := os.MkdirAll(l.scratch, 0o700); err != nil {
		return Artifact{}, err
	}
	tmp, err := os.CreateTemp(l.scratch, l.name+".put-*")
	if err != nil {
		return Artifact{}, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where the rename went well
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(tmp, sum), r)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return Artifact{}, fmt.Errorf("write artifact %s: %w", name, err)
	}
	target := filepath.Join(l.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return Artifact{}, err
	}
	if err := os.Rename(tmp.Name(), target); err != nil {
		return Artifact{}, err
	}
	return Artifact{Name: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}, nil
}

// PutJSON writes v as one line of JSON.
func (l *Ledger) PutJSON(name string, v any) (Artifact, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return Artifact{}, fmt.Errorf("serialise artifact %s: %w", name, err)
	}
	return l.Put(name, strings.NewReader(string(raw)+"\n"))
}

// Read opens an artifact for reading; the digest is checked when the reader reaches the end.
func (l *Ledger) Read(a Artifact) (io.ReadCloser, error) {
	if err := local(a.Name); err != nil {
		return nil, err
	}
	return Checked(os.DirFS(l.dir), a)
}

// Checked opens an artifact of a run directory; its digest is checked when the reader reaches the end.
func Checked(dir fs.FS, a Artifact) (io.ReadCloser, error) {
	f, err := dir.Open(a.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Corrupt, "artifact %q is missing from the run directory", a.Name).
			Hint("restore it from the bundle or a backup; the ledger names its sha256 %s", a.SHA256)
	}
	if err != nil {
		return nil, err
	}
	return &checked{f: f, sum: sha256.New(), want: a}, nil
}

// ReadAll reads an artifact whole and checks its digest.
func (l *Ledger) ReadAll(a Artifact) ([]byte, error) {
	r, err := l.Read(a)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Path is where an artifact lies on disk.
func (l *Ledger) Path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

// Verify checks that an artifact is there with the digest the ledger names.
func (l *Ledger) Verify(a Artifact) error {
	r, err := l.Read(a)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// checked compares the digest at the end of the file.
type checked struct {
	f    fs.File
	sum  hash.Hash
	want Artifact
}

// Read reads on; at the end a differing digest is a fault.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.want.SHA256 {
		return n, fault.New(fault.Corrupt, "artifact %q was changed: its sha256 is %x, the ledger names %s", c.want.Name, c.sum.Sum(nil), c.want.SHA256).
			Hint("restore it from the bundle or a backup")
	}
	return n, err
}

// Close closes the file.
func (c *checked) Close() error { return c.f.Close() }

// local refuses names that leave the run directory or name the ledger's own files.
func local(name string) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) || name == ChainFile || name == HeadFile || strings.Contains(name, `\`) {
		return fault.New(fault.InvalidInput, "artifact name %q does not stay inside the run directory", name)
	}
	return nil
}

// damaged says what to do about a ledger that does not verify.
func damaged(err error, dir string) error {
	var c *chain.CorruptError
	if errors.As(err, &c) {
		return fault.Wrap(fault.Corrupt, err, "the ledger of %s does not verify", filepath.Base(dir)).
			Hint("run `sotaloop verify %s` for the first difference, and restore the directory from its bundle or a copy", dir).
			Hint("without a copy, `sotaloop recover %s --to FOLDER` saves what is intact before the damage into a new folder", dir)
	}
	return err
}
