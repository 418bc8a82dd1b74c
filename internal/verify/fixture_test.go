package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/report"
	"github.com/sotaloop/sotaloop/internal/seal"
	"github.com/sotaloop/sotaloop/internal/worker"
	"github.com/sotaloop/sotaloop/transcripts"
)

const (
	campaignID = "20261123_tiny_sota_loop"
	baseTree   = "1111111111111111111111111111111111111111"
	resultTree = "2222222222222222222222222222222222222222"
	baseCommit = "3333333333333333333333333333333333333333"
	source     = "sglang/srt/layers/activation.py"
)

const diff = `diff --git a/python/sglang/srt/layers/activation.py b/python/sglang/srt/layers/activation.py
--- a/python/sglang/srt/layers/activation.py
+++ b/python/sglang/srt/layers/activation.py
@@ -1,2 +1,2 @@
 def silu(x):
-    return slow(x)
+    return fast(x)
`

// release is the version that writes and checks.
const release = "0.1.0-test"

var morning = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// builder writes a whole campaign by hand: entries of made-up but honest records, so that everything that follows from
// them can be computed again.
type builder struct {
	t       *testing.T
	dir     string
	n       int // blocks
	entries []chain.Entry
	raw     bytes.Buffer
	tick    time.Duration
	signer  ssh.Signer
	edits   []func(*contract.Contract) // of the contract before it is frozen
	events  []worker.Event             // of the run that is recorded, where its host signs for it
}

// campaign writes a finished campaign with one patch into a new folder and gives it. It has two blocks only, which decide
// nothing, and is built once.
func campaign(t *testing.T) (dir string, approvers []byte) {
	t.Helper()
	made := built(t)
	dir = filepath.Join(t.TempDir(), campaignID)
	for name, raw := range made.files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, raw, 0o600))
	}
	return dir, made.approvers
}

// directory is a run directory in memory.
type directory struct {
	files     map[string][]byte
	approvers []byte
}

var once struct {
	sync.Once
	made directory
}

func built(t *testing.T) directory {
	t.Helper()
	once.Do(func() {
		dir, approvers := build(t, 2)
		files := map[string][]byte{}
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			if !d.IsDir() {
				raw, err := os.ReadFile(path)
				require.NoError(t, err)
				rel, err := filepath.Rel(dir, path)
				require.NoError(t, err)
				files[rel] = raw
			}
			return nil
		}))
		once.made = directory{files: files, approvers: approvers}
	})
	require.NotEmpty(t, once.made.files, "the campaign could not be built")
	return once.made
}

// build makes a campaign of n blocks.
func build(t *testing.T, n int, edits ...func(*contract.Contract)) (dir string, approvers []byte) {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed([]byte("a throwaway key made for a test.")))
	require.NoError(t, err)
	b := &builder{t: t, n: n, edits: edits, dir: filepath.Join(t.TempDir(), campaignID), signer: signer}
	b.open()
	for _, side := range []string{"sglang", "vllm"} {
		b.help(side)
		b.search(side)
	}
	b.blocks()
	b.profile()
	b.patch()
	b.revalidate()
	b.report()
	b.put("benchmark/candidates.jsonl", b.state().CandidateRows())
	b.seal()
	b.close()
	return b.dir, []byte(fmt.Sprintf("engineer namespaces=%q %s", gitops.NamespaceApproval, ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// add writes an entry a second after the one before.
func (b *builder) add(kind string, payload any) {
	b.t.Helper()
	raw, err := json.Marshal(payload)
	require.NoError(b.t, err)
	var last chain.Entry
	if n := len(b.entries); n > 0 {
		last = b.entries[n-1]
	}
	b.tick += time.Second
	e, line, err := chain.Next(last, chain.Pending{Kind: kind, Payload: raw, Time: morning.Add(b.tick)}, morning)
	require.NoError(b.t, err)
	b.entries = append(b.entries, e)
	b.raw.Write(line)
}

// put writes an artifact.
func (b *builder) put(name string, raw []byte) ledger.Artifact {
	b.t.Helper()
	path := filepath.Join(b.dir, filepath.FromSlash(name))
	require.NoError(b.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(b.t, os.WriteFile(path, raw, 0o600))
	return ledger.Artifact{Name: name, SHA256: contract.Digest(raw), Size: int64(len(raw))}
}

func (b *builder) putJSON(name string, v any) ledger.Artifact {
	raw, err := json.Marshal(v)
	require.NoError(b.t, err)
	return b.put(name, append(raw, '\n'))
}

func (b *builder) read(a ledger.Artifact) ([]byte, error) {
	return os.ReadFile(filepath.Join(b.dir, filepath.FromSlash(a.Name)))
}

func (b *builder) state() *loop.State {
	b.t.Helper()
	s, err := loop.Replay(b.entries)
	require.NoError(b.t, err)
	return s
}

func (b *builder) open() {
	slots := 2
	c := &contract.Contract{
		Kind: contract.Kind, V: contract.Version, Campaign: campaignID, Study: contract.StudySOTA, Created: morning,
		Model:     contract.Model{ID: "tiny", Path: "/models/tiny", Identity: "1d", Tokenizer: "70c", Vocabulary: 32000},
		Precision: "bfloat16", KVDtype: "auto", Endpoint: "/v1/completions", Delta: 0.03, Seed: 42,
		Host:   contract.Host{Name: "sim", Device: "cuda", GPUs: []int{0}, GPUModel: "H100", GPUMemory: 81559, Driver: "570.1", BootID: "b007", Simulated: true},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 20, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalClosed,
			MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "output_token_throughput"}},
		SLA:    contract.SLA{"max_p50_ttft_ms": 2000, "min_success_rate": 0.9},
		Blocks: contract.Blocks{Max: b.n, Looks: []int{b.n}, Comparisons: 1}, Budget: contract.Budget{Launches: 2},
		Assumed: []string{}, Cost: []contract.Cost{}, Policy: "p01", Approvers: "a44",
	}
	for _, edit := range b.edits {
		edit(c)
	}
	raw, digest, err := c.Freeze()
	require.NoError(b.t, err)
	frozen := loop.ContractFrozen{Contract: raw, Digest: digest}
	for _, ix := range b.indexes(c) {
		frozen.Datasets = append(frozen.Datasets, b.put("datasets/rows.index.jsonl.gz", ix))
	}
	b.add("contract.frozen", frozen)
	b.put("contract.json", append(raw, '\n'))
}

func (b *builder) help(entry string) {
	text := "options:\n"
	for n := range 60 {
		text += fmt.Sprintf("  --knob-%d N  sets knob %d\n", n, n)
	}
	help, err := b.state().ParseHelp(entry, text)
	require.NoError(b.t, err)
	b.add("help.captured", loop.HelpCaptured{Entry: entry, Command: "serve", Version: framework.Version{Version: "1.0"}, Digest: help.Digest,
		Text: b.put("help/"+entry+"_serve.txt", []byte(text)), Flags: b.putJSON("help/"+entry+"_serve.json", help)})
}

// launch renders a launch of a candidate.
func (b *builder) launch(id, side, phase string, block int, points ...string) worker.Launch {
	l := worker.Launch{ID: id, Candidate: side + "-00", Entry: side, Framework: contract.Framework(side), Phase: phase, Block: block,
		Argv: []string{side, "serve", "--model", "it's"}, Env: map[string]string{}, SecretEnv: []string{}, Served: "tiny", Endpoint: "/v1/completions", Captures: []worker.Capture{}}
	if cores := b.state().Contract.Host.Cores; len(cores) > 0 {
		worker.SetThreads(l.Env, len(cores))
	}
	if strings.Contains(id, "patched") {
		l.Candidate, l.Entry = l.Candidate+"+patch-1", side+"+patch-1"
	}
	if phase == "revalidate" && side == "sglang" {
		l.Overlay = &worker.Overlay{Tree: b.state().OverlayTree(l), Want: map[string]string{source: "ab"}}
	}
	for _, p := range points {
		pt, _, ok := b.state().PlannedPoint(l, p)
		require.True(b.t, ok, p)
		l.Points = append(l.Points, pt)
	}
	return l
}

// run records a run of launches: plan, points, ends.
func (b *builder) run(job, step string, launches ...worker.Launch) {
	st := b.state()
	r := loop.RunPlanned{Job: job, Step: step, Host: "sim", RunID: loop.RunID(st.Digest, job, step)}
	plan := st.PlanFrame(r, worker.Plan{Workdir: "~/sotaloop", LeaseDir: "/tmp/leases", Launches: launches})
	r.Plan = b.putJSON("benchmark/plans/"+r.RunID+".json", plan)
	b.add("run.planned", r)
	for _, l := range launches {
		for _, pt := range l.Points {
			b.point(l, pt)
		}
		end := loop.PlannedEnd(l, loop.LaunchEnded{Launch: l.ID, RunID: r.RunID, State: "ok", PhasesS: map[string]float64{"ready": 1.5}, SecondsS: 3.25})
		if l.Overlay != nil {
			end.Loaded = l.Overlay.Want
		}
		log := b.put("benchmark/logs/"+l.ID+".log", []byte("ready\n"))
		end.Log = &log
		b.add("launch.ended", end)
	}
	b.receipt(r, launches)
	b.add("run.ended", loop.RunEnded{RunID: r.RunID, State: "done"})
}

// point records a row with its records.
func (b *builder) point(l worker.Launch, pt worker.Point) {
	st := b.state()
	if pt.Rate != nil {
		b.ratePoint(st, l, pt)
		return
	}
	rec := recording(l, pt)
	b.ofDataset(rec, pt)
	var packed bytes.Buffer
	require.NoError(b.t, bench.WriteRecords(&packed, rec))
	art := b.put("benchmark/records/"+l.ID+"."+pt.ID+".zst", packed.Bytes())
	_, use, _ := st.PlannedPoint(l, pt.ID)
	started, warm, off := morning.Add(b.tick), 0, false
	row := compare.Row{Status: compare.StatusOK, StartedAt: &started, WarmupRequests: &warm, Metrics: loop.MeasuredMetrics(rec), Audit: &compare.Audit{Reasons: []string{}},
		Cache: &compare.Cache{PrefixCacheEnabled: &off}, RawSHA256: art.SHA256, Artifacts: compare.Artifacts{RawResult: art.Name}}
	row.Metrics["peak_gpu_mem_mib"] = 4096
	if st.Contract.Host.CPU != nil {
		delete(row.Metrics, "peak_gpu_mem_mib")
		row.Metrics[compare.PeakRSS], row.Memory = 512, &compare.Memory{PeakRSSMethod: worker.MemoryPSS}
		row.Hardware.ClientCores = "1"
	}
	b.add("point.measured", b.told(l, pt, rec, loop.PointMeasured{Key: l.ID + "/" + pt.ID, Point: pt.ID, Use: use, Row: st.PlannedRow(l, pt, row), Records: &art}))
}

// recording makes up what a launch answered: SGLang takes 30 % longer until it is patched, and every launch differs a
// little from the others.
func recording(l worker.Launch, pt worker.Point) *bench.Recording {
	s := pt.Spec.Scenario
	rec := &bench.Recording{Header: bench.Header{Client: "sotaloop/1", Path: l.Endpoint, Phase: pt.Spec.Phase, Block: pt.Spec.Block, Seed: pt.Spec.Seed, Scenario: s, Goodput: pt.Spec.Goodput}}
	step := int64(1_000_000 + len(l.ID)*100 + l.Block*2_000)
	if l.Entry == "sglang" {
		step = step * 13 / 10
	}
	free := make([]int64, *s.MaxConcurrency)
	for i := range s.NumPrompts {
		slot := i % len(free)
		at := free[slot]
		r := &bench.Record{Index: i, Role: bench.RoleWindow, Slot: slot, Sched: bench.Offset(at), Sent: bench.Offset(at + 1000), K1: 1, Events: s.OutputLen,
			WantIn: s.InputLen, In: s.InputLen, WantOut: s.OutputLen, Out: s.OutputLen, Outcome: bench.OutcomeOK, HTTPStatus: 200, Digest: fmt.Sprintf("out-%d", i)}
		first := at + 5*step + int64(i%7)*1000
		r.FirstChunk, r.FirstText, r.First = bench.Offset(first), bench.Offset(first), bench.Offset(first)
		for range s.OutputLen - 1 {
			r.Gaps = append(r.Gaps, uint32(step/1000))
		}
		last := first + int64(s.OutputLen-1)*(step/1000)*1000
		r.Last, r.End = bench.Offset(last), bench.Offset(last+500)
		free[slot] = last + 600
		rec.Records = append(rec.Records, r)
	}
	w := bench.WindowOf(rec.Records, s)
	for _, r := range rec.Records {
		switch {
		case w.Contains(r.Sched):
		case r.Sched < w.Start:
			r.Role = bench.RoleLead
		default:
			r.Role = bench.RoleTail
		}
	}
	rec.Header.Window = w
	return rec
}

func (b *builder) search(side string) {
	b.add("job.started", b.job("search_deployments", map[string]any{"entry": side}))
	b.add("candidate.added", loop.CandidateAdded{ID: side + "-00", Entry: side, Flags: map[string]any{"tp-size": 1}, Knobs: map[string]any{}, Why: "shipped default"})
	b.run(side, "search/"+side+"-00", b.launch(side+"-00.search", side, "search", 0, "preflight", "chat"))
	b.add("search.ended", b.state().Scored(loop.SearchEnded{Entry: side, Strategy: "auto", Knobs: 1, Tried: 1, Listed: 1, Why: "nothing left to try"}))
	b.endJob()
}

func (b *builder) job(tool string, args map[string]any) loop.JobStarted {
	raw, err := json.Marshal(args)
	require.NoError(b.t, err)
	j := loop.JobStarted{Job: fmt.Sprintf("job-%d", len(b.state().Jobs)+1), Tool: tool, Args: raw}
	j.Spec, err = loop.JobSpec(j)
	require.NoError(b.t, err)
	return j
}

func (b *builder) endJob() {
	jobs := b.state().Jobs
	b.add("job.ended", loop.JobEnded{Job: jobs[len(jobs)-1].Job, State: "done"})
}

func (b *builder) blocks() {
	var launches []worker.Launch
	for block := range b.n {
		for _, side := range []string{"sglang", "vllm"} {
			launches = append(launches, b.launch(fmt.Sprintf("%s-00.block-%d", side, block), side, "block", block, "chat"))
		}
	}
	b.run("blocks", "blocks/6", launches...)
	b.add("rule.refused", loop.RuleRefused{Tool: "run_benchmark", Rule: "fair.every-side", What: "one was named"})
	look, err := b.state().Look(b.n)
	require.NoError(b.t, err)
	require.Empty(b.t, look.Result.Refused)
	require.Equal(b.t, b.n == 6, look.Result.Verdicts[0].Verdict == "loss")
	b.add("verdict.taken", look)
}

// profile records a captured trace of the repository's own and its tables.
func (b *builder) profile() {
	raw, err := os.ReadFile(filepath.FromSlash("../trace/testdata/overlap_exposed-TP-0.trace.json.gz"))
	require.NoError(b.t, err)
	l := b.launch("sglang-00.profile.chat", "sglang", "profile", 0)
	b.run("profile", "profile/sglang-00/chat//false", l)
	art := b.put("profiles/sglang-00.profile.chat/decode/TP-0.trace.json.gz", raw)
	b.add("trace.captured", loop.TraceCaptured{ID: "trace-1", Candidate: "sglang-00", Entry: "sglang", Scenario: "chat", Stage: "decode", Launch: l.ID, Commit: baseCommit, Simulated: true, File: loop.TraceFile{Artifact: art}})
	rec := loop.TraceAnalyzed{Trace: "trace-1"}
	a, err := b.state().Tables(b.t.Context(), rec, os.DirFS(b.dir))
	require.NoError(b.t, err)
	text, err := loop.Markdown(a)
	require.NoError(b.t, err)
	rec.Tables, rec.Markdown = b.putJSON("analysis/trace-1.json", a), b.put("analysis/trace-1.md", text)
	b.add("trace.analyzed", rec)
}

func (b *builder) patch() {
	st := b.state()
	var row string
	raw, err := b.read(st.Analyses["trace-1"].Tables)
	require.NoError(b.t, err)
	var tables struct {
		Stages []struct{ Kernels []struct{ ID string } }
	}
	require.NoError(b.t, json.Unmarshal(raw, &tables))
	for _, s := range tables.Stages {
		if len(s.Kernels) > 0 {
			row = s.Kernels[0].ID
		}
	}
	p := loop.PatchProposed{ID: "patch-1", BaseCommit: baseCommit, BaseTree: baseTree, RootCommit: baseCommit, ResultTree: resultTree, Branch: "sotaloop/" + campaignID + "/patch-1",
		Diff: b.put("patches/patch-1.diff", []byte(diff)), Given: b.put("patches/patch-1.given.diff", []byte(diff)), Digest: contract.Digest([]byte(diff)), Files: json.RawMessage(`[]`),
		Findings: []string{}, Stage: "decode", Location: source + ":2", Symptom: loop.Symptom{Scenario: "chat", Metric: "output_token_throughput"}, Rows: []string{row},
		Predicted: 0.2, Rationale: "a faster activation", Tests: []string{}}
	p, err = st.Weighed(p, b.read)
	require.NoError(b.t, err)
	b.add("patch.proposed", p)
	b.add("approval.recorded", b.approval(p, "0123456789abcdef"))
	raw = b.commit()
	made, err := gitops.ReadCommit(raw)
	require.NoError(b.t, err)
	object := b.put("patches/patch-1.commit", raw)
	b.add("branch.created", loop.BranchCreated{Proposal: p.ID, Branch: p.Branch, Commit: made.ID, Tree: resultTree, Object: &object, Level: loop.LevelAgentReachable, LevelWhy: "a test's key"})
}

// commit is the commit object of the approved proposal.
func (b *builder) commit() []byte {
	st := b.state()
	p := st.Proposal("patch-1")
	signed, err := gitops.ParseStatement(p.Approvals[0].Statement)
	require.NoError(b.t, err)
	who := fmt.Sprintf("sotaloop <sotaloop@localhost> %d +0000", morning.Unix())
	return fmt.Appendf(nil, "tree %s\nparent %s\nauthor %s\ncommitter %s\n\na faster activation\n\n%s: %s\n%s: %s\n%s: %s\n%s: %s\n%s: %s\n%s: %s\n", resultTree, baseCommit, who, who,
		loop.TrailerCampaign, campaignID, loop.TrailerProposal, p.ID, loop.TrailerContract, st.Digest, loop.TrailerPatch, p.Digest, loop.TrailerHead, signed.LedgerHead,
		loop.TrailerStatement, contract.Digest(p.Approvals[0].Statement))
}

// approval signs a proposal.
func (b *builder) approval(p loop.PatchProposed, nonce string) loop.ApprovalRecorded {
	st := b.state()
	s := &gitops.Statement{Decision: gitops.Approve, Nonce: nonce, Created: morning, Expires: morning.Add(24 * time.Hour), Principal: "engineer", Campaign: campaignID,
		Proposal: p.ID, ContractDigest: st.Digest, PolicyDigest: "p01", ApproversDigest: "a44", LedgerHead: st.Head, RootCommit: p.RootCommit, BaseCommit: p.BaseCommit,
		BaseTree: p.BaseTree, ResultTree: p.ResultTree, Branch: p.Branch, Diff: []byte(diff), EvidenceDigests: p.Evidence, VerdictDigest: p.Verdict,
		SymptomDigest: loop.SymptomDigest(p.Symptom), PredictedGain: p.Predicted, Permits: gitops.Permits{Host: st.Contract.Host.Name, Account: "a", Commands: []string{}},
		CampaignDigest: st.First, LedgerSeq: st.Entries, PatchDigest: p.Digest, EvidenceRows: p.Rows, Symptom: gitops.Symptom(p.Symptom), Stage: p.Stage, Location: p.Location,
		Ceiling: p.Ceiling, Rationale: p.Rationale, Findings: p.Findings}
	raw, err := s.Bytes()
	require.NoError(b.t, err)
	sig, err := gitops.Sign(b.signer, gitops.NamespaceApproval, raw)
	require.NoError(b.t, err)
	return loop.ApprovalRecorded{Proposal: p.ID, Decision: "approve", Statement: raw, Signature: string(sig), Principal: "engineer", Level: loop.LevelAgentReachable, LevelWhy: "a test's key",
		Origin: loop.OriginTerminal, Key: gitops.DescribeSigner(b.signer).Fingerprint, KeyType: b.signer.PublicKey().Type()}
}

func (b *builder) revalidate() {
	var launches []worker.Launch
	for block := range b.n {
		for _, side := range []string{"base", "patched", "leader-0"} {
			of, points := "sglang", []string{"chat", "unseen"}
			if block < 2 {
				points = append(points, "equality")
			}
			if side == "leader-0" {
				of, points = "vllm", []string{"chat"}
			}
			launches = append(launches, b.launch(fmt.Sprintf("%s-00.patch-1.%s-%d", of, side, block), of, "revalidate", block, points...))
		}
	}
	b.run("revalidate/patch-1", "blocks/6", launches...)
	end, err := b.state().Revalidated(loop.RevalidationEnded{Proposal: "patch-1", Tests: "none named", Results: []loop.VerdictTaken{{Look: b.n}}}, b.read)
	require.NoError(b.t, err)
	require.Equal(b.t, "equal", end.Outputs)
	require.Equal(b.t, b.n == 6, end.Verdict == "win")
	for _, v := range end.Results {
		require.Empty(b.t, v.Result.Refused, v.Family)
		b.add("verdict.taken", v)
	}
	b.add("revalidation.ended", end)
}

func (b *builder) report() {
	st := b.state()
	in, err := st.ReportInput(release, b.read)
	require.NoError(b.t, err)
	files, err := report.Render(in)
	require.NoError(b.t, err)
	b.add("report.written", loop.ReportWritten{Verdict: st.Verdict(), Claim: in.Claim, Transcript: b.put("transcript.jsonl", b.talk()),
		Report: b.put("final_report.md", files["final_report.md"]), Manifest: b.put("manifest.txt", files["manifest.txt"])})
}

// seal closes the report, signed with the builder's key.
func (b *builder) seal() {
	lines, st := len(b.entries), b.state()
	talk, err := os.ReadFile(filepath.Join(b.dir, "transcript.jsonl"))
	require.NoError(b.t, err)
	prefix, err := loop.TranscriptPrefix(talk)
	require.NoError(b.t, err)
	s, err := loop.Sealed(b.entries, int64(b.raw.Len()), contract.Digest(b.raw.Bytes()), prefix)
	require.NoError(b.t, err)
	raw, err := s.Bytes()
	require.NoError(b.t, err)
	signed, err := gitops.SignEnvelope(b.t.Context(), b.signer, seal.PayloadType, raw)
	require.NoError(b.t, err)
	name, envelope := loop.SealName(lines)
	art := b.put(envelope, signed)
	b.add("report.sealed", loop.ReportSealed{Lines: lines, Head: st.Head, Statement: b.put(name, raw), Envelope: &art, Key: ssh.FingerprintSHA256(b.signer.PublicKey())})
}

// talk is a transcript of one exchange.
func (b *builder) talk() []byte {
	dir := b.t.TempDir()
	rec := transcripts.New(dir, nil)
	for id := range 3 {
		require.NoError(b.t, rec.Received("stdio", fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"get_campaign","arguments":{"campaign":%q}}}`, id, campaignID)))
		require.NoError(b.t, rec.Sent("stdio", fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"campaign":%q}}}`, id, campaignID)))
	}
	require.NoError(b.t, rec.Close())
	file, warnings, err := transcripts.Extract(dir, campaignID, time.Now().Add(time.Hour))
	require.NoError(b.t, err)
	require.Empty(b.t, warnings)
	return file
}

// close writes the ledger, its head and the projection of the rows.
func (b *builder) close() {
	b.put(ledger.ChainFile, b.raw.Bytes())
	last := b.entries[len(b.entries)-1]
	b.put(ledger.HeadFile, headOf(last))
	b.put("benchmark/candidates.jsonl", b.state().CandidateRows())
}

func headOf(e chain.Entry) []byte {
	return fmt.Appendf(nil, `{"kind":"sotaloop.head","v":1,"seq":%d,"hash":%q}`+"\n", e.Seq, e.Hash)
}
