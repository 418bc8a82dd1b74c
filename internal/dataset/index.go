package dataset

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
)

// entry is what is kept in memory of a row.
type entry struct {
	off    int64
	size   int32 // without the line break
	output int32
	at     float64
	row    [32]byte
	prompt [16]byte
	conv   [16]byte
}

// Index is a normalised dataset without its text.
type Index struct {
	Digest  string // of the normalised bytes: what a scenario names. Depends on the order of rows
	Content string // of the sorted digests of the rows: the same in any order
	Format  Format // how it came
	Shape   Shape
	Timed   bool // every row has a timestamp, and they never go back
	Skipped []Skip

	rows []entry
}

// Len is the number of rows.
func (ix *Index) Len() int { return len(ix.rows) }

// RowDigest is the digest of row i.
func (ix *Index) RowDigest(i int) string { return name(ix.rows[i].row) }

// Normalise writes the rows of a reader as canonical JSON lines, in their order. On an error, what it wrote is of no
// use: Store keeps such beginnings from ever having a name.
func Normalise(w io.Writer, r *Reader) (*Index, error) {
	ix := &Index{Format: r.Format()}
	whole := sha256.New()
	out := bufio.NewWriterSize(w, 256<<10)
	var off int64
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line := row.Line()
		ix.add(row, line, off)
		line = append(line, '\n')
		whole.Write(line)
		if _, err := out.Write(line); err != nil {
			return nil, fmt.Errorf("write dataset: %w", err)
		}
		off += int64(len(line))
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("write dataset: %w", err)
	}
	ix.Digest, ix.Content = name([32]byte(whole.Sum(nil))), ix.content()
	ix.Shape, ix.Timed, ix.Skipped = r.shape, r.timed, r.Skipped()
	return ix, nil
}

func (ix *Index) add(row Row, line []byte, off int64) {
	e := entry{off: off, size: int32(len(line)), output: int32(row.OutputLen), //nolint:gosec // both bounded by the reader
		row: sha256.Sum256(line), prompt: row.promptSum(), conv: row.conversationSum()}
	if row.At != nil {
		e.at = *row.At
	}
	ix.rows = append(ix.rows, e)
}

// content digests the rows' digests, sorted, as they are (32 bytes each).
func (ix *Index) content() string {
	sums := make([][32]byte, len(ix.rows))
	for i, e := range ix.rows {
		sums[i] = e.row
	}
	slices.SortFunc(sums, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, s := range sums {
		h.Write(s[:])
	}
	return name([32]byte(h.Sum(nil)))
}
