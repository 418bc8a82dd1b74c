package loop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

// Recover copies what is intact of the damaged run directory at dir into the new folder to: the ledger's lines before the
// first one that does not verify or cannot be replayed, closed with an entry that says so, the artifacts that these lines
// name, and the files made of the lines. The original is only read.
func Recover(ctx context.Context, dir, to string) (LedgerRecovered, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ledger.ChainFile))
	if err != nil {
		return LedgerRecovered{}, damagedDir(err, dir)
	}
	sum := sha256.Sum256(raw)
	lines, damage := intact(dir, raw)
	if plain := undone(raw); len(plain) < len(raw) {
		if more, still := intact(dir, plain); len(more) > len(lines) {
			lines, raw = more, plain
			damage = errors.Join(fmt.Errorf("undone: %w", damage), still)
		}
	}
	if len(lines) == 0 {
		return LedgerRecovered{}, fault.Wrap(fault.Corrupt, damage, "no line of the ledger of %s is intact", filepath.Base(dir)).
			Hint("restore the directory from its bundle or a copy: there is nothing to recover")
	}
	if damage == nil {
		return LedgerRecovered{}, fault.New(fault.InvalidInput, "the ledger of %s is intact", filepath.Base(dir)).
			Hint("run `sotaloop verify %s`: what differs is in another file, which it names", dir)
	}
	if err := freshFolder(to); err != nil {
		return LedgerRecovered{}, err
	}
	_, size, err := ledger.Prefix(bytes.NewReader(raw), len(lines))
	if err != nil {
		return LedgerRecovered{}, err
	}
	rec := LedgerRecovered{Lines: len(lines), Damage: damage.Error(), Bytes: int64(len(raw)) - size, SHA256: hex.EncodeToString(sum[:]), Missing: []string{}}
	if err := os.WriteFile(filepath.Join(to, ledger.ChainFile), raw[:size], 0o600); err != nil {
		return rec, err
	}
	return rec, finishRecovery(ctx, dir, to, lines, &rec)
}

// undone takes back what editors and transfers do to a text's ends and beginning; the hashes say whether it is the original.
func undone(raw []byte) []byte {
	return bytes.ReplaceAll(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n"))
}

// intact gives the lines before the first damage, and what that is; nil where there is none.
func intact(dir string, raw []byte) ([]chain.Entry, error) {
	lines, torn, damage := chain.Decode(bytes.NewReader(raw), Kinds)
	for i, e := range lines {
		_, err := Decode(e)
		if err == nil {
			_, err = Replay(lines[:i+1])
		}
		if err != nil {
			return lines[:i], fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if damage == nil && torn > 0 {
		damage = fmt.Errorf("line %d: its end is missing", len(lines)+1)
	}
	if damage != nil {
		return lines, damage
	}
	head, err := chain.ReadHead(filepath.Join(dir, ledger.HeadFile))
	if errors.Is(err, fs.ErrNotExist) {
		return lines, fmt.Errorf("%s is missing", ledger.HeadFile)
	}
	if err == nil {
		_, err = head.Check(lines)
	}
	return lines, err
}

// freshFolder makes a folder that must not hold anything yet.
func freshFolder(to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fault.Wrap(fault.Denied, err, "the folder cannot be made").At("to", to)
	}
	names, err := os.ReadDir(to)
	if err == nil && len(names) > 0 {
		return fault.New(fault.Conflict, "%s is not empty", to).At("to", to).Hint("name a new folder: nothing is ever recovered over something else")
	}
	return err
}

// finishRecovery copies the lines' artifacts, writes what is made of the lines, and appends the entry that says what this is.
func finishRecovery(ctx context.Context, dir, to string, lines []chain.Entry, rec *LedgerRecovered) error {
	scratch, err := os.MkdirTemp(filepath.Dir(to), ".recover-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	led, err := ledger.Open(to, scratch, Kinds)
	if err != nil {
		return err
	}
	from := os.DirFS(dir)
	for _, a := range ArtifactsOf(lines) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copyArtifact(led, from, a); err != nil {
			rec.Missing = append(rec.Missing, a.Name)
		}
	}
	frozen, err := contractBytes(lines)
	if err != nil {
		return err
	}
	if _, err := led.Put(contractFile, bytes.NewReader(frozen)); err != nil {
		return err
	}
	st, err := Replay(lines)
	if err != nil {
		return err
	}
	if rows := st.CandidateRows(); len(rows) > 0 {
		if _, err := led.Put(rowsFile, bytes.NewReader(rows)); err != nil {
			return err
		}
	}
	p, err := entry(kindRecovered, rec)
	if err != nil {
		return err
	}
	_, err = led.Append(ctx, func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{p}, nil })
	return err
}

// copyArtifact copies a file that still has its digest.
func copyArtifact(led *ledger.Ledger, from fs.FS, a ledger.Artifact) error {
	check, err := ledger.Checked(from, a)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, check)
	if err = errors.Join(err, check.Close()); err != nil {
		return err
	}
	r, err := ledger.Checked(from, a)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = led.Put(a.Name, r)
	return err
}
