package trace

// skipper follows a value of any size through chunks without keeping it.
type skipper struct {
	depth    int
	inString bool
	escape   bool
	started  bool
}

// feed reads on in b and returns how many bytes belong to the value; done reports that it ended there.
func (s *skipper) feed(b []byte) (n int, done bool, ok bool) {
	for i, c := range b {
		switch {
		case s.escape:
			s.escape = false
		case s.inString:
			if c == '\\' {
				s.escape = true
			} else if c == '"' {
				s.inString = false
				if s.depth == 0 {
					return i + 1, true, true
				}
			}
		default:
			if end, stop, good := s.outside(c); stop {
				return i + end, true, good
			}
		}
		s.started = true
	}
	return len(b), false, true
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
