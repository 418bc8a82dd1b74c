package worker

import (
	"regexp"
	"strings"
	"unicode"
)

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b.`)

// cleanText makes foreign bytes fit to be shown: terminal escapes, control and invisible format characters are removed
// (line feeds and tabs stay, a carriage return becomes a line feed), invalid UTF-8 becomes "?", and of what is left at
// most the last limit bytes stay, from the beginning of a character.
func cleanText(raw []byte, limit int) string {
	s := strings.ToValidUTF8(string(raw), "?")
	s = escapes.ReplaceAllString(s, "")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.TrimLeftFunc(strings.ToValidUTF8(s[len(s)-limit:], ""), func(r rune) bool { return r == unicode.ReplacementChar })
	}
	return s
}

// cleanLine is cleanText on one line, keeping the beginning instead of the end.
func cleanLine(raw string, limit int) string {
	s := strings.Join(strings.Fields(cleanText([]byte(raw), len(raw)+1)), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + " …"
	}
	return s
}
