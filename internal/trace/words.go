package trace

import (
	"strings"
	"unicode"
)

// words splits a name into lower-case words, framed by single spaces: " fused add rms norm kernel ".
// Words end at anything that is no letter or digit, between letters and digits, where lower case turns to
// upper case, and before the last capital of a run that lower case follows ("RMSNorm" is "rms norm").
// The text of phrases goes through the same function, so that "conv1d" is found in "causal_conv1d_fwd".
func words(name string) string {
	var b strings.Builder
	b.Grow(len(name) + len(name)/2 + 2)
	b.WriteByte(' ')
	last := byte(' ')
	put := func(c byte) {
		if c != ' ' || last != ' ' {
			b.WriteByte(c)
			last = c
		}
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !isLetter(c) && !isDigit(c) {
			put(' ')
			continue
		}
		if i > 0 && startsWord(name, i) {
			put(' ')
		}
		put(byte(unicode.ToLower(rune(c))))
	}
	put(' ')
	return b.String()
}

// startsWord reports whether a word begins at name[i], which is a letter or digit.
func startsWord(name string, i int) bool {
	c, before := name[i], name[i-1]
	switch {
	case isDigit(c) != isDigit(before):
		return true
	case isUpper(c) && !isUpper(before):
		return true
	}
	return isUpper(c) && isUpper(before) && i+1 < len(name) && isLower(name[i+1]) && !isPlural(name, i)
}

// isPlural keeps "GPUs" together.
func isPlural(name string, i int) bool {
	return name[i+1] == 's' && (i+2 == len(name) || !isLower(name[i+2]))
}

func isLetter(c byte) bool { return isLower(c) || isUpper(c) }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// has reports whether any of the phrases (as words gives them) occurs in text (likewise).
func has(text string, phrases []string) bool {
	for _, p := range phrases {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}
