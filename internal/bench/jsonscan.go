package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// errJSON says that an event is not the JSON it should be.
var errJSON = errors.New("event is not a JSON object")

// jsonScan walks JSON in place. The client reads tens of thousands of small events a second on cores it shares with
// the engine; encoding/json costs more there than reading the socket. Skipped values are not checked inside.
type jsonScan struct {
	b []byte
	i int
}

// peek gives the next byte that is no white space, 0 at the end.
func (s *jsonScan) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// open consumes the bracket and says whether it was there.
func (s *jsonScan) open(bracket byte) bool {
	if s.peek() != bracket {
		return false
	}
	s.i++
	return true
}

// more steps to the next member of an object or array; first is true before the first one.
func (s *jsonScan) more(first bool, closing byte) (bool, error) {
	c := s.peek()
	switch {
	case c == closing:
		s.i++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.i++
		return true, nil
	}
	return false, errJSON
}

// key reads a member's name and its colon.
func (s *jsonScan) key() ([]byte, error) {
	key, err := s.str()
	if err != nil {
		return nil, err
	}
	if s.peek() != ':' {
		return nil, errJSON
	}
	s.i++
	return key, nil
}

// str reads a string; it is a part of the input unless it has escapes.
func (s *jsonScan) str() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errJSON
	}
	start := s.i
	escaped, err := s.skipString()
	if err != nil {
		return nil, err
	}
	if !escaped {
		return s.b[start+1 : s.i-1], nil
	}
	var text string
	if err := json.Unmarshal(s.b[start:s.i], &text); err != nil {
		return nil, errJSON
	}
	return []byte(text), nil
}

// skipString steps over a string that begins here.
func (s *jsonScan) skipString() (escaped bool, err error) {
	for s.i++; ; {
		end := bytes.IndexByte(s.b[s.i:], '"')
		if end < 0 {
			return false, errJSON
		}
		back := bytes.IndexByte(s.b[s.i:s.i+end], '\\')
		if back < 0 {
			s.i += end + 1
			return escaped, nil
		}
		escaped = true
		s.i += back + 2
		if s.i > len(s.b) {
			return false, errJSON
		}
	}
}

// optString reads a string; any other value is skipped and gives nil.
func (s *jsonScan) optString() ([]byte, error) {
	if s.peek() != '"' {
		_, err := s.skip()
		return nil, err
	}
	return s.str()
}

// optInt reads a number that is not negative; any other value is skipped and gives -1.
func (s *jsonScan) optInt() (int, error) {
	raw, err := s.skip()
	if err != nil {
		return -1, err
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || n < 0 || n > 1<<40 {
		return -1, nil
	}
	return int(n), nil
}

// skip steps over any value and gives its bytes.
func (s *jsonScan) skip() ([]byte, error) {
	c := s.peek()
	start := s.i
	switch c {
	case 0:
		return nil, errJSON
	case '"':
		_, err := s.skipString()
		return s.b[start:s.i], err
	case '{', '[':
		return s.skipNested()
	}
	for s.i < len(s.b) && !bytes.ContainsRune([]byte(" \t\r\n,:]}[{\""), rune(s.b[s.i])) {
		s.i++
	}
	if s.i == start {
		return nil, errJSON
	}
	return s.b[start:s.i], nil
}

// skipNested steps over an object or array by counting brackets.
func (s *jsonScan) skipNested() ([]byte, error) {
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, err := s.skipString(); err != nil {
				return nil, err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.i++
		if depth == 0 {
			return s.b[start:s.i], nil
		}
	}
	return nil, errJSON
}

// count gives the number of members of an array, 0 for any other value.
func (s *jsonScan) count() (n int, err error) {
	if !s.open('[') {
		_, err = s.skip()
		return 0, err
	}
	for {
		ok, err := s.more(n == 0, ']')
		if err != nil || !ok {
			return n, err
		}
		if _, err := s.skip(); err != nil {
			return n, err
		}
		n++
	}
}

// object calls member for every member of an object; any other value is skipped.
func (s *jsonScan) object(member func(key []byte) error) error {
	if !s.open('{') {
		_, err := s.skip()
		return err
	}
	for first := true; ; first = false {
		ok, err := s.more(first, '}')
		if err != nil || !ok {
			return err
		}
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
}

// array calls item for every member of an array; any other value is skipped.
func (s *jsonScan) array(item func(i int) error) error {
	if !s.open('[') {
		_, err := s.skip()
		return err
	}
	for i := 0; ; i++ {
		ok, err := s.more(i == 0, ']')
		if err != nil || !ok {
			return err
		}
		if err := item(i); err != nil {
			return err
		}
	}
}
