package loop

import (
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// clientName labels rows of our own load generator.
const clientName = "sotaloop"

// baseRow fills what is known of a point before it is measured: all of it facts of contract, help and plan.
func baseRow(s *State, l *launchSoFar, p worker.Point) compare.Row {
	c, block := s.Contract, l.spec.Block
	help := s.Help[baseEntry(l.spec.Entry)]
	row := compare.Row{
		Framework: l.spec.Framework, FrameworkVersion: help.Version.Version, FrameworkCommit: help.Version.Commit,
		Side: l.spec.Entry, CandidateID: l.spec.Candidate, Model: c.Model.ID, Phase: rowPhase(l.spec.Phase), LaunchID: l.spec.ID,
		Client: clientName, Simulated: c.Host.Simulated, ContractDigest: s.Digest, WeightsRevision: c.Model.Identity, TokenizerHash: c.Model.Tokenizer,
		Precision: c.Precision, Quantization: &c.Quantization,
		Mark:             c.Host.Mark(),
		Hardware:         hardware(c, l),
		Workload:         workload(c, p.Spec),
		SLA:              compare.SLA{Limits: c.SLA},
		ServerCommand:    commandLine(l.spec),
		BenchmarkCommand: "sotaloop worker, point " + p.ID + " of plan " + l.spec.ID,
		Artifacts:        compare.Artifacts{ServerHelp: help.Text.Name},
		Metrics:          compare.Metrics{},
		Memory:           &compare.Memory{KVCacheDtype: c.KVDtype},
	}
	if row.Phase == compare.PhaseBlock || row.Phase == compare.PhaseRevalidate || row.Phase == compare.PhaseAA {
		row.Block = &block
	}
	if cand, ok := s.Candidate(baseCandidate(l.spec.Candidate)); ok {
		row.ValidatedCLIFlags.Server = sortedKeys(cand.Flags)
	}
	return row
}

func hardware(c *contract.Contract, l *launchSoFar) compare.Hardware {
	n, mem := c.GPUCount(), c.Host.GPUMemory
	h := compare.Hardware{
		GPUModel: c.Host.GPUModel, GPUCount: &n, VisibleDevices: joinInts(c.Host.GPUs), GPUMemoryMiB: &mem, Driver: c.Host.Driver,
		BootID: c.Host.BootID, Host: c.Host.Name,
	}
	if cpu := c.Host.CPU; cpu != nil {
		h.GPUCount, h.GPUMemoryMiB = nil, nil
		h.CPUModel, h.Cores, h.MemoryMiB, h.Threads = cpu.Model, joinInts(c.Host.Cores), &cpu.MemoryMiB, threadsText(worker.Threads(l.spec.Env))
	}
	if l.pinned != nil {
		h.ClientCores = joinInts(l.pinned.ClientCores)
	}
	return h
}

// threadsText renders the sizes of thread pools, as MKL_NUM_THREADS=1 OMP_NUM_THREADS=1.
func threadsText(threads map[string]int) string {
	parts := []string{}
	for _, name := range sortedKeys(threads) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, threads[name]))
	}
	return strings.Join(parts, " ")
}

func workload(c *contract.Contract, spec bench.Spec) compare.Workload {
	s := spec.Scenario
	w := compare.Workload{
		Kind: s.Kind, Scenario: s.Name, DatasetPath: s.Dataset, Endpoint: c.Endpoint, Arrival: s.Arrival,
		InputLen: &s.InputLen, OutputLen: &s.OutputLen, InputLenP50: &s.InputLen, InputLenP95: &s.InputLen, OutputLenP50: &s.OutputLen, OutputLenP95: &s.OutputLen,
		NumPrompts: &s.NumPrompts, RequestRate: s.RequestRate, MaxConcurrency: s.MaxConcurrency, Temperature: &s.Temperature,
		IgnoreEOS: &s.IgnoreEOS, Stream: &s.Stream, DrawDigest: fmt.Sprintf("seed-%016x", spec.Seed),
	}
	if d, ok := c.Dataset(s.Dataset); ok {
		output := int(d.OutputLen.P95 + 0.5)
		if w.OutputLenP95 = &output; d.PromptTokens != nil {
			input := int(d.PromptTokens.P95 + 0.5)
			w.InputLenP95 = &input
		}
	}
	return w
}

// measuredRow turns a point's event into its row; sla.passed is computed here, never taken from the host.
func measuredRow(s *State, l *launchSoFar, p worker.Point, e worker.Event) compare.Row {
	row := baseRow(s, l, p)
	row.Status = compare.StatusOK
	if m := e.Measured; m != nil {
		row.Status, row.FailureReason = compare.Status(m.Status), m.Reason
		started := m.StartedAt
		warm := m.Counts.Warmup
		row.StartedAt, row.WarmupRequests = &started, &warm
		row.Metrics = metrics(m.Metrics)
		row.Audit = audit(m, e.Quiet, quietLimits(s.Contract))
		if e.Rate != nil {
			rated(&row, e.Rate)
		}
		if l.pinned != nil && l.pinned.Warning != "" {
			row.Audit.Reasons = append(row.Audit.Reasons, l.pinned.Warning)
		}
	}
	if e.Quiet != nil && e.Quiet.PeakGPUMiB > 0 {
		row.Metrics["peak_gpu_mem_mib"] = e.Quiet.PeakGPUMiB
	}
	if e.Memory != nil && e.Memory.PeakMiB > 0 && s.Contract.Host.CPU != nil {
		row.Metrics[compare.PeakRSS], row.Memory.PeakRSSMethod = e.Memory.PeakMiB, e.Memory.Method
	}
	if e.Failure != nil {
		row.Status, row.FailureReason = statusOf(e.Failure.Class), e.Failure.Reason
	}
	if e.Cache != "" {
		on := e.Cache != "flushed"
		row.Cache = withHitRate(&compare.Cache{PrefixCacheEnabled: &on}, row.Metrics)
	}
	if c := e.Checked; c != nil {
		row.Engine = &compare.Engine{Identity: c.Identity, SHA256: c.SHA256, Modified: c.Modified}
	}
	row.Interference = row.Audit != nil && row.Audit.Untrusted
	judge(&row)
	return row
}

// withHitRate says in a row's cache facts what its servers told of their prefix cache.
func withHitRate(c *compare.Cache, m compare.Metrics) *compare.Cache {
	rate, told := m.Get(compare.PrefixCacheHit)
	if c == nil || !told {
		return c
	}
	out := *c
	out.PrefixCacheHitRate = &rate
	return &out
}

// failedRow is the row of a point that was never measured.
func failedRow(s *State, l *launchSoFar, p worker.Point, f *worker.Failure) compare.Row {
	row := baseRow(s, l, p)
	row.Status, row.FailureReason = statusOf(f.Class), f.Reason
	if row.FailureReason == "" {
		row.FailureReason = string(f.Class)
	}
	judge(&row)
	return row
}

// judge recomputes sla.passed from the row's own metrics; null where the limits hold and the load may be more than the
// engine can take.
func judge(row *compare.Row) {
	passed, _ := row.SLA.Limits.Judge(row.Metrics.Get)
	passed = passed && (row.Audit == nil || !row.Audit.Overloaded)
	if row.Rate != nil {
		passed = row.Rate.Passes()
	}
	passed = passed && row.Status == compare.StatusOK
	if row.SLA.Passed = &passed; passed && row.Undecided() {
		row.SLA.Passed = nil
	}
}

func statusOf(class framework.FailureClass) compare.Status {
	switch class {
	case framework.FailOOM:
		return compare.StatusOOM
	case framework.FailStalled, framework.FailDeadline:
		return compare.StatusTimeout
	case framework.FailCanceled:
		return compare.StatusSkipped
	}
	return compare.StatusFailed
}

func metrics(m bench.Metrics) compare.Metrics {
	out := compare.Metrics{}
	for name, v := range m {
		if v != nil {
			out[name] = *v
		}
	}
	return out
}

// quietLimits are what else may run on the campaign's host during a point.
func quietLimits(c *contract.Contract) worker.QuietLimits {
	if !c.Host.Simulated {
		return worker.DefaultQuietLimits()
	}
	return worker.QuietLimits{CPUShare: 1, CoreShare: 1, PressedShare: 1, PressurePct: 100, MemoryPct: 100} // it shares its machine with everything
}

// Disturbed says whether a row's own figures of its host are beyond what a quiet one may show.
func (s *State) Disturbed(row compare.Row) bool {
	a := row.Audit
	if a == nil || a.ForeignCPU == nil || row.Mark != "" { // leased cores have a limit on a figure that rows do not carry
		return false
	}
	q := worker.Quiet{ForeignCPUShare: *a.ForeignCPU, PSICPU: a.PSICPU}
	return len(q.Disturbed(quietLimits(s.Contract))) > 0
}

func audit(m *bench.Point, q *worker.Quiet, l worker.QuietLimits) *compare.Audit {
	a := &compare.Audit{
		ClientLimited: m.Audit.ClientLimited, Unsettled: !m.Settling.Settled, Overloaded: m.Overloaded, Reasons: append([]string{}, m.Audit.Reasons...),
		LateSendP99MS: m.Audit.LateSendP99MS, LoopLagP99MS: m.Audit.LoopLagP99MS, GCPauseMaxMS: m.Audit.GCPauseMaxMS,
		StealShare: m.Audit.Steal, ClientCPU: m.Audit.CPUShare,
	}
	if a.LoadTest = m.Load; m.Load != nil && m.Load.Method == contract.OverloadTrend {
		a.LoadTest = nil // overloaded says it all
	}
	if q == nil {
		return a
	}
	foreign := q.ForeignCPUShare
	a.ForeignCPU, a.PSICPU = &foreign, q.PSICPU
	if disturbed := q.Disturbed(l); len(disturbed) > 0 {
		a.Untrusted, a.Reasons = true, append(a.Reasons, disturbed...)
	}
	if q.CacheWrites > 0 {
		a.Untrusted = true
		a.Reasons = append(a.Reasons, fmt.Sprintf("kernels were compiled during the window: %d files of the JIT cache were written, among them %s", q.CacheWrites, strings.Join(q.CacheFiles, ", ")))
	}
	if q.Repinned > 0 {
		a.Reasons = append(a.Reasons, fmt.Sprintf("%d threads of the engine had taken other cores and were put back", q.Repinned))
	}
	if len(q.OffCores) > 0 {
		a.Untrusted = true
		a.Reasons = append(a.Reasons, "the engine left its cores during the point: "+strings.Join(q.OffCores, ", "))
	}
	if q.ForeignCoreShare != nil && foreign > worker.DefaultQuietLimits().CPUShare {
		a.Reasons = append(a.Reasons, fmt.Sprintf("foreign CPU load %.0f %% of the host", 100*foreign))
	}
	return a
}

func rowPhase(phase string) compare.Phase { return compare.Phase(phase) }

// baseEntry gives the engine entry of a side that carries a patch or is a tuning study's incumbent.
func baseEntry(entry string) string {
	base, _, _ := strings.Cut(entry, patchSuffix)
	return strings.TrimSuffix(base, incumbentSuffix)
}

// baseCandidate gives the candidate that a patch was laid over.

func baseCandidate(id string) string {
	base, _, _ := strings.Cut(id, patchSuffix)
	return base
}

// patchSuffix joins an entry or candidate and the patch laid over it.
const patchSuffix = "+"

// incumbentSuffix marks the comparison side of a tuning study: the same engine entry under a given command.
const incumbentSuffix = "@incumbent"

func joinInts(ns []int) string {
	parts := make([]string, 0, len(ns))
	for _, n := range ns {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, ",")
}
