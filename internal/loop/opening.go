package loop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// Defaults of a contract, each named in assumed where it was taken.
const (
	defaultLaunches = 10   // search launches a framework
	defaultDelta    = 0.03 // noise threshold
	defaultEndpoint = "/v1/completions"
	assumedLaunchS  = 240.0 // seconds a launch of an unknown engine takes until it is ready
	assumedLoadS    = 120.0 // seconds of load a launch carries
)

// Open freezes a campaign's contract, or shows what it would be (Plan). The same key gives the same campaign.
func (l *Loop) Open(ctx context.Context, r OpenRequest) (Opened, error) {
	if r.Key != "" {
		if found, ok := l.byKey(r.Key); ok {
			return found, nil
		}
	}
	c, d, changed, err := l.draft(ctx, r)
	if err != nil {
		return Opened{}, err
	}
	assumed := d.assumed
	c.Assumed = assumed
	facts := &rules.Facts{Contract: c, Decide: &rules.DecideFacts{Need: fewestBlocks(c.Blocks.Comparisons)}, Threads: d.threads(c)}
	if v := rules.Check(rules.AtOpen, facts); v != nil {
		return Opened{}, v.Fault()
	}
	out := Opened{Assumed: assumed, Changed: changed, Cost: c.Cost}
	out.Warnings = append(openWarnings(c), d.cookWarnings(c)...)
	if total := gpuHours(c.Cost); c.Budget.MaxGPUHours > 0 && total > c.Budget.MaxGPUHours {
		return Opened{}, fault.New(fault.InvalidInput, "the projection is %.2f GPU-hours, max_gpu_hours is %.2f", total, c.Budget.MaxGPUHours).
			At("max_gpu_hours", fmt.Sprint(c.Budget.MaxGPUHours)).Hint("raise it, or lower budget_launches, scenarios or max_blocks")
	}
	if r.Plan {
		out.State, out.Next = StateDone, []fault.Next{{Tool: "open_campaign", Why: "the same call without plan freezes this contract"}}
		out.Contract, _, err = c.Freeze()
		return out, err
	}
	return l.freeze(ctx, c, d, out)
}

// freeze gives the campaign its name, writes contract.frozen and the layout of the run directory.
func (l *Loop) freeze(ctx context.Context, c *contract.Contract, d *drafting, out Opened) (Opened, error) {
	key := d.r.Key
	if key != "" {
		unlock, err := l.lockHome(ctx, "keys")
		if err != nil {
			return Opened{}, err
		}
		defer unlock()
		if found, ok := l.byKey(key); ok {
			return found, nil
		}
	}
	id, dir, err := l.newRunDir(c)
	if err != nil {
		return Opened{}, err
	}
	c.Campaign = id
	raw, digest, err := c.Freeze()
	if err != nil {
		return Opened{}, err
	}
	led, err := ledger.Open(dir, l.locks(), Kinds)
	if err != nil {
		return Opened{}, err
	}
	kept, err := keepIndexes(led, d.indexes)
	if err != nil {
		return Opened{}, err
	}
	pol, err := led.Put(frozenPolicy, bytes.NewReader(d.policy.Bytes()))
	if err != nil {
		return Opened{}, err
	}
	pending, err := opening(c, ContractFrozen{Contract: raw, Digest: digest, Key: key, Datasets: kept, Policy: &pol})
	if err != nil {
		return Opened{}, err
	}
	if _, err := led.Append(ctx, func([]chain.Entry) ([]chain.Pending, error) { return pending, nil }); err != nil {
		return Opened{}, err
	}
	if err := l.register(ctx, entryOf(c, digest)); err != nil {
		return Opened{}, err
	}
	if _, err := led.Put("contract.json", strings.NewReader(string(raw)+"\n")); err != nil {
		return Opened{}, err
	}
	camp, err := l.campaign(id)
	if err != nil {
		return Opened{}, err
	}
	st, err := camp.state()
	if err != nil {
		return Opened{}, err
	}
	out.State, out.Campaign, out.Contract, out.Digest, out.RunDir, out.Next = StateDone, id, raw, digest, dir, st.Allowed()
	out.Evidence = []string{"contract.json@" + digest[:16]}
	return out, nil
}

// lockHome lets one server of the home at a time do what concerns all of its campaigns: open one under a key, so that a
// repeated call cannot open two; plan a run, so that two cannot both take what is left of a budget.
func (l *Loop) lockHome(ctx context.Context, what string) (unlock func(), err error) {
	for {
		unlock, held, err := chain.TryLock(filepath.Join(l.locks(), what+".open"))
		if err != nil || held {
			return unlock, err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// opening is a ledger's first entries: the contract, and a candidate for every side whose command is fixed.
func opening(c *contract.Contract, frozen ContractFrozen) ([]chain.Pending, error) {
	p, err := entry(kindContract, frozen)
	if err != nil {
		return nil, err
	}
	pending := []chain.Pending{p}
	for _, side := range c.Sides() {
		if side.Flags == nil {
			continue
		}
		p, err := entry(kindCandidate, CandidateAdded{ID: side.Entry + "-00", Entry: side.Entry, Flags: side.Flags, Knobs: map[string]any{}, Why: "fixed by the contract"})
		if err != nil {
			return nil, err
		}
		pending = append(pending, p)
	}
	return pending, nil
}

var slugRunes = regexp.MustCompile(`[^a-z0-9.-]+`)

// newRunDir makes runs/YYYYMMDD_<model>_<study>_loop with its folders, numbered where the day has one already. mkdir
// decides who gets a name, so two servers never share one.
func (l *Loop) newRunDir(c *contract.Contract) (id, dir string, err error) {
	if err := os.MkdirAll(l.opt.RunsDir, 0o755); err != nil {
		return "", "", err
	}
	model := strings.Trim(slugRunes.ReplaceAllString(strings.ToLower(filepath.Base(c.Model.ID)), "-"), "-.")
	if model == "" {
		model = "model"
	}
	base := fmt.Sprintf("%s_%s_%s_loop", c.Created.UTC().Format("20060102"), model, c.Study)
	for n := 1; n < 10_000; n++ {
		id = base
		if n > 1 {
			id = fmt.Sprintf("%s_%d", base, n)
		}
		dir = filepath.Join(l.opt.RunsDir, id)
		err = os.Mkdir(dir, 0o755)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		for _, sub := range []string{"help", "benchmark", "profiles", "analysis", "patches"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
				return "", "", err
			}
		}
		return id, dir, nil
	}
	return "", "", fault.New(fault.Conflict, "too many campaigns named %s", base).Hint("move old run directories away")
}

// byKey finds the campaign that was opened with an idempotency key.
func (l *Loop) byKey(key string) (Opened, bool) {
	names, err := l.Campaigns()
	if err != nil {
		return Opened{}, false
	}
	for _, name := range names {
		c, err := l.campaign(name)
		if err != nil {
			continue
		}
		st, err := c.state()
		if err != nil || st.Key != key {
			continue
		}
		raw, _, err := st.Contract.Freeze()
		if err != nil {
			return Opened{}, false
		}
		return Opened{Answer: Answer{State: StateDone, Next: st.Allowed(), Warnings: []string{"this key opened the campaign before; nothing new was frozen"}},
			Campaign: name, Contract: raw, Digest: st.Digest, RunDir: c.ledger.Dir(), Assumed: st.Contract.Assumed, Changed: []string{}, Cost: st.Contract.Cost}, true
	}
	return Opened{}, false
}

// draft makes the contract of a request: what was said, what from copies, what the host says, and named defaults.
func (l *Loop) draft(ctx context.Context, r OpenRequest) (c *contract.Contract, d *drafting, changed []string, err error) {
	if r.From != "" {
		if r, changed, err = l.inherit(r); err != nil {
			return nil, nil, nil, err
		}
	}
	if r.Model == "" {
		return nil, nil, nil, fault.New(fault.InvalidInput, "model is missing").At("model", "").Hint("name the model as hosts.yaml or the host's cache knows it, for example Qwen/Qwen3-8B")
	}
	h, entry, err := l.host(r.Host)
	if err != nil {
		return nil, nil, nil, err
	}
	pol, err := l.policyNow()
	if err != nil {
		return nil, nil, nil, err
	}
	d = &drafting{r: r, entry: entry, policy: pol, assumed: []string{}}
	c = &contract.Contract{Kind: contract.Kind, V: contract.Version, Created: time.Now().UTC().Truncate(time.Second), From: r.From, PatchTests: true}
	if err := d.sides(c); err != nil {
		return nil, nil, nil, err
	}
	c.Host.Name, c.Model.ID = r.Host, r.Model
	if err := l.mayOpen(pol, c, r.Plan); err != nil {
		return nil, nil, nil, err
	}
	if err := d.terms(c); err != nil {
		return nil, nil, nil, err
	}
	facts, gpus, _, err := h.probe(ctx, r.Model)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := d.datasets(ctx, c, h, facts.Models[r.Model].Path); err != nil {
		return nil, nil, nil, err
	}
	if err := d.found(c, r.Host, facts, gpus); err != nil {
		return nil, nil, nil, err
	}
	c.Host.Clocks = h.clocks(ctx, facts, c.Host)
	if err := vetRequests(c); err != nil {
		return nil, nil, nil, err
	}
	c.Policy, c.Approvers, c.TrustRoots = pol.Digest(), l.approversDigest(), l.trustRoots().Level()
	c.Seed, err = drawSeed()
	c.Cost = project(c)
	l.planNoise(c)
	return c, d, changed, err
}

func (l *Loop) approversDigest() string {
	if l.opt.Approvers == nil {
		return ""
	}
	raw, err := l.opt.Approvers()
	if err != nil || len(raw) == 0 {
		return ""
	}
	return contract.Digest(raw)
}

// drawSeed draws the contract's seed; callers never choose it.
func drawSeed() (uint64, error) {
	var b [8]byte
	_, err := rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// inherit fills what a request leaves out from another campaign's contract, and names what differs.
func (l *Loop) inherit(r OpenRequest) (OpenRequest, []string, error) {
	_, st, err := l.open(r.From)
	if err != nil {
		return r, nil, err
	}
	c, changed := st.Contract, []string{}
	take := func(name string, mine *string, theirs string) {
		if *mine == "" {
			*mine = theirs
		} else if *mine != theirs {
			changed = append(changed, fmt.Sprintf("%s: %s → %s", name, theirs, *mine))
		}
	}
	study := string(c.Study)
	take("model", &r.Model, c.Model.ID)
	take("host", &r.Host, c.Host.Name)
	take("study", &r.Study, study)
	take("target", &r.Target, c.Target.Entry)
	take("precision", &r.Precision, c.Precision)
	take("quantization", &r.Quantization, c.Quantization)
	take("kv_dtype", &r.KVDtype, c.KVDtype)
	take("endpoint", &r.Endpoint, c.Endpoint)
	if r.Against == nil {
		for _, s := range c.Against {
			r.Against = append(r.Against, s.Entry)
		}
	} else {
		changed = append(changed, "against: "+strings.Join(r.Against, ", "))
	}
	inheritRest(&r, c)
	if r.Scenarios == nil {
		r.Scenarios = c.Scenarios
	} else {
		changed = append(changed, "scenarios")
	}
	if r.SLA == nil && !r.SLANone {
		r.SLA, r.SLANone = c.SLA, len(c.SLA) == 0
	} else {
		changed = append(changed, "sla")
	}
	if r.Delta == 0 {
		r.Delta = c.Delta
	}
	if r.BudgetLaunches == 0 {
		r.BudgetLaunches = c.Budget.Launches
	}
	if r.MaxBlocks == 0 {
		r.MaxBlocks = c.Blocks.Max
	}
	return r, changed, nil
}

// inheritRest fills terms that a request seldom names. GPUs and fixed commands belong to the host and study they were
// given for.
func inheritRest(r *OpenRequest, c *contract.Contract) {
	text := func(mine *string, theirs string) {
		if *mine == "" {
			*mine = theirs
		}
	}
	text(&r.Speculation, c.Speculation)
	text(&r.Revision, c.Model.Revision)
	text(&r.Tokenizer, c.Model.Tokenizer)
	text(&r.RankBy, c.RankBy)
	text(&r.Accuracy, c.Accuracy)
	r.CapacityStudy = r.CapacityStudy || c.CapacityStudy
	if r.MaxContext == 0 {
		r.MaxContext = c.MaxContext
	}
	if r.Goodput == nil {
		r.Goodput = c.Goodput
	}
	if r.MinAttainment == 0 {
		r.MinAttainment = c.MinAttainment
	}
	if r.MaxGPUHours == 0 {
		r.MaxGPUHours = c.Budget.MaxGPUHours
	}
	if r.Host != c.Host.Name || r.Study != string(c.Study) {
		return
	}
	if r.GPUs == nil {
		r.GPUs = c.Host.GPUs
	}
	r.fixed = map[string]map[string]any{}
	for _, side := range c.Sides() {
		if side.Flags != nil {
			r.fixed[side.Entry] = side.Flags
		}
	}
}

// openWarnings says what a careful person would ask about.
func openWarnings(c *contract.Contract) []string {
	var out []string
	if c.Host.Simulated {
		out = append(out, "simulated host: nothing measured here can carry a claim")
	}
	out = append(out, coreWarnings(c.Host)...)
	out = append(out, datasetWarnings(c)...)
	out = append(out, noiseWarnings(c)...)
	if c.Approvers == "" {
		out = append(out, "no_approver: no allowed_signers file was found, so no patch can be approved; the engineer adds a key to it")
	}
	if len(c.SLA) == 0 {
		out = append(out, "no SLA: every finished row passes")
	}
	for _, s := range c.Scenarios {
		if s.Arrival == contract.ArrivalClosed {
			out = append(out, fmt.Sprintf("scenario %s is closed loop: it shows throughput at a concurrency and supports no claim about a rate under an SLA", s.Name))
		}
	}
	if c.Study == contract.StudyLook {
		out = append(out, "study look answers in two blocks and gives no verdict")
	}
	return out
}

func gpuHours(cost []contract.Cost) float64 {
	sum := 0.0
	for _, c := range cost {
		sum += c.GPUHours
	}
	return sum
}

// project estimates what the campaign will spend, phase by phase, before anything is spent.
func project(c *contract.Contract) []contract.Cost {
	launchS, perScenario, source := assumedLaunchS, assumedLoadS, "assumed"
	if c.Host.Simulated {
		launchS, perScenario = 1, 1.5
	}
	sides := len(c.Against) + 1
	blocks := c.Blocks.Looks[len(c.Blocks.Looks)-1]
	phase := func(name, carries string, launches int) contract.Cost {
		loadS := loadSeconds(c, carries, perScenario)
		return contract.Cost{Phase: name, Launches: launches, LaunchS: launchS, LoadS: loadS, Source: source,
			GPUHours: float64(launches) * (launchS + loadS) / 3600 * float64(c.GPUCount())}
	}
	var out []contract.Cost
	if c.Study == contract.StudySOTA || c.Study == contract.StudyTune {
		out = append(out, phase("search", string(compare.PhaseSearch), sides*c.Budget.Launches))
		if c.Budget.Race > 0 {
			out = append(out, phase("race", string(compare.PhaseRace), sides*c.Budget.Race))
		}
	}
	out = append(out, phase("blocks", string(compare.PhaseBlock), sides*blocks))
	if c.Study == contract.StudySOTA {
		out = append(out, phase("profile", phaseProfile, 3), phase("revalidate", string(compare.PhaseRevalidate), (sides+1)*blocks+1))
	}
	return out
}

// gpuFacts reads the contract's GPUs out of what nvidia-smi showed.
func gpuFacts(gpus []hosts.GPU, want []int) (model, driver string, memory int64, missing []int) {
	for _, i := range want {
		found := false
		for _, g := range gpus {
			if g.Index != i {
				continue
			}
			found, model, driver = true, hosts.DeviceName(g.Name), fault.ForeignName(g.DriverVersion, 40)
			if g.MemoryTotalMiB != nil {
				memory = *g.MemoryTotalMiB
			}
		}
		if !found {
			missing = append(missing, i)
		}
	}
	return model, driver, memory, missing
}
