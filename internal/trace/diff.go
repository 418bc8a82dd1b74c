package trace

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/stats"
)

// DiffRow is one kernel family, or one fuse pattern, of one stage in two analyses.
type DiffRow struct {
	Stage    string `json:"stage"`
	Rank     int    `json:"rank"`
	Family   string `json:"family"`
	Category string `json:"category"`
	// Kind is "changed", "same" (the interval of the difference holds 0), "new" (only after), "gone"
	// (only before), "unknown" (too few steps to tell a change from noise), or "fused_after" and
	// "fused_before" (a fuse pattern active on that side whose parts run unfused on the other).
	Kind string `json:"kind"`
	// BeforeUS and AfterUS are per step where both sides have steps (see PerStep), else totals.
	BeforeUS float64 `json:"before_us"`
	AfterUS  float64 `json:"after_us"`
	DeltaUS  float64 `json:"delta_us"` // after minus before
	PerStep  bool    `json:"per_step"`
	// Interval is Welch's 95 % interval of DeltaUS with the steps as samples; null with fewer than two
	// steps on a side. Steps of one run are not independent runs: it says whether these two traces
	// differ, not whether the builds do.
	Interval *[2]float64 `json:"interval"`
	// Worth is the gain of the before stage, as ratio − 1, were its time in this family that of after.
	Worth float64 `json:"worth"`
	Note  string  `json:"note"`
	// Source is SourceCPU where the times are of operators, and the rest of the steps' wall time is the
	// family "(outside operators)"; Worth is then of the wall time.
	Source string `json:"source,omitempty"`
}

// confidence is the level of the intervals of a diff.
const confidence = 0.95

// Diff compares two analyses stage by stage and rank by rank: kernel families by the size of their
// difference, then fuse patterns that only one side uses. Stages that only one side has are left out, and
// so are pairs of GPU work and operators; ask Comparable first to say so.
func Diff(before, after *Analysis) []DiffRow {
	rows := []DiffRow{}
	for _, name := range stageNames {
		for _, pair := range pairStages(before, after, name) {
			rows = append(rows, diffStage(pair[0], pair[1])...)
		}
	}
	return rows
}

// pairStages joins the stages of a name by rank. A side with a single rank is compared with the other
// side's rank of the same number, else with its lowest.
func pairStages(before, after *Analysis, name string) [][2]*Stage {
	b, a := stagesNamed(before, name), stagesNamed(after, name)
	var pairs [][2]*Stage
	for _, x := range b {
		for _, y := range a {
			if x.Rank == y.Rank && x.onCPU() == y.onCPU() {
				pairs = append(pairs, [2]*Stage{x, y})
				break
			}
		}
	}
	if len(pairs) == 0 && len(a) > 0 && len(b) > 0 && b[0].onCPU() == a[0].onCPU() {
		pairs = append(pairs, [2]*Stage{b[0], a[0]})
	}
	return pairs
}

// stagesNamed gives the first stage of each rank, in order of rank.
func stagesNamed(a *Analysis, name string) []*Stage {
	var list []*Stage
	for i := range a.Stages {
		s := &a.Stages[i]
		if s.Stage == name && (len(list) == 0 || list[len(list)-1].Rank != s.Rank) {
			list = append(list, s)
		}
	}
	return list
}

// diffStage compares two stages.
func diffStage(before, after *Stage) []DiffRow {
	perStep := before.Steps > 0 && after.Steps > 0
	sides := map[string]*[2]*Family{}
	var names []string
	for side, s := range []*Stage{before, after} {
		for i := range s.Families {
			f := &s.Families[i]
			if sides[f.Name] == nil {
				sides[f.Name] = &[2]*Family{}
				names = append(names, f.Name)
			}
			sides[f.Name][side] = f
		}
	}
	rows := make([]DiffRow, 0, len(names))
	for _, n := range names {
		rows = append(rows, diffFamily(before, after, sides[n], perStep))
	}
	slices.SortStableFunc(rows, func(x, y DiffRow) int { return cmp.Compare(math.Abs(y.DeltaUS), math.Abs(x.DeltaUS)) })
	return append(rows, diffFusions(before, after)...)
}

// diffFamily compares one family.
func diffFamily(before, after *Stage, sides *[2]*Family, perStep bool) DiffRow {
	some := sides[0]
	if some == nil {
		some = sides[1]
	}
	r := DiffRow{Stage: before.Stage, Rank: before.Rank, Family: some.Name, Category: some.Category, PerStep: perStep}
	if before.onCPU() {
		r.Source = SourceCPU
	}
	time := func(f *Family) float64 {
		switch {
		case f == nil:
			return 0
		case perStep:
			return f.PerStepUS
		}
		return f.TotalUS
	}
	r.BeforeUS, r.AfterUS = time(sides[0]), time(sides[1])
	r.DeltaUS = r.AfterUS - r.BeforeUS
	whole := before.wholeUS(perStep)
	if perStep {
		r.Interval = welch(before.Steps, after.Steps, sides, r.DeltaUS)
	}
	r.Worth = worth(whole, r.DeltaUS)
	r.Kind = r.kind(sides)
	return r
}

// wholeUS is the time that a difference is worth a share of.
func (s *Stage) wholeUS(perStep bool) float64 {
	whole := s.TotalUS
	if s.WallUS > 0 {
		whole = s.WallUS
	}
	if perStep {
		whole /= float64(s.Steps)
	}
	return whole
}

// kind names what became of a family.
func (r *DiffRow) kind(sides *[2]*Family) string {
	switch {
	case sides[0] == nil:
		return "new"
	case sides[1] == nil:
		return "gone"
	case r.Interval == nil:
		return "unknown"
	case r.Interval[0] <= 0 && r.Interval[1] >= 0:
		return "same"
	}
	return "changed"
}

// worth is the gain of a stage of this length were it delta longer (or, below 0, shorter).
func worth(whole, delta float64) float64 {
	if whole <= 0 || whole+delta <= 0 {
		return 0
	}
	return whole/(whole+delta) - 1
}

// welch is the interval of a difference of means by Welch's t (unequal variances, Satterthwaite's degrees
// of freedom); nil with fewer than two steps on a side.
func welch(before, after int, sides *[2]*Family, delta float64) *[2]float64 {
	if before < 2 || after < 2 {
		return nil
	}
	variance := func(f *Family, n int) float64 {
		if f == nil {
			return 0
		}
		return f.SDStepUS * f.SDStepUS / float64(n)
	}
	vb, va := variance(sides[0], before), variance(sides[1], after)
	if vb+va == 0 {
		return &[2]float64{delta, delta}
	}
	df := (vb + va) * (vb + va) / (vb*vb/float64(before-1) + va*va/float64(after-1))
	half := stats.StudentQuantile(0.5+confidence/2, df) * math.Sqrt(vb+va)
	return &[2]float64{delta - half, delta + half}
}

// diffFusions lists the patterns that one side runs fused while the other runs the parts.
func diffFusions(before, after *Stage) []DiffRow {
	rows := []DiffRow{}
	add := func(kind string, fused, parts *Stage) {
		for _, f := range parts.Fuse {
			if f.State == fuseActive || !isActive(fused, f.Pattern) {
				continue
			}
			r := DiffRow{Stage: before.Stage, Rank: before.Rank, Family: f.Pattern, Category: "fuse", Kind: kind, Note: fmt.Sprintf("%s; %s", f.Why, f.Hint)}
			us := f.TotalUS
			if r.PerStep = parts.Steps > 0; r.PerStep {
				us /= float64(parts.Steps)
			}
			if parts == before {
				r.BeforeUS = us
			} else {
				r.AfterUS = us
			}
			r.Worth = f.Ceiling
			rows = append(rows, r)
		}
	}
	add("fused_after", after, before)
	add("fused_before", before, after)
	slices.SortStableFunc(rows, func(x, y DiffRow) int { return cmp.Compare(y.Worth, x.Worth) })
	return slices.CompactFunc(rows, func(x, y DiffRow) bool { return x.Family == y.Family && x.Kind == y.Kind })
}

// isActive reports whether a stage runs a pattern fused.
func isActive(s *Stage, pattern string) bool {
	return slices.ContainsFunc(s.Fuse, func(f Fuse) bool { return f.Pattern == pattern && f.State == fuseActive })
}
