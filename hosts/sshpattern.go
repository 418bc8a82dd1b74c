package hosts

import "strings"

// matchPattern matches OpenSSH's wildcards: * is any run of characters, ? is one. Upper and lower case are equal.
func matchPattern(pattern, s string) bool {
	return matchBytes(strings.ToLower(pattern), strings.ToLower(s))
}

func matchBytes(pattern, s string) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
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
