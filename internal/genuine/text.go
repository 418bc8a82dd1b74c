package genuine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

func compareText(a, b string) int { return cmp.Compare(a, b) }

// capped sorts lines, drops repetitions, and names the first of many.
func capped(lines []string) []string {
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if lines == nil {
		return []string{}
	}
	if n := len(lines) - maxNamed; n > 0 {
		return append(slices.Clone(lines[:maxNamed]), fmt.Sprintf("and %d more", n))
	}
	return lines
}

// plain makes a file's name fit for one line.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, name)
	if len(name) > 200 {
		name = "…" + strings.ToValidUTF8(name[len(name)-200:], "?")
	}
	return name
}

// normal is a distribution's name as it is compared.
func normal(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' }), "-")
}
