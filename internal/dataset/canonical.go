package dataset

import (
	"cmp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The canonical form is written here and not by encoding/json, whose escapes have changed between releases: digests may
// not. Keys are sorted by their bytes; no spaces; in strings only quote, backslash and what is below U+0020 is escaped;
// text stays as it is otherwise (no Unicode normalisation: a prompt is what was sent); numbers of extra_request_body
// stay as written; timestamps are the shortest decimal of their float64.

// Line is the canonical line of the row, without a line break.
func (r Row) Line() []byte {
	out := []byte{'{'}
	field := func(name string) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), '"', ':')
	}
	if r.Conversation != "" {
		field("conversation")
		out = appendString(out, r.Conversation)
	}
	if r.Extra != nil {
		field("extra_request_body")
		out = append(out, r.Extra...)
	}
	if r.Messages != nil {
		field("messages")
		out = append(out, r.Messages...)
	}
	field("output_len")
	out = strconv.AppendInt(out, int64(r.OutputLen), 10)
	if r.Messages == nil {
		field("prompt")
		out = appendString(out, r.Prompt)
	}
	if r.At != nil {
		field("timestamp")
		out = strconv.AppendFloat(out, *r.At, 'f', -1, 64)
	}
	return append(out, '}')
}

// MarshalJSON gives the canonical line.
func (r Row) MarshalJSON() ([]byte, error) { return r.Line(), nil }

// appendValue writes a value in canonical form.
func appendValue(out []byte, v value) []byte {
	switch v.kind {
	case '{':
		sorted := slices.Clone(v.members)
		slices.SortFunc(sorted, func(a, b member) int { return cmp.Compare(a.name, b.name) })
		out = append(out, '{')
		for i, m := range sorted {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendString(out, m.name), ':')
			out = appendValue(out, m.value)
		}
		return append(out, '}')
	case '[':
		out = append(out, '[')
		for i, item := range v.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendValue(out, item)
		}
		return append(out, ']')
	case '"':
		return appendString(out, v.text)
	}
	return append(out, v.text...)
}

func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// appendTurns writes messages that hold role and content only.
func appendTurns(out []byte, turns []turn) []byte {
	out = append(out, '[')
	for i, t := range turns {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(append(out, `{"content":`...), t.text), `,"role":`...)
		out = append(appendString(out, t.role), '}')
	}
	return append(out, ']')
}

// characters counts code points.
func characters(s string) int { return utf8.RuneCountInString(s) }
