package stats

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// firstShare of the error rate is spent at the first of two looks.
const firstShare = 0.75

// ErrPlan is wrapped by errors about looks that cannot be taken, or that could never decide.
var ErrPlan = errors.New("unusable plan")

// Plan is when a sample is looked at, frozen before it is drawn.
type Plan struct {
	Alpha float64 // two-sided error rate over all looks
	Looks []int   // one or two sample sizes, ascending
}

// Validate checks the plan's form; it does not ask whether the plan can decide.
func (p Plan) Validate() error {
	switch {
	case !(p.Alpha > 0 && p.Alpha < 1):
		return fmt.Errorf("%w: alpha %v is not between 0 and 1", ErrPlan, p.Alpha)
	case len(p.Looks) < 1 || len(p.Looks) > 2:
		return fmt.Errorf("%w: %d looks, want one or two", ErrPlan, len(p.Looks))
	case p.Looks[0] < 1 || p.Looks[len(p.Looks)-1] > MaxN:
		return fmt.Errorf("%w: looks at %v, want 1 to %d", ErrPlan, p.Looks, MaxN)
	case len(p.Looks) == 2 && p.Looks[0] >= p.Looks[1]:
		return fmt.Errorf("%w: looks at %v are not ascending", ErrPlan, p.Looks)
	}
	return nil
}

// Decides gives the looks at which the plan can reject at all. Empty: it can never decide, and needs FewestFor(Alpha).
func (p Plan) Decides() ([]int, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	able := []int{}
	for i, n := range p.Looks {
		if rejectable(p.spent(i), n) > 0 {
			able = append(able, n)
		}
	}
	return able, nil
}

// spent is the error rate used up to and including look i.
func (p Plan) spent(i int) float64 {
	if len(p.Looks) == 2 && i == 0 {
		return firstShare * p.Alpha
	}
	return p.Alpha
}

// reached is the index of the last look that n values reach, −1 before the first.
func (p Plan) reached(n int) int {
	at := -1
	for i, look := range p.Looks {
		if n >= look {
			at = i
		}
	}
	return at
}

// interval is the interval at look i for the values up to that look.
func (p Plan) interval(sample []float64, i int) Interval {
	means := subsetMeans(sample)
	if i == 0 {
		return intervalOf(means, rejectable(p.spent(0), len(sample)))
	}
	return p.second(sample, means)
}

// second inverts the test of the second look. Its critical count depends on theta, through the magnitudes |x − theta|;
// between the counts that Alpha alone and the part left by the first look allow, the boundary is bisected.
func (p Plan) second(sample, means []float64) Interval {
	least, most := rejectable((1-firstShare)*p.Alpha, len(sample)), rejectable(p.Alpha, len(sample))
	if most == 0 {
		return intervalOf(means, 0)
	}
	boundary := func(at func(k int) float64) int {
		keeps := func(k int) bool { return k >= p.critical(sample, at(k)) }
		lo, hi := max(1, least), most
		for lo < hi {
			if mid := (lo + hi) / 2; keeps(mid) {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		return lo
	}
	lower := func(k int) float64 { return means[k-1] }
	upper := func(k int) float64 { return means[len(means)-k] }
	iv := Interval{Lo: lower(boundary(lower)), Hi: upper(boundary(upper))}
	zero := p.critical(sample, 0)
	iv.Level = 1 - 2*float64(zero)/float64(len(means)+1)
	// The error rate is promised for a true mean of 0, so that 0 is never left out by the bisection alone.
	if (iv.Lo > 0 || iv.Hi < 0) && !rejects(sample, zero) {
		iv.Lo, iv.Hi = math.Min(iv.Lo, 0), math.Max(iv.Hi, 0)
	}
	return iv
}

// rejects says whether the test of "the mean is 0" falls within the critical count.
func rejects(sample []float64, critical int) bool {
	return countAtLeast(absoluteSums(sample, 1<<len(sample)), math.Abs(total(sample)), sample) <= 2*critical
}

// critical is the largest count c, of the 2ⁿ⁻¹ patterns up to a global flip, for which over all patterns the share
// rejected at the first look, or at the second with a count of at most c, stays within Alpha.
func (p Plan) critical(sample []float64, theta float64) int {
	n1, n2 := p.Looks[0], p.Looks[1]
	d := shifted(sample, theta)
	early := p.rejectedEarly(d[:n1])
	sums := absoluteSums(d, 1<<(n2-1)) // the last sign fixed: one of each pair of patterns
	order := largest(sums, rejectable(p.Alpha, n2)+1, tolerance(d))
	left := rejectable(p.Alpha, n2)
	for pattern := range sums {
		if early[pattern&(1<<n1-1)] {
			left--
		}
	}
	return largestWithin(order, sums, left, tolerance(d), func(pattern int) bool { return early[pattern&(1<<n1-1)] })
}

// largest gives the patterns of the n largest sums in descending order, more where sums tie. No more can be critical:
// Alpha bounds the patterns rejected at both looks together.
func largest(sums []float64, n int, tol float64) []int {
	cut := ranked(slices.Clone(sums), max(0, len(sums)-n)) - 2*tol
	var order []int
	for pattern, s := range sums {
		if s >= cut {
			order = append(order, pattern)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sums[b], sums[a]) })
	return order
}

// ranked is the value at index i of the ascending order of v, which it rearranges: Hoare's selection.
func ranked(v []float64, i int) float64 {
	for lo, hi := 0, len(v)-1; lo < hi; {
		pivot, a, b := v[lo+(hi-lo)/2], lo, hi
		for a <= b {
			for v[a] < pivot {
				a++
			}
			for v[b] > pivot {
				b--
			}
			if a <= b {
				v[a], v[b] = v[b], v[a]
				a, b = a+1, b-1
			}
		}
		switch {
		case i <= b:
			hi = b
		case i >= a:
			lo = a
		default:
			return v[i]
		}
	}
	return v[i]
}

// largestWithin walks patterns from the largest sum down and gives the longest prefix, ties whole, that adds at most
// left patterns which were not rejected before.
func largestWithin(order []int, sums []float64, left int, tol float64, before func(pattern int) bool) int {
	critical, added := 0, 0
	for i, pattern := range order {
		if !before(pattern) {
			added++
		}
		if added > left {
			break
		}
		if i+1 == len(order) || sums[order[i+1]] < sums[pattern]-tol {
			critical = i + 1
		}
	}
	return critical
}

// rejectedEarly says for each pattern of the first look whether it is rejected there.
func (p Plan) rejectedEarly(d []float64) []bool {
	sums := absoluteSums(d, 1<<len(d))
	ascending := slices.Sorted(slices.Values(sums))
	allowed, tol := 2*rejectable(p.spent(0), len(d)), tolerance(d)
	out := make([]bool, len(sums))
	for pattern, s := range sums {
		below, _ := slices.BinarySearch(ascending, s-tol)
		out[pattern] = len(ascending)-below <= allowed
	}
	return out
}
