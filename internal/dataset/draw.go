package dataset

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Draw names the rows of one block. Equal draws give equal rows, on every side and every machine.
type Draw struct {
	Seed     uint64 `json:"seed,string"`
	Phase    string `json:"phase"`
	Scenario string `json:"scenario"`
	Block    int    `json:"block"` // from 0
	Part     Part   `json:"part"`
	Prompts  int    `json:"prompts"`
	Warmup   int    `json:"warmup"`
	Reuse    Reuse  `json:"reuse,omitempty"`
}

// Drawn is numbers of rows.
type Drawn struct {
	Rows   []int // measured, in the order of sending
	Warmup []int // for everything unmeasured: no row, prompt or conversation of Rows (by time: no row or prompt)
}

// Draw takes the rows of a block. By conversation: conversations are put in an order by seed, phase and scenario, and
// block after block takes whole ones, for the warm-up first; where it needs a part of the last one only, the rest is
// drawn by nobody. Within a draw the rows of its conversations are interleaved, each conversation in its own order.
// By time: block after block takes the rows that follow, the warm-up's before the measured ones.
func (d *Division) Draw(a Draw) (Drawn, error) {
	need := Need{Scenario: a.Scenario, Prompts: a.Prompts, Warmup: a.Warmup, Draws: map[Part]int{a.Part: a.Block + 1}, Reuse: a.Reuse}
	if err := need.check(); err != nil {
		return Drawn{}, err
	}
	if err := a.Part.check(); err != nil {
		return Drawn{}, err
	}
	block := a.Block
	if a.Reuse == ReuseBlocks {
		block = 0
	}
	if d.By == ByTime {
		return d.window(a, need, block)
	}
	walk := &walk{groups: d.order(a)}
	var out Drawn
	for b := range block + 1 {
		warm, rows := walk.take(a.Warmup), walk.take(a.Prompts)
		if rows == nil || warm == nil {
			return Drawn{}, d.exhausted(need)
		}
		if b == block {
			out = Drawn{Rows: a.interleave("measured", rows), Warmup: a.interleave("warmup", warm)}
		}
	}
	return out, nil
}

// order sorts the conversations of the part by a hash under the draw's names; rows that are added later stand between
// the others without changing their order.
func (d *Division) order(a Draw) []group {
	type keyed struct {
		key uint64
		group
	}
	all := make([]keyed, 0, len(d.groups[a.Part]))
	for _, g := range d.groups[a.Part] {
		all = append(all, keyed{a.key("order", string(g.conv[:])), g})
	}
	slices.SortFunc(all, func(x, y keyed) int {
		return cmp.Or(cmp.Compare(x.key, y.key), slices.Compare(x.conv[:], y.conv[:]))
	})
	out := make([]group, len(all))
	for i, k := range all {
		out[i] = k.group
	}
	return out
}

// key hashes the draw's names, without the block, and more.
func (a Draw) key(more ...string) uint64 {
	h := sha256.New()
	for _, part := range append([]string{"sotaloop.dataset.draw/1", strconv.FormatUint(a.Seed, 10), a.Phase, a.Scenario}, more...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// walk takes conversations one after the other.
type walk struct{ groups []group }

// take gives n rows of the next conversations, nil if there are not enough.
func (w *walk) take(n int) []group {
	out := []group{}
	for ; n > 0; w.groups = w.groups[1:] {
		if len(w.groups) == 0 {
			return nil
		}
		g := w.groups[0]
		g.rows = g.rows[:min(n, len(g.rows))]
		out, n = append(out, g), n-len(g.rows)
	}
	return out
}

// interleave mixes conversations: each row draws a place, and each conversation fills its places in its own order.
func (a Draw) interleave(purpose string, groups []group) []int {
	type place struct {
		key   uint64
		group int
	}
	places := []place{}
	for i, g := range groups {
		for k := range g.rows {
			places = append(places, place{a.key(purpose, string(g.conv[:]), strconv.Itoa(k)), i})
		}
	}
	slices.SortFunc(places, func(x, y place) int { return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.group, y.group)) })
	sent := make([]int, len(groups))
	out := make([]int, len(places))
	for i, p := range places {
		out[i] = groups[p.group].rows[sent[p.group]]
		sent[p.group]++
	}
	return out
}

// window takes the rows of a block by time. A warm-up row that repeats a measured prompt is left out.
func (d *Division) window(a Draw, need Need, block int) (Drawn, error) {
	rows, size := d.rows[a.Part], a.Prompts+a.Warmup
	if (block+1)*size > len(rows) {
		return Drawn{}, d.exhausted(need)
	}
	rows = rows[block*size : (block+1)*size]
	out := Drawn{Warmup: []int{}, Rows: slices.Clone(rows[a.Warmup:])}
	measured := map[[16]byte]bool{}
	for _, i := range out.Rows {
		measured[d.ix.rows[i].prompt] = true
	}
	for _, i := range rows[:a.Warmup] {
		if !measured[d.ix.rows[i].prompt] {
			out.Warmup = append(out.Warmup, i)
		}
	}
	if a.Warmup > 0 && len(out.Warmup) == 0 {
		return Drawn{}, fault.New(fault.InvalidInput, "dataset %s: block %d of scenario %q: every row before the window repeats a prompt of the window", d.ix.Digest, a.Block, a.Scenario).
			Hint("ask for more rows for the warm-up, or give a trace whose prompts differ")
	}
	return out, nil
}

// exhausted is the refusal of Suffices; a draw can fail only where that refuses too.
func (d *Division) exhausted(n Need) error {
	if err := d.Suffices(n); err != nil {
		return err
	}
	return fault.New(fault.Internal, "dataset %s: a draw that should suffice did not", d.ix.Digest)
}
