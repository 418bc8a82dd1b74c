package hosts

import (
	"strings"

	"github.com/sotaloop/sotaloop/internal/wildcard"
)

// matchPattern matches OpenSSH's wildcards: * is any run of characters, ? is one. Upper and lower case are equal.
func matchPattern(pattern, s string) bool {
	return wildcard.Match(strings.ToLower(pattern), strings.ToLower(s))
}

// matchList says whether any pattern matches and no negated one does.
func matchList(patterns []string, s string) bool {
	found := false
	for _, p := range patterns {
		if negated, ok := strings.CutPrefix(p, "!"); ok {
			if matchPattern(negated, s) {
				return false
			}
			continue
		}
		found = found || matchPattern(p, s)
	}
	return found
}
