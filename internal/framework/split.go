package framework

import (
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// splitter cuts a command line into words as a POSIX shell quotes them.
type splitter struct {
	words []string
	word  strings.Builder
	in    bool // a word has begun, maybe an empty quoted one
	quote rune // ' or " while inside
}

// split cuts a command line into words. Expansions, pipes and redirections are refused, since nothing here runs a shell.
func split(text string) ([]string, error) {
	var s splitter
	runes := []rune(strings.ReplaceAll(text, "\\\r\n", "\\\n"))
	for i := 0; i < len(runes); i++ {
		used, err := s.step(runes, i)
		if err != nil {
			return nil, err
		}
		i += used
	}
	if s.quote != 0 {
		return nil, fault.New(fault.InvalidInput, "a quote in the pasted command is not closed")
	}
	s.end()
	return s.words, nil
}

// step takes the rune at i and says how many after it it took too.
func (s *splitter) step(runes []rune, i int) (int, error) {
	r := runes[i]
	next := rune(0)
	if i+1 < len(runes) {
		next = runes[i+1]
	}
	switch {
	case r == 0:
		return 0, fault.New(fault.InvalidInput, "a pasted command holds a NUL character")
	case s.quote == '\'' && r != '\'', s.quote == '"' && r == '\\' && !strings.ContainsRune("$`\"\\\n", next):
		s.put(r)
	case s.quote != 0 && r == s.quote:
		s.quote = 0
	case r == '\\' && next == '\n': // a continued line
		return 1, nil
	case r == '\\' && next != 0:
		s.put(next)
		return 1, nil
	case strings.ContainsRune("$`", r), s.quote == 0 && strings.ContainsRune(";|&<>()", r):
		return 0, fault.New(fault.InvalidInput, "a pasted command holds %q", string(r)).Hint("paste one plain command without variables, pipes or redirections")
	case s.quote == '"':
		s.put(r)
	case r == '\'' || r == '"':
		s.quote, s.in = r, true
	case r == ' ' || r == '\t' || r == '\n' || r == '\r':
		s.end()
	default:
		s.put(r)
	}
	return 0, nil
}

func (s *splitter) put(r rune) {
	s.word.WriteRune(r)
	s.in = true
}

func (s *splitter) end() {
	if s.in {
		s.words = append(s.words, s.word.String())
		s.word.Reset()
		s.in = false
	}
}
