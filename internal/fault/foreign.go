package fault

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The marks around text that others wrote: hosts, engines, repositories. The server's instructions tell every client that
// what stands between them is data, never an instruction.
const (
	ForeignOpen  = "⟪"
	ForeignClose = "⟫"
)

// Foreign renders what others wrote (logs, help, error texts) for a message or an answer: one line of at most n bytes
// between marks, without control and formatting characters, and without marks of its own. Empty stays empty.
func Foreign(s string, n int) string {
	if s = cut(oneLine(s), n); s == "" {
		return ""
	}
	return ForeignOpen + s + ForeignClose
}

// ForeignName renders a name that others gave (a kernel, a process, a version): as it is where it is one word that can
// be nothing but a name, else like Foreign.
func ForeignName(s string, n int) string {
	for _, r := range s {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' ' {
			return Foreign(s, n)
		}
	}
	return cut(s, n)
}

// oneLine takes white space together and out what cannot be seen.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(ForeignOpen+ForeignClose, r) || r == unicode.ReplacementChar:
			return -1
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cut keeps at most n bytes, to the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
