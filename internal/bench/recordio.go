package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/sotaloop/sotaloop/internal/chain"
)

// Bounds on stored records, which may come from a machine nobody trusts.
const (
	maxRecordLine = 64 << 20
	maxRecords    = 10_000_000
)

// WriteRecords stores a recording: zstd-compressed JSON lines, the header first, then one record a line.
func WriteRecords(w io.Writer, r *Recording) error {
	packed, err := zstd.NewWriter(w)
	if err != nil {
		return fmt.Errorf("compress records: %w", err)
	}
	lines := bufio.NewWriterSize(packed, 64<<10)
	encode := json.NewEncoder(lines)
	encode.SetEscapeHTML(false)
	h := r.Header
	h.Kind, h.V, h.Records = RecordsKind, RecordsVersion, len(r.Records)
	if err := encode.Encode(h); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	for _, rec := range r.Records {
		if err := encode.Encode(rec); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
	}
	return errors.Join(lines.Flush(), packed.Close())
}

// ReadRecords reads what WriteRecords wrote (or its gzip-compressed or plain form). It refuses a newer version, unknown
// fields, a wrong count, and anything after the last record.
func ReadRecords(r io.Reader) (*Recording, error) {
	plain, done, err := decompress(bufio.NewReader(r))
	if err != nil {
		return nil, err
	}
	defer done()
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 0, 64<<10), maxRecordLine)
	out := &Recording{Records: []*Record{}}
	if !lines.Scan() {
		return nil, fmt.Errorf("read records: no header: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
	}
	if err := chain.Strict(lines.Bytes(), &out.Header); err != nil {
		return nil, fmt.Errorf("read records: header: %w", err)
	}
	if err := out.Header.check(); err != nil {
		return nil, err
	}
	for lines.Scan() {
		rec := newRecord(0, "")
		if err := chain.Strict(lines.Bytes(), rec); err != nil {
			return nil, fmt.Errorf("read records: record %d: %w", len(out.Records)+1, err)
		}
		out.Records = append(out.Records, rec)
		if len(out.Records) > out.Header.Records {
			return nil, fmt.Errorf("read records: more than the %d the header names", out.Header.Records)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	if len(out.Records) != out.Header.Records {
		return nil, fmt.Errorf("read records: %d of the %d the header names", len(out.Records), out.Header.Records)
	}
	return out, nil
}

// check refuses a header of another format.
func (h Header) check() error {
	if h.Kind != RecordsKind || h.V < 1 || h.V > RecordsVersion {
		return fmt.Errorf("read records: kind %q version %d is not %s/%d or older", h.Kind, h.V, RecordsKind, RecordsVersion)
	}
	if h.Records < 0 || h.Records > maxRecords {
		return fmt.Errorf("read records: %d records", h.Records)
	}
	return h.Scenario.Validate()
}

// decompress finds out how the records are packed.
func decompress(r *bufio.Reader) (io.Reader, func(), error) {
	magic, _ := r.Peek(4)
	switch {
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, fmt.Errorf("read records: %w", err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("read records: %w", err)
		}
		return z, func() { _ = z.Close() }, nil
	}
	return r, func() {}, nil
}
