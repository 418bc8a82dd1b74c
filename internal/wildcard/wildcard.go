// Package wildcard matches the patterns that OpenSSH's files and ours are written with. It knows nothing of lists,
// negations or case: those are the files' own.
package wildcard

import "strings"

// Match says whether a pattern matches all of s: * for any run of bytes, ? for one. It never looks back further than the
// last star, so that no pattern makes it slow.
func Match(pattern, s string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, from = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
