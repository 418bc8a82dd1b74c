package loop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const inventory = `hosts:
  gpu:
    ssh: gpu
    device: cuda
    gpus: [0, 1]
    workdir: ~/sotaloop
    lease_dir: /var/lock/sotaloop
    models: {tiny: /models/tiny}
    engines:
      sglang: {type: sglang, venv: ~/venvs/sglang}
      vllm: {type: vllm, venv: ~/venvs/vllm, env: {VLLM_KV_CACHE_LAYOUT: NHD}}
  cpu:
    local: true
    device: cpu
    cores: [1]
    models: {tiny: /models/tiny}
    engines:
      sglang: {type: sglang, venv: ~/venvs/sglang}
      vllm: {type: vllm, venv: ~/venvs/vllm}
      vllm-two: {type: vllm, venv: ~/venvs/vllm, env: {OMP_NUM_THREADS: 2}}
  lonely:
    local: true
    device: cpu
    workdir: ~/sotaloop
    lease_dir: /var/lock/sotaloop
    models: {tiny: /models/tiny}
    engines:
      sglang: {type: sglang, venv: ~/venvs/sglang}
`

const programDigest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// host answers what a host's worker and nvidia-smi would; it is the edge, and everything above it is real.
type host struct {
	witness func(context.Context, io.Reader) ([]byte, error) // nil: none is configured
	facts   worker.Facts
	help    string
	gate    chan struct{}     // closed: queries are answered
	said    string            // what it puts into names, versions and error texts beside
	fails   bool              // queries fail
	allow   policy.Policy     // the engineer's policy
	broken  error             // why the policy cannot be read
	gone    bool              // nothing answers
	files   map[string][]byte // what can be downloaded
	sets    map[string]worker.DatasetStored

	mu      sync.Mutex
	queries int
	dials   int
}

func newHost() *host {
	h := &host{gate: make(chan struct{}), help: "options:\n"}
	close(h.gate)
	for n := range 60 {
		h.help += fmt.Sprintf("  --knob-%d N  sets knob %d\n", n, n)
	}
	h.help += "  --tp-size N  tensor parallel size\n"
	h.facts = worker.Facts{BootID: "b007", Clocks: map[string]string{"cpu.governor": "performance"}, CPU: &contract.CPU{Model: "Test CPU", Cores: 4, Allowed: []int{0, 1, 3}, MemoryMiB: 4096, Flags: []string{"avx2"}}, Now: time.Now(), Engines: map[string]string{"sglang": "", "vllm": ""}, Models: map[string]worker.Model{
		"tiny": {Path: "/models/tiny", Identity: "1d", Config: `{"vocab_size": 32000, "max_position_embeddings": 40960}`}}}
	return h
}

// Run implements hosts.Conn.
func (h *host) Run(ctx context.Context, c hosts.Cmd) (hosts.Result, error) {
	switch {
	case h.gone:
		return hosts.Result{}, fault.New(fault.HostUnreachable, "no route")
	case c.Argv[0] == "nvidia-smi" && strings.Contains(c.Argv[1], "power.limit"):
		return hosts.Result{Stdout: []byte("0, 1980, 2619, 700.00\n1, 1410, [N/A], 500.00\n")}, nil
	case c.Argv[0] == "nvidia-smi" && strings.HasPrefix(c.Argv[1], "--query-gpu"):
		return hosts.Result{Stdout: []byte("0, GPU-0, NVIDIA H100 80GB HBM3" + h.said + ", 570.1" + h.said + ", 0, 4, 81559, 1980\n1, GPU-1, NVIDIA H100 80GB HBM3, 570.1, 0, 4, 81559, 1980\n")}, nil
	case c.Argv[0] == "uname":
		return hosts.Result{Stdout: []byte("x86_64\n")}, nil
	case c.Argv[0] == "nvidia-smi":
		return hosts.Result{}, nil
	case len(c.Argv) == 3 && c.Argv[1] == "worker":
		return h.worker(ctx, c.Argv[2], c.Stdin)
	}
	return hosts.Result{Stdout: []byte("/home/me/sotaloop/bin\n" + programDigest + "  -\n")}, nil
}

func (h *host) worker(ctx context.Context, verb string, stdin io.Reader) (hosts.Result, error) {
	var answer any
	switch verb {
	case worker.VerbProbe:
		answer = h.facts
	case worker.VerbQuery:
		h.mu.Lock()
		h.queries++
		h.mu.Unlock()
		select {
		case <-h.gate:
		case <-ctx.Done():
			return hosts.Result{}, fault.Wrap(fault.Canceled, ctx.Err(), "canceled")
		}
		raw, err := io.ReadAll(stdin)
		if err != nil {
			return hosts.Result{}, err
		}
		out := h.help
		if strings.Contains(strings.ToLower(string(raw)), "version") {
			out = "0.5.1" + h.said + "\n"
		}
		exit := 0
		if h.fails {
			exit, out = 3, "Traceback:"+h.said
		}
		answer = map[string]any{"out": out, "err": "", "exit": exit, "timed_out": false}
	case worker.VerbDataset:
		var r struct {
			Digest string `json:"digest"`
		}
		if err := json.NewDecoder(stdin).Decode(&r); err != nil {
			return hosts.Result{}, err
		}
		set, ok := h.sets[r.Digest]
		if !ok {
			raw, err := json.Marshal(map[string]any{"v": 1, "fault": worker.Refusal{Code: fault.NotFound, Message: "dataset is not on this host", Hints: []string{"sotaloop dataset add"}}})
			return hosts.Result{Stdout: raw}, err
		}
		answer = set
	default:
		return hosts.Result{ExitCode: 1, Stderr: []byte("no " + verb)}, nil
	}
	raw, err := json.Marshal(map[string]any{"v": 1, "answer": answer})
	return hosts.Result{Stdout: raw}, err
}

// Start implements hosts.Conn.
func (h *host) Start(context.Context, hosts.Cmd) (int, error) {
	return 0, errors.New("nothing starts here")
}

// Upload implements hosts.Conn.
func (h *host) Upload(context.Context, io.Reader, string, fs.FileMode) error {
	return errors.New("nothing is uploaded here")
}

// Download implements hosts.Conn.
func (h *host) Download(_ context.Context, path string, w io.Writer) error {
	raw, ok := h.files[path]
	if !ok {
		return fs.ErrNotExist
	}
	_, err := w.Write(raw)
	return err
}

// Close implements hosts.Conn.
func (h *host) Close() error { return nil }

func (h *host) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queries
}

// newLoop is one server process on a home, with the host for every name of the inventory.
func newLoop(t *testing.T, home string, h *host) *loop.Loop {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := newLoopOn(ctx, home, h)
	t.Cleanup(func() { stop(); l.Close() })
	return l
}

// newLoopOn is newLoop for a test that ends the server itself.
func newLoopOn(ctx context.Context, home string, h *host) *loop.Loop {
	return loop.New(ctx, loop.Options{
		Home:      home,
		Inventory: func() (*hosts.Inventory, error) { return hosts.ParseInventory([]byte(inventory), "hosts.yaml") },
		Dial: func(context.Context, string, hosts.HostEntry) (hosts.Conn, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.dials++
			return h, nil
		},
		Binary:    loop.WorkerBinary{Digest: func(string) (string, error) { return programDigest, nil }},
		Approvers: func() ([]byte, error) { return nil, nil }, Policy: func() (policy.Policy, error) { return h.allow, h.broken },
		Witness: h.witness,
		Log:     slog.New(slog.DiscardHandler), Version: "0.0.0-test", ApproveCommand: "sotaloop approve %s %s",
		Report: func(in loop.ReportInput) (map[string][]byte, error) {
			return map[string][]byte{"final_report.md": []byte("# " + in.Campaign + "\n"), "manifest.txt": []byte("campaign: " + in.Campaign + "\n")}, nil
		},
	})
}

// request is an open_campaign that says only what has no default.
func request() loop.OpenRequest { return loop.OpenRequest{Model: "tiny", Host: "gpu", SLANone: true} }

const campaignID = "20261123_tiny_sota_loop"

// terms is a frozen contract for ledgers written by hand.
func terms() *contract.Contract {
	slots := 2
	return &contract.Contract{
		Kind: contract.Kind, V: contract.Version, Campaign: campaignID, Study: contract.StudySOTA, Created: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		Model: contract.Model{ID: "tiny", Path: "/models/tiny", Vocabulary: 32000}, Precision: "auto", KVDtype: "auto", Endpoint: "/v1/completions", Delta: 0.03, Seed: 42,
		Host:   contract.Host{Name: "gpu", Device: "cuda", GPUs: []int{0}, GPUModel: "H100"},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 20, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalClosed,
			MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "output_token_throughput"}},
		Blocks: contract.Blocks{Max: 12, Looks: []int{8, 12}, Comparisons: 1}, Budget: contract.Budget{Launches: 10}, Assumed: []string{}, Cost: []contract.Cost{},
	}
}

// written is a ledger written by hand.
type written struct {
	t       *testing.T
	c       *contract.Contract
	pending []chain.Pending
}

func opened(t *testing.T) *written {
	t.Helper()
	w := &written{t: t, c: terms()}
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest})
	return w
}

func (w *written) add(kind string, payload any) *written {
	w.t.Helper()
	raw, err := json.Marshal(payload)
	require.NoError(w.t, err)
	w.pending = append(w.pending, chain.Pending{Kind: kind, Payload: raw})
	return w
}

func (w *written) state() *loop.State {
	w.t.Helper()
	s, err := loop.Replay(w.entries())
	require.NoError(w.t, err)
	return s
}

func (w *written) entries() []chain.Entry {
	w.t.Helper()
	entries, err := chain.Write(io.Discard, terms().Created, w.pending...)
	require.NoError(w.t, err)
	return entries
}

// in puts the ledger into a home and gives the campaign's id.
func (w *written) in(home string) string {
	w.t.Helper()
	led, err := ledger.Open(filepath.Join(home, "runs", campaignID), filepath.Join(home, "locks"), loop.Kinds)
	require.NoError(w.t, err)
	_, err = led.Append(w.t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return w.pending, nil })
	require.NoError(w.t, err)
	return campaignID
}

// The steps of an honest campaign, one after the other.

func (w *written) flags(entries ...string) *written {
	for _, e := range entries {
		w.add("help.captured", loop.HelpCaptured{Entry: e, Command: "serve"})
	}
	return w
}

func (w *written) searched(entries ...string) *written {
	for _, e := range entries {
		w.add("candidate.added", loop.CandidateAdded{ID: e + "-00", Entry: e, Flags: map[string]any{}, Knobs: map[string]any{}})
		w.row(e, "search", 0, 100)
		w.add("launch.ended", loop.LaunchEnded{Launch: e + "-00.search", RunID: "r", Candidate: e + "-00", Entry: e, Phase: "search", State: "ok"})
		w.add("search.ended", loop.SearchEnded{Entry: e, Strategy: "auto", Launches: 1, Why: "nothing left", Best: map[string]string{"chat": e + "-00"}})
	}
	return w
}

// row adds a measured point.
func (w *written) row(side, phase string, block int, tokS float64) *written {
	launch := fmt.Sprintf("%s-00.%s-%d", side, phase, block)
	passed := true
	r := compare.Row{Framework: contract.Framework(side), Side: side, CandidateID: side + "-00", Status: compare.StatusOK, Phase: compare.Phase(phase), LaunchID: launch, Client: "sotaloop",
		Model: "tiny", ContractDigest: w.digest(), Workload: compare.Workload{Scenario: "chat", NumPrompts: &w.c.Scenarios[0].NumPrompts}, SLA: compare.SLA{Passed: &passed},
		Metrics: compare.Metrics{"output_token_throughput": tokS + float64(block)/100, "success_rate": 1}}
	if phase != "search" {
		r.Block = &block
	}
	return w.add("point.measured", loop.PointMeasured{Key: launch + "/chat", Point: "chat", Use: "main", Row: r})
}

func (w *written) digest() string {
	_, digest, err := w.c.Freeze()
	require.NoError(w.t, err)
	return digest
}

// blocks measures n blocks in which SGLang reaches a share of vLLM's throughput.
func (w *written) blocks(n int, share float64) *written {
	for b := range n {
		w.row("sglang", "block", b, 1000*share).row("vllm", "block", b, 1000)
	}
	return w
}

func (w *written) verdict(word string) *written {
	v := loop.VerdictTaken{Look: 8, Phase: "block", Family: "campaign"}
	v.Result.Verdicts = []compare.Verdict{{Scenario: "chat", Metric: "output_token_throughput", Candidate: "sglang-00", Against: "vllm-00"}}
	raw, err := json.Marshal(v)
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal([]byte(strings.Replace(string(raw), `"verdict":""`, `"verdict":"`+word+`"`, 1)), &v))
	require.EqualValues(w.t, word, v.Result.Verdicts[0].Verdict)
	return w.add("verdict.taken", v)
}

func (w *written) traced() *written {
	return w.add("trace.captured", loop.TraceCaptured{ID: "trace-1", Candidate: "sglang-00", Entry: "sglang", Scenario: "chat", Stage: "decode"})
}

func (w *written) analyzed() *written {
	return w.add("trace.analyzed", loop.TraceAnalyzed{Trace: "trace-1"})
}

func (w *written) proposed(id string) *written {
	return w.add("patch.proposed", loop.PatchProposed{ID: id, Branch: "sotaloop/" + campaignID + "/" + id, Digest: id, ResultTree: "t1", Symptom: loop.Symptom{Scenario: "chat"}})
}

func (w *written) decided(id, decision string) *written {
	return w.add("approval.recorded", loop.ApprovalRecorded{Proposal: id, Decision: decision, Reason: "because"})
}

func (w *written) applied(id string) *written {
	return w.add("branch.created", loop.BranchCreated{Proposal: id, Branch: "sotaloop/" + campaignID + "/" + id, Tree: "t1"})
}

func (w *written) revalidated(id string) *written {
	return w.add("revalidation.ended", loop.RevalidationEnded{Proposal: id, Verdict: "win", Interval: []float64{}})
}

func (w *written) reported() *written { return w.add("report.written", loop.ReportWritten{}) }

// honest is a campaign up to the verdict, which the target lost.
func honest(t *testing.T) *written {
	return opened(t).flags("sglang", "vllm").searched("sglang", "vllm").blocks(8, 0.8).verdict("loss")
}

func ledgerKinds(t *testing.T, home string) []string {
	t.Helper()
	entries, _, err := chain.Read(filepath.Join(home, "runs", campaignID, ledger.ChainFile), loop.Kinds)
	require.NoError(t, err)
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(raw)
}
