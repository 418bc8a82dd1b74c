package loop

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/cookbook"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// cook fills terms that the caller left open from the model's cookbook entry, and names each. Where the book has none,
// the product's own defaults hold.
func (d *drafting) cook(c *contract.Contract) error {
	book, err := cookbook.Open()
	if err != nil {
		return err
	}
	match, ok := book.Lookup(d.r.Model)
	if !ok {
		return nil
	}
	e := match.Entry
	d.match = &match
	c.Cookbook = e.ID + "@" + e.Digest()
	if len(c.Scenarios) == 0 {
		c.Scenarios = heaviest(e.Scenarios())
		d.assume("scenarios: %s, from the cookbook's entry %s", scenarioNames(c.Scenarios), e.ID)
	}
	c.CookbookLeft = leftOutOf(e.Scenarios(), c.Scenarios)
	if len(c.SLA) == 0 && !d.r.SLANone {
		c.SLA = maps.Clone(e.SLA)
		d.assume("sla: %s, from the cookbook's entry %s", slaText(c.SLA), e.ID)
	}
	if c.KVDtype == "" && e.KVDtype != "auto" {
		c.KVDtype = e.KVDtype
		d.assume("kv_dtype: %s, from the cookbook's entry %s, equal on every side", c.KVDtype, e.ID)
	}
	if c.Precision == "" && e.Dtype != "auto" && match.Exact {
		c.Precision = e.Dtype
		d.assume("precision: %s, from the cookbook's entry %s, equal on every side", c.Precision, e.ID)
	}
	if c.MaxContext == 0 && c.LongestSequence() <= e.MaxContext {
		c.MaxContext = e.MaxContext
		d.assume("max_context: %d tokens, from the cookbook's entry %s, equal on every side", c.MaxContext, e.ID)
	}
	return nil
}

// heaviest keeps of every request shape the closed loop with the most slots: more scenarios need more blocks to decide
// anything.
func heaviest(all []contract.Scenario) []contract.Scenario {
	var out []contract.Scenario
	for _, s := range all {
		if s.MaxConcurrency == nil {
			continue
		}
		i := slices.IndexFunc(out, func(o contract.Scenario) bool { return o.InputLen == s.InputLen && o.OutputLen == s.OutputLen })
		switch {
		case i < 0:
			out = append(out, s)
		case *s.MaxConcurrency > *out[i].MaxConcurrency:
			out[i] = s
		}
	}
	return out
}

// leftOutOf names the book's scenarios whose load is not among those that are measured.
func leftOutOf(book, measured []contract.Scenario) []string {
	var out []string
	for _, s := range book {
		same := func(m contract.Scenario) bool {
			return m.Kind == s.Kind && m.InputLen == s.InputLen && m.OutputLen == s.OutputLen && m.Arrival == s.Arrival && slots(m) == slots(s)
		}
		if !slices.ContainsFunc(measured, same) {
			out = append(out, s.Name)
		}
	}
	return out
}

// slots is a closed loop's concurrency, 0 elsewhere.
func slots(s contract.Scenario) int {
	if s.MaxConcurrency == nil {
		return 0
	}
	return *s.MaxConcurrency
}

func scenarioNames(all []contract.Scenario) string {
	var out []string
	for _, s := range all {
		out = append(out, s.Name)
	}
	return strings.Join(out, ", ")
}

func slaText(sla contract.SLA) string {
	var out []string
	for _, key := range sortedKeys(sla) {
		out = append(out, fmt.Sprintf("%s %v", key, sla[key]))
	}
	return strings.Join(out, ", ")
}

// cookWarnings says what the cookbook knows of a model that the contract cannot: sides that do not serve it, another
// number of GPUs or too small ones, and code of the checkpoint.
func (d *drafting) cookWarnings(c *contract.Contract) []string {
	if d.match == nil {
		return nil
	}
	var out []string
	e := d.match.Entry
	say := func(format string, args ...any) {
		out = append(out, "cookbook "+e.ID+": "+fmt.Sprintf(format, args...))
	}
	for _, side := range c.Sides() {
		if known, ok := e.Frameworks[side.Framework]; ok && known.State == cookbook.StateUnsupported {
			say("%s does not serve this model: %s", side.Framework, known.Reason)
		}
	}
	if c.Host.GPUMemory > 0 {
		for _, w := range d.match.Warnings(c.Host) {
			say("%s", w)
		}
		if why := d.match.Fits(c.Host); why != "" {
			say("%s", why)
		}
	}
	if e.RemoteCode && !c.TrustRemoteCode {
		say("engines that do not know the architecture ask to trust code of the checkpoint; the engineer allows it with the policy line `trust_remote_code: [%s]`", c.Model.Checkpoint())
	}
	for _, n := range e.Notes {
		if n.Kind == cookbook.NoteCaution {
			say("%s", n.Text)
		}
	}
	return out
}

// cooked is where a side's search begins by the cookbook; ok is false where its entry says nothing of the framework, or
// is another than the contract's.
func cooked(c *contract.Contract, fw contract.Framework) (start cookbook.Start, warning string, ok bool) {
	id, digest, named := strings.Cut(c.Cookbook, "@")
	if !named {
		return start, "", false
	}
	book, err := cookbook.Open()
	if err != nil {
		return start, err.Error(), false
	}
	e, found := book.ByID(id)
	if !found || e.Digest() != digest {
		return start, fmt.Sprintf("the cookbook's entry %s changed since the contract was frozen: the product's own default space is used", id), false
	}
	start, err = e.Start(fw, c.Host)
	if err != nil {
		return start, short(err.Error(), 200) + ": the product's own default space is used", false
	}
	return start, "", true
}

// cookedSpace is the cookbook's beginning as far as this build's help knows its flags as knobs and takes the values;
// what the caller's base flags name is theirs. Base flags of the book are taken where the caller gave none at all.
func cookedSpace(start cookbook.Start, fw framework.Framework, help *framework.Help, base map[string]any) (baseOut map[string]any, space map[string][]any, dropped []string) {
	baseOut, space = maps.Clone(base), map[string][]any{}
	dropped = slices.Clone(start.Dropped)
	fits := func(name string, v any, classes ...framework.FlagClass) (string, bool) {
		flag, known := help.Find(name)
		switch {
		case !known:
			dropped = append(dropped, name+": not in this build's help")
		case !slices.Contains(classes, fw.Class(flag)):
			dropped = append(dropped, fmt.Sprintf("%s: %s flag, not a search's to set", name, fw.Class(flag)))
		case flag.Accepts(v) != nil:
			dropped = append(dropped, fmt.Sprintf("%s %s: not among this build's values", name, framework.Render(v)))
		default:
			return flagName(flag), true
		}
		return "", false
	}
	if len(base) == 0 {
		for _, name := range sortedKeys(start.Base) {
			if as, ok := fits(name, start.Base[name], framework.ClassSearch, framework.ClassPinned); ok {
				baseOut[as] = start.Base[name]
			}
		}
	}
	for _, k := range start.Knobs {
		for _, v := range k.Values {
			as, ok := fits(k.Flag, v, framework.ClassSearch)
			if _, fixed := base[as]; ok && !fixed {
				space[as] = append(space[as], v)
			}
		}
	}
	return baseOut, space, dropped
}

// spaceWarnings says what is searched where the caller named no space, and what of the cookbook was left out.
func spaceWarnings(c *contract.Contract, fw framework.Framework, help *framework.Help, args searchArgs, said int) []string {
	start, warning, ok := cooked(c, fw.Type())
	if !ok || help == nil {
		out := []string{"no space was given, so the default one is searched: " + spaceText(args.Space)}
		if warning != "" {
			out = append(out, warning)
		}
		return out
	}
	text := "no space was given, so the cookbook's is searched: " + spaceText(args.Space)
	if said == 0 && len(args.Base) > 0 {
		text += "; with its base flags: " + flagsText(args.Base)
	}
	out := []string{text}
	base := args.Base
	if said == 0 {
		base = map[string]any{}
	}
	if _, _, dropped := cookedSpace(start, fw, help, base); len(dropped) > 0 {
		out = append(out, "left out of the cookbook's: "+strings.Join(dropped, "; "))
	}
	return out
}

// flagsText says flags in a line.
func flagsText(flags map[string]any) string {
	var out []string
	for _, name := range sortedKeys(flags) {
		out = append(out, name+" "+framework.Render(flags[name]))
	}
	return strings.Join(out, ", ")
}

// trust lets the engines run the checkpoint's own code where the engineer's policy names it.
func (d *drafting) trust(c *contract.Contract) {
	if name := c.Model.Checkpoint(); slices.Contains(d.policy.TrustRemoteCode, name) {
		c.TrustRemoteCode = true
		d.assume("trust_remote_code: %s, by the engineer's policy, on every side", name)
	}
}
