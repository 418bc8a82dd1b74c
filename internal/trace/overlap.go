package trace

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	// minOverlapNS is the least total time for which overlapping is worth a row.
	minOverlapNS = 5_000
	// minOverlapShare is the least share of the stage's busy time.
	minOverlapShare = 0.01
	// overlapRows is how many rows of each verdict a stage shows.
	overlapRows = 5
)

// covered sums the covers of one kernel row.
type covered struct {
	hidden, byCompute, total int64
	longest                  uint32 // the event that stands for the row
}

// overlapTable finds what nothing hides and what is hidden already.
func (b *builder) overlapTable(stage uint8, rows []Kernel) []Overlap {
	var headroom, hidden []Overlap
	weight := map[string]float64{}
	groups := b.groupsOf(stage)
	for i := range groups {
		c := b.coverOf(&groups[i])
		if c.total < minOverlapNS || float64(c.total) < minOverlapShare*float64(b.time.busy[stage]) {
			continue
		}
		o := b.overlapRow(&rows[i], c, b.time.busy[stage])
		bucket := overlapBucket(o.Category)
		switch exclusive := ratio(o.ExclusiveUS, o.TotalUS); {
		case exclusive >= 0.45:
			o.Verdict = "headroom"
			weight[o.KernelID] = o.ExclusiveUS*bucket.weight + bucket.first
			headroom = append(headroom, o)
		case o.HiddenRatio >= 0.65 && bucket.light:
			o.Verdict = "low_roi_hidden"
			weight[o.KernelID] = o.HiddenUS * (1 + ratio(o.HiddenByComputeUS, o.HiddenUS))
			hidden = append(hidden, o)
		}
	}
	byWeight := func(x, y Overlap) int { return cmp.Compare(weight[y.KernelID], weight[x.KernelID]) }
	slices.SortStableFunc(headroom, byWeight)
	slices.SortStableFunc(hidden, byWeight)
	list := slices.Concat([]Overlap{}, headroom[:min(len(headroom), overlapRows)], hidden[:min(len(hidden), overlapRows)])
	b.judge(stage, list, rows)
	return list
}

// coverOf sums the covers of a group's events.
func (b *builder) coverOf(g *group) covered {
	c := covered{total: g.total, longest: g.events[0]}
	for _, e := range g.events {
		c.hidden += b.cover[e].hidden
		c.byCompute += b.cover[e].byCompute
		if b.gpu.at(int(e)).dur > b.gpu.at(int(c.longest)).dur {
			c.longest = e
		}
	}
	return c
}

// overlapRow fills in what the sweep found of a kernel row.
func (b *builder) overlapRow(k *Kernel, c covered, busyNS int64) Overlap {
	exclusive := c.total - c.hidden
	b.longest[k.ID] = c.longest
	return Overlap{
		Name: k.Name, Category: k.Category, KernelID: k.ID, Locations: k.Locations,
		TotalUS: micros(c.total), HiddenUS: micros(c.hidden), HiddenByComputeUS: micros(c.byCompute), ExclusiveUS: micros(exclusive),
		HiddenRatio: ratio(float64(c.hidden), float64(c.total)), ShareOfBusy: ratio(float64(c.total), float64(busyNS)),
		Ceiling: ceiling(ratio(float64(exclusive), float64(busyNS))),
	}
}

// bucketing weighs what hiding a category's time is worth: communication and copies hide well under
// arithmetic, arithmetic hardly under anything. first puts every other bucket before arithmetic.
type bucketing struct {
	weight, first float64
	light         bool // small work that is not worth hiding further
}

// overlapBucket gives the bucket of a category.
func overlapBucket(category string) bucketing {
	const before = 1e15
	switch category {
	case catNameCommunication:
		return bucketing{weight: 1.3, first: before}
	case catNameMemory, catNameKVCache:
		return bucketing{weight: 1.15, first: before, light: true}
	case catNameGemm, catNameAttention, catNameMoE, catNameMamba:
		return bucketing{weight: 0.35}
	case catNameOther:
		return bucketing{weight: 0.8, first: before}
	}
	return bucketing{weight: 1, first: before, light: true}
}

// judge adds risk, priority and advice to the rows, and numbers them.
func (b *builder) judge(stage uint8, list []Overlap, rows []Kernel) {
	byID := make(map[string]*Kernel, len(rows))
	for i := range rows {
		byID[rows[i].ID] = &rows[i]
	}
	neighbours := b.neighbours(list)
	for i := range list {
		o := &list[i]
		o.ID = rowID("overlap", stageNames[stage], i+1, b.digest)
		n := neighbours[b.longest[o.KernelID]]
		o.Risk, o.RiskWhy = b.risk(byID[o.KernelID], n)
		o.Priority, o.Advice = overlapPriority(o)
	}
}

// overlapPriority ranks a row: P1 try it, P2 check the dependencies first, P4 leave it.
func overlapPriority(o *Overlap) (priority, advice string) {
	switch {
	case o.Verdict == "low_roi_hidden":
		return "P4", "already hidden; leave it"
	case o.Risk != "low":
		return "P2", "check the dependencies before moving it to another stream"
	case o.Category == catNameCommunication:
		return "P1", "try to overlap it with compute"
	}
	return "P1", "try to fuse it into a neighbour or to overlap it"
}

// neighbour is an event and those before and after it on its stream; -1 for none.
type neighbour struct {
	event, prev, next int
}

// neighbours finds what ran before and after the events that stand for the rows.
func (b *builder) neighbours(list []Overlap) map[uint32]neighbour {
	want := map[uint32]neighbour{}
	for i := range list {
		e := b.longest[list[i].KernelID]
		want[e] = neighbour{int(e), -1, -1}
	}
	last := make([]int, len(b.streams.list))
	for i := range last {
		last[i] = -1
	}
	for _, e := range b.time.order {
		s := b.gpu.at(int(e)).stream
		if n, ok := want[e]; ok {
			n.prev = last[s]
			want[e] = n
		}
		if last[s] >= 0 {
			if n, ok := want[uint32(last[s])]; ok {
				n.next = int(e)
				want[uint32(last[s])] = n
			}
		}
		last[s] = int(e)
	}
	return want
}

// risk judges whether a neighbour on the same stream seems to depend on the event. It follows from how
// tightly they are packed and what they are; it is a hint, no proof.
func (b *builder) risk(k *Kernel, n neighbour) (risk, why string) {
	var risky, unclear []string
	for side, other := range map[string]int{"previous": n.prev, "next": n.next} {
		if other < 0 || !b.isTight(n.event, other) {
			continue
		}
		name := b.names.text(b.gpu.at(other).name)
		switch {
		case b.related(n.event, other) || dependsByKind(k.Category, b.categoryOf(uint32(other))):
			risky = append(risky, fmt.Sprintf("%s %q", side, shorten(name, 60)))
		case b.siteOf[n.event] == 0 || b.siteOf[other] == 0:
			unclear = append(unclear, fmt.Sprintf("%s %q has no known source", side, shorten(name, 60)))
		}
	}
	slices.Sort(risky)
	slices.Sort(unclear)
	switch {
	case len(risky) > 0:
		return "high", "packed against " + risky[0]
	case len(unclear) > 0:
		return "unclear", unclear[0]
	}
	return "low", "no related neighbour packed against it"
}

// isTight tells that two events of a stream follow each other closely for their length.
func (b *builder) isTight(event, other int) bool {
	e, o := b.gpu.at(event), b.gpu.at(other)
	gap := max(o.ts-(e.ts+e.dur), e.ts-(o.ts+o.dur), 0)
	return gap <= max(2_000, min(20_000, e.dur*15/100))
}

// related tells events of the same operator or the same source file or function.
func (b *builder) related(x, y int) bool {
	if b.opOf[x] != 0 && b.opOf[x] == b.opOf[y] {
		return true
	}
	sx, sy := b.siteOf[x], b.siteOf[y]
	return sx != 0 && sy != 0 && (b.sites[sx].path == b.sites[sy].path || b.sites[sx].fn == b.sites[sy].fn)
}

// dependsByKind tells pairs of categories that as a rule work on each other's results.
func dependsByKind(one, other string) bool {
	light := func(c string) bool { return c == catNameElementwise || c == catNameMemory }
	if one == catNameCommunication {
		return other != catNameCommunication
	}
	return light(one) && other != catNameOther
}

// shorten cuts a name for a sentence.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
