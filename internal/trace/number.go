package trace

import (
	"math"
	"strconv"
)

// maxMicros bounds times: 2^62 nanoseconds are 146 years, more than any clock of a trace shows.
const maxMicros = float64(1<<62) / 1000

// parseNanos reads a JSON number of microseconds as nanoseconds, rounding further digits half up. ok is
// false for what is no finite number in range.
func parseNanos(b []byte) (ns int64, ok bool) {
	i, neg := 0, false
	if len(b) > 0 && b[0] == '-' {
		i, neg = 1, true
	}
	start := i
	var v int64
	for i < len(b) && b[i]-'0' <= 9 {
		v = v*10 + int64(b[i]-'0')
		i++
	}
	if i == start || i-start > 16 || v > int64(maxMicros) {
		return slowNanos(b)
	}
	v *= 1000
	if i < len(b) && b[i] == '.' {
		i++
		scale := int64(100)
		for first := i; i < len(b) && b[i]-'0' <= 9; i++ {
			switch {
			case i-first < 3:
				v += scale * int64(b[i]-'0')
				scale /= 10
			case i-first == 3 && b[i] >= '5':
				v++
			}
		}
	}
	if i != len(b) {
		return slowNanos(b)
	}
	if neg {
		v = -v
	}
	return v, true
}

// slowNanos handles exponents and anything unusual.
func slowNanos(b []byte) (int64, bool) {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(v) || math.Abs(v) >= maxMicros {
		return 0, false
	}
	return int64(math.Round(v * 1000)), true
}

// parseInt reads a JSON integer; a quoted one counts, too, as some writers quote ids.
func parseInt(b []byte) (int64, bool) {
	if len(b) > 1 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	i, neg := 0, false
	if len(b) > 0 && b[0] == '-' {
		i, neg = 1, true
	}
	if i == len(b) || len(b)-i > 18 {
		return 0, false
	}
	var v int64
	for ; i < len(b); i++ {
		if b[i]-'0' > 9 {
			return 0, false
		}
		v = v*10 + int64(b[i]-'0')
	}
	if neg {
		v = -v
	}
	return v, true
}
