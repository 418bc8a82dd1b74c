package loop

import (
	"maps"
	"slices"
)

// sortedKeys gives a map's keys in order; never nil.
func sortedKeys[V any](m map[string]V) []string {
	return append([]string{}, slices.Sorted(maps.Keys(m))...)
}

// nearest gives the valid name at most two edits away from got, "" where none is.
func nearest(got string, valid []string) string {
	best, near := 3, ""
	for _, v := range valid {
		if d := edits(got, v); d < best {
			best, near = d, v
		}
	}
	return near
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
