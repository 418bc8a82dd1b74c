package redact

import (
	"bytes"
	"encoding/base64"
)

// Encoded text is looked into: what a decoder would find there is as secret as the plain form.
const (
	shortestRun = 24 // characters of base64 in which a secret is looked for
	mostDepth   = 2  // encodings inside each other
)

// scanEncoded appends the places in b whose decoded form holds a secret: JSON and percent escapes, and runs of base64,
// also inside each other.
func (r *Redactor) scanEncoded(b []byte, found []span, depth int) []span {
	if depth == mostDepth {
		return found
	}
	if bytes.IndexByte(b, '\\') >= 0 {
		found = r.scanDecoded(b, unescaped, found, depth)
	}
	if bytes.ContainsAny(b, "%+") {
		found = r.scanDecoded(b, unpercented, found, depth)
	}
	return r.scanBase64(b, found, depth)
}

// scanDecoded scans what decode makes of b and maps what it finds back. decode gives the decoded bytes and the index in b
// at which each begins, with the end of b behind the last; nil where nothing is encoded.
func (r *Redactor) scanDecoded(b []byte, decode func([]byte) ([]byte, []int), found []span, depth int) []span {
	text, at := decode(b)
	if text == nil {
		return found
	}
	for _, s := range r.scanAt(text, depth+1) {
		found = append(found, span{at[s.start], at[s.end], s.label})
	}
	return found
}

// unescaped decodes the escapes of JSON and of Python's and Go's string literals for single bytes: \n \t \r \" \\ \/,
// \u00XX and \xXX. Other escapes stay as they are.
func unescaped(b []byte) ([]byte, []int) {
	return decoded(b, func(rest []byte) (byte, int) {
		if rest[0] != '\\' || len(rest) < 2 {
			return 0, 0
		}
		switch c := rest[1]; c {
		case 'n':
			return '\n', 2
		case 't':
			return '\t', 2
		case 'r':
			return '\r', 2
		case '"', '\'', '\\', '/':
			return c, 2
		case 'x':
			if v, ok := hexByte(rest, 2); ok {
				return v, 4
			}
		case 'u':
			if v, ok := hexByte(rest, 4); ok && rest[2] == '0' && rest[3] == '0' && v < 0x80 {
				return v, 6
			}
		}
		return 0, 0
	})
}

// unpercented decodes percent-encoding, and the plus sign as the space that it is in a query.
func unpercented(b []byte) ([]byte, []int) {
	return decoded(b, func(rest []byte) (byte, int) {
		if rest[0] == '+' {
			return ' ', 1
		}
		if v, ok := hexByte(rest, 1); ok && rest[0] == '%' {
			return v, 3
		}
		return 0, 0
	})
}

// decoded replaces what one recognises, which gives a byte and how many stand for it, 0 for none.
func decoded(b []byte, one func(rest []byte) (byte, int)) (text []byte, at []int) {
	for i := 0; i < len(b); {
		c, n := one(b[i:])
		switch {
		case n > 0 && text == nil:
			text = append(make([]byte, 0, len(b)), b[:i]...)
			at = make([]int, 0, len(b)+1)
			for k := range i {
				at = append(at, k)
			}
			continue
		case n == 0:
			c, n = b[i], 1
		}
		if text != nil {
			text, at = append(text, c), append(at, i)
		}
		i += n
	}
	if text == nil {
		return nil, nil
	}
	return text, append(at, len(b))
}

// hexByte reads two hex digits of b at i.
func hexByte(b []byte, i int) (byte, bool) {
	if i+2 > len(b) {
		return 0, false
	}
	hi, lo := hexDigit(b[i]), hexDigit(b[i+1])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// scanBase64 decodes runs of base64 characters at each of the four places where a group may begin, since what stands
// before an encoded text may look like a part of it.
func (r *Redactor) scanBase64(b []byte, found []span, depth int) []span {
	for i := 0; i < len(b); i++ {
		if !isBase64(b[i]) {
			continue
		}
		start := i
		for i < len(b) && isBase64(b[i]) {
			i++
		}
		if i-start >= shortestRun {
			found = r.scanRun(b[start:i], start, found, depth)
		}
	}
	return found
}

// scanRun decodes one run that starts at base.
func (r *Redactor) scanRun(run []byte, base int, found []span, depth int) []span {
	std := make([]byte, len(run))
	for i, c := range run {
		switch c {
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		std[i] = c
	}
	text := make([]byte, base64.RawStdEncoding.DecodedLen(len(run)))
	for off := range 4 {
		group := std[min(off, len(std)):]
		if len(group)%4 == 1 {
			group = group[:len(group)-1]
		}
		n, err := base64.RawStdEncoding.Decode(text, group)
		if err != nil || n == 0 {
			continue
		}
		for _, s := range r.scanAt(text[:n], depth+1) {
			from, to := base+off+8*s.start/6, base+off+(8*s.end+5)/6
			found = append(found, span{from, min(to, base+len(run)), s.label})
		}
	}
	return found
}

// isBase64 says whether c is of either base64 alphabet.
func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}
