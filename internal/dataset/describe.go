package dataset

import (
	"math"

	"github.com/sotaloop/sotaloop/internal/stats"
)

// The kind and version of a description's JSON form.
const (
	DescriptionKind    = "sotaloop.dataset"
	DescriptionVersion = 1
)

// Quantiles are of type 7, over all rows.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// SharedPrefix is how much of the prompts an earlier answer's cache could hold; docs/DATASETS.md defines it.
type SharedPrefix struct {
	BlockChars int     `json:"block_chars"`
	Share      float64 `json:"share"` // of all characters of all prompts
}

// Description is the figures of a dataset. It never holds text: Samples does.
type Description struct {
	Kind          string       `json:"kind"`
	V             int          `json:"v"`
	Digest        string       `json:"digest"`
	Content       string       `json:"content,omitempty"` // left out for a private dataset
	Format        Format       `json:"format"`
	Shape         Shape        `json:"shape"`
	Private       bool         `json:"private"`
	Rows          int          `json:"rows"`
	Conversations int          `json:"conversations"`
	Duplicates    int          `json:"duplicates"` // rows whose prompt stands in an earlier row
	PromptChars   Quantiles    `json:"prompt_chars"`
	PromptTokens  *Quantiles   `json:"prompt_tokens,omitempty"`
	OutputLen     Quantiles    `json:"output_len"`
	LongestChars  int          `json:"longest_chars"`            // of a prompt
	LongestOutput int          `json:"longest_output"`           // tokens
	LongestTokens *int         `json:"longest_tokens,omitempty"` // of prompt and output together
	Tokenizer     string       `json:"tokenizer,omitempty"`      // digest of the tokenizer that counted
	SharedPrefix  SharedPrefix `json:"shared_prefix"`
	SpanS         *float64     `json:"span_s,omitempty"`  // last timestamp minus first
	Parts         map[Part]int `json:"parts"`             // rows that may be drawn, divided by conversation
	Windows       map[Part]int `json:"windows,omitempty"` // the same, divided by time
	Skipped       []Skip       `json:"skipped"`
}

// DefaultBlockChars is the block of SharedPrefix: about sixteen tokens of English, a page of the common caches.
const DefaultBlockChars = 64

// Describe reads the dataset once, again only where its prefixes do not fit into memory at this block.
func Describe(s *Set, count func(string) int) (Description, error) {
	d := Description{Kind: DescriptionKind, V: DescriptionVersion, Digest: s.Digest, Format: s.Format, Shape: s.Shape, Private: s.Private(),
		Rows: s.Len(), Skipped: append([]Skip{}, s.Skipped...)}
	if !s.Private() {
		d.Content = s.Content
	}
	s.counts(&d)
	chars, output := make([]float64, 0, s.Len()), make([]float64, 0, s.Len())
	var tokens []float64
	longest := 0
	err := s.each(func(_ int, r Row) error {
		text := r.Text()
		n := characters(text)
		chars, output = append(chars, float64(n)), append(output, float64(r.OutputLen))
		d.LongestChars, d.LongestOutput = max(d.LongestChars, n), max(d.LongestOutput, r.OutputLen)
		if count != nil {
			n := count(text)
			tokens, longest = append(tokens, float64(n)), max(longest, n+r.OutputLen)
		}
		return nil
	})
	if err != nil {
		return d, err
	}
	d.PromptChars, d.OutputLen = quantiles(chars), quantiles(output)
	if count != nil {
		q := quantiles(tokens)
		d.PromptTokens, d.LongestTokens = &q, &longest
	}
	if d.SharedPrefix, err = s.sharedPrefix(DefaultBlockChars, maxPrefixes); err != nil {
		return d, err
	}
	return d, s.parts(&d)
}

// counts sets what the index knows.
func (ix *Index) counts(d *Description) {
	conversations, prompts := map[[16]byte]bool{}, map[[16]byte]bool{}
	for _, e := range ix.rows {
		if prompts[e.prompt] {
			d.Duplicates++
		}
		conversations[e.conv], prompts[e.prompt] = true, true
	}
	d.Conversations = len(conversations)
	if ix.Timed {
		span := ix.rows[len(ix.rows)-1].at - ix.rows[0].at
		d.SpanS = &span
	}
}

// parts sets the sizes of the divisions.
func (ix *Index) parts(d *Description) error {
	by, err := Divide(ix, ByConversation)
	if err != nil {
		return err
	}
	d.Parts = by.Sizes()
	if !ix.Timed {
		return nil
	}
	if by, err = Divide(ix, ByTime); err != nil {
		return err
	}
	d.Windows = by.Sizes()
	return nil
}

func quantiles(sample []float64) Quantiles {
	return Quantiles{P50: stats.Quantile(sample, 0.5), P95: stats.Quantile(sample, 0.95)}
}

// maxPrefixes bounds the distinct prefixes kept: about a gibibyte.
const maxPrefixes = 24 << 20

// sharedPrefix doubles the block until the prefixes fit.
func (s *Set) sharedPrefix(block, most int) (SharedPrefix, error) {
	for ; ; block *= 2 {
		p := prefixes{block: block, most: most, owner: map[uint64]int32{}, shared: make([]int32, s.Len())}
		if err := s.each(p.add); err != nil {
			return SharedPrefix{}, err
		}
		if len(p.owner) <= most || block > math.MaxInt32/2 {
			return SharedPrefix{BlockChars: block, Share: p.share()}, nil
		}
	}
}

// prefixes finds, for each row, how many leading blocks of its prompt another row's prompt begins with too. A prefix
// is known by a 64-bit hash of all characters up to a block's end. The first row with a prefix owns it; a later one
// marks itself and the owner, so that one pass is enough.
type prefixes struct {
	block  int
	most   int
	owner  map[uint64]int32
	shared []int32 // blocks, of each row
	total  int     // characters of all prompts
}

func (p *prefixes) add(i int, r Row) error {
	hash, n := uint64(14695981039346656037), 0 // FNV-1a
	text := r.Text()
	for _, c := range text {
		if n > 0 && n%p.block == 0 {
			p.mark(hash, int32(n/p.block), int32(i)) //nolint:gosec // bounded by the reader
		}
		n++
		for shift := 0; shift < 24; shift += 8 {
			hash = (hash ^ uint64(c>>shift&0xff)) * 1099511628211 //nolint:gosec // one byte
		}
	}
	if n > 0 && n%p.block == 0 {
		p.mark(hash, int32(n/p.block), int32(i)) //nolint:gosec // bounded by the reader
	}
	p.total += n
	return nil
}

func (p *prefixes) mark(hash uint64, depth, row int32) {
	if len(p.owner) > p.most {
		return // too many: the pass will be made again with larger blocks
	}
	owner, known := p.owner[hash]
	if !known {
		p.owner[hash] = row
		return
	}
	p.shared[row] = max(p.shared[row], depth)
	p.shared[owner] = max(p.shared[owner], depth)
}

func (p *prefixes) share() float64 {
	sum := 0
	for _, n := range p.shared {
		sum += int(n) * p.block
	}
	return float64(sum) / float64(max(p.total, 1))
}
