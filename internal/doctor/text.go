package doctor

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Style is how the table is written.
type Style struct {
	// Paint colours a word by its level; nil: no colours.
	Paint func(level Level, word string) string
	// Width is where lines are broken, in characters. Zero: 110.
	Width int
}

// Columns of the table, in characters.
const (
	levelColumn  = 4
	nameColumn   = 16
	defaultWidth = 110
	minWidth     = 50
)

// Text writes the report as a person reads it.
func (r Report) Text(w io.Writer, style Style) error {
	if style.Paint == nil {
		style.Paint = func(_ Level, word string) string { return word }
	}
	style.Width = max(minWidth, cmp.Or(style.Width, defaultWidth))
	var b strings.Builder
	for _, s := range r.Sections {
		title := s.Where
		if s.Host != "" {
			title = s.Host + "  (" + s.Where + ")"
		}
		fmt.Fprintf(&b, "%s\n", title)
		for _, c := range s.Checks {
			style.row(&b, c)
		}
		b.WriteByte('\n')
	}
	count := map[Level]int{}
	for _, s := range r.Sections {
		for _, c := range s.Checks {
			count[c.Level]++
		}
	}
	fmt.Fprintf(&b, "%d ok, %d to look at, %d red, in %.1f s\n", count[OK], count[Warn], count[Red], r.ElapsedS)
	for i, n := range r.Next {
		word := "next"
		if i > 0 {
			word = "  or"
		}
		fmt.Fprintf(&b, "%s: %s\n", word, n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row writes one check, its remedies below it.
func (s Style) row(b *strings.Builder, c Check) {
	name := c.Name
	if pad := nameColumn - utf8.RuneCountInString(name); pad > 0 {
		name += strings.Repeat(" ", pad)
	}
	level := s.Paint(c.Level, string(c.Level)) + strings.Repeat(" ", levelColumn-len(c.Level))
	indent := 2 + levelColumn + 2 + nameColumn + 1
	first := indent + max(0, utf8.RuneCountInString(c.Name)-nameColumn)
	fmt.Fprintf(b, "  %s  %s ", level, name)
	b.WriteString(wrap(c.Found, first, indent, s.Width))
	for _, f := range c.Fix {
		fmt.Fprintf(b, "%s→ %s", strings.Repeat(" ", indent), wrap(f, indent+2, indent+2, s.Width))
	}
}

// wrap breaks a text at spaces: it begins in column at, its other lines in column indent. It ends with a line end.
func wrap(text string, at, indent, width int) string {
	var b strings.Builder
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width && at > indent:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteByte('\n')
	return b.String()
}
