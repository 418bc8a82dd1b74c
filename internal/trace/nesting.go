package trace

import "math"

// nesting goes through sorted intervals in time and tells, stretch by stretch, which of those on its stack
// was put there last and still runs. Whoever goes through the list decides what is put there.
type nesting struct {
	list  []nested
	ran   func(i int, at interval)
	stack []int
	now   int64
}

// advance goes on to the begin of interval i; on another thread nothing of the one before still runs.
func (n *nesting) advance(i int) {
	if i > 0 && n.list[i-1].thread != n.list[i].thread {
		n.run(math.MaxInt64)
	}
	n.run(n.list[i].ts)
	n.now = n.list[i].ts
}

// run goes on to a moment.
func (n *nesting) run(until int64) {
	for len(n.stack) > 0 {
		top := n.stack[len(n.stack)-1]
		if end := min(n.list[top].end, until); end > n.now {
			n.ran(top, interval{n.now, end})
			n.now = end
		}
		if n.list[top].end > until {
			return
		}
		n.stack = n.stack[:len(n.stack)-1]
	}
}
