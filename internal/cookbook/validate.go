package cookbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// contextMargin is how many tokens of a context an engine may keep for itself: SGLang cuts an output to the context less
// the input less two.
const contextMargin = 2

// Helps are parsed helps of the frameworks' server commands.
type Helps map[contract.Framework]framework.Help

// Problem is one thing wrong with an entry.
type Problem struct {
	File  string
	Field string
	What  string
}

// Error renders file, field and what is wrong on one line.
func (p Problem) Error() string { return p.File + ": " + p.Field + ": " + p.What }

// Validate checks all entries: each by itself, and that ids and names tell them apart. No problem: nil.
func (b *Book) Validate(helps Helps) []Problem {
	var out []Problem
	ids := map[string]string{}
	for _, e := range b.Entries {
		out = append(out, e.Validate(helps)...)
		if other, twice := ids[e.ID]; twice {
			out = append(out, Problem{e.file, "id", fmt.Sprintf("%q is %s's, too", e.ID, other)})
		}
		ids[e.ID] = e.file
		for i, c := range e.Checkpoints {
			if m, ok := b.Lookup(c.ID); !ok || m.Entry.ID != e.ID {
				out = append(out, Problem{e.file, fmt.Sprintf("checkpoints[%d].id", i), fmt.Sprintf("%q is found in %q", c.ID, m.Entry.ID)})
			}
			for _, other := range b.Entries {
				if other.ID != e.ID && slices.ContainsFunc(other.Names, func(n string) bool { return ofFamily(nameWords(n), nameWords(c.ID)) }) {
					out = append(out, Problem{e.file, fmt.Sprintf("checkpoints[%d].id", i), fmt.Sprintf("%q is of the family of %q, too", c.ID, other.ID)})
				}
			}
		}
	}
	return out
}

// Validate checks one entry against the frameworks' helps.
func (e Entry) Validate(helps Helps) []Problem {
	var out []Problem
	bad := func(field, format string, args ...any) {
		out = append(out, Problem{e.file, field, fmt.Sprintf(format, args...)})
	}
	e.validateModel(bad)
	e.validateLoad(bad)
	for _, name := range contract.Frameworks {
		fw := contract.Framework(name)
		side, ok := e.Frameworks[fw]
		if !ok {
			bad("frameworks."+name, "is missing: say documented, or unsupported with a reason")
			continue
		}
		e.validateSide(fw, side, helps, bad)
	}
	for fw := range e.Frameworks {
		if !slices.Contains(contract.Frameworks, string(fw)) {
			bad("frameworks."+string(fw), "is no framework")
		}
	}
	for i, n := range e.Notes {
		if !slices.Contains([]NoteKind{NoteMended, NoteUnverified, NoteCaution}, n.Kind) || n.Text == "" {
			bad(fmt.Sprintf("notes[%d]", i), "needs a text and a kind: mended, unverified or caution")
		}
	}
	return out
}

type report func(field, format string, args ...any)

func (e Entry) validateModel(bad report) {
	if e.ID == "" || e.file != "models/"+e.ID+".json" {
		bad("id", "%q is not the file's name", e.ID)
	}
	if len(e.Checkpoints) == 0 || len(e.Names) == 0 {
		bad("checkpoints", "an entry needs a checkpoint and a name of its family")
	}
	for i, c := range e.Checkpoints {
		field := fmt.Sprintf("checkpoints[%d]", i)
		if org, name, ok := strings.Cut(c.ID, "/"); !ok || org == "" || name == "" {
			bad(field+".id", "%q is no id of the form organisation/name", c.ID)
		}
		if bytesPerParameter[c.Precision] == 0 {
			bad(field+".precision", "%q is none of %s", c.Precision, strings.Join(slices.Sorted(maps.Keys(bytesPerParameter)), ", "))
		}
		if c.Parameters < 1 || c.Source == "" {
			bad(field+".parameters", "needs a count and where it was read")
		}
	}
	for i, n := range e.Names {
		if n != strings.ToLower(n) || len(nameWords(n)) == 0 {
			bad(fmt.Sprintf("names[%d]", i), "%q is not in lower case", n)
		}
	}
	if e.GPUs < 1 || e.Hosts < 1 || e.GPUMemoryGiB <= 0 {
		bad("gpus", "GPUs, hosts and a GPU's memory must be given")
		return
	}
	if gpus := e.GPUs * e.Hosts; e.Model().WeightsGiB(gpus) >= fullest*e.GPUMemoryGiB {
		bad("gpu_memory_gib", "%.1f GiB of weights a GPU are more than %.0f %% of %.0f GiB", e.Model().WeightsGiB(gpus), fullest*100, e.GPUMemoryGiB)
	}
}

func (e Entry) validateLoad(bad report) {
	if need := e.LongestSequence() + contextMargin; e.MaxContext < need {
		bad("max_context", "%d is less than the longest request and the engines' own tokens, %d", e.MaxContext, need)
	}
	if e.ModelContext < e.MaxContext {
		bad("model_context", "%d is less than max_context %d", e.ModelContext, e.MaxContext)
	}
	if len(e.Shapes) == 0 || len(e.Concurrency) == 0 {
		bad("shapes", "an entry needs a request shape and a load level")
	}
	names := map[string]bool{}
	for _, s := range e.Scenarios() {
		if err := s.Validate(); err != nil {
			bad("shapes", "%v", err)
		}
		if names[s.Name] {
			bad("concurrency", "%s is there twice", s.Name)
		}
		names[s.Name] = true
	}
	if err := e.SLA.Validate(); err != nil || len(e.SLA) == 0 {
		bad("sla", "needs valid limits: %v", err)
	}
	if r := e.Rate; r.Lower <= 0 || r.Upper <= r.Lower || r.Tolerance <= 0 || r.Tolerance >= 1 || r.Rounds < 1 {
		bad("rate", "needs 0 < lower < upper, a tolerance in (0, 1) and rounds")
	}
}

func (e Entry) validateSide(fw contract.Framework, s Side, helps Helps, bad report) {
	at := "frameworks." + string(fw)
	switch {
	case s.State == StateUnsupported && s.Reason == "":
		bad(at+".reason", "unsupported needs a reason")
	case s.State == StateUnsupported && (len(s.Base) > 0 || len(s.Families) > 0):
		bad(at+".base", "an unsupported framework has no flags")
	case s.State == StateRun && s.Evidence == "":
		bad(at+".evidence", "run needs the campaign that ran it")
	case !slices.Contains([]State{StateRun, StateDocumented, StateUnsupported}, s.State):
		bad(at+".state", "%q is none of run, documented, unsupported", s.State)
	}
	if s.State == StateUnsupported {
		return
	}
	if e.Hosts > 1 {
		bad(at+".state", "an entry of %d hosts is unsupported here", e.Hosts)
	}
	if len(s.Families) == 0 {
		bad(at+".families", "nothing to search")
	}
	if why := e.weightsFit(s); why != "" {
		bad(at+".base", "%s", why)
	}
	if why := Layout(fw, s.Base, e.GPUs); why != "" {
		bad(at+".base", "%s", why)
	}
	help, ok := helps[fw]
	if !ok {
		bad(at, "no help to check its flags against")
		return
	}
	known, err := framework.Of(fw)
	if err != nil {
		bad(at, "%v", err)
		return
	}
	e.validateFlags(sideCheck{fw: fw, known: known, help: &help, bad: bad, at: at, seen: map[string]string{}}, s)
}

// sideCheck is what judging one side's flags takes.
type sideCheck struct {
	fw    contract.Framework
	known framework.Framework
	help  *framework.Help
	bad   report
	at    string
	seen  map[string]string // base flags by their longest name
}

// flag finds a flag in the help and checks its class and one value.
func (c sideCheck) flag(field, name string, v any, classes ...framework.FlagClass) (framework.Flag, bool) {
	f, ok := c.help.Find(name)
	if !ok {
		c.bad(field, "no flag of %s's help; like it: %s", c.fw, strings.Join(c.help.Nearest(name, 3), ", "))
		return f, false
	}
	if class := c.known.Class(f); !slices.Contains(classes, class) {
		c.bad(field, "is a %s flag, which has no place here", class)
	}
	if f.Deprecated {
		c.bad(field, "is deprecated")
	}
	if err := f.Accepts(v); err != nil {
		c.bad(field, "value %s %v", framework.Render(v), err)
	}
	if v == false && f.Kind == framework.KindBool && f.Negation == "" {
		c.bad(field, "false says nothing: the switch has no negation")
	}
	return f, true
}

func (e Entry) validateFlags(c sideCheck, s Side) {
	for _, name := range slices.Sorted(maps.Keys(s.Base)) {
		field := c.at + ".base." + name
		f, ok := c.flag(field, name, s.Base[name], framework.ClassSearch, framework.ClassPinned)
		if other, twice := c.seen[f.Name]; ok && twice {
			c.bad(field, "is the same flag as %s", other)
		}
		c.seen[f.Name] = name
	}
	for _, name := range slices.Sorted(maps.Keys(s.Terms)) {
		if role := c.known.Role(name); role == "context" || strings.Contains(strings.ReplaceAll(name, "_", "-"), "kv-cache") {
			c.bad(c.at+".terms."+name, "context and KV cache are the entry's, equal for every framework")
		}
	}
	flags := e.ContractFlags(c.fw)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		c.flag(c.at+".contract."+name, name, flags[name], framework.ClassContract, framework.ClassForbidden)
	}
	for _, family := range s.Families {
		field := c.at + ".families." + family.Name
		if len(family.Cures) == 0 || len(family.Knobs) == 0 || slices.ContainsFunc(family.Cures, func(w string) bool { return !slices.Contains(Bottlenecks, w) }) {
			c.bad(field, "needs knobs, and cures of: %s", strings.Join(Bottlenecks, ", "))
		}
		for _, k := range family.Knobs {
			e.validateKnob(c, field+"."+k.Flag, k, s.Base)
		}
	}
}

func (e Entry) validateKnob(c sideCheck, field string, k Knob, base map[string]any) {
	rendered := map[string]bool{}
	for _, v := range k.Values {
		if _, ok := c.flag(field, k.Flag, v, framework.ClassSearch); !ok {
			return
		}
		if text := framework.Render(v); rendered[text] {
			c.bad(field, "value %s is there twice", text)
		} else {
			rendered[text] = true
		}
		if why := layoutWith(c.fw, c.known, base, k.Flag, v, e.GPUs); why != "" {
			c.bad(field, "value %s: %s", framework.Render(v), why)
		}
	}
	f, _ := c.help.Find(k.Flag)
	own, inBase := base[c.seen[f.Name]]
	switch {
	case len(k.Values) == 0:
		c.bad(field, "has no values")
	case inBase && len(rendered) == 1 && rendered[framework.Render(own)]:
		c.bad(field, "its only value is the base's")
	case inBase && !rendered[framework.Render(own)]:
		c.bad(field, "the base's value %s is not among its values", framework.Render(own))
	}
	if c.seen["knob "+f.Name] != "" {
		c.bad(field, "is searched twice")
	}
	c.seen["knob "+f.Name] = k.Flag
}
