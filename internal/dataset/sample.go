package dataset

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Sample is a row for a person to look at. It refuses to become JSON: text is for the terminal of whoever holds the
// file, private or not, and for nothing else.
type Sample struct {
	Row       int // from 0
	OutputLen int
	Text      string // what is not printed is made visible
	Cut       int    // characters left out behind it
}

// MarshalJSON refuses.
func (Sample) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a sample of a dataset is shown to a person and never encoded")
}

// sampleChars is how much of a row is shown.
const sampleChars = 400

// Samples gives the first, the middle and the last row, fewer where there are fewer.
func Samples(s *Set) ([]Sample, error) {
	numbers := []int{0}
	for _, i := range []int{s.Len() / 2, s.Len() - 1} {
		if i > numbers[len(numbers)-1] {
			numbers = append(numbers, i)
		}
	}
	rows, err := s.Rows(numbers)
	if err != nil {
		return nil, err
	}
	out := make([]Sample, len(rows))
	for i, r := range rows {
		text, cut := []rune(r.Text()), 0
		if len(text) > sampleChars {
			text, cut = text[:sampleChars], len(text)-sampleChars
		}
		out[i] = Sample{Row: numbers[i], OutputLen: r.OutputLen, Text: Visible(string(text)), Cut: cut}
	}
	return out, nil
}

// Visible shows what a terminal would obey or hide: control characters as their pictures (␊, ␛), anything else that does
// not print (directions of writing, joiners, odd spaces) as its code point.
func Visible(s string) string {
	var out strings.Builder
	for _, c := range s {
		switch {
		case c < 0x20:
			out.WriteRune('\u2400' + c)
		case c == 0x7f:
			out.WriteRune('\u2421')
		case !unicode.IsPrint(c):
			fmt.Fprintf(&out, "⟨U+%04X⟩", c)
		default:
			out.WriteRune(c)
		}
	}
	return out.String()
}
