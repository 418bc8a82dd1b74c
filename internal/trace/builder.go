package trace

// builder computes the tables of one trace file.
type builder struct {
	*joined
	*assigned
	digest    string // as in row ids
	mapping   *mapping
	time      *timeline
	groups    []group
	ranges    [len(stageNames)]struct{ from, to int } // of groups, by stage
	groupOf   []int32                                 // group of each event
	groupByID map[string]int                          // group of each kernel row
	rows      [][]Kernel                              // by stage
	cover     []cover
	longest   map[string]uint32   // event that stands for a kernel row
	onCPU     bool                // operators stand in for GPU work
	wall      *wallTime           // on a CPU host
	idleOf    map[int32]*stepIdle // by step
	shapes    map[uint32]shaped   // work of GPU events whose operator recorded its inputs; nil before it is asked for
}

// newBuilder joins, assigns and groups what was read of a file.
func newBuilder(s *store, label, digest string, m *mapping) *builder {
	onCPU := onCPUHost(s)
	j := join(s)
	b := &builder{joined: j, assigned: assign(j, label), digest: digest, mapping: m, longest: map[string]uint32{}, onCPU: onCPU}
	b.time = newTimeline(j, b.assigned)
	if onCPU {
		b.wall = newWallTime(j, b.assigned)
		b.time.busy = sums(j, b.assigned) // self times overlap nothing on their thread
	}
	b.groups = groups(j, b.assigned)
	b.groupOf = make([]int32, j.gpu.len())
	for n := range b.groups {
		g := &b.groups[n]
		r := &b.ranges[g.stage]
		if r.to == 0 {
			r.from = n
		}
		r.to = n + 1
		for _, e := range g.events {
			b.groupOf[e] = int32(n)
		}
	}
	b.kernelRows()
	if onCPU {
		return b
	}
	b.cover = b.time.covers(j, func(e uint32) bool { return isCompute(b.categoryOf(e)) })
	return b
}

// groupsOf gives the groups of a stage.
func (b *builder) groupsOf(stage uint8) []group {
	r := b.ranges[stage]
	return b.groups[r.from:r.to]
}

// kernelRows computes every kernel row.
func (b *builder) kernelRows() {
	b.rows = make([][]Kernel, len(stageNames))
	b.groupByID = make(map[string]int, len(b.groups))
	for stage := range b.rows {
		var total int64
		list := b.groupsOf(uint8(stage))
		for i := range list {
			total += list[i].total
		}
		b.rows[stage] = make([]Kernel, len(list))
		for i := range list {
			k := b.kernelRow(&list[i], i+1, total, b.whole(uint8(stage)))
			b.rows[stage][i] = k
			b.groupByID[k.ID] = b.ranges[stage].from + i
		}
	}
}

// whole is the time that the ceilings of a stage's kernel rows are shares of.
func (b *builder) whole(stage uint8) int64 {
	if b.onCPU {
		return b.wall.wall[stage]
	}
	return b.time.busy[stage]
}

// categoryOf gives the category of an event.
func (b *builder) categoryOf(e uint32) string {
	n := int(b.groupOf[e])
	stage := b.groups[n].stage
	return b.rows[stage][n-b.ranges[stage].from].Category
}

// stages computes the tables of every stage that has events.
func (b *builder) stages(f *File, opt Options) []Stage {
	var all int64
	for i := range b.groups {
		all += b.groups[i].total
	}
	f.TotalUS = micros(all)
	var idle [len(stageNames)]idleSums
	if !b.onCPU {
		idle = b.idle()
	}
	var list []Stage
	for n, name := range stageNames {
		stage := uint8(n)
		if len(b.rows[n]) == 0 {
			continue
		}
		s := Stage{Stage: name, Rank: f.Rank, Path: f.Path, Digest: b.digest, Source: SourceGPU, all: b.rows[n]}
		if b.onCPU {
			s.Source = SourceCPU
			s.WallUS, s.OutsideUS = micros(b.wall.wall[n]), micros(b.wall.outside[n])
		}
		b.sumStage(&s, stage, all)
		s.Overlap, s.Fuse = []Overlap{}, []Fuse{}
		s.Layers = Layers{Rows: []Layer{}}
		s.Idle = Idle{Causes: []IdleCause{}, Steps: []IdleStep{}}
		if !b.onCPU {
			s.Overlap = b.overlapTable(stage, s.all)
			s.Fuse = b.fuseTable(stage, s.all, f.Framework, opt.Server)
			s.Idle = b.idleTable(stage, &idle[stage], s.Steps)
			s.Layers = b.layerTable(stage)
		}
		if opt.Strip {
			s.Strip = b.strip(stage)
		}
		list = append(list, s)
	}
	return list
}

// sumStage fills in a stage's totals.
func (b *builder) sumStage(s *Stage, stage uint8, allNS int64) {
	var total, post int64
	var mapped float64
	at := map[string]int{}
	s.Categories = []CategoryShare{}
	groups := b.groupsOf(stage)
	for i := range groups {
		g, k := &groups[i], &s.all[i]
		total += g.total
		post += g.post
		if len(k.Locations) > 0 && k.LocationSource != "graph_launch" {
			mapped += k.TotalUS
		}
		c, ok := at[k.Category]
		if !ok {
			c = len(s.Categories)
			at[k.Category] = c
			s.Categories = append(s.Categories, CategoryShare{Category: k.Category})
		}
		s.Categories[c].TotalUS += k.TotalUS
		s.Categories[c].Launches += k.Launches
	}
	s.TotalUS, s.PostUS, s.BusyUS = micros(total), micros(post), micros(b.time.busy[stage])
	s.Share = ratio(float64(total), float64(allNS))
	s.MappedShare = ratio(mapped, s.TotalUS)
	s.KernelsTotal = len(s.all)
	sortCategories(s.Categories, s.TotalUS)
	if stage != noStage {
		s.Steps, s.DraftSteps = b.steps(stage)
	}
	if s.Steps > 0 {
		s.PerStepUS = s.TotalUS / float64(s.Steps)
	}
	s.GraphReplays = b.replaysOf(stage)
	s.Families = b.families(stage, s.all, s.Steps)
}

// replaysOf counts the graph launches whose kernels are in a stage.
func (b *builder) replaysOf(stage uint8) int {
	seen := map[int32]bool{}
	for i, at := range b.launchOf {
		if b.stageOf[i] == stage && b.viaGraph(i) {
			seen[at] = true
		}
	}
	return len(seen)
}
