package trace

import (
	"cmp"
	"slices"
	"sort"
)

// index finds records by id. Ids repeat across profiling windows merged into one file, so a lookup gives
// every record of an id, in order of time.
type index struct {
	entries []uint64 // id<<32 | record, sorted by id
	begin   func(i int) int64
}

// newIndex indexes n records by id and by when they begin; those with id 0 have none.
func newIndex(n int, id func(i int) uint32, begin func(i int) int64) index {
	x := make([]uint64, 0, n)
	for i := range n {
		if v := id(i); v != 0 {
			x = append(x, uint64(v)<<32|uint64(uint32(i)))
		}
	}
	if !slices.IsSorted(x) {
		slices.Sort(x)
	}
	for from := 0; from < len(x); {
		to := from + 1
		for to < len(x) && x[to]>>32 == x[from]>>32 {
			to++
		}
		if to > from+1 {
			slices.SortStableFunc(x[from:to], func(a, b uint64) int { return cmp.Compare(begin(int(uint32(a))), begin(int(uint32(b)))) })
		}
		from = to
	}
	return index{entries: x, begin: begin}
}

// clockSlack is how far a GPU event may seem to precede its launch: the GPU's clock is converted.
const clockSlack = 20_000

// nearest picks, among the records of an id, the one that began last before ts; when all began later,
// the first. It is -1 for no records. It takes few steps however often the id occurs.
func (x index) nearest(id uint32, ts int64) int {
	from, _ := slices.BinarySearch(x.entries, uint64(id)<<32)
	if from == len(x.entries) || uint32(x.entries[from]>>32) != id {
		return -1
	}
	rest := x.entries[from:]
	same := rest[:sort.Search(len(rest), func(i int) bool { return uint32(rest[i]>>32) != id })]
	at := func(i int) int64 { return x.begin(int(uint32(same[i]))) }
	after := sort.Search(len(same), func(i int) bool { return at(i) > ts+clockSlack })
	if after == 0 {
		return int(uint32(same[0]))
	}
	first := sort.Search(after, func(i int) bool { return at(i) >= at(after-1) }) // of those that began together
	return int(uint32(same[first]))
}
