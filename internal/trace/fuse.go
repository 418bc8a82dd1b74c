package trace

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed fusions.json
var fusionsJSON []byte

// fusion is one entry of the registry: a fused kernel that exists, and the kernels it replaces.
type fusion struct {
	Pattern    string     `json:"pattern"`
	Framework  string     `json:"framework"`
	SourcePath string     `json:"source_path"`
	Provenance string     `json:"provenance"`
	Upstream   string     `json:"upstream"`
	Active     []string   `json:"active"`
	Parts      [][]string `json:"parts"`
	Model      []string   `json:"model"`
	MinTP      int        `json:"min_tp"`
	Precision  []string   `json:"precision"`
	Hint       string     `json:"hint"`
}

// fusions reads the registry once; its phrases become words.
var fusions = sync.OnceValue(func() []fusion {
	var list []fusion
	if err := json.Unmarshal(fusionsJSON, &list); err != nil {
		panic("fusions.json: " + err.Error()) // embedded: a build defect, held by a test
	}
	split := func(phrases []string) {
		for i, p := range phrases {
			phrases[i] = words(p)
		}
	}
	for _, f := range list {
		split(f.Active)
		split(f.Precision)
		for _, p := range f.Parts {
			split(p)
		}
	}
	return list
})

const (
	fuseActive    = "active"
	fuseMissed    = "missed"
	fuseUndecided = "undecided"
	// fuseReach is how many kernels may lie between two parts of a pattern.
	fuseReach = 4
	// minFuseShare hides patterns whose parts take less of the stage.
	minFuseShare = 0.001
	// fuseSequence bounds how many events of a stage are searched for patterns.
	fuseSequence = 100_000
)

// fuseTable matches the registry against a stage: fused kernels that run are active; parts that run one
// after the other, unfused, are missed when every gate is known to hold, undecided otherwise.
func (b *builder) fuseTable(stage uint8, rows []Kernel, framework string, server Server) []Fuse {
	texts := make([]string, len(rows))
	for i, k := range rows {
		texts[i] = words(k.Name) + words(k.CPUOp)
	}
	seq := b.rowSequence(stage, len(rows))
	list := []Fuse{}
	for _, f := range fusions() {
		if row, ok := b.matchFusion(f, rows, texts, seq, server); ok {
			list = append(list, row)
		}
	}
	order := []string{fuseMissed, fuseUndecided, fuseActive}
	slices.SortStableFunc(list, func(x, y Fuse) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, x.State), slices.Index(order, y.State)), cmp.Compare(y.Share, x.Share),
			compareOwn(x.Framework == framework, y.Framework == framework),
		)
	})
	for i := range list {
		list[i].ID = rowID("fuse", stageNames[stage], i+1, b.digest)
	}
	return list
}

// compareOwn puts patterns of the trace's own framework first.
func compareOwn(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return -1
	}
	return 1
}

// rowSequence gives the row numbers of a stage's kernels in order of time; the first ones of a long stage.
func (b *builder) rowSequence(stage uint8, rows int) []int32 {
	from := b.ranges[stage].from
	var seq []int32
	for _, e := range b.time.order {
		if b.stageOf[e] == stage && len(seq) < fuseSequence {
			seq = append(seq, b.groupOf[e]-int32(from))
		}
	}
	return seq
}

// matchFusion matches one entry; ok is false when neither the fused kernel nor its parts run.
func (b *builder) matchFusion(f fusion, rows []Kernel, texts []string, seq []int32, server Server) (Fuse, bool) {
	out := Fuse{
		Pattern: f.Pattern, Framework: f.Framework, SourcePath: f.SourcePath, Provenance: f.Provenance,
		Upstream: f.Upstream, Hint: f.Hint, Kernels: []string{}, Locations: []Location{},
	}
	active := matching(texts, f.Active)
	if len(active) > 0 {
		out.State = fuseActive
		out.Why = fmt.Sprintf("%q runs", shorten(rows[active[0]].Name, 80))
		fillFuse(&out, rows, active, nil)
		return out, true
	}
	times, found := findParts(f, texts, seq)
	if found == 0 {
		return out, false
	}
	fillFuse(&out, rows, nil, times)
	if out.Share < minFuseShare {
		return out, false
	}
	state, why := f.gates(server, texts, times, b.precisions(times, rows))
	if state == "" {
		return out, false
	}
	out.State = state
	out.Why = fmt.Sprintf("its parts follow each other %d times in the kernels searched%s", found, why)
	return out, true
}

// matching lists the rows whose text has one of the phrases.
func matching(texts []string, phrases []string) []int {
	var list []int
	for i, t := range texts {
		if has(t, phrases) {
			list = append(list, i)
		}
	}
	return list
}

// findParts searches the sequence for the parts one after the other. It counts the finds and, for each
// row, how many of its launches took part.
func findParts(f fusion, texts []string, seq []int32) (launches map[int]int, found int) {
	member := make([][]bool, len(f.Parts))
	for p, phrases := range f.Parts {
		member[p] = make([]bool, len(texts))
		any := false
		for _, i := range matching(texts, phrases) {
			member[p][i] = true
			any = true
		}
		if !any {
			return nil, 0
		}
	}
	launches = map[int]int{}
	for i := 0; i < len(seq); i++ {
		at, ok := followParts(member, seq, i)
		if !ok {
			continue
		}
		found++
		for _, n := range at {
			launches[int(seq[n])]++
		}
		i = at[len(at)-1]
	}
	return launches, found
}

// followParts gives the places of a pattern's parts when it begins at i.
func followParts(member [][]bool, seq []int32, i int) ([]int, bool) {
	if !member[0][seq[i]] {
		return nil, false
	}
	at := []int{i}
	for p := 1; p < len(member); p++ {
		last := at[len(at)-1]
		next := -1
		for n := last + 1; n < len(seq) && n <= last+1+fuseReach; n++ {
			if member[p][seq[n]] {
				next = n
				break
			}
		}
		if next < 0 {
			return nil, false
		}
		at = append(at, next)
	}
	return at, true
}

// fillFuse adds up the rows that take part: all of their time, or that of some of their launches.
func fillFuse(out *Fuse, rows []Kernel, whole []int, launches map[int]int) {
	parts := slices.Clone(whole)
	for i := range launches {
		parts = append(parts, i)
	}
	slices.Sort(parts)
	for _, i := range parts {
		k := rows[i]
		part := 1.0
		if n, ok := launches[i]; ok {
			part = min(float64(n)/float64(k.Launches), 1)
		}
		out.TotalUS += k.TotalUS * part
		out.Share += k.Share * part
		out.Ceiling += (1 - 1/(1+k.Ceiling)) * part // sum of the rows' shares of busy time
		out.Kernels = append(out.Kernels, k.ID)
		out.Locations = append(out.Locations, k.Locations...)
	}
	out.Ceiling = ceiling(out.Ceiling)
	out.Locations = mergeLocations(out.Locations)
}

// mergeLocations keeps each site once, at most three.
func mergeLocations(list []Location) []Location {
	out := []Location{}
	for _, l := range list {
		same := func(o Location) bool { return o.Path == l.Path && o.Line == l.Line && o.Func == l.Func }
		if !slices.ContainsFunc(out, same) && len(out) < maxLocations {
			out = append(out, l)
		}
	}
	return out
}

// gates decides what a pattern whose parts run is: missed when every gate holds, undecided when one is
// unknown, "" when one does not hold.
func (f fusion) gates(server Server, texts []string, parts map[int]int, recorded []string) (state, why string) {
	var unknown []string
	if len(f.Model) > 0 {
		switch {
		case server.Model == "":
			unknown = append(unknown, "the model is unknown")
		case !hasModel(server.Model, f.Model):
			return "", ""
		}
	}
	if f.MinTP > 0 {
		switch {
		case server.TP == 0:
			unknown = append(unknown, "the tensor-parallel size is unknown")
		case server.TP < f.MinTP:
			return "", ""
		}
	}
	if len(f.Precision) > 0 {
		switch f.precision(server, texts, parts, recorded) {
		case isNot:
			return "", ""
		case isUnknown:
			unknown = append(unknown, "the precision is unknown")
		}
	}
	if len(unknown) > 0 {
		return fuseUndecided, "; " + strings.Join(unknown, ", ")
	}
	return fuseMissed, ""
}

// hasModel compares names by letters and digits only.
func hasModel(model string, any []string) bool {
	flat := func(s string) string { return strings.ReplaceAll(words(s), " ", "") }
	for _, m := range any {
		if strings.Contains(flat(model), flat(m)) {
			return true
		}
	}
	return false
}

// holds is what is known of a gate.
type holds int

const (
	isUnknown holds = iota
	isSo
	isNot
)

// precision tells whether the parts work in one of the wanted precisions: from their names, else from
// the recorded input types of their operators, else from the server's arguments.
func (f fusion) precision(server Server, texts []string, parts map[int]int, recorded []string) holds {
	for i := range parts {
		if has(texts[i], f.Precision) {
			return isSo
		}
	}
	for _, t := range recorded {
		if has(words(t), []string{words("float8"), words("e4m3"), words("e2m1"), words("float4")}) {
			return isSo
		}
	}
	switch {
	case server.Quantization == "":
		return isUnknown
	case has(words(server.Quantization), f.Precision):
		return isSo
	}
	return isNot
}

// precisions lists the input types recorded for the rows' operators.
func (b *builder) precisions(parts map[int]int, rows []Kernel) []string {
	seen := map[uint16]bool{}
	var out []string
	for i := range parts {
		g := b.groupByID[rows[i].ID]
		for _, e := range b.groups[g].events[:min(len(b.groups[g].events), 8)] {
			if t := b.typesOf[e]; t != 0 && !seen[t] {
				seen[t] = true
				out = append(out, b.types.text(uint32(t)))
			}
		}
	}
	slices.Sort(out)
	return out
}
