package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Reuse is the recorded alternative for a dataset that is too small.
type Reuse string

// The choices of reuse.
const (
	ReuseNone   Reuse = ""       // every block has rows of its own
	ReuseBlocks Reuse = "blocks" // every block of a part has the same rows; the prefix cache is flushed between
)

// Need is what one scenario takes from a dataset.
type Need struct {
	Scenario string
	Prompts  int // measured rows of one draw
	Warmup   int // rows of one draw for everything unmeasured
	Draws    map[Part]int
	Reuse    Reuse
}

// Bounds of NeedOf.
const (
	defaultWindow = time.Minute // the load generator's shortest open-loop window
	mostWarmup    = 256         // the largest settling wave
)

// NeedOf says what a scenario takes. An open loop goes on for its window, so it may send more than num_prompts; Poisson
// arrivals get five standard deviations beyond the mean. window 0 is the load generator's default.
func NeedOf(s contract.Scenario, window time.Duration, draws map[Part]int, reuse Reuse) Need {
	if window <= 0 {
		window = defaultWindow
	}
	n := float64(s.NumPrompts)
	if s.RequestRate != nil && (s.Arrival == contract.ArrivalPoisson || s.Arrival == contract.ArrivalConstant) {
		n = math.Ceil(max(n, *s.RequestRate*window.Seconds()))
		if s.Arrival == contract.ArrivalPoisson {
			n = math.Ceil(n + 5*math.Sqrt(n))
		}
	}
	prompts := int(min(n, 1<<31))
	return Need{Scenario: s.Name, Prompts: prompts, Warmup: min(prompts, mostWarmup), Draws: draws, Reuse: reuse}
}

// check refuses a need that asks for nothing.
func (n Need) check() error {
	if n.Prompts < 1 || n.Warmup < 0 || n.Prompts > 1<<31 || n.Warmup > 1<<31 {
		return fault.New(fault.InvalidInput, "dataset: scenario %q asks for %d prompts and %d for the warm-up", n.Scenario, n.Prompts, n.Warmup).At("prompts", fmt.Sprint(n.Prompts))
	}
	if n.Reuse != ReuseNone && n.Reuse != ReuseBlocks {
		return fault.New(fault.InvalidInput, "dataset: unknown reuse %q", n.Reuse).At("reuse", string(n.Reuse), string(ReuseBlocks))
	}
	for p, draws := range n.Draws {
		if err := p.check(); err != nil {
			return err
		}
		if draws < 0 || draws > 1<<20 {
			return fault.New(fault.InvalidInput, "dataset: %d draws from %s", draws, p).At("draws", fmt.Sprint(draws))
		}
	}
	return nil
}

// draws is how many different draws a part gives.
func (n Need) draws(p Part) int {
	if n.Reuse == ReuseBlocks {
		return min(n.Draws[p], 1)
	}
	return n.Draws[p]
}

// Suffices refuses a need that the division may not be able to meet, with the number of rows that would do. What it
// lets pass can be drawn with any seed.
func (d *Division) Suffices(n Need) error {
	if err := n.check(); err != nil {
		return err
	}
	var short []string
	total := 0
	for _, p := range Parts {
		want, have := d.wants(n, p), d.size(p)
		if want > have {
			short = append(short, fmt.Sprintf("%s has %d rows and needs %d", p, have, want))
			total = max(total, d.rowsFor(p, want))
		}
	}
	if len(short) == 0 {
		return nil
	}
	out := fault.New(fault.InvalidInput, "dataset %s is too small for scenario %q: %s", d.ix.Digest, n.Scenario, strings.Join(short, "; ")).
		At("dataset", fmt.Sprint(len(d.ix.rows))).Hint("give a dataset of at least %d rows", total)
	again := n
	again.Reuse = ReuseBlocks
	if n.Reuse == ReuseNone && d.Suffices(again) == nil {
		out = out.Hint("or record reuse: blocks, the same rows in every block, the prefix cache flushed between")
	}
	if most := d.most(n); most > 0 {
		out = out.Hint("or lower the prompts of a draw to %d", most)
	}
	return out
}

// wants is the rows a part must have: those of its draws, and what is lost where a draw ends inside a conversation. Each
// end loses less than one conversation, and each another one.
func (d *Division) wants(n Need, p Part) int {
	draws := n.draws(p)
	if draws == 0 {
		return 0
	}
	ends := draws
	if n.Warmup > 0 {
		ends = 2 * draws
	}
	return draws*(n.Prompts+n.Warmup) + d.lost(p, ends)
}

// lost is the most rows that so many ends can lose.
func (d *Division) lost(p Part, ends int) int {
	var sizes []int
	for _, g := range d.groups[p] {
		if len(g.rows) > 1 {
			sizes = append(sizes, len(g.rows)-1)
		}
	}
	slices.SortFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) })
	sum := 0
	for _, s := range sizes[:min(ends, len(sizes))] {
		sum += s
	}
	return sum
}

// rowsFor is how many rows of this kind a dataset must have for a part to hold want of them: the share, repetitions,
// and, where a hash divides, three standard deviations.
func (d *Division) rowsFor(p Part, want int) int {
	share := float64(fifths[p]) / 5
	n := float64(want) / share
	if d.By == ByConversation {
		n += 3 * math.Sqrt(n*(1-share)/share)
	}
	drawn := len(d.ix.rows) - d.left
	return int(math.Ceil(n * float64(len(d.ix.rows)) / float64(max(drawn, 1))))
}

// most is the largest number of prompts a draw that would suffice, 0 if none would. The warm-up shrinks along.
func (d *Division) most(n Need) int {
	low, high := 0, n.Prompts-1
	for low < high {
		mid := (low + high + 1) / 2
		try := n
		try.Prompts, try.Warmup = mid, min(n.Warmup, mid)
		if slices.ContainsFunc(Parts, func(p Part) bool { return d.wants(try, p) > d.size(p) }) {
			high = mid - 1
		} else {
			low = mid
		}
	}
	return low
}

// Most is the largest number of prompts a draw for which the division suffices, with as many for the warm-up, but no
// more than the largest settling wave; 0 where it suffices for none.
func (d *Division) Most(draws map[Part]int, reuse Reuse) int {
	fits := func(n int) bool {
		need := Need{Prompts: n, Warmup: min(n, mostWarmup), Draws: draws, Reuse: reuse}
		return !slices.ContainsFunc(Parts, func(p Part) bool { return d.wants(need, p) > d.size(p) })
	}
	low, high := 0, len(d.ix.rows)
	for low < high {
		if mid := (low + high + 1) / 2; fits(mid) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}
