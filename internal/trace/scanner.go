package trace

import (
	"bytes"
	"context"
	"io"
)

const (
	// maxEvent is the largest event that is read; larger ones are skipped and reported.
	maxEvent = 4 << 20
	// maxSkip is the largest value that is skipped: no profiler writes more into one value.
	maxSkip = 256 << 20
	// maxDepth is the deepest nesting that is followed.
	maxDepth = 256
)

// Results of reading one token or value where it does not fit: the text ends inside it, or it is no JSON.
const (
	short  = -1
	broken = -2
)

// window is the part of the text that is in memory, with the means to move on.
type window struct {
	ctx  context.Context
	src  *source
	buf  []byte
	own  []byte // the chunk's buffer behind buf, to give back; nil when buf was joined
	base int64  // offset in the text of buf[0]
	err  error  // after the last byte: io.EOF or why reading stopped
}

// more drops buf[:keep], brings the next chunk behind the rest and reports whether there was one.
func (w *window) more(keep int) bool {
	if w.err != nil {
		return false
	}
	if w.err = w.ctx.Err(); w.err != nil {
		return false
	}
	c, ok := <-w.src.chunks
	if !ok {
		w.err = w.ctx.Err()
		if w.err == nil {
			w.err = io.ErrUnexpectedEOF
		}
		return false
	}
	tail := w.buf[keep:]
	w.base += int64(keep)
	w.err = c.err
	if len(tail) <= headroom {
		from := headroom - len(tail)
		copy(c.buf[from:], tail)
		w.drop()
		w.buf, w.own = c.buf[from:c.end], c.buf
		return true
	}
	joined := make([]byte, 0, len(tail)+c.end-headroom)
	joined = append(append(joined, tail...), c.buf[headroom:c.end]...)
	w.drop()
	w.src.release(c.buf)
	w.buf, w.own = joined, nil
	return true
}

// drop gives the current chunk back.
func (w *window) drop() {
	if w.own != nil {
		w.src.release(w.own)
		w.own = nil
	}
}

// skipSpace returns the index of the next byte that is not white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index of the quote that closes the string whose text begins at i. escaped
// reports a backslash before it.
func stringEnd(b []byte, i int) (end int, escaped bool) {
	for j := i; ; {
		q := bytes.IndexByte(b[j:], '"')
		if q < 0 {
			return short, escaped
		}
		q += j
		n := 0
		for k := q - 1; k >= i && b[k] == '\\'; k-- {
			n++
		}
		if n%2 == 0 {
			return q, escaped || bytes.IndexByte(b[i:q], '\\') >= 0
		}
		escaped = true
		j = q + 1
	}
}

// skipValue returns the index after the value at i.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return short
	}
	switch b[i] {
	case '"':
		end, _ := stringEnd(b, i+1)
		if end < 0 {
			return end
		}
		return end + 1
	case '{', '[':
		return skipNested(b, i)
	}
	if c := b[i]; !isDigit(c) && !isLetter(c) && c != '-' { // letters: true, null, and NaN as Python writes it
		return broken
	}
	j := i + 1
	for j < len(b) {
		switch b[j] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return j
		case '"', '{', '[', ':':
			return broken
		}
		j++
	}
	return short
}

// skipNested returns the index after the object or array at i. It follows brackets and strings only:
// what lies inside a skipped value need not be well-formed otherwise.
func skipNested(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i++
			for i < len(b) && b[i] != '"' {
				if b[i] == '\\' {
					i++
				}
				i++
			}
			if i >= len(b) {
				return short
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return broken
			}
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return short
}
