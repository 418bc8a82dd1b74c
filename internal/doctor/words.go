package doctor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
)

// line makes a text fit for one line of a terminal: what hides there is shown, and nothing breaks out of the line.
func line(text string) string {
	return gitops.Printable([]byte(strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' || c == '\t' }), " ")))
}

// plainWord needs no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./~-]+$`)

// word is one word of a command to type.
func word(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// size writes MiB as a person reads them.
func size(mib int64) string {
	switch {
	case mib >= 10<<20:
		return fmt.Sprintf("%.0f TiB", float64(mib)/(1<<20))
	case mib >= 1<<20:
		return fmt.Sprintf("%.1f TiB", float64(mib)/(1<<20))
	case mib >= 10<<10:
		return fmt.Sprintf("%d GiB", mib>>10)
	case mib >= 1<<10:
		return fmt.Sprintf("%.1f GiB", float64(mib)/(1<<10))
	case mib == 0:
		return "less than 1 MiB"
	}
	return fmt.Sprintf("%d MiB", mib)
}

// ranges writes numbers as a person does: 0–3, 6.
func ranges(list []int) string {
	if len(list) == 0 {
		return "none"
	}
	list = slices.Sorted(slices.Values(list))
	var out []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		switch {
		case j > i+1:
			out = append(out, fmt.Sprintf("%d–%d", list[i], list[j]))
		case j == i+1:
			out = append(out, strconv.Itoa(list[i]), strconv.Itoa(list[j]))
		default:
			out = append(out, strconv.Itoa(list[i]))
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// plural counts things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if s, ok := strings.CutSuffix(one, "ss"); ok {
		return fmt.Sprintf("%d %ssses", n, s)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
