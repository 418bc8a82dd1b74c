package trace

import "bytes"

// skipper follows a value of any size through chunks without keeping it.
type skipper struct {
	depth    int
	inString bool
	escape   bool
	started  bool
}

// feed reads on in b and returns how many bytes belong to the value; done reports that it ended there.
func (s *skipper) feed(b []byte) (n int, done bool, ok bool) {
	for i := 0; i < len(b); s.started = true {
		if s.inString {
			if i = s.string(b, i); !s.inString && s.depth == 0 {
				return i, true, true
			}
			continue
		}
		if end, stop, good := s.outside(b[i]); stop {
			return i + end, true, good
		}
		i++
	}
	return len(b), false, true
}

// string follows a string from b[i] on and returns the index after it, or len(b) when it goes on.
func (s *skipper) string(b []byte, i int) int {
	quote := -1 // the next quote, found once and not again for every escape before it
	for i < len(b) {
		if s.escape {
			s.escape = false
			i++
			continue
		}
		if quote < i {
			if quote = bytes.IndexByte(b[i:], '"'); quote < 0 {
				quote = len(b)
			} else {
				quote += i
			}
		}
		if at := bytes.IndexByte(b[i:quote], '\\'); at >= 0 {
			i += at + 1
			s.escape = true
			continue
		}
		if quote < len(b) {
			s.inString = false
			return quote + 1
		}
		return len(b)
	}
	return i
}

// outside handles a byte that is in no string; end is 1 when the byte belongs to the value.
func (s *skipper) outside(c byte) (end int, stop, ok bool) {
	switch c {
	case '"':
		s.inString = true
	case '{', '[':
		s.depth++
		if s.depth > maxDepth {
			return 0, true, false
		}
	case '}', ']':
		if s.depth == 0 {
			return 0, true, s.started
		}
		if s.depth--; s.depth == 0 {
			return 1, true, true
		}
	case ',':
		if s.depth == 0 {
			return 0, true, s.started
		}
	}
	return 0, false, true
}

// skipBig skips the value at buf[i], however large, and returns the index after it; the window moves on.
// It ends with broken on a value that is too deep or larger than any profiler writes.
func (w *window) skipBig(i int) int {
	var s skipper
	var size int64
	for {
		n, done, ok := s.feed(w.buf[i:])
		if size += int64(n); !ok || size > maxSkip {
			return broken
		}
		if done {
			return i + n
		}
		if !w.more(len(w.buf)) {
			return short
		}
		i = 0
	}
}
