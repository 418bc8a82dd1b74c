package sim

import (
	"hash/fnv"
	"math"
)

// mix is one step of splitmix64 over two words; enough to spread, not to hide.
func mix(a, b uint64) uint64 {
	x := a ^ (b+0x9e3779b97f4a7c15)*0xbf58476d1ce4e5b9
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

func hashString(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// unit is a number in (0, 1) from a hash.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }

// normal is a standard normal deviate from a hash (Box and Muller).
func normal(h uint64) float64 {
	u, v := unit(h), unit(mix(h, 1))
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}
