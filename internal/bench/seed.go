package bench

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"strconv"
)

// MixSeed gives the seed of one block's draws: seed ⊕ hash(phase, scenario, block). It is equal for every side of a
// block, and differs between blocks, scenarios and phases, so that blocks never see the search's prompts.
func MixSeed(seed uint64, phase, scenario string, block int) uint64 {
	return seed ^ hash64("sotaloop.seed/1", phase, scenario, strconv.Itoa(block))
}

// hash64 is the first eight bytes of SHA-256 over the parts, each closed by a zero byte.
func hash64(parts ...string) uint64 {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// stream gives an independent source for draw i of a named purpose; draws can be made in any order.
func stream(seed uint64, purpose string, i int) *rand.PCG {
	return rand.NewPCG(seed^hash64("sotaloop.stream/1", purpose), uint64(i)) //nolint:gosec // a bit pattern, not a number
}

// exponential draws a gap of a Poisson process at rate (1/s), in seconds. It is written out, since the library's own
// variate may change between releases and draws must not.
func exponential(src rand.Source, rate float64) float64 {
	u := float64(src.Uint64()>>11+1) / (1 << 53) // (0, 1]
	return -math.Log(u) / rate
}

// below draws an integer in [0, n) by the high word of a 128-bit product; the bias is below n/2⁶⁴.
func below(src rand.Source, n int) int {
	high, _ := bits.Mul64(src.Uint64(), uint64(n)) //nolint:gosec // n > 0
	return int(high)                               //nolint:gosec // below n
}
