package trace

import "slices"

// index finds records by id. Ids repeat across profiling windows merged into one file, so a lookup gives
// every record of an id, in the order they were read.
type index []uint64 // id<<32 | record, sorted

// newIndex indexes n records; those with id 0 have none.
func newIndex(n int, id func(i int) uint32) index {
	x := make(index, 0, n)
	for i := range n {
		if v := id(i); v != 0 {
			x = append(x, uint64(v)<<32|uint64(uint32(i)))
		}
	}
	if !slices.IsSorted(x) {
		slices.Sort(x)
	}
	return x
}

// all gives the entries of an id; their low 32 bits are the records.
func (x index) all(id uint32) []uint64 {
	from, _ := slices.BinarySearch(x, uint64(id)<<32)
	to := from
	for to < len(x) && uint32(x[to]>>32) == id {
		to++
	}
	return x[from:to]
}

// clockSlack is how far a GPU event may seem to precede its launch: the GPU's clock is converted.
const clockSlack = 20_000

// nearest picks, among the records of an id, the one that began last before ts; when all began later,
// the first. It is -1 for no records.
func nearest(records []uint64, ts int64, begin func(i int) int64) int {
	if len(records) == 0 {
		return -1
	}
	best, bestTS := -1, int64(0)
	early, earlyTS := int(uint32(records[0])), int64(1<<63-1)
	for _, r := range records {
		i := int(uint32(r))
		at := begin(i)
		if at <= ts+clockSlack && (best < 0 || at > bestTS) {
			best, bestTS = i, at
		}
		if at < earlyTS {
			early, earlyTS = i, at
		}
	}
	if best < 0 {
		return early
	}
	return best
}
