package hosts

import (
	"strings"
	"unicode"
)

// maxExcerpt is how much of a foreign text a message quotes, in bytes.
const maxExcerpt = 400

// printable makes bytes of a host fit for one line of a message: control and invisible characters become spaces,
// runs of them one space, and at most limit bytes stay.
func printable(b []byte, limit int) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
	clean = strings.Join(strings.Fields(clean), " ")
	if len(clean) <= limit {
		return clean
	}
	return strings.ToValidUTF8(clean[:limit], "") + " …"
}
