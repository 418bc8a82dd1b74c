package trace

import (
	"cmp"
	"fmt"
	"slices"
)

// group is the events of one kernel name in one stage.
type group struct {
	stage  uint8
	name   uint32
	events []uint32
	total  int64 // nanoseconds
	post   int64
}

// groups sorts a trace's events into kernel rows: by stage, then by time, most first.
func groups(j *joined, a *assigned) []group {
	type key struct {
		stage uint8
		name  uint32
	}
	at := map[key]int{}
	var list []group
	of := make([]int32, j.gpu.len())
	for i := range of {
		e := j.gpu.at(i)
		k := key{a.stageOf[i], e.name}
		g, ok := at[k]
		if !ok {
			g = len(list)
			at[k] = g
			list = append(list, group{stage: k.stage, name: k.name})
		}
		of[i] = int32(g)
		list[g].total += e.dur
		if a.post[i] {
			list[g].post += e.dur
		}
	}
	fillGroups(list, of)
	slices.SortStableFunc(list, func(x, y group) int {
		return cmp.Or(
			cmp.Compare(x.stage, y.stage), cmp.Compare(y.total, x.total), cmp.Compare(len(y.events), len(x.events)),
			cmp.Compare(j.names.text(x.name), j.names.text(y.name)),
		)
	})
	return list
}

// fillGroups gives each group its events, all in one piece of memory.
func fillGroups(list []group, of []int32) {
	sizes := make([]int, len(list))
	for _, g := range of {
		sizes[g]++
	}
	all := make([]uint32, len(of))
	for g, n := range sizes {
		list[g].events, all = all[:0:n], all[n:]
	}
	for i, g := range of {
		list[g].events = append(list[g].events, uint32(i))
	}
}

// micros converts nanoseconds for the results.
func micros(ns int64) float64 { return float64(ns) / 1000 }

// ratio divides, with 0 for nothing by nothing.
func ratio(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// ceiling is Amdahl's bound for making a share of the time vanish: 1/(1-share) - 1.
func ceiling(share float64) float64 {
	share = min(max(share, 0), 0.999)
	return 1/(1-share) - 1
}

// rowID makes a row's id.
func rowID(table, stage string, n int, digest string) string {
	return fmt.Sprintf("%s:%s:%d@%s", table, stage, n, digest)
}

// kernelRow computes the row of a group. stageNS is the stage's summed time, wholeNS what its ceiling is a share of.
func (b *builder) kernelRow(g *group, n int, stageNS, wholeNS int64) Kernel {
	name := b.names.text(g.name)
	k := Kernel{
		ID: rowID("kernel", stageNames[g.stage], n, b.digest), Name: name,
		TotalUS: micros(g.total), PostUS: micros(g.post), Launches: len(g.events),
		Share: ratio(float64(g.total), float64(stageNS)), Ceiling: ceiling(ratio(float64(g.total), float64(wholeNS))),
		MeanUS: micros(g.total) / float64(len(g.events)),
	}
	durs := make([]int64, len(g.events))
	for i, e := range g.events {
		durs[i] = b.gpu.at(int(e)).dur
	}
	slices.Sort(durs)
	k.P50US, k.P99US = micros(nearestRank(durs, 50)), micros(nearestRank(durs, 99))
	k.CPUOp = b.topOp(g)
	b.locate(&k, g)
	k.Category = categorize(b.gpu.at(int(g.events[0])).cat, name, k.CPUOp, k.Locations)
	k.Roofline = b.roofline(g)
	return k
}

// nearestRank is the percentile of sorted values by the nearest-rank rule.
func nearestRank(sorted []int64, percent int) int64 {
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}

// topOp names the operator behind most of a group's time.
func (b *builder) topOp(g *group) string {
	times := map[uint32]int64{}
	for _, e := range g.events {
		times[b.opOf[e]] += b.gpu.at(int(e)).dur + 1
	}
	best := uint32(0)
	for name, t := range times {
		if name != 0 && (best == 0 || t > times[best] || t == times[best] && b.names.text(name) < b.names.text(best)) {
			best = name
		}
	}
	return b.names.text(best)
}

// maxLocations is how many Python sites a row shows.
const maxLocations = 3

// locate fills in the Python sites of a group, and whence they are known.
func (b *builder) locate(k *Kernel, g *group) {
	times := map[uint32]int64{}
	var replayed int64
	for _, e := range g.events {
		d := b.gpu.at(int(e)).dur
		if b.viaGraph(int(e)) {
			replayed += d + 1
		}
		times[b.siteOf[e]] += d
	}
	k.Locations = []Location{}
	for name, t := range times {
		if name != 0 {
			at := b.sites[name]
			k.Locations = append(k.Locations, Location{at.path, at.line, at.fn, ratio(float64(t), float64(g.total))})
		}
	}
	k.Locations = topLocations(k.Locations)
	switch {
	case replayed > g.total/2:
		k.LocationSource = "graph_launch"
	case len(k.Locations) > 0:
		k.LocationSource = "trace"
	}
	b.mapping.apply(k, stageNames[g.stage])
}

// topLocations orders sites by share and keeps the first few.
func topLocations(list []Location) []Location {
	slices.SortFunc(list, func(x, y Location) int {
		return cmp.Or(cmp.Compare(y.Share, x.Share), cmp.Compare(x.Path, y.Path), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Func, y.Func))
	})
	return list[:min(len(list), maxLocations)]
}
