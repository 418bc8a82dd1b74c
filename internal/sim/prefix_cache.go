package sim

// prefixCache remembers which prompt prefixes have been computed, by hash of every prefix that ends on a block. It is
// forgotten as a whole when it would outgrow the pool; which entries an engine evicts first is not modelled.
type prefixCache struct {
	block   int // tokens
	limit   int // blocks
	entries map[uint64]struct{}
	asked   int // tokens looked up, and found
	found   int
}

func newPrefixCache(tokens int) *prefixCache {
	const block = 16
	return &prefixCache{block: block, limit: max(1, tokens/block), entries: map[uint64]struct{}{}}
}

// hashes are the prefix hashes at block ends.
func (c *prefixCache) hashes(prompt []int) []uint64 {
	out := make([]uint64, 0, len(prompt)/c.block)
	h := uint64(0x5eed)
	for i, id := range prompt {
		h = mix(h, uint64(id))
		if (i+1)%c.block == 0 {
			out = append(out, h)
		}
	}
	return out
}

// match is how many leading tokens are cached. At least one token is always computed.
func (c *prefixCache) match(prompt []int) int {
	n := 0
	for _, h := range c.hashes(prompt) {
		if _, ok := c.entries[h]; !ok {
			break
		}
		n += c.block
	}
	n = min(n, len(prompt)-1)
	c.asked += len(prompt)
	c.found += n
	return n
}

// insert remembers a computed prompt.
func (c *prefixCache) insert(prompt []int) {
	hs := c.hashes(prompt)
	if len(c.entries)+len(hs) > c.limit {
		c.flush()
	}
	for _, h := range hs {
		c.entries[h] = struct{}{}
	}
}

func (c *prefixCache) flush() { clear(c.entries) }
