package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// The kind and version of an index's file: gzip-compressed JSON lines, a header and then a line for each row.
const (
	IndexKind    = "sotaloop.dataset-index"
	IndexVersion = 1
)

// maxIndexRows bounds an index that is read: beyond it a verifier needs the dataset itself.
const maxIndexRows = DefaultMaxRows

// indexHeader is the first line.
type indexHeader struct {
	Kind    string `json:"kind"`
	V       int    `json:"v"`
	Digest  string `json:"digest"`
	Content string `json:"content,omitempty"`
	Shape   Shape  `json:"shape"`
	Timed   bool   `json:"timed"`
	Keyed   bool   `json:"keyed"`
	Rows    int    `json:"rows"`
}

// indexRow is one row: digests as hexadecimal, lengths, its timestamp. It has no field that could hold text.
type indexRow struct {
	Row    string   `json:"row"`
	Prompt string   `json:"prompt"`
	Conv   string   `json:"conversation"`
	Output int32    `json:"output_len"`
	Chars  int32    `json:"prompt_chars"`
	At     *float64 `json:"timestamp,omitempty"`
}

// WriteIndex stores what Divide and Draw need of a dataset, without text: with it a draw can be made again by anyone.
func (ix *Index) WriteIndex(w io.Writer) error {
	packed := gzip.NewWriter(w)
	lines := bufio.NewWriterSize(packed, 64<<10)
	encode := json.NewEncoder(lines)
	err := encode.Encode(indexHeader{Kind: IndexKind, V: IndexVersion, Digest: ix.Digest, Content: ix.Content, Shape: ix.Shape, Timed: ix.Timed, Keyed: ix.Keyed, Rows: len(ix.rows)})
	for i := 0; i < len(ix.rows) && err == nil; i++ {
		e := &ix.rows[i]
		row := indexRow{Row: hex.EncodeToString(e.row[:]), Prompt: hex.EncodeToString(e.prompt[:]), Conv: hex.EncodeToString(e.conv[:]), Output: e.output, Chars: e.chars}
		if ix.Timed {
			row.At = &e.at
		}
		err = encode.Encode(row)
	}
	if err = errors.Join(err, lines.Flush(), packed.Close()); err != nil {
		return fmt.Errorf("write index of dataset: %w", err)
	}
	return nil
}

// ReadIndex reads what WriteIndex wrote. The content digest of a public dataset is computed anew and compared, so that
// an index whose rows were changed is refused.
func ReadIndex(r io.Reader) (*Index, error) {
	packed, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read index of dataset: %w", err)
	}
	lines := bufio.NewScanner(packed)
	lines.Buffer(make([]byte, 0, 4<<10), 4<<10)
	if !lines.Scan() {
		return nil, fmt.Errorf("read index of dataset: no header: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
	}
	ix, rows, err := indexOf(lines.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read index of dataset: %w", err)
	}
	for lines.Scan() {
		e, err := ix.readRow(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("read index of dataset: row %d: %w", len(ix.rows)+1, err)
		}
		if ix.rows = append(ix.rows, e); len(ix.rows) > rows {
			break
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read index of dataset: %w", err)
	}
	if len(ix.rows) != rows {
		return nil, fmt.Errorf("read index of dataset: it does not hold the %d rows that it names", rows)
	}
	if content := ix.content(); !ix.Keyed && content != ix.Content {
		return nil, fmt.Errorf("read index of dataset: its rows have the content digest %s, not %s", content, ix.Content)
	}
	return ix, nil
}

// indexOf begins an index by its header.
func indexOf(line []byte) (*Index, int, error) {
	var h indexHeader
	if err := chain.Strict(line, &h); err != nil {
		return nil, 0, err
	}
	switch {
	case h.Kind != IndexKind || h.V < 1 || h.V > IndexVersion:
		return nil, 0, fmt.Errorf("kind %q version %d is not %s/%d or older", h.Kind, h.V, IndexKind, IndexVersion)
	case !digestForm.MatchString(h.Digest) || h.Keyed != (h.Content == ""):
		return nil, 0, errors.New("it does not name a dataset")
	case h.Rows < 1 || h.Rows > maxIndexRows:
		return nil, 0, fmt.Errorf("%d rows", h.Rows)
	case h.Shape != ShapePrompt && h.Shape != ShapeMessages:
		return nil, 0, fmt.Errorf("unknown shape %q", h.Shape)
	}
	return &Index{Digest: h.Digest, Content: h.Content, Shape: h.Shape, Timed: h.Timed, Keyed: h.Keyed}, h.Rows, nil
}

func (ix *Index) readRow(line []byte) (entry, error) {
	var r indexRow
	if err := chain.Strict(line, &r); err != nil {
		return entry{}, err
	}
	e := entry{output: r.Output, chars: r.Chars}
	for _, d := range []struct {
		to   []byte
		from string
	}{{e.row[:], r.Row}, {e.prompt[:], r.Prompt}, {e.conv[:], r.Conv}} {
		if len(d.from) != 2*len(d.to) || strings.ToLower(d.from) != d.from {
			return e, errors.New("a digest has another length")
		}
		if _, err := hex.Decode(d.to, []byte(d.from)); err != nil {
			return e, err
		}
	}
	switch {
	case r.Output < 1 || r.Chars < 1:
		return e, errors.New("a length is below 1")
	case ix.Timed != (r.At != nil):
		return e, errors.New("the timestamp is on some rows only")
	case r.At == nil:
		return e, nil
	case math.IsNaN(*r.At) || *r.At < 0 || len(ix.rows) > 0 && *r.At < ix.rows[len(ix.rows)-1].at:
		return e, errors.New("the timestamp goes back")
	}
	e.at = *r.At
	return e, nil
}

// IndexOf makes the index of a normalised dataset's file, keyed where its key lies beside it.
func IndexOf(path string) (*Index, error) {
	key, err := readKey(path + ".key")
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "open dataset")
	}
	defer f.Close()
	r, err := NewReader(f, Options{Private: true, MaxLine: maxMaxLine, MaxRows: 1 << 31})
	if err != nil {
		return nil, err
	}
	return normalise(io.Discard, r, key)
}

// Same compares two indexes row by row.
func (ix *Index) Same(other *Index) error {
	if ix.Digest != other.Digest || ix.Keyed != other.Keyed || ix.Timed != other.Timed || ix.Shape != other.Shape || len(ix.rows) != len(other.rows) {
		return errors.New("the indexes are of different datasets")
	}
	for i, a := range ix.rows {
		b := other.rows[i]
		if a.row != b.row || a.prompt != b.prompt || a.conv != b.conv || a.output != b.output || a.chars != b.chars || ix.Timed && a.at != b.at {
			return fmt.Errorf("row %d differs from the dataset's", i+1)
		}
	}
	return nil
}
