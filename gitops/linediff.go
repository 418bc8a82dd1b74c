package gitops

// change replaces lines a[aFrom:aTo] by b[bFrom:bTo].
type change struct{ aFrom, aTo, bFrom, bTo int }

// maxEdits bounds the search for a shortest edit script. A region that needs more is cut at lines that are unique
// on both sides (patience), or replaced whole.
const maxEdits = 600

// lineDiff gives the changes from a to b, in order, with at least one common line between two of them. It depends on
// nothing but the lines: every release must render the same diff for the same trees, since diffs are signed.
func lineDiff(a, b [][]byte) []change {
	ids := map[string]int{}
	d := &differ{a: number(ids, a), b: number(ids, b)}
	d.region(0, len(a), 0, len(b))
	d.slide()
	return d.changes
}

// slide moves each pure insertion or deletion as far down as it reads the same, as git does: "}, def f() {" becomes
// "def f() { }". Changes never meet.
func (d *differ) slide() {
	for i := range d.changes {
		c := &d.changes[i]
		end := len(d.a)
		if i+1 < len(d.changes) {
			end = d.changes[i+1].aFrom - 1 // one common line stays
		}
		lines, from, to := d.b, c.bFrom, c.bTo
		if c.bFrom == c.bTo {
			lines, from, to = d.a, c.aFrom, c.aTo
		} else if c.aFrom != c.aTo {
			continue
		}
		by := 0
		for c.aTo+by < end && lines[from+by] == lines[to+by] {
			by++
		}
		*c = change{c.aFrom + by, c.aTo + by, c.bFrom + by, c.bTo + by}
	}
}

// number gives equal lines equal numbers.
func number(ids map[string]int, lines [][]byte) []int {
	out := make([]int, len(lines))
	for i, l := range lines {
		id, ok := ids[string(l)]
		if !ok {
			id = len(ids)
			ids[string(l)] = id
		}
		out[i] = id
	}
	return out
}

type differ struct {
	a, b    []int
	changes []change
}

// emit adds a change and joins it with the one before where they touch.
func (d *differ) emit(c change) {
	if n := len(d.changes); n > 0 {
		if last := &d.changes[n-1]; last.aTo == c.aFrom && last.bTo == c.bFrom {
			last.aTo, last.bTo = c.aTo, c.bTo
			return
		}
	}
	d.changes = append(d.changes, c)
}

// region finds the changes between a[aLo:aHi] and b[bLo:bHi].
func (d *differ) region(aLo, aHi, bLo, bHi int) {
	for aLo < aHi && bLo < bHi && d.a[aLo] == d.b[bLo] {
		aLo, bLo = aLo+1, bLo+1
	}
	for aLo < aHi && bLo < bHi && d.a[aHi-1] == d.b[bHi-1] {
		aHi, bHi = aHi-1, bHi-1
	}
	switch {
	case aLo == aHi && bLo == bHi:
	case aLo == aHi || bLo == bHi:
		d.emit(change{aLo, aHi, bLo, bHi})
	case d.shortest(aLo, aHi, bLo, bHi):
	default:
		anchors := d.anchors(aLo, aHi, bLo, bHi)
		if len(anchors) == 0 {
			d.emit(change{aLo, aHi, bLo, bHi})
			return
		}
		for _, p := range anchors {
			d.region(aLo, p[0], bLo, p[1])
			aLo, bLo = p[0]+1, p[1]+1
		}
		d.region(aLo, aHi, bLo, bHi)
	}
}

// shortest is Myers' greedy algorithm (An O(ND) Difference Algorithm, 1986), given up after maxEdits.
func (d *differ) shortest(aLo, aHi, bLo, bHi int) bool {
	n, m := aHi-aLo, bHi-bLo
	var trace [][]int // trace[e][k+e] is the furthest x on diagonal k (= x-y) after e edits, -1 if there is none
	for e := 0; e <= min(maxEdits, n+m); e++ {
		row := make([]int, 2*e+1)
		for k := -e; k <= e; k++ {
			x, _ := step(trace, k, n, m)
			for x >= 0 && x < n && x-k < m && d.a[aLo+x] == d.b[bLo+x-k] {
				x++
			}
			row[k+e] = x
		}
		trace = append(trace, row)
		if k := n - m; -e <= k && k <= e && row[k+e] == n {
			d.walkBack(trace, aLo, bLo, n, m)
			return true
		}
	}
	return false
}

// step gives the furthest x on diagonal k one edit after the last row of trace, -1 if none, and whether the edit
// takes a line of b (insertion) rather than one of a (deletion).
func step(trace [][]int, k, n, m int) (x int, insertion bool) {
	e := len(trace)
	if e == 0 {
		return 0, false
	}
	at := func(k int) int {
		if k+e-1 < 0 || k+e-1 >= len(trace[e-1]) {
			return -1
		}
		return trace[e-1][k+e-1]
	}
	del, ins := at(k-1)+1, at(k+1)
	if del == 0 || del > n {
		del = -1
	}
	if ins < 0 || ins-k > m {
		ins = -1
	}
	return max(del, ins), ins >= del
}

// walkBack emits the edit script that ends at (n, m).
func (d *differ) walkBack(trace [][]int, aLo, bLo, n, m int) {
	var script []change
	k := n - m
	for e := len(trace) - 1; e > 0; e-- {
		x, insertion := step(trace[:e], k, n, m)
		i, j := aLo+x, bLo+x-k
		if insertion {
			script = append(script, change{i, i, j - 1, j})
			k++
		} else {
			script = append(script, change{i - 1, i, j, j})
			k--
		}
	}
	for i := len(script) - 1; i >= 0; i-- {
		d.emit(script[i])
	}
}

// anchors gives the longest rising run of lines that occur once in each region, as index pairs.
func (d *differ) anchors(aLo, aHi, bLo, bHi int) [][2]int {
	type seen struct{ inA, inB, at int }
	count := map[int]seen{}
	for i := bLo; i < bHi; i++ {
		s := count[d.b[i]]
		count[d.b[i]] = seen{s.inA, s.inB + 1, i}
	}
	for i := aLo; i < aHi; i++ {
		s := count[d.a[i]]
		s.inA++
		count[d.a[i]] = s
	}
	var pairs [][2]int
	for i := aLo; i < aHi; i++ {
		if s := count[d.a[i]]; s.inA == 1 && s.inB == 1 {
			pairs = append(pairs, [2]int{i, s.at})
		}
	}
	return longestRising(pairs)
}

// longestRising gives a longest subsequence whose second numbers rise (patience sorting with back links).
func longestRising(pairs [][2]int) [][2]int {
	var tops []int // tops[l] ends the rising run of length l+1 with the least second number
	back := make([]int, len(pairs))
	for i, p := range pairs {
		lo, hi := 0, len(tops)
		for lo < hi {
			if mid := (lo + hi) / 2; pairs[tops[mid]][1] < p[1] {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		back[i] = -1
		if lo > 0 {
			back[i] = tops[lo-1]
		}
		if lo == len(tops) {
			tops = append(tops, i)
		} else {
			tops[lo] = i
		}
	}
	out := make([][2]int, len(tops))
	if len(tops) > 0 {
		for l, i := len(tops)-1, tops[len(tops)-1]; l >= 0; l, i = l-1, back[i] {
			out[l] = pairs[i]
		}
	}
	return out
}
