package gitops

import (
	"fmt"
	"strings"
)

// quoteName writes a path as git does in headers: in double quotes with C escapes where it holds quotes,
// backslashes, control characters or, with core.quotePath (git's default), bytes beyond ASCII.
func quoteName(name string, beyondASCII bool) string {
	var b strings.Builder
	quoted := false
	for i := range len(name) {
		c := name[i]
		if at := strings.IndexByte("\a\b\t\n\v\f\r\"\\", c); at >= 0 {
			b.WriteString(`\` + string(`abtnvfr"\`[at]))
			quoted = true
		} else if c < 0x20 || c == 0x7f || c >= 0x80 && beyondASCII {
			fmt.Fprintf(&b, `\%03o`, c)
			quoted = true
		} else {
			b.WriteByte(c)
		}
	}
	if !quoted {
		return name
	}
	return `"` + b.String() + `"`
}
