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

// entry is what is kept in memory of a row. Of a private dataset its three digests are keyed, so that division and
// draws can be made again where the text is not.
type entry struct {
	off    int64
	size   int32 // without the line break
	output int32
	chars  int32 // of the prompt
	at     float64
	row    [32]byte
	prompt [16]byte
	conv   [16]byte
}

// Index is a normalised dataset without its text. What ReadIndex gives holds no places of rows.
type Index struct {
	Digest  string // of the normalised bytes: what a scenario names. Depends on the order of rows
	Content string // of the sorted digests of the rows: the same in any order; empty for a private dataset
	Format  Format // how it came
	Shape   Shape
	Timed   bool // every row has a timestamp, and they never go back
	Keyed   bool // of a private dataset: digests of rows, prompts and conversations are keyed
	Skipped []Skip

	rows []entry
}

// Len is the number of rows.
func (ix *Index) Len() int { return len(ix.rows) }

// RowDigest is the digest of row i; of a private dataset a KeyedDigest's String.
func (ix *Index) RowDigest(i int) string {
	if ix.Keyed {
		return KeyedDigest{ix.rows[i].row}.String()
	}
	return name(ix.rows[i].row)
}

// OutputLen is the length that row i asks for, in tokens.
func (ix *Index) OutputLen(i int) int { return int(ix.rows[i].output) }

// Normalise writes the rows of a reader as canonical JSON lines, in their order. On an error, what it wrote is of no
// use: Store keeps such beginnings from ever having a name.
func Normalise(w io.Writer, r *Reader) (*Index, error) { return normalise(w, r, nil) }

// normalise keys the index where there is a key.
func normalise(w io.Writer, r *Reader, key []byte) (*Index, error) {
	ix := &Index{Format: r.Format(), Keyed: key != nil}
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
		ix.add(row, line, off, key)
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
	ix.Digest = name([32]byte(whole.Sum(nil)))
	if key == nil {
		ix.Content = ix.content()
	}
	ix.Shape, ix.Timed, ix.Skipped = r.shape, r.timed, r.Skipped()
	return ix, nil
}

func (ix *Index) add(row Row, line []byte, off int64, key []byte) {
	e := entry{off: off, size: int32(len(line)), output: int32(row.OutputLen), chars: int32(characters(row.Text())), //nolint:gosec // all bounded by the reader
		row: rowSum(line, key), prompt: row.promptSum(), conv: row.conversationSum()}
	if key != nil {
		e.prompt, e.conv = keyedShort(key, "prompt", e.prompt), keyedShort(key, "conversation", e.conv)
	}
	if row.At != nil {
		e.at = *row.At
	}
	ix.rows = append(ix.rows, e)
}

// rowSum is the digest of a row's canonical line, keyed where there is a key.
func rowSum(line, key []byte) [32]byte {
	if key == nil {
		return sha256.Sum256(line)
	}
	return Keyed(key, "row", string(line)).sum
}

// keyedShort keys a short digest, for an index that leaves its host.
func keyedShort(key []byte, purpose string, sum [16]byte) [16]byte {
	k := Keyed(key, "index."+purpose, string(sum[:]))
	return [16]byte(k.sum[:16])
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
