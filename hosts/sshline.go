package hosts

import (
	"errors"
	"strings"
)

// splitDirective splits a line of ssh_config into keyword and arguments: blanks separate, one = may stand after the
// keyword, quotes hold blanks, a word beginning with # ends the line. An empty line gives no keyword.
func splitDirective(line string) (keyword string, args []string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return "", nil, errors.New("no value after " + line)
	}
	keyword = strings.ToLower(strings.Trim(line[:end], `"`))
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	args, err = splitWords(rest)
	if err == nil && len(args) == 0 {
		err = errors.New("no value after " + keyword)
	}
	return keyword, args, err
}

// splitWords splits at blanks outside of quotes. A backslash protects a quote, a backslash, or (outside quotes) a blank.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, open := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || open == 0 && s[i+1] == ' '):
			i++
			word.WriteByte(s[i])
			inWord = true
		case open != 0 && c == open:
			open = 0
		case open != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			open, inWord = c, true
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case c == '#' && !inWord:
			return words, nil
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if open != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
