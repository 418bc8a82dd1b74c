package dataset

import (
	"bytes"
	"fmt"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Reason is why a row cannot be used. The set is closed.
type Reason string

// The reasons. Those of SkipReasons may be passed over when the options say so; the others always refuse the file.
const (
	ReasonEncoding     Reason = "encoding"
	ReasonSyntax       Reason = "syntax"
	ReasonDuplicateKey Reason = "duplicate_key"
	ReasonField        Reason = "field"        // missing, unknown, or of the wrong type
	ReasonMixed        Reason = "mixed"        // prompt beside messages, or rows of both
	ReasonTimestamp    Reason = "timestamp"    // negative, unsorted, or on some rows only
	ReasonEmpty        Reason = "empty_prompt" // nothing but spaces
	ReasonOutputLen    Reason = "output_len"   // not a whole number above 0
	ReasonRoles        Reason = "roles"        // out of order
	ReasonTurns        Reason = "turns"        // no question with an answer
	ReasonTooLong      Reason = "too_long"     // above the limit
)

// SkipReasons lists what Options.Skip passes over: rows that are well-formed but of no use.
func SkipReasons() []Reason {
	return []Reason{ReasonEmpty, ReasonOutputLen, ReasonRoles, ReasonTurns, ReasonTooLong}
}

// Skip counts rows (of ShareGPT: elements) that were passed over for one reason.
type Skip struct {
	Reason Reason `json:"reason"`
	Rows   int    `json:"rows"`
	First  int    `json:"first"` // line, or element, of the first
}

// flaw is what is wrong with a row, before it is known where the row stands.
type flaw struct {
	off    int // bytes from the row's beginning
	reason Reason
	field  string
	text   string // never the data's own
	got    string // the data's own; left out for a private dataset
	hint   string
}

// chunk is one line or element with its place.
type chunk struct {
	raw     []byte
	line    int // where it begins, from 1
	col     int // byte column of its first byte, from 1
	element int // from 1; 0 for a line
}

// ordinal is the number a person counts: the element, or the line.
func (c chunk) ordinal() int {
	if c.element > 0 {
		return c.element
	}
	return c.line
}

// fault says where the flaw is. Columns count bytes.
func (c chunk) fault(f *flaw, private bool) error {
	before := c.raw[:min(f.off, len(c.raw))]
	line, col := c.line, c.col+len(before)
	if n := bytes.Count(before, []byte{'\n'}); n > 0 {
		line, col = line+n, len(before)-bytes.LastIndexByte(before, '\n')
	}
	at := fmt.Sprintf("line %d, column %d", line, col)
	if c.element > 0 {
		at = fmt.Sprintf("element %d (%s)", c.element, at)
	}
	if f.field != "" {
		at += ": " + f.field
	}
	got := ""
	if !private && f.got != "" {
		got = shorten(f.got)
		at = fmt.Sprintf("%s %s: %q", at, f.text, got)
	} else {
		at += " " + f.text
	}
	out := fault.New(fault.InvalidInput, "dataset: %s", at).At(f.field, got)
	if f.hint != "" {
		out = out.Hint("%s", f.hint)
	}
	return out
}

// shorten keeps what fits into a message.
func shorten(s string) string {
	const most = 40
	if r := []rune(s[:min(len(s), 4*most)]); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
