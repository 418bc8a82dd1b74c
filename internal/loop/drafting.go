package loop

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/cookbook"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/stats"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// drafting fills one contract; assumed names every default it took.
type drafting struct {
	r       OpenRequest
	entry   hosts.HostEntry
	policy  policy.Policy   // of now, which the contract freezes
	match   *cookbook.Match // what the cookbook knows of the model; nil: nothing
	assumed []string
	indexes []frozenIndex // of the scenarios' datasets
}

func (d *drafting) assume(format string, args ...any) {
	d.assumed = append(d.assumed, fmt.Sprintf(format, args...))
}

// sides resolves study, target and comparison sides against the host's engine entries.
func (d *drafting) sides(c *contract.Contract) error {
	study := d.r.Study
	if study == "" {
		study = string(contract.StudySOTA)
		d.assume("study: sota")
	}
	if !slices.Contains(contract.Studies, study) {
		return fault.New(fault.InvalidInput, "unknown study %q", study).At("study", study, contract.Studies...)
	}
	c.Study = contract.Study(study)
	target, err := d.target()
	if err != nil {
		return err
	}
	if c.Target, err = d.side(target); err != nil {
		return err
	}
	if c.Study == contract.StudyTune {
		return d.incumbent(c)
	}
	names := d.r.Against
	if names == nil && c.Study == contract.StudySOTA {
		for _, name := range sortedKeys(d.entry.Engines) {
			if name != target && d.entry.Engines[name].Type != d.entry.Engines[target].Type {
				names = append(names, name)
			}
		}
		d.assume("against: %s (every other framework of the host)", strings.Join(names, ", "))
	}
	if c.Study == contract.StudySOTA {
		d.absent(names, target)
	}
	for _, name := range names {
		resolved, err := d.resolve(name)
		if err != nil {
			return err
		}
		side, err := d.side(resolved)
		if err != nil {
			return err
		}
		c.Against = append(c.Against, side)
	}
	if len(c.Against) == 0 {
		return fault.New(fault.InvalidInput, "study %s needs something to compare with", c.Study).At("against", "", sortedKeys(d.entry.Engines)...).
			Hint("name engine entries of the host in against, or use study tune on a host with one engine")
	}
	return nil
}

// absent names the frameworks that a campaign leaves out: whether somebody did not want them or the host does not have them.
func (d *drafting) absent(names []string, target string) {
	named := map[string]bool{d.entry.Engines[target].Type: true}
	for _, name := range names {
		named[name], named[d.entry.Engines[name].Type] = true, true
	}
	has := map[string]bool{}
	for _, e := range d.entry.Engines {
		has[e.Type] = true
	}
	for _, fw := range framework.All {
		switch t := string(fw.Type()); {
		case named[t]:
		case has[t]:
			d.assume("absent: %s (user_excluded)", t)
		default:
			d.assume("absent: %s (env_gap: the host has no entry of it)", t)
		}
	}
}

// incumbent makes the comparison side of a tuning study: a pasted command, else the shipped default.
func (d *drafting) incumbent(c *contract.Contract) error {
	flags, err := d.command(c.Target.Entry+incumbentSuffix, d.r.Incumbent, c.Target.Framework)
	if err != nil {
		return err
	}
	if len(flags) == 0 {
		d.assume("incumbent: the shipped default")
	}
	c.Against = []contract.Side{{Entry: c.Target.Entry + incumbentSuffix, Framework: c.Target.Framework, Flags: flags, Incumbent: true}}
	return nil
}

// target picks the engine entry to improve: the one named, else the host's only SGLang.
func (d *drafting) target() (string, error) {
	if d.r.Target != "" {
		return d.resolve(d.r.Target)
	}
	var sglang []string
	for _, name := range sortedKeys(d.entry.Engines) {
		if d.entry.Engines[name].Type == string(contract.SGLang) {
			sglang = append(sglang, name)
		}
	}
	if len(sglang) != 1 {
		return "", fault.New(fault.InvalidInput, "target is missing and the host has %d SGLang entries", len(sglang)).At("target", "", sortedKeys(d.entry.Engines)...)
	}
	d.assume("target: %s", sglang[0])
	return sglang[0], nil
}

// resolve accepts an entry name, or a framework type that one entry is of.
func (d *drafting) resolve(name string) (string, error) {
	if _, ok := d.entry.Engines[name]; ok {
		return name, nil
	}
	var typed []string
	for entry, e := range d.entry.Engines {
		if e.Type == name {
			typed = append(typed, entry)
		}
	}
	if len(typed) == 1 {
		return typed[0], nil
	}
	field := "target"
	if name != d.r.Target {
		field = "against"
	}
	f := fault.New(fault.NotFound, "no engine entry %q on host %q", name, d.r.Host).At(field, name, sortedKeys(d.entry.Engines)...)
	if near := nearest(name, sortedKeys(d.entry.Engines)); near != "" {
		f.Hint("did you mean %q?", near)
	}
	return "", f
}

// side renders one entry, with the fixed command of an ab or look study.
func (d *drafting) side(name string) (contract.Side, error) {
	side := contract.Side{Entry: name, Framework: contract.Framework(d.entry.Engines[name].Type)}
	study := contract.Study(d.r.Study)
	if study == contract.StudyAB || study == contract.StudyLook {
		flags, err := d.command(name, d.r.Commands[name], side.Framework)
		if err != nil {
			return side, err
		}
		side.Flags = flags
	}
	return side, nil
}

// command gives a side's fixed flags: the pasted command, else what the campaign that this one is copied from had fixed.
func (d *drafting) command(entry, text string, t contract.Framework) (map[string]any, error) {
	if flags, ok := d.r.fixed[entry]; ok && strings.TrimSpace(text) == "" {
		return flags, nil
	}
	flags, err := parseCommand(text, t)
	if names := leftOut(text, flags); err == nil && len(names) > 0 {
		d.assume("command of %s: %s left out, being the contract's or the worker's to set", entry, strings.Join(names, ", "))
	}
	return flags, err
}

// parseCommand reads a pasted command line by the adapter's flag classes: knobs stay, contract and host flags are left
// out since they come from the contract and the worker.
func parseCommand(text string, t contract.Framework) (map[string]any, error) {
	if strings.TrimSpace(text) == "" {
		return map[string]any{}, nil
	}
	return framework.ParseCommand(t, text)
}

// terms fills what is measured and how it is judged.
func (d *drafting) terms(c *contract.Contract) error {
	c.Precision, c.Quantization, c.KVDtype, c.Speculation = d.r.Precision, d.r.Quantization, d.r.KVDtype, d.r.Speculation
	c.MaxContext, c.Goodput, c.MinAttainment = d.r.MaxContext, d.r.Goodput, d.r.MinAttainment
	c.RankBy, c.CapacityStudy, c.Accuracy = d.r.RankBy, d.r.CapacityStudy, d.r.Accuracy
	c.Endpoint, c.Delta, c.Scenarios, c.SLA = d.r.Endpoint, d.r.Delta, slices.Clone(d.r.Scenarios), d.r.SLA
	c.Budget = contract.Budget{Launches: d.r.BudgetLaunches, MaxGPUHours: d.r.MaxGPUHours}
	if err := d.cook(c); err != nil {
		return err
	}
	if c.Precision == "" {
		c.Precision = "auto"
		d.assume("precision: auto, as the model's configuration says, equal on every side")
	}
	if c.KVDtype == "" {
		c.KVDtype = "auto"
		d.assume("kv_dtype: auto, equal on every side")
	}
	if c.Endpoint == "" {
		c.Endpoint = endpointOf(c.Scenarios)
		d.assume("endpoint: %s", c.Endpoint)
	}
	if c.Delta == 0 {
		c.Delta = defaultDelta
		d.assume("delta: %.0f %%", 100*c.Delta)
	}
	if c.Delta < 0.001 || c.Delta > 0.5 {
		return fault.New(fault.InvalidInput, "delta %v is no noise threshold", c.Delta).At("delta", fmt.Sprint(c.Delta), "0.01 to 0.1")
	}
	if c.Budget.Launches == 0 {
		c.Budget.Launches = defaultLaunches
		d.assume("budget_launches: %d a framework", defaultLaunches)
	}
	if c.Budget.Launches < 1 || c.Budget.Launches > 100 {
		return fault.New(fault.InvalidInput, "budget_launches %d is out of range", c.Budget.Launches).At("budget_launches", fmt.Sprint(c.Budget.Launches), "1 to 100")
	}
	if c.Budget.Launches >= fewestScreened && (c.Study == contract.StudySOTA || c.Study == contract.StudyTune) {
		c.Budget.Race = c.Budget.Launches / 2
		d.assume("race_launches: %d a framework, beside the search's, for fresh launches of its finalists; a race without challengers takes none", c.Budget.Race)
	}
	if err := d.scenarios(c); err != nil {
		return err
	}
	if slices.ContainsFunc(c.Scenarios, contract.Scenario.Open) {
		c.Overload = contract.OverloadCapacity
	}
	if err := d.sla(c); err != nil {
		return err
	}
	if v := rules.Check(rules.AtOpen, &rules.Facts{Contract: c}); v != nil { // again with what the host says, before freezing
		return v.Fault()
	}
	if err := vetTerms(c, d.r.Key); err != nil {
		return err
	}
	if err := vetRates(c); err != nil {
		return err
	}
	return d.blocks(c)
}

// scenarios completes the request shapes; without any, the two standard ones in a closed loop.
func (d *drafting) scenarios(c *contract.Contract) error {
	if len(c.Scenarios) == 0 {
		slots := 16
		for _, s := range []contract.Scenario{{Name: "chat", InputLen: 1000, OutputLen: 1000}, {Name: "summarization", InputLen: 8000, OutputLen: 1000}} {
			s.NumPrompts, s.Arrival, s.MaxConcurrency = 5*slots, contract.ArrivalClosed, &slots
			c.Scenarios = append(c.Scenarios, s)
		}
		d.assume("scenarios: chat 1000→1000 and summarization 8000→1000, random token ids, closed loop of %d, %d prompts", slots, 5*slots)
	}
	seen := map[string]bool{}
	for i := range c.Scenarios {
		s := &c.Scenarios[i]
		if s.Kind == "" {
			s.Kind = contract.KindRandom
		}
		s.Stream = true
		if s.Kind == contract.KindRandom && !s.IgnoreEOS {
			s.IgnoreEOS = true
			d.assume("scenario %s: ignore_eos, since random token ids have no natural end; answers are streamed", s.Name)
		}
		if s.Arrival == "" {
			s.Arrival = contract.ArrivalClosed
			if s.RequestRate != nil || s.RateSearch != nil {
				s.Arrival = contract.ArrivalPoisson
			}
			d.assume("scenario %s: arrival %s", s.Name, s.Arrival)
		}
		if s.Arrival == contract.ArrivalClosed && s.MaxConcurrency != nil && s.NumPrompts == 0 {
			s.NumPrompts = 5 * *s.MaxConcurrency
			d.assume("scenario %s: num_prompts %d, five a slot", s.Name, s.NumPrompts)
		}
		d.rateSearch(c, s)
		if s.WarmupWaves == 0 {
			s.WarmupWaves = 5
		}
		if s.Primary == "" {
			s.Primary = s.DefaultPrimary()
		}
		if slices.Contains([]string{usePreflight, useEquality, useUnseen}, s.Name) || strings.HasPrefix(s.Name, probePrefix) {
			return fault.New(fault.InvalidInput, "scenario name %q is one of our own points", s.Name).At("scenarios.name", s.Name).Hint("choose another name")
		}
		if seen[s.Name] {
			return fault.New(fault.InvalidInput, "two scenarios are named %q", s.Name).At("scenarios.name", s.Name)
		}
		seen[s.Name] = true
		if err := s.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// sla demands a decision: limits, or that there are none.
func (d *drafting) sla(c *contract.Contract) error {
	if d.r.SLANone {
		c.SLA = contract.SLA{}
		return nil
	}
	if len(c.SLA) == 0 { // the cookbook's is in c where it has one
		return fault.New(fault.InvalidInput, "sla is missing").At("sla", "", contract.SLAKeys()...).
			Hint(`give limits, for example {"max_p50_ttft_ms": 2000, "max_p50_tpot_ms": 80, "min_success_rate": 0.99}, or "none"`)
	}
	return nil
}

// unmeasured is how many of a scenario's requests lie outside of the measured window: the first and the last wave of a
// closed loop, about the first and last tenth of a replay.
func unmeasured(s contract.Scenario) int {
	if s.Arrival == contract.ArrivalReplay {
		return s.NumPrompts/5 + 1 // the window is the middle eight tenths of the span
	}
	if s.Arrival != contract.ArrivalClosed || s.MaxConcurrency == nil {
		return 0
	}
	return 2 * *s.MaxConcurrency
}

// blocks freezes how many blocks are run and when they are looked at.
func (d *drafting) blocks(c *contract.Contract) error {
	m := len(c.Scenarios) * len(c.Against)
	c.Blocks = contract.Blocks{Max: d.r.MaxBlocks, Comparisons: m}
	if c.Study == contract.StudyLook {
		c.Blocks = contract.Blocks{Max: 2, Looks: []int{2}, Comparisons: m}
		return nil
	}
	switch {
	case c.Blocks.Max == 0 && m <= 4:
		c.Blocks.Max, c.Blocks.Looks = 12, []int{8, 12}
		d.assume("blocks: looks at 8 and 12")
	case c.Blocks.Max == 0:
		c.Blocks.Max, c.Blocks.Looks = 12, []int{12}
		d.assume("blocks: one look at 12, since %d comparisons share the error rate", m)
	case c.Blocks.Max == 12 && m <= 4:
		c.Blocks.Looks = []int{8, 12}
	case c.Blocks.Max > 16:
		return fault.New(fault.InvalidInput, "max_blocks %d is more than the exact test takes", c.Blocks.Max).At("max_blocks", fmt.Sprint(c.Blocks.Max), "6 to 16")
	default:
		c.Blocks.Looks = []int{c.Blocks.Max}
	}
	return nil
}

// fewestBlocks is the fewest blocks at which m comparisons can be decided at 5 %.
func fewestBlocks(m int) int { return stats.FewestFor(0.05 / float64(max(1, m))) }

// found fills what the host says: GPUs, model, clocks.
func (d *drafting) found(c *contract.Contract, name string, f worker.Facts, gpus []hosts.GPU) error {
	c.Host = contract.Host{
		Name: name, EntryDigest: d.entry.Digest(), Device: d.entry.Device, GPUs: d.r.GPUs, BootID: f.BootID, Simulated: f.Simulated, ReceiptKey: d.entry.ReceiptKey, Entry: d.entry.Launching(entriesOf(c)...),
		ClockSkewS: math.Round(time.Since(f.Now).Seconds()*10) / 10,
	}
	if c.Host.Device != hosts.DeviceCUDA {
		c.Host.GPUs = []int{}
		if err := d.cores(&c.Host, f.CPU); err != nil {
			return err
		}
	} else if err := d.gpus(&c.Host, gpus); err != nil {
		return err
	}
	for entry, problem := range f.Engines {
		if side, ok := c.Side(entry); ok && problem != "" {
			return fault.New(fault.NotFound, "env_gap: engine %q cannot be used on %q: %s", side.Entry, name, fault.Foreign(problem, 200)).At("against", entry).
				Hint("env_gap: install it, correct hosts.yaml, or leave the side out")
		}
	}
	return d.model(c, f)
}

// gpus settles which GPUs are used: those that were said, else the first that the inventory or the host has.
func (d *drafting) gpus(h *contract.Host, seen []hosts.GPU) error {
	if len(h.GPUs) == 0 {
		h.GPUs = d.entry.GPUs[:min(1, len(d.entry.GPUs))]
		if len(h.GPUs) == 0 && len(seen) > 0 {
			h.GPUs = []int{seen[0].Index}
		}
		d.assume("gpus: %v", h.GPUs)
	}
	if err := vetGPUs(h.GPUs); err != nil {
		return err
	}
	var missing []int
	h.GPUModel, h.Driver, h.GPUMemory, missing = gpuFacts(seen, h.GPUs)
	if len(missing) > 0 || len(h.GPUs) == 0 {
		return fault.New(fault.NotFound, "host %q has no GPU %v", h.Name, missing).At("gpus", fmt.Sprint(h.GPUs), gpuNames(seen)...).Hint("name GPUs of want; list_hosts with refresh shows their state")
	}
	for _, g := range h.GPUs {
		if len(d.entry.GPUs) > 0 && !slices.Contains(d.entry.GPUs, g) {
			return fault.New(fault.Denied, "GPU %d of host %q is not in hosts.yaml", g, h.Name).At("gpus", fmt.Sprint(g), fmt.Sprint(d.entry.GPUs))
		}
	}
	return nil
}

// model resolves the model to one local snapshot folder.
func (d *drafting) model(c *contract.Contract, f worker.Facts) error {
	m, ok := f.Models[d.r.Model]
	if !ok || m.Gap != "" {
		gap := m.Gap
		if gap == "" {
			gap = "absent"
		}
		return fault.New(fault.NotFound, "model_gap: %s: %q is not on host %q", gap, d.r.Model, d.r.Host).At("model", d.r.Model, sortedKeys(d.entry.Models)...).
			Hint("the engineer downloads it on the host, or names its folder under models in hosts.yaml; no tool downloads anything")
	}
	var config struct {
		Vocab int `json:"vocab_size"`
		Text  struct {
			Vocab int `json:"vocab_size"`
		} `json:"text_config"`
		Context int `json:"max_position_embeddings"`
	}
	if err := json.Unmarshal([]byte(m.Config), &config); err != nil {
		return fault.Wrap(fault.Corrupt, err, "config.json of %q cannot be read", d.r.Model).At("model", d.r.Model)
	}
	c.Model = contract.Model{ID: d.r.Model, Revision: d.r.Revision, Path: m.Path, Identity: m.Identity, Tokenizer: d.r.Tokenizer, Vocabulary: max(config.Vocab, config.Text.Vocab), Bytes: m.Bytes}
	if c.Model.Vocabulary == 0 {
		return fault.New(fault.InvalidInput, "config.json of %q names no vocab_size", d.r.Model).At("model", d.r.Model).Hint("random prompts are drawn from the vocabulary; give a model folder with a complete config.json")
	}
	if err := d.vetNames(c); err != nil {
		return err
	}
	if d.trust(c); c.TrustRemoteCode {
		c.Model.Code = m.Code
	}
	if config.Context > 0 && c.LongestSequence() > config.Context {
		return fault.New(fault.RuleViolation, "a scenario needs %d tokens, the model has %d", c.LongestSequence(), config.Context).ByRule("fair.sequence-limit").
			At("scenarios", fmt.Sprint(c.LongestSequence()), fmt.Sprintf("at most %d", config.Context))
	}
	return nil
}
