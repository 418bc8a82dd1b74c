package trace_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// TestPropertyTablesFindTheTruth makes traces of which everything is known, and compares every table with it. A world is
// made of a seed: SOTALOOP_TRACE_SEEDS says how many, SOTALOOP_TRACE_SEED plays one again.
func TestPropertyTablesFindTheTruth(t *testing.T) {
	t.Parallel()
	seed := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	from, count := uint64(0), seed("SOTALOOP_TRACE_SEEDS", 300)
	if one := seed("SOTALOOP_TRACE_SEED", math.MaxUint64); one != math.MaxUint64 {
		from, count = one, 1
	}
	for n := from; n < from+count; n++ {
		t.Run("seed "+strconv.FormatUint(n, 10), func(t *testing.T) {
			t.Parallel()
			w := newWorld(n)
			w.play()
			w.check(t)
		})
	}
}

// TestPropertyWorldsHoldEverything keeps the worlds from agreeing about nothing.
func TestPropertyWorldsHoldEverything(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(300) {
		w := newWorld(seed)
		w.play()
		seen["joined "+strconv.Itoa(w.join)]++
		seen[w.framework]++
		seen["recordings "+strconv.Itoa(len(w.recordings))]++
		seen["before zero "+strconv.FormatBool(w.base+w.first < 0)]++
		if l := w.layered; l != nil {
			seen[fmt.Sprintf("layers, replayed %t, with an odd pass %t", l.graph, l.odd > 0)]++
		}
		devices := map[int]bool{}
		for i := range w.gpu {
			devices[w.gpu[i].device] = true
			seen[fmt.Sprintf("post %t, thread %d", w.gpu[i].post, w.gpu[i].thread)]++
		}
		seen["devices "+strconv.Itoa(len(devices))]++
		for stage, o := range w.oracle() {
			seen[stage]++
			_, drafts, owner := w.owners(stage)
			seen["drafts "+strconv.FormatBool(drafts > 0)]++
			for i, n := range owner {
				seen["owned by a later step "+strconv.FormatBool(n > i)]++
			}
			for cause := range o.gaps {
				seen["idle: "+cause]++
			}
			for _, r := range o.rows {
				seen[fmt.Sprintf("hidden %t, by compute %t, alone %t", r.hidden > 0, r.byCompute > 0, r.hidden < r.total)]++
				seen[fmt.Sprintf("replayed %t, operator known %t", r.graph, r.known)]++
			}
		}
	}
	require.Len(t, seen, 42, "%v", seen)
	for what, times := range seen {
		require.GreaterOrEqual(t, times, 5, what)
	}
}

// check compares every table with the truth.
func (w *world) check(t *testing.T) {
	t.Helper()
	a := analyze(t, w.file(t))
	require.False(t, a.Incomplete)
	f := a.Files[0]
	require.Equal(t, int64(len(w.events)), f.Events)
	require.Equal(t, []any{w.rank, w.framework, w.label}, []any{f.Rank, f.Framework, f.Label})
	o := w.oracle()
	var all int64
	for i := range w.gpu {
		all += w.gpu[i].dur
	}
	require.Equal(t, us(all), f.TotalUS)
	var sum, shares float64
	names := []string{}
	for i := range a.Stages {
		s := &a.Stages[i]
		names = append(names, s.Stage)
		sum += s.TotalUS
		shares += s.Share
		w.checkStage(t, s, o[s.Stage])
		w.checkKernels(t, s, o[s.Stage])
		w.checkOverlap(t, s, o[s.Stage])
		w.checkIdle(t, s, o[s.Stage])
		checkRows(t, a, s)
		if w.layered != nil && s.Stage == w.layered.stage {
			w.checkLayers(t, &s.Layers, o[s.Stage])
		}
	}
	want := []string{}
	for _, name := range []string{trace.Prefill, trace.Decode, trace.Mixed, trace.Unassigned} {
		if o[name] != nil {
			want = append(want, name)
		}
	}
	require.Equal(t, want, names)
	require.InDelta(t, f.TotalUS, sum, 1e-6)
	if all > 0 {
		require.InDelta(t, 1, shares, 1e-9)
	}
}

// checkRows finds every row by its id.
func checkRows(t *testing.T, a *trace.Analysis, s *trace.Stage) {
	t.Helper()
	want := map[string][]float64{}
	for _, k := range s.Kernels {
		want[k.ID] = []float64{k.TotalUS, k.Share, k.Ceiling}
	}
	for _, o := range s.Overlap {
		want[o.ID] = []float64{o.TotalUS, o.ShareOfBusy, o.Ceiling}
	}
	for _, f := range s.Fuse {
		want[f.ID] = []float64{f.TotalUS, f.Share, f.Ceiling}
		require.GreaterOrEqual(t, f.Ceiling, f.Share-1e-9)
	}
	for _, c := range s.Idle.Causes {
		want[c.ID] = []float64{c.TotalUS, c.Share, c.Ceiling}
	}
	for _, l := range s.Layers.Rows {
		want[l.ID] = []float64{l.WallUS, l.Share, bound(l.Share)}
	}
	require.Len(t, want, len(s.Kernels)+len(s.Overlap)+len(s.Fuse)+len(s.Idle.Causes)+len(s.Layers.Rows), "ids are unique")
	for id, expected := range want {
		row, ok := a.Row(id)
		require.True(t, ok, id)
		require.InDeltaSlice(t, expected, []float64{row.TotalUS, row.Share, row.Ceiling}, 1e-6, id)
	}
}

// us is what nanoseconds look like in the results.
func us(ns int64) float64 { return float64(ns) / 1000 }

// part divides, with 0 for nothing.
func part(ns, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(ns) / float64(of)
}

// bound is Amdahl's, written another way than in the product.
func bound(share float64) float64 {
	share = math.Min(share, 0.999)
	return share / (1 - share)
}

// rowTruth is what a kernel's rows have to say.
type rowTruth struct {
	kind
	durs                                   []int64
	total, post, hidden, byCompute, joined int64
	graph, known                           bool // replayed; its operator is known
}

// stageTruth is what a stage's tables have to say.
type stageTruth struct {
	total, busy, post int64
	rows              map[string]*rowTruth
	graphs            map[int]bool
	gaps              map[string]map[int]int64 // cause → event that ends the gap → idle time
	gapAt             map[int]int64
}

// oracle computes the truth by looking at every stretch of time in which nothing begins or ends.
func (w *world) oracle() map[string]*stageTruth {
	o := map[string]*stageTruth{}
	for i := range w.gpu {
		k := &w.gpu[i]
		s := o[k.stage]
		if s == nil {
			s = &stageTruth{rows: map[string]*rowTruth{}, graphs: map[int]bool{}, gaps: map[string]map[int]int64{}, gapAt: map[int]int64{}}
			o[k.stage] = s
		}
		r := s.rows[k.name]
		if r == nil {
			r = &rowTruth{kind: k.kind}
			s.rows[k.name] = r
		}
		r.durs = append(r.durs, k.dur)
		r.total += k.dur
		s.total += k.dur
		if k.post {
			r.post += k.dur
			s.post += k.dur
		}
		if k.joined {
			r.joined += k.dur
			r.known = r.known || k.graph == 0
		}
		if k.graph > 0 {
			r.graph = true
			s.graphs[k.graph] = true
		}
	}
	for device := range 2 {
		times := w.moments(device)
		for i := 1; i < len(times); i++ {
			w.stretch(o, device, times[i-1], times[i])
		}
	}
	return o
}

// moments lists when anything that matters to a device begins or ends.
func (w *world) moments(device int) []int64 {
	var times []int64
	for i := range w.gpu {
		if k := &w.gpu[i]; k.device == device {
			times = append(times, k.ts, k.end(), k.launchTS)
		}
	}
	for _, list := range w.waits {
		for _, wait := range list {
			times = append(times, wait[0], wait[1])
		}
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// stretch adds what happens on a device from one moment to the next.
func (w *world) stretch(o map[string]*stageTruth, device int, from, to int64) {
	var active []*work
	for i := range w.gpu {
		if k := &w.gpu[i]; k.device == device && k.ts <= from && k.end() >= to {
			active = append(active, k)
		}
	}
	busy := map[string]bool{}
	for _, k := range active {
		other, computes := false, false
		for _, x := range active {
			other = other || x.stream != k.stream
			computes = computes || x.stream != k.stream && x.computes
		}
		r := o[k.stage].rows[k.name]
		if other {
			r.hidden += to - from
		}
		if computes {
			r.byCompute += to - from
		}
		busy[k.stage] = true
	}
	for stage := range busy {
		o[stage].busy += to - from
	}
	if len(active) == 0 {
		w.idle(o, device, from, to)
	}
}

// idle adds a stretch in which a device does nothing: to the work that ends the gap, by its cause.
func (w *world) idle(o map[string]*stageTruth, device int, from, to int64) {
	last, since := -1, int64(math.MinInt64)
	for i := range w.gpu {
		if k := &w.gpu[i]; k.device == device && k.ts >= to && (last < 0 || k.ts < w.gpu[last].ts) {
			last = i
		}
	}
	if last < 0 {
		return // after all of its work
	}
	next := &w.gpu[last]
	for i := range w.gpu {
		if k := &w.gpu[i]; k.device == device && k.ts < next.ts {
			since = max(since, k.end())
		}
	}
	if since == math.MinInt64 {
		return // before all of its work
	}
	for _, at := range w.recordings {
		if len(w.recordings) > 1 && at > since && at <= next.ts {
			return // nothing was recorded
		}
	}
	cause := "host"
	switch {
	case !next.launched:
		cause = "unknown"
	case next.launchTS <= since:
		cause = "dependency"
	case to <= next.launchTS && slices.ContainsFunc(w.waits[next.thread], func(x [2]int64) bool { return x[0] <= from && to <= x[1] }):
		cause = "synchronisation"
	}
	s := o[next.stage]
	if s.gaps[cause] == nil {
		s.gaps[cause] = map[int]int64{}
	}
	s.gaps[cause][last] += to - from
	s.gapAt[last] = since - w.first
}

// owners gives the steps of a stage and, for each window of it, the step it counts for: a draft step counts for the step
// before it, else for the one after it.
func (w *world) owners(stage string) (steps, drafts int, owner map[int]int) {
	owner = map[int]int{}
	main, waiting := -1, []int{}
	for i, s := range w.steps {
		switch {
		case s.stage != stage:
		case s.draft:
			drafts++
			if owner[i] = main; main < 0 {
				owner[i] = i
				waiting = append(waiting, i)
			}
		default:
			steps++
			for _, n := range waiting {
				owner[n] = i
			}
			main, owner[i], waiting = i, i, nil
		}
	}
	if steps == 0 {
		steps = drafts
	}
	return steps, drafts, owner
}

// checkStage compares a stage's totals, categories and families.
func (w *world) checkStage(t *testing.T, s *trace.Stage, o *stageTruth) {
	t.Helper()
	steps, drafts, owner := w.owners(s.Stage)
	require.Equal(t, []float64{us(o.total), us(o.busy), us(o.post)}, []float64{s.TotalUS, s.BusyUS, s.PostUS}, s.Stage)
	require.Equal(t, []int{steps, drafts, len(o.graphs), len(o.rows)}, []int{s.Steps, s.DraftSteps, s.GraphReplays, s.KernelsTotal}, s.Stage)
	if steps > 0 {
		require.Equal(t, us(o.total)/float64(steps), s.PerStepUS)
	}
	var mapped int64
	times := map[string]int64{}
	for _, r := range o.rows {
		times[r.category] += r.total
		if !r.graph && r.known {
			mapped += r.total
		}
	}
	require.InDelta(t, part(mapped, o.total), s.MappedShare, 1e-9)
	require.Len(t, s.Categories, len(times))
	for i, c := range s.Categories {
		require.True(t, i == 0 || s.Categories[i-1].TotalUS >= c.TotalUS, "categories are in order of time")
		require.InDelta(t, us(times[c.Category]), c.TotalUS, 1e-6, c.Category)
		require.InDelta(t, part(times[c.Category], o.total), c.Share, 1e-9, c.Category)
	}
	require.Len(t, s.Families, len(o.rows))
	for _, f := range s.Families {
		require.InDelta(t, us(o.rows[f.Name].total), f.TotalUS, 1e-6)
		cells := map[int]float64{}
		for i := range w.gpu {
			if k := &w.gpu[i]; k.stage == s.Stage && k.name == f.Name && k.step >= 0 {
				cells[owner[k.step]] += us(k.dur)
			}
		}
		require.InDelta(t, deviation(cells, steps), f.SDStepUS, 1e-6, f.Name)
	}
}

// deviation is the sample standard deviation over steps, most of which may have nothing.
func deviation(cells map[int]float64, steps int) float64 {
	if steps < 2 {
		return 0
	}
	var mean, squares float64
	for _, x := range cells {
		mean += x / float64(steps)
	}
	for _, x := range cells {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt((squares + float64(steps-len(cells))*mean*mean) / float64(steps-1))
}

// checkKernels compares the kernel table.
func (w *world) checkKernels(t *testing.T, s *trace.Stage, o *stageTruth) {
	t.Helper()
	var shares float64
	for i, k := range s.Kernels {
		r := o.rows[k.Name]
		require.NotNil(t, r, k.Name)
		require.Equal(t, []float64{us(r.total), us(r.post)}, []float64{k.TotalUS, k.PostUS}, k.Name)
		slices.Sort(r.durs)
		n := len(r.durs)
		require.Equal(t, n, k.Launches, k.Name)
		require.Equal(t, []float64{us(r.durs[(n+1)/2-1]), us(r.durs[int(math.Ceil(float64(n)*0.99))-1])}, []float64{k.P50US, k.P99US}, k.Name)
		require.InDelta(t, us(r.total)/float64(n), k.MeanUS, 1e-9)
		require.InDelta(t, part(r.total, o.total), k.Share, 1e-12)
		require.InDelta(t, bound(part(r.total, o.busy)), k.Ceiling, 1e-6)
		require.GreaterOrEqual(t, k.Ceiling, k.Share-1e-9)
		require.Equal(t, r.category, k.Category, k.Name)
		require.True(t, i == 0 || s.Kernels[i-1].TotalUS >= k.TotalUS, "rows are in order of time")
		shares += k.Share
		switch {
		case r.graph:
			require.Equal(t, []string{"graph_launch", ""}, []string{k.LocationSource, k.CPUOp}, k.Name)
		case r.known:
			require.Equal(t, []string{"trace", operatorOf(r.kind)}, []string{k.LocationSource, k.CPUOp}, k.Name)
			require.Equal(t, "python/"+frameOf(r.kind), fmt.Sprintf("%s(%d): %s", k.Locations[0].Path, k.Locations[0].Line, k.Locations[0].Func))
			require.InDelta(t, part(r.joined, r.total), k.Locations[0].Share, 1e-12)
		default:
			require.Equal(t, []string{"", ""}, []string{k.LocationSource, k.CPUOp}, k.Name)
		}
		require.Equal(t, fmt.Sprintf("kernel:%s:%d@%s", s.Stage, i+1, s.Digest), k.ID)
	}
	if o.total > 0 {
		require.InDelta(t, 1, shares, 1e-9)
	}
}

// checkOverlap compares the overlap table, and which rows it has.
func (w *world) checkOverlap(t *testing.T, s *trace.Stage, o *stageTruth) {
	t.Helper()
	want := map[string][]string{}
	for name, r := range o.rows {
		if r.total < 5000 || part(r.total, o.busy) < 0.01 {
			continue
		}
		switch {
		case part(r.total-r.hidden, r.total) >= 0.45:
			want["headroom"] = append(want["headroom"], name)
		case part(r.hidden, r.total) >= 0.65 && r.light:
			want["low_roi_hidden"] = append(want["low_roi_hidden"], name)
		}
	}
	got := map[string]int{}
	for _, row := range s.Overlap {
		r := o.rows[row.Name]
		got[row.Verdict]++
		require.Contains(t, want[row.Verdict], row.Name)
		require.Equal(t, []float64{us(r.total), us(r.hidden), us(r.byCompute), us(r.total - r.hidden)},
			[]float64{row.TotalUS, row.HiddenUS, row.HiddenByComputeUS, row.ExclusiveUS}, row.Name)
		require.InDelta(t, row.TotalUS, row.HiddenUS+row.ExclusiveUS, 1e-9)
		require.InDelta(t, part(r.hidden, r.total), row.HiddenRatio, 1e-12)
		require.InDelta(t, part(r.total, o.busy), row.ShareOfBusy, 1e-12)
		require.InDelta(t, bound(part(r.total-r.hidden, o.busy)), row.Ceiling, 1e-6) // of what nothing hides
		require.GreaterOrEqual(t, row.Ceiling, part(r.total-r.hidden, o.busy)-1e-9)
	}
	for verdict, names := range want {
		require.Equal(t, min(5, len(names)), got[verdict], "%s: %v", verdict, names)
	}
}

// checkIdle compares the idle table.
func (w *world) checkIdle(t *testing.T, s *trace.Stage, o *stageTruth) {
	t.Helper()
	var all int64
	totals := map[string]int64{}
	for cause, gaps := range o.gaps {
		for _, ns := range gaps {
			totals[cause] += ns
			all += ns
		}
	}
	i := s.Idle
	require.Equal(t, []float64{us(all), us(totals["host"]), us(totals["dependency"]), us(totals["synchronisation"]), us(totals["unknown"])},
		[]float64{i.IdleUS, i.HostUS, i.DependencyUS, i.SyncUS, i.UnknownUS}, s.Stage)
	require.InDelta(t, part(all, all+o.busy), i.ShareOfWall, 1e-12)
	require.Equal(t, w.idleSteps(s.Stage, o), i.Steps, s.Stage)
	require.Len(t, i.Causes, len(o.gaps))
	for _, c := range i.Causes {
		var longest int64
		var at []float64
		for _, ns := range o.gaps[c.Cause] {
			longest = max(longest, ns)
		}
		for n, ns := range o.gaps[c.Cause] {
			if ns == longest {
				at = append(at, us(o.gapAt[n]))
			}
		}
		require.Equal(t, []float64{us(totals[c.Cause]), us(longest)}, []float64{c.TotalUS, c.LongestUS}, c.Cause)
		require.Len(t, o.gaps[c.Cause], c.Gaps, c.Cause)
		require.Contains(t, at, c.LongestAtUS, c.Cause)
		require.InDelta(t, part(totals[c.Cause], all+o.busy), c.Share, 1e-12)
		require.GreaterOrEqual(t, c.Ceiling, c.Share)
	}
}

// idleSteps lists the steps of a stage with the most idle time: that of the gaps which end with their work.
func (w *world) idleSteps(stage string, o *stageTruth) []trace.IdleStep {
	_, _, owner := w.owners(stage)
	of := map[int]map[string]int64{}
	for cause, gaps := range o.gaps {
		for n, ns := range gaps {
			if step := w.gpu[n].step; step >= 0 && stage != trace.Unassigned {
				if of[owner[step]] == nil {
					of[owner[step]] = map[string]int64{}
				}
				of[owner[step]][cause] += ns
				of[owner[step]]["all"] += ns
			}
		}
	}
	list := []trace.IdleStep{}
	for n := range w.steps {
		if to, ok := owner[n]; ok && to == n {
			ns := of[n]
			list = append(list, trace.IdleStep{Step: len(list), StartUS: us(w.steps[n].ts - w.first), IdleUS: us(ns["all"]), HostUS: us(ns["host"]),
				DependencyUS: us(ns["dependency"]), SyncUS: us(ns["synchronisation"]), UnknownUS: us(ns["unknown"])})
		}
	}
	slices.SortStableFunc(list, func(x, y trace.IdleStep) int { return cmp.Compare(y.IdleUS, x.IdleUS) })
	return list[:min(5, len(list))]
}

// layerTimes gives a layer's begin, wall and summed time.
func (w *world) layerTimes(events []int) (begin, wall, sum int64) {
	begin = w.gpu[events[0]].ts
	for _, i := range events {
		sum += w.gpu[i].dur
		wall = max(wall, w.gpu[i].end()-begin)
	}
	return begin, wall, sum
}

// checkLayers compares the layer table.
func (w *world) checkLayers(t *testing.T, l *trace.Layers, o *stageTruth) {
	t.Helper()
	truth := w.layered
	require.Equal(t, []int{truth.period, len(truth.passes), truth.layers}, []int{l.Period, l.Passes, l.PerPass})
	require.Equal(t, truth.names[0].name, l.Anchor)
	var inLayers int64
	var walls, sums []int64
	passWall := map[int]int64{}
	var common []int
	for n, pass := range truth.passes {
		for i, layer := range pass {
			_, wall, sum := w.layerTimes(layer)
			inLayers += sum
			passWall[n] += wall
			if i > 0 && i < len(pass)-1 {
				walls, sums = append(walls, wall), append(sums, sum)
			}
		}
		if len(pass) == truth.layers {
			common = append(common, n)
		}
	}
	slices.Sort(walls)
	slices.Sort(sums)
	require.Equal(t, []float64{us(walls[len(walls)/2]), us(sums[len(sums)/2])}, []float64{l.WallUS, l.SumUS})
	require.InDelta(t, part(inLayers, o.total), l.Share, 1e-12)
	slices.SortStableFunc(common, func(x, y int) int { return cmp.Compare(passWall[x], passWall[y]) })
	chosen := common[len(common)/2]
	var whole int64
	for _, layer := range truth.passes[chosen] {
		_, _, sum := w.layerTimes(layer)
		whole += sum
	}
	require.Len(t, l.Rows, 4)
	for i, want := range []int{0, truth.layers / 2, truth.layers - 1, truth.slow} {
		row := l.Rows[i]
		begin, wall, sum := w.layerTimes(truth.passes[chosen][want])
		require.Equal(t, []int{chosen, want}, []int{row.Pass, row.Index}, row.Role)
		require.Equal(t, []float64{us(wall), us(sum), us(begin - w.first), us(begin + wall - w.first)}, []float64{row.WallUS, row.SumUS, row.StartUS, row.EndUS}, row.Role)
		require.InDelta(t, part(sum, whole), row.Share, 1e-12)
	}
}
