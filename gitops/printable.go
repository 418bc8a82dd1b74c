package gitops

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes a diff safe to show on a terminal and shows what it would hide: control characters (escape
// sequences, carriage returns), bidirectional and zero-width characters, odd spaces, tags and bytes that are not
// UTF-8 appear as <U+XXXX> or <0xXX>. Newlines and tabs stay. Nothing is left out.
func Printable(diff []byte) string {
	var b strings.Builder
	for len(diff) > 0 {
		c, n := utf8.DecodeRune(diff)
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "<0x%02X>", diff[0])
		case c != '\n' && hidden(c):
			fmt.Fprintf(&b, "<%U>", c)
		default:
			b.WriteRune(c)
		}
		diff = diff[n:]
	}
	return b.String()
}

// hidden says whether a terminal would not show c as itself: whatever Unicode does not call printable (controls,
// formats, bidi, odd spaces, unassigned), and the printable classes that draw nothing on their own.
func hidden(c rune) bool {
	switch {
	case c == '\t':
		return false
	case !unicode.IsPrint(c):
		return true
	case unicode.Is(unicode.Variation_Selector, c), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c):
		return true
	}
	return c == '\u2800' || c == '\u3164' || c == '\uffa0' // braille blank and Hangul fillers
}
