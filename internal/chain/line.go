package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// line is the wire form; the order of its fields is the order on disk.
type line struct {
	Kind    string          `json:"kind"`
	V       int             `json:"v"`
	Seq     int             `json:"seq"`
	Time    string          `json:"time"`
	Prev    string          `json:"prev"`
	Payload json.RawMessage `json:"payload"`
}

// Next encodes p as the line after last (the zero Entry starts a chain) at the time now, and gives the entry and
// its line with the newline.
func Next(last Entry, p Pending, now time.Time) (Entry, []byte, error) {
	if p.Kind == "" {
		return Entry{}, nil, fmt.Errorf("a line needs a kind")
	}
	e := Entry{Kind: p.Kind, V: max(p.V, 1), Seq: last.Seq + 1, Time: p.Time, Prev: last.Hash}
	if e.Prev == "" {
		e.Prev = Genesis
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = e.Time.Round(0).UTC()
	payload := p.Payload
	if payload == nil {
		payload = json.RawMessage("{}")
	}
	if len(payload) >= maxLine {
		return Entry{}, nil, fmt.Errorf("a payload of kind %q has %d bytes, lines are at most %d long", p.Kind, len(payload), maxLine)
	}
	if err := checkObject(payload); err != nil {
		return Entry{}, nil, fmt.Errorf("payload of %q: %w", p.Kind, err)
	}
	raw, err := encode(line{e.Kind, e.V, e.Seq, e.Time.Format(time.RFC3339Nano), e.Prev, payload})
	if err != nil {
		return Entry{}, nil, fmt.Errorf("encode %q: %w", p.Kind, err)
	}
	e.Payload, e.Hash = payload, Sum(raw[:len(raw)-1])
	return e, raw, nil
}

// Write writes a whole new chain of pending lines to w, all dated now where they carry no time.
func Write(w io.Writer, now time.Time, pending ...Pending) ([]Entry, error) {
	entries := make([]Entry, 0, len(pending))
	var last Entry
	for _, p := range pending {
		e, raw, err := Next(last, p, now)
		if err != nil {
			return entries, err
		}
		if _, err := w.Write(raw); err != nil {
			return entries, err
		}
		entries, last = append(entries, e), e
	}
	return entries, nil
}

// Sum is the hex SHA-256 of raw.
func Sum(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// encode renders v on one line with a newline, leaving <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// parse decodes raw, a line without its newline, as the one after last.
func parse(raw []byte, last Entry, kinds Kinds) (Entry, error) {
	var l line
	if err := Strict(raw, &l); err != nil {
		return Entry{}, damage(raw, err)
	}
	if bytes.HasSuffix(raw, []byte("\r")) {
		return Entry{}, damage(raw, nil)
	}
	if l.Payload[0] != '{' {
		return Entry{}, errors.New("payload is not a JSON object")
	}
	if err := kinds.check(l.Kind, l.V); err != nil {
		return Entry{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	if err != nil || !strings.HasSuffix(l.Time, "Z") {
		return Entry{}, fmt.Errorf("time %q is not UTC in RFC 3339", l.Time)
	}
	if l.Seq != last.Seq+1 {
		return Entry{}, fmt.Errorf("seq is %d, expected %d", l.Seq, last.Seq+1)
	}
	want := last.Hash
	if want == "" {
		want = Genesis
	}
	if l.Prev != want {
		return Entry{}, fmt.Errorf("prev is %.12q…, but the line before hashes to %.12q…", l.Prev, want)
	}
	return Entry{Kind: l.Kind, V: l.V, Seq: l.Seq, Time: at, Prev: l.Prev, Payload: l.Payload, Hash: Sum(raw)}, nil
}

// damage says in a person's words what became of a line that is no JSON, where its bytes tell.
func damage(raw []byte, err error) error {
	switch {
	case len(raw) == 0:
		return errors.New("the line is empty")
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")):
		return errors.New("the line begins with a byte order mark: an editor has saved this file")
	case bytes.HasSuffix(raw, []byte("\r")):
		return errors.New("the line ends in CR LF: an editor or a transfer has converted this file's line ends")
	case bytes.IndexByte(raw, 0) >= 0:
		return fmt.Errorf("the line holds %d zero bytes: a file system lost what had been written, in a crash or on a full disk", bytes.Count(raw, []byte{0}))
	case bytes.Count(raw, []byte(`{"kind":"`)) > 1 && raw[len(raw)-1] == '}':
		return fmt.Errorf("a line that was torn off has another one behind it: %w", err)
	}
	return err
}

// check refuses kinds and versions that this release does not know.
func (k Kinds) check(kind string, v int) error {
	newest, known := 1, k == nil && kind != ""
	if k != nil {
		newest, known = k[kind], k[kind] > 0
	}
	switch {
	case !known:
		return fmt.Errorf("kind %q: %w", kind, ErrVersion)
	case v > newest:
		return fmt.Errorf("kind %q has version %d, this release knows up to %d: %w", kind, v, newest, ErrVersion)
	case v < 1:
		return fmt.Errorf("kind %q has version %d, versions start at 1", kind, v)
	}
	return nil
}
