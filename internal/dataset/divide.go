package dataset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Part is one of the three sides of the division.
type Part string

// The parts. A campaign chooses on Search, decides on Blocks, and looks at Unseen afterwards.
const (
	PartSearch Part = "search" // 20 %
	PartBlocks Part = "blocks" // 60 %
	PartUnseen Part = "unseen" // 20 %
)

// Parts lists the parts, in order of time where time divides.
var Parts = []Part{PartSearch, PartBlocks, PartUnseen}

// fifths of the dataset that each part takes.
var fifths = map[Part]int{PartSearch: 1, PartBlocks: 3, PartUnseen: 1}

// By says what divides.
type By string

// The divisions.
const (
	ByConversation By = "conversation" // hash of the conversation: adding rows moves none
	ByTime         By = "time"         // replay: windows of time, which follow each other
)

// ByOf is what divides the dataset of a scenario: time for a replay, else conversations.
func ByOf(s contract.Scenario) By {
	if s.Arrival == contract.ArrivalReplay {
		return ByTime
	}
	return ByConversation
}

// group is the rows of one conversation, in the order of the file.
type group struct {
	conv [16]byte
	rows []int
}

// Division is a dataset in three parts that share no conversation.
type Division struct {
	By     By
	ix     *Index
	groups map[Part][]group // by conversation; sorted by hash
	rows   map[Part][]int   // by time; in order
	left   int              // rows that no draw takes
}

// Divide puts every row on one side. By conversation, a prompt that stands in the dataset more than once is drawn
// from one conversation only (the one with the lowest hash, there the first). By time, rows of a conversation that
// began in an earlier part are never drawn.
func Divide(ix *Index, by By) (*Division, error) {
	d := &Division{By: by, ix: ix}
	switch {
	case by == ByConversation:
		d.byConversation()
	case by != ByTime:
		return nil, fault.New(fault.InvalidInput, "dataset: unknown division %q", by).At("by", string(by), string(ByConversation), string(ByTime))
	case !ix.Timed:
		return nil, fault.New(fault.InvalidInput, "dataset: a replay needs timestamps, and the rows have none").At("timestamp", "").
			Hint("give every row a timestamp in seconds, or another arrival mode")
	default:
		d.byTime()
	}
	return d, nil
}

// partOf takes a fifth by the first eight bytes of the conversation's hash.
func partOf(conv [16]byte) Part {
	switch binary.BigEndian.Uint64(conv[:8]) / (math.MaxUint64/5 + 1) {
	case 0:
		return PartSearch
	case 4:
		return PartUnseen
	}
	return PartBlocks
}

func (d *Division) byConversation() {
	owner := map[[16]byte]int{}
	for i, e := range d.ix.rows {
		if o, known := owner[e.prompt]; !known || bytes.Compare(e.conv[:], d.ix.rows[o].conv[:]) < 0 {
			owner[e.prompt] = i
		}
	}
	found := map[[16]byte][]int{}
	for i, e := range d.ix.rows {
		if owner[e.prompt] != i {
			d.left++
			continue
		}
		found[e.conv] = append(found[e.conv], i)
	}
	d.groups = map[Part][]group{}
	for conv, rows := range found {
		p := partOf(conv)
		d.groups[p] = append(d.groups[p], group{conv, rows})
	}
	for _, groups := range d.groups {
		slices.SortFunc(groups, func(a, b group) int { return bytes.Compare(a.conv[:], b.conv[:]) })
	}
}

// byTime cuts at the instants before which a fifth, and four fifths, of the rows lie; equal instants stay together.
func (d *Division) byTime() {
	n := len(d.ix.rows)
	cut := func(at int) int {
		i, _ := slices.BinarySearchFunc(d.ix.rows, d.ix.rows[min(at, n-1)].at, func(e entry, t float64) int { return cmp.Compare(e.at, t) })
		return i
	}
	first, second := cut(n/5), cut(4*n/5)
	d.rows = map[Part][]int{}
	began := map[[16]byte]Part{}
	for i, e := range d.ix.rows {
		p := PartBlocks
		if i < first {
			p = PartSearch
		} else if i >= second {
			p = PartUnseen
		}
		if was, known := began[e.conv]; known && was != p {
			d.left++
			continue
		}
		began[e.conv] = p
		d.rows[p] = append(d.rows[p], i)
	}
}

// Rows gives the numbers of the rows of a part that may be drawn.
func (d *Division) Rows(p Part) []int {
	if d.By == ByTime {
		return slices.Clone(d.rows[p])
	}
	var out []int
	for _, g := range d.groups[p] {
		out = append(out, g.rows...)
	}
	slices.Sort(out)
	return out
}

// Left counts the rows that no draw takes: repetitions, or, by time, the rest of conversations that began earlier.
func (d *Division) Left() int { return d.left }

func (d *Division) size(p Part) int {
	n := len(d.rows[p])
	for _, g := range d.groups[p] {
		n += len(g.rows)
	}
	return n
}

// Sizes counts the rows of each part that may be drawn.
func (d *Division) Sizes() map[Part]int {
	out := map[Part]int{}
	for _, p := range Parts {
		out[p] = d.size(p)
	}
	return out
}

func (p Part) check() error {
	if !slices.Contains(Parts, p) {
		return fault.New(fault.InvalidInput, "dataset: unknown part %q", p).At("part", fmt.Sprint(p), string(PartSearch), string(PartBlocks), string(PartUnseen))
	}
	return nil
}
