package sim

import (
	"math"
	"strconv"
	"strings"
)

// wordOf is the text of a token: visible ASCII, distinct for each id, so that text and ids go back and forth
// without loss. Words are separated by the space they start with when decoded.
func wordOf(id int) string { return "w" + strconv.FormatInt(int64(id), 36) }

// encode turns text into ids. Words made by wordOf get their id back, all others one from their hash.
func (m Model) encode(text string) []int {
	words := strings.Fields(text)
	ids := make([]int, 0, len(words))
	for _, w := range words {
		if n, err := strconv.ParseInt(strings.TrimPrefix(w, "w"), 36, 64); err == nil && w[0] == 'w' && n >= 0 && n < int64(m.Vocab) && wordOf(int(n)) == w {
			ids = append(ids, int(n))
			continue
		}
		ids = append(ids, int(hashString(w)%uint64(m.specialFrom())))
	}
	return ids
}

// decode is the text of ids, each word after a space.
func decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteByte(' ')
		b.WriteString(wordOf(id))
	}
	return b.String()
}

// generator makes the tokens of one request: a hash of the model, the prompt, the sampling and the position. Engines,
// batches, patches and chunking do not enter, so equal requests get equal tokens everywhere.
type generator struct {
	model Model
	state uint64
	eos   bool // may end the text by itself
	seen  int
}

// eosOneIn is how rare the end of text is where it is not ignored.
const eosOneIn = 200

func newGenerator(m Model, prompt []int, s sampling) *generator {
	h := mix(m.fingerprint, uint64(len(prompt)))
	for _, id := range prompt {
		h = mix(h, uint64(id))
	}
	if s.temperature > 0 {
		h = mix(h, mix(math.Float64bits(s.temperature), s.seed))
		h = mix(h, mix(math.Float64bits(s.topP), uint64(s.topK)))
	}
	return &generator{model: m, state: h, eos: !s.ignoreEOS}
}

// next is the next token and its natural-log probability.
func (g *generator) next() (id int, logprob float64) {
	h := mix(g.state, uint64(g.seen))
	g.seen++
	logprob = -0.02 + 0.9*math.Log(unit(mix(h, 7)))*unit(mix(h, 8))
	if g.eos && h%eosOneIn == 0 {
		return g.model.EOS, logprob
	}
	return int((h >> 8) % uint64(g.model.specialFrom())), logprob
}

// alternatives are n less likely tokens than t with their log probabilities, falling. It reads only what is fixed at
// the start, so it may run beside next.
func (g *generator) alternatives(t token, n int) ([]int, []float64) {
	ids, probs := make([]int, 0, n), make([]float64, 0, n)
	at := math.Min(t.logprob, math.Log(math.Max(1e-9, 1-math.Exp(t.logprob))))
	for i := range n {
		h := mix(mix(g.state, uint64(t.position)), uint64(1000+i))
		other := int(h % uint64(g.model.specialFrom()))
		if other == t.id {
			other = (other + 1) % g.model.specialFrom()
		}
		at -= 0.05 + 0.6*unit(mix(h, 3))
		ids, probs = append(ids, other), append(probs, at)
	}
	return ids, probs
}

// sampling is what of a request decides its tokens.
type sampling struct {
	temperature float64
	topP        float64
	topK        int
	seed        uint64
	ignoreEOS   bool
}
