package bench

import (
	"slices"
	"strconv"
)

// vocabulary draws random prompts of token ids.
type vocabulary struct {
	lo       int
	size     int
	excluded []int // inside the range, sorted
}

func newVocabulary(r TokenRange) vocabulary {
	return vocabulary{lo: r.Lo, size: r.Size(), excluded: r.excluded()}
}

// id gives the nth allowed id: excluded ids at or below it push it up.
func (v vocabulary) id(n int) int {
	id := v.lo + n
	for from := 0; ; {
		below, found := slices.BinarySearch(v.excluded[from:], id)
		if found {
			below++
		}
		if below == 0 {
			return id
		}
		from += below
		id += below
	}
}

// prompt draws n ids and gives them as a JSON array.
func (v vocabulary) prompt(seed uint64, purpose string, i, n int) []byte {
	src := stream(seed, purpose, i)
	out := make([]byte, 0, 7*n+2)
	out = append(out, '[')
	for k := range n {
		if k > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, int64(v.id(below(src, v.size))), 10)
	}
	return append(out, ']')
}
