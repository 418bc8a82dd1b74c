// Package redact takes secrets out of bytes: known values in the forms in which they travel, and what looks like a
// credential of a known kind. A secret becomes "[redacted:<kind>]".
//
// It aims at no false alarm on digests, commit ids, hex and base64 of ordinary data, since those are evidence: every
// pattern has a prefix or a context that such data lack. Redacting twice changes nothing.
package redact

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Redactor replaces secrets. Its methods may be called concurrently. A nil Redactor knows the patterns only.
type Redactor struct {
	literals []literal
	patterns []Pattern
	longest  int  // length of the longest literal
	spanning bool // a literal contains a newline
}

// New gives a Redactor that knows the values of secrets by their variables' names, and patterns besides the built-in
// ones. Values shorter than eight bytes are not looked for: they would be found everywhere.
func New(secrets map[string]string, extra ...Pattern) *Redactor {
	r := &Redactor{patterns: append(builtin(), extra...)}
	for name, value := range secrets {
		r.literals = append(r.literals, literalsOf(name, value)...)
	}
	// Longest first, so that a value inside another one does not leave the rest standing.
	slices.SortFunc(r.literals, func(a, b literal) int {
		return cmp.Or(cmp.Compare(len(b.form), len(a.form)), strings.Compare(a.label, b.label), bytes.Compare(a.form, b.form))
	})
	for _, l := range r.literals {
		r.longest = max(r.longest, len(l.form))
		r.spanning = r.spanning || bytes.ContainsAny(l.form, "\r\n")
	}
	return r
}

// Bytes gives b without secrets; b itself is not changed, and is given back when it holds none.
func (r *Redactor) Bytes(b []byte) []byte {
	spans := r.scan(b)
	if len(spans) == 0 {
		return b
	}
	return render(b, spans)
}

// String gives s without secrets.
func (r *Redactor) String(s string) string {
	spans := r.scan([]byte(s))
	if len(spans) == 0 {
		return s
	}
	return string(render([]byte(s), spans))
}

// span is one secret's place in scanned bytes.
type span struct {
	start, end int
	label      string
}

// scan finds all secrets, in order and without overlap.
func (r *Redactor) scan(b []byte) []span { return r.scanAt(b, 0) }

// scanAt finds all secrets in what depth encodings were taken off.
func (r *Redactor) scanAt(b []byte, depth int) []span {
	var found []span
	patterns := builtin
	if r != nil {
		found = r.scanLiterals(b)
		patterns = func() []Pattern { return r.patterns }
	}
	for _, p := range patterns() {
		found = p.scan(b, found)
	}
	if found = r.scanEncoded(b, found, depth); len(found) < 2 {
		return found
	}
	slices.SortStableFunc(found, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	kept := found[:1]
	for _, s := range found[1:] {
		if last := &kept[len(kept)-1]; s.start < last.end {
			last.end = max(last.end, s.end)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// render gives b with its spans replaced.
func render(b []byte, spans []span) []byte {
	out, from := make([]byte, 0, len(b)), 0
	for _, s := range spans {
		out = append(out, b[from:s.start]...)
		out = append(out, "[redacted:"+s.label+"]"...)
		from = s.end
	}
	return append(out, b[from:]...)
}
