package loop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// launchSpec asks for one launch of a candidate.
type launchSpec struct {
	id        string
	candidate CandidateAdded
	phase     string
	block     int
	capture   bool
	overlay   *worker.Overlay
	suffix    string // "+patch-1" where a patch lies over the candidate
	points    []worker.Point
	captures  []worker.Capture
}

// launch renders a launch: argv and environment by the framework's adapter, names and secrets from the inventory.
func (c *campaign) launch(st *State, host hosts.HostEntry, s launchSpec) (worker.Launch, error) {
	eng, _, err := engineOf(host, s.candidate.Entry)
	if err != nil {
		return worker.Launch{}, err
	}
	fw, err := framework.Of(eng.Type)
	if err != nil {
		return worker.Launch{}, err
	}
	help, err := c.help(st, s.candidate.Entry)
	if err != nil {
		return worker.Launch{}, err
	}
	spec := framework.Spec{
		Engine: eng, ModelPath: st.Contract.Model.Path, ServedName: st.Contract.Model.ID, Device: st.Contract.Host.Device, GPUs: st.Contract.Host.GPUs,
		Contract: st.Contract, Help: help, Flags: s.candidate.Flags, Capture: s.capture, Steps: profileSteps,
	}
	out, err := fw.Launch(spec)
	if err != nil {
		return worker.Launch{}, err
	}
	env := engineEnv(st.Contract, host, eng.Env, out.Env)
	return worker.Launch{
		ID: s.id, Candidate: s.candidate.ID + s.suffix, Entry: s.candidate.Entry + s.suffix, Framework: eng.Type, Phase: s.phase, Block: s.block,
		Argv: out.Argv, Env: env, SecretEnv: host.Secrets, Overlay: s.overlay, Protocol: fw.Protocol(spec), Served: st.Contract.Model.ID,
		Endpoint: st.Contract.Endpoint, Points: s.points, Captures: s.captures,
	}, nil
}

// plan makes the frame of a plan for this campaign's host.
func (c *campaign) plan(st *State, host hosts.HostEntry, launches []worker.Launch) worker.Plan {
	p := worker.Plan{
		Kind: worker.PlanKind, V: worker.PlanVersion, Campaign: c.id, ContractDigest: st.Digest, Workdir: host.Workdir, LeaseDir: host.LeaseDir,
		Device: st.Contract.Host.Device, GPUs: st.Contract.Host.GPUs, Cores: st.Contract.Host.Cores, Simulated: st.Contract.Host.Simulated, WarmUp: true, Launches: launches,
	}
	p.Expects = expected(st.Contract)
	if p.Simulated {
		p.AuditLimits, p.StopGrace, p.TraceSettle = simulatedLimits(), 5*time.Second, 300*time.Millisecond
		quiet := quietLimits(st.Contract)
		p.QuietLimits = &quiet
	}
	return p
}

// expected is what launches demand of host and model. Names that the driver did not give in plain words are not the
// driver's any more in the contract, and cannot be compared.
func expected(c *contract.Contract) *worker.Expected {
	plain := func(s string) string {
		if strings.Contains(s, fault.ForeignOpen) {
			return ""
		}
		return s
	}
	return &worker.Expected{GPUModel: plain(c.Host.GPUModel), Driver: plain(c.Host.Driver), Model: c.Model.Path, Identity: c.Model.Identity}
}

// simulatedLimits are the client's limits on a simulated host, where client, engines and server share a few busy cores;
// the audit of every point carries them.
func simulatedLimits() *bench.Limits {
	return &bench.Limits{LateSend: 5 * time.Second, LateShare: 1, LateShareMakespan: 1, LoopLag: 5 * time.Second,
		GCPause: 5 * time.Second, Steal: 1, CPUShare: 1, SettleTolerance: 5}
}

// help reads the captured flags of a side.
func (c *campaign) help(st *State, entry string) (*framework.Help, error) {
	h, ok := st.Help[baseEntry(entry)]
	if !ok {
		return nil, nil
	}
	raw, err := c.ledger.ReadAll(h.Flags)
	if err != nil {
		return nil, err
	}
	var out framework.Help
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("read flags of %s: %w", entry, err)
	}
	for _, side := range st.Contract.Sides() {
		if baseEntry(side.Entry) == baseEntry(entry) {
			return out.WithVariables(side.Framework), nil
		}
	}
	return &out, nil
}

// points renders the contract's scenarios as load points of one launch; every side of a block draws the same prompts.
func points(c *contract.Contract, phase string, block int) []worker.Point {
	var out []worker.Point
	for _, s := range c.Scenarios {
		out = append(out, point(c, s, phase, block))
	}
	return out
}

func point(c *contract.Contract, s contract.Scenario, phase string, block int) worker.Point {
	if !searchesRates(phase) {
		s = standIn(s)
	}
	p := worker.Point{ID: s.Name, Flush: true, Rows: drawOf(c, s, phase, block), Spec: bench.Spec{
		Scenario: s, Seed: bench.MixSeed(c.Seed, phase, s.Name, block), Phase: phase, Block: block, Vocab: vocabulary(c), Goodput: c.Goodput, Overload: overloadTest(c, s),
	}}
	if s.RateSearch != nil {
		return ratePoint(c, p)
	}
	return p
}

// overloadTest is how a scenario's load is judged: by the contract's method, where its requests come at a rate.
func overloadTest(c *contract.Contract, s contract.Scenario) contract.OverloadTest {
	if !s.Open() {
		return contract.OverloadTrend
	}
	return c.Overload
}

// preflightDeadline ends a preflight whose server is ready and never answers. First requests may still compile kernels.
const preflightDeadline = 20 * time.Minute

// preflightPoint is five streaming requests before anything is measured.
func preflightPoint(c *contract.Contract) worker.Point {
	slots := 1
	s := standIn(c.Scenarios[0])
	s.Name, s.NumPrompts, s.MaxConcurrency, s.RequestRate, s.Arrival, s.WarmupWaves = "preflight", 5, &slots, nil, contract.ArrivalClosed, 0
	s.OutputLen = min(s.OutputLen, 8)
	p := point(c, s, usePreflight, 0)
	p.Flush, p.Spec.Deadline = false, preflightDeadline
	return p
}

// vocabulary is the token ids that random prompts are drawn from: without the first 256 and the last twentieth, where
// models keep special, byte and placeholder ids.
func vocabulary(c *contract.Contract) bench.TokenRange {
	size := c.Model.Vocabulary
	if size < 1024 {
		return bench.TokenRange{Lo: size / 8, Hi: size - size/8}
	}
	return bench.TokenRange{Lo: 256, Hi: size - size/20}
}

// uses says what the points of a plan are for; points that are not named are the contract's.
func uses(launches []worker.Launch, special map[string]string) map[string]string {
	out := map[string]string{}
	for _, l := range launches {
		for _, p := range l.Points {
			out[p.ID] = useMain
			if _, _, ok := probeOf(p.ID); ok && mayScreen(l.Phase) {
				out[p.ID] = useProbe
			}
			if u, ok := special[p.ID]; ok {
				out[p.ID] = u
			}
		}
	}
	return out
}

// project rewrites the projections that readers expect in a run directory; nothing ever reads them back.
func (c *campaign) project() error {
	st, err := c.state()
	if err != nil {
		return err
	}
	_, err = c.ledger.Put(rowsFile, bytes.NewReader(rowsJSON(st)))
	return err
}

// rowsJSON renders every row of the contract's own scenarios, one a line.
func rowsJSON(st *State) []byte {
	var b bytes.Buffer
	for _, p := range st.Points {
		raw, err := json.Marshal(p.Row)
		if err != nil {
			continue
		}
		b.Write(raw)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// trialScore is a launch's search score: the geometric mean over scenarios of the primary metric, oriented so that
// higher is better; false where a scenario has no usable row. A row that breaks the SLA counts a tenth.
func trialScore(c *contract.Contract, rows []compare.Row) (float64, bool) {
	return fullScore(c, rows, math.Ln10)
}

// fullScore is trialScore with a penalty of its own for rows that break the SLA, as a logarithm.
func fullScore(c *contract.Contract, rows []compare.Row, penalty float64) (float64, bool) {
	sum, n := 0.0, 0
	for _, s := range c.Scenarios {
		for _, r := range rows {
			if r.Workload.Scenario != s.Name || r.Status != compare.StatusOK {
				continue
			}
			metric := standIn(s).Primary
			v, ok := r.Metrics.Get(metric)
			if !ok || v <= 0 {
				continue
			}
			l := math.Log(v)
			if contract.LowerIsBetter(metric) {
				l = -l
			}
			if s.RateSearch == nil && (r.SLA.Passed == nil || !*r.SLA.Passed) {
				l -= penalty
			}
			sum, n = sum+l, n+1
		}
	}
	if n < len(c.Scenarios) || n == 0 {
		return 0, false
	}
	return math.Exp(sum / float64(n)), true
}

// stored is an artifact's line for answers.
func stored(a ledger.Artifact) string { return a.Name + "@" + a.SHA256[:16] }

// short cuts text for an answer's line.
func short(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
