package chain

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// Extend reads lines that continue a chain at the head from, whatever their kinds and versions, and shows each one's seq,
// hash and payload. It gives the head they lead to. What is behind the last newline is an error: a proof is whole.
func Extend(r io.Reader, from Head, show func(Entry) error) (Head, error) {
	br, last := bufio.NewReaderSize(r, 1<<16), Entry{Seq: from.Seq, Hash: from.Hash}
	for {
		raw, err := readLine(br)
		if errors.Is(err, io.EOF) && len(raw) == 0 {
			return Head{Seq: last.Seq, Hash: last.Hash}, nil
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("its end is missing")
		}
		if err != nil {
			return Head{}, &CorruptError{Line: last.Seq + 1, Err: err}
		}
		e, err := parseAny(raw[:len(raw)-1], last)
		if err == nil {
			err = show(e)
		}
		if err != nil {
			return Head{}, &CorruptError{Line: last.Seq + 1, Err: err}
		}
		last = e
	}
}

// parseAny decodes a line of any kind and version as the one after last.
func parseAny(raw []byte, last Entry) (Entry, error) {
	var l line
	if err := Strict(raw, &l); err != nil {
		return Entry{}, damage(raw, err)
	}
	want := last.Hash
	if want == "" {
		want = Genesis
	}
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("time %q is none", l.Time)
	case l.Seq != last.Seq+1:
		return Entry{}, fmt.Errorf("seq is %d, expected %d", l.Seq, last.Seq+1)
	case l.Prev != want:
		return Entry{}, fmt.Errorf("prev is %.12q…, but the line before hashes to %.12q…", l.Prev, want)
	}
	return Entry{Kind: l.Kind, V: l.V, Seq: l.Seq, Time: at, Prev: l.Prev, Payload: l.Payload, Hash: Sum(raw)}, nil
}
