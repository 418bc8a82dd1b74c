package trace

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed fusions.json
var fusionsJSON []byte

// registry is fusions.json. Groups are phrases that several fusions use, written "@name" there.
type registry struct {
	Groups  map[string][]string `json:"groups"`
	Fusions []fusion            `json:"fusions"`
}

// fusion is one entry of the registry: a fused kernel that exists, and the kernels it replaces.
type fusion struct {
	Pattern      string     `json:"pattern"`
	Framework    string     `json:"framework"`
	SourcePath   string     `json:"source_path"`
	Provenance   string     `json:"provenance"`
	Upstream     string     `json:"upstream"`
	Active       []string   `json:"active"`
	Parts        [][]string `json:"parts"`
	Model        []string   `json:"model"`         // families it is made for; none: any
	ModelExclude []string   `json:"model_exclude"` // families it does not work for
	MinTP        int        `json:"min_tp"`
	Precision    []string   `json:"precision"`
	Across       []string   `json:"across"`   // categories that may run between two parts, beside the elementwise ones
	Subsumes     []string   `json:"subsumes"` // smaller patterns of the framework that say less of the same kernels
	Hint         string     `json:"hint"`

	active    []phrase
	parts     [][]phrase
	precision []string // as words
}

// phrase tells a kernel by words of its name: all of need are in it, and none of not.
type phrase struct{ need, not []string }

// fusions reads the registry once.
var fusions = sync.OnceValue(func() []fusion {
	list, err := readRegistry(fusionsJSON)
	if err != nil {
		panic("fusions.json: " + err.Error()) // embedded: a build defect, held by a test
	}
	return list
})

func readRegistry(text []byte) ([]fusion, error) {
	var r registry
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	for i := range r.Fusions {
		if err := r.Fusions[i].compile(r.Groups); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", r.Fusions[i].Pattern, r.Fusions[i].Framework, err)
		}
	}
	return r.Fusions, nil
}

// compile turns the phrases into words.
func (f *fusion) compile(groups map[string][]string) (err error) {
	if f.active, err = parsePhrases(f.Active, groups); err != nil {
		return err
	}
	for _, p := range f.Parts {
		part, err := parsePhrases(p, groups)
		if err != nil {
			return err
		}
		f.parts = append(f.parts, part)
	}
	for _, p := range f.Precision {
		f.precision = append(f.precision, words(p))
	}
	return nil
}

// parsePhrases reads "a_b", "a & b & !c" (a and b, but not c) and "@name" (the phrases of a group).
func parsePhrases(list []string, groups map[string][]string) ([]phrase, error) {
	var out []phrase
	for _, text := range list {
		if name, ok := strings.CutPrefix(text, "@"); ok {
			if groups[name] == nil {
				return nil, fmt.Errorf("no group %q", name)
			}
			of, err := parsePhrases(groups[name], nil)
			if err != nil {
				return nil, err
			}
			out = append(out, of...)
			continue
		}
		p, err := parsePhrase(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("no phrases")
	}
	return out, nil
}

func parsePhrase(text string) (phrase, error) {
	var p phrase
	for piece := range strings.SplitSeq(text, "&") {
		piece, not := strings.CutPrefix(strings.TrimSpace(piece), "!")
		w := words(piece)
		switch {
		case w == " ":
			return p, fmt.Errorf("%q has no words", text)
		case not:
			p.not = append(p.not, w)
		default:
			p.need = append(p.need, w)
		}
	}
	if len(p.need) == 0 {
		return p, fmt.Errorf("%q only excludes", text)
	}
	return p, nil
}

// in reports whether the phrase tells the kernel with this text (as words gives it).
func (p phrase) in(text string) bool {
	for _, w := range p.need {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return !has(text, p.not)
}

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
	k := b.kernelSequence(stage, rows)
	var found []match
	for _, f := range fusions() {
		if m, ok := b.matchFusion(f, k, server); ok {
			found = append(found, m)
		}
	}
	list := []Fuse{}
	for i, hidden := range subsumed(found) {
		if row, ok := found[i].row(k, hidden); ok {
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
	list = alike(list)
	for i := range list {
		list[i].ID = rowID("fuse", stageNames[stage], i+1, b.digest)
	}
	return list
}

// alike makes one row of what several frameworks fuse alike in the same kernels; the first of them keeps it.
func alike(list []Fuse) []Fuse {
	out := []Fuse{}
	for _, f := range list {
		same := func(x Fuse) bool {
			return x.Pattern == f.Pattern && x.State == f.State && x.Share == f.Share && slices.Equal(x.Kernels, f.Kernels)
		}
		if i := slices.IndexFunc(out, same); i >= 0 {
			out[i].Also = append(out[i].Also, FuseSource{Framework: f.Framework, SourcePath: f.SourcePath, Provenance: f.Provenance, Upstream: f.Upstream})
			continue
		}
		f.Also = []FuseSource{}
		out = append(out, f)
	}
	return out
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

// sequence is a stage's kernels in order of time, as far as patterns are searched.
type sequence struct {
	rows  []Kernel
	texts []string // of each row: the words of its name and its operator
	list  []launched
}

// launched is one kernel of the sequence.
type launched struct {
	row    int32
	stream uint16
}

// kernelSequence gives the kernels of a stage in order of time; the first ones of a long stage.
func (b *builder) kernelSequence(stage uint8, rows []Kernel) *sequence {
	s := &sequence{rows: rows, texts: make([]string, len(rows))}
	for i, k := range rows {
		s.texts[i] = words(k.Name) + words(k.CPUOp)
	}
	from := b.ranges[stage].from
	for _, e := range b.time.order {
		if b.stageOf[e] == stage && len(s.list) < fuseSequence {
			s.list = append(s.list, launched{b.groupOf[e] - int32(from), b.gpu.at(int(e)).stream})
		}
	}
	return s
}

// match is an entry whose fused kernel (fused: its rows) or whose parts (finds: their places) run.
type match struct {
	fusion
	state, why string
	fused      []int
	finds      [][]int
}

// matchFusion matches one entry; ok is false when neither the fused kernel nor its parts run, or a gate
// is known not to hold.
func (b *builder) matchFusion(f fusion, s *sequence, server Server) (match, bool) {
	m := match{fusion: f, fused: s.matching(f.active)}
	if len(m.fused) > 0 {
		m.state = fuseActive
		m.why = fmt.Sprintf("%q runs", shorten(s.rows[m.fused[0]].Name, 80))
		return m, true
	}
	m.finds = s.find(f)
	if len(m.finds) == 0 {
		return m, false
	}
	parts := s.launches(m.finds)
	m.state, m.why = f.gates(server, s.texts, parts, b.precisions(parts, s.rows))
	return m, m.state != ""
}

// subsumed gives, for each match, the places that a larger pattern of its framework says more of. One
// that is undecided takes nothing from one that is missed.
func subsumed(list []match) []map[int]bool {
	out := make([]map[int]bool, len(list))
	for i, small := range list {
		out[i] = map[int]bool{}
		for _, large := range list {
			if large.Framework != small.Framework || !slices.Contains(large.Subsumes, small.Pattern) ||
				large.state == fuseUndecided && small.state == fuseMissed {
				continue
			}
			for _, find := range large.finds {
				for _, n := range find {
					out[i][n] = true
				}
			}
		}
	}
	return out
}

// row is the match as reported, without the finds at hidden places; ok is false when too little is left.
func (m match) row(s *sequence, hidden map[int]bool) (Fuse, bool) {
	out := Fuse{
		Pattern: m.Pattern, Framework: m.Framework, SourcePath: m.SourcePath, Provenance: m.Provenance,
		Upstream: m.Upstream, Hint: m.Hint, State: m.state, Why: m.why, Kernels: []string{}, Locations: []Location{},
	}
	if m.state == fuseActive {
		fillFuse(&out, s.rows, m.fused, nil)
		return out, true
	}
	finds := slices.DeleteFunc(m.finds, func(find []int) bool {
		return slices.ContainsFunc(find, func(n int) bool { return hidden[n] })
	})
	fillFuse(&out, s.rows, nil, s.launches(finds))
	out.Why = fmt.Sprintf("its parts follow each other %d times in the kernels searched%s", len(finds), m.why)
	return out, len(finds) > 0 && out.Share >= minFuseShare
}

// matching lists the rows that one of the phrases tells.
func (s *sequence) matching(phrases []phrase) []int {
	var list []int
	for i, t := range s.texts {
		if slices.ContainsFunc(phrases, func(p phrase) bool { return p.in(t) }) {
			list = append(list, i)
		}
	}
	return list
}

// search is a pattern in a sequence.
type search struct {
	*sequence
	member [][]bool // of each part, of each row: it is one of the part's kernels
	ends   []bool   // of each row: what lies before it and after it cannot be one kernel
}

// find searches the sequence for the parts one after the other and gives the places of each find.
func (s *sequence) find(f fusion) [][]int {
	x := search{sequence: s, ends: make([]bool, len(s.rows))}
	for _, phrases := range f.parts {
		rows := s.matching(phrases)
		if len(rows) == 0 {
			return nil
		}
		member := make([]bool, len(s.rows))
		for _, i := range rows {
			member[i] = true
		}
		x.member = append(x.member, member)
	}
	for i, k := range s.rows {
		x.ends[i] = slices.Contains(endCategories, k.Category) && !slices.Contains(f.Across, k.Category)
	}
	var finds [][]int
	for i := 0; i < len(s.list); i++ {
		if at := x.follow(i); at != nil {
			finds = append(finds, at)
			i = at[len(at)-1]
		}
	}
	return finds
}

// endCategories hold no elementwise step: as a rule a pattern does not reach across one of their kernels.
var endCategories = []string{catNameGemm, catNameAttention, catNameMoE, catNameCommunication}

// follow gives the places of the pattern's parts when it begins at i.
func (x *search) follow(i int) []int {
	if !x.member[0][x.list[i].row] {
		return nil
	}
	at := []int{i}
	for _, part := range x.member[1:] {
		next := x.next(part, at[len(at)-1])
		if next < 0 {
			return nil
		}
		at = append(at, next)
	}
	return at
}

// next gives the place of a part that follows the one at last: a few kernels later at most, and not
// behind a kernel that ends patterns on its own stream or that of the last.
func (x *search) next(part []bool, last int) int {
	var ended []uint16
	for n := last + 1; n < len(x.list) && n <= last+1+fuseReach; n++ {
		k := x.list[n]
		switch {
		case part[k.row] && !slices.Contains(ended, k.stream):
			return n
		case x.ends[k.row] && k.stream == x.list[last].stream:
			return -1
		case x.ends[k.row]:
			ended = append(ended, k.stream)
		}
	}
	return -1
}

// launches counts, for each row, how many of its launches took part in finds.
func (s *sequence) launches(finds [][]int) map[int]int {
	out := map[int]int{}
	for _, find := range finds {
		for _, n := range find {
			out[int(s.list[n].row)]++
		}
	}
	return out
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
	if len(f.Model)+len(f.ModelExclude) > 0 {
		switch {
		case server.Model == "":
			unknown = append(unknown, "the model is unknown")
		case len(f.Model) > 0 && !hasModel(server.Model, f.Model), hasModel(server.Model, f.ModelExclude):
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
		switch f.precisionHolds(server, texts, parts, recorded) {
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

// carriers are formats of checkpoints: an argument that names one says nothing about the precision.
var carriers = []string{"auto", "compressed-tensors", "modelopt", "quark", "torchao"}

// precisionHolds tells whether the parts work in one of the wanted precisions: from their names, else
// from the recorded input types of their operators, else from the server's arguments.
func (f fusion) precisionHolds(server Server, texts []string, parts map[int]int, recorded []string) holds {
	for i := range parts {
		if has(texts[i], f.precision) {
			return isSo
		}
	}
	for _, t := range recorded {
		if has(words(t), []string{words("float8"), words("e4m3"), words("e2m1"), words("float4")}) {
			return isSo
		}
	}
	switch {
	case has(words(server.Quantization), f.precision):
		return isSo
	case server.Quantization == "", slices.Contains(carriers, server.Quantization):
		return isUnknown
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
