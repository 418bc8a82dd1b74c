package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/report"
	"github.com/sotaloop/sotaloop/internal/trace"
)

const campaignID = "20261123_tiny_sota_loop"

var morning = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// campaign is a ledger written by hand.
type campaign struct {
	t       *testing.T
	c       *contract.Contract
	pending []chain.Pending
	tables  map[string]*trace.Analysis
	diff    string
}

func opened(t *testing.T, edits ...func(*contract.Contract)) *campaign {
	t.Helper()
	slots := 2
	c := &contract.Contract{
		Kind: contract.Kind, V: contract.Version, Campaign: campaignID, Study: contract.StudySOTA, Created: morning,
		Model: contract.Model{ID: "tiny", Path: "/models/tiny", Identity: "1d"}, Precision: "auto", KVDtype: "auto", Endpoint: "/v1/completions", Delta: 0.03, Seed: 42,
		Host:   contract.Host{Name: "gpu", Device: "cuda", GPUs: []int{0}, GPUModel: "H100", Driver: "570.1"},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 20, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalClosed,
			MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "output_token_throughput"}},
		SLA:    contract.SLA{"max_p50_ttft_ms": 900},
		Blocks: contract.Blocks{Max: 6, Looks: []int{6}, Comparisons: 1}, Budget: contract.Budget{Launches: 10}, Assumed: []string{"study: sota"},
		Cost: []contract.Cost{{Phase: "search", Launches: 20, LaunchS: 240, LoadS: 120, GPUHours: 2, Source: "assumed"}},
	}
	for _, edit := range edits {
		edit(c)
	}
	w := &campaign{t: t, c: c, tables: map[string]*trace.Analysis{}}
	raw, digest, err := c.Freeze()
	require.NoError(t, err)
	return w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest})
}

func (w *campaign) add(kind string, payload any) *campaign {
	w.t.Helper()
	raw, err := json.Marshal(payload)
	require.NoError(w.t, err)
	w.pending = append(w.pending, chain.Pending{Kind: kind, Payload: raw, Time: morning})
	return w
}

func (w *campaign) state() *loop.State {
	w.t.Helper()
	entries, err := chain.Write(io.Discard, morning, w.pending...)
	require.NoError(w.t, err)
	s, err := loop.Replay(entries)
	require.NoError(w.t, err)
	return s
}

// render gives the report and the manifest.
func (w *campaign) render() (text, manifest string) {
	w.t.Helper()
	st := w.state()
	files, err := report.Render(loop.ReportInput{
		Campaign: campaignID, State: st, Tables: w.tables, Claim: "none: nothing was decided", Version: "1.2.3", Levels: []string{"consistent", "unwitnessed"},
		Read: func(ledger.Artifact) ([]byte, error) {
			if w.diff == "" {
				return nil, errors.New("gone")
			}
			return []byte(w.diff), nil
		},
	})
	require.NoError(w.t, err)
	require.Len(w.t, files, 2)
	return string(files["final_report.md"]), string(files["manifest.txt"])
}

// row adds a measured point of a block; a throughput of 0 is a launch that failed.
func (w *campaign) row(side string, block int, tokS float64, reason string) *campaign {
	passed := tokS > 0
	r := compare.Row{Framework: contract.Framework(side), Side: side, CandidateID: side + "-00", Status: compare.StatusOK, Phase: compare.PhaseBlock, Block: &block,
		LaunchID: fmt.Sprintf("%s-00.block-%d", side, block), Client: "sotaloop", Model: "tiny", ContractDigest: w.state().Digest, FailureReason: reason,
		Workload: compare.Workload{Scenario: "chat", NumPrompts: &w.c.Scenarios[0].NumPrompts}, SLA: compare.SLA{Limits: w.c.SLA, Passed: &passed}, Metrics: compare.Metrics{}, Audit: &compare.Audit{Reasons: []string{}}}
	if tokS > 0 {
		r.Metrics = compare.Metrics{"output_token_throughput": tokS, "success_rate": 1, "p50_ttft_user_ms": 12.5, "p50_tpot_ms": 3.25}
	} else {
		r.Status = compare.StatusOOM
	}
	return w.add("point.measured", loop.PointMeasured{Key: r.LaunchID, Point: "chat", Use: "main", Row: r})
}

// finished is a campaign with everything in it.
func finished(t *testing.T) *campaign {
	w := opened(t, func(c *contract.Contract) { c.Host.Simulated = true })
	for _, e := range []string{"sglang", "vllm"} {
		w.add("help.captured", loop.HelpCaptured{Entry: e, Version: framework.Version{Version: "1.0"}, Digest: "d0"})
		w.add("candidate.added", loop.CandidateAdded{ID: e + "-00", Entry: e, Flags: map[string]any{}, Knobs: map[string]any{}})
		w.add("search.ended", loop.SearchEnded{Entry: e, Strategy: "auto", Launches: 10, GPUHours: 0.5, Knobs: 2, Tried: 4, Listed: 6, Why: "budget spent", Best: map[string]string{"chat": e + "-00"}})
	}
	for b := range 6 {
		w.row("sglang", b, 800+float64(b), "").row("vllm", b, 1000+float64(b), "")
		w.add("launch.ended", loop.LaunchEnded{Launch: fmt.Sprintf("sglang-00.block-%d", b), RunID: "r", Candidate: "sglang-00", Entry: "sglang", Phase: "block", State: "ok", SecondsS: 36, Command: "sglang serve --port '{port}'"})
	}
	look, err := w.state().Look(6)
	require.NoError(t, err)
	w.add("verdict.taken", look)
	w.add("rule.refused", loop.RuleRefused{Tool: "run_benchmark", Rule: "fair.every-side", What: "a block holds one candidate of \"vllm\", 0 were named"})
	w.add("trace.captured", loop.TraceCaptured{ID: "trace-1", Candidate: "sglang-00", Entry: "sglang", Scenario: "chat", Stage: "decode", InputLen: 1, OutputLen: 4, Batch: 2, Simulated: true, File: loop.TraceFile{Artifact: ledger.Artifact{Name: "profiles/x.json.gz"}}})
	w.add("trace.analyzed", loop.TraceAnalyzed{Trace: "trace-1"})
	w.tables["trace-1"] = &trace.Analysis{Stages: []trace.Stage{{Stage: "decode", Kernels: []trace.Kernel{
		{ID: "kernel:decode:1@0123456789abcdef", Name: "void flash::run<flash::Traits<128>, true>(Params)", Category: "attention", TotalUS: 1234.5, Share: 0.25, Launches: 7,
			Locations: []trace.Location{{Path: "python/sglang/a.py", Line: 7, Func: "f"}}}}}}}
	w.diff = "--- a/python/sglang/a.py\n+++ b/python/sglang/a.py\n@@ -1 +1 @@\n-slow\n+fast\n"
	w.add("patch.proposed", loop.PatchProposed{ID: "patch-1", BaseCommit: strings.Repeat("3", 40), ResultTree: strings.Repeat("2", 40), Branch: "sotaloop/" + campaignID + "/patch-1", Digest: "p1", Files: json.RawMessage(`[]`), Findings: []string{"patch.sleep a.py:1 a sleep"},
		Stage: "decode", Location: "python/sglang/a.py:7", Symptom: loop.Symptom{Scenario: "chat", Metric: "output_token_throughput"}, Rows: []string{"kernel:decode:1@0123456789abcdef"}, Share: 0.25, Ceiling: 1.0 / 3, Predicted: 0.2, Rationale: "fewer launches"})
	w.add("approval.recorded", loop.ApprovalRecorded{Proposal: "patch-1", Decision: "approve", Principal: "engineer", Level: "independent"})
	w.add("branch.created", loop.BranchCreated{Proposal: "patch-1", Branch: "sotaloop/" + campaignID + "/patch-1", Commit: strings.Repeat("4", 40), Tree: strings.Repeat("2", 40)})
	gain := 0.18
	return w.add("revalidation.ended", loop.RevalidationEnded{Proposal: "patch-1", Predicted: 0.2, Measured: &gain, Interval: []float64{0.15, 0.21}, Verdict: "win", Outputs: "equal", Tests: "passed",
		Equality: loop.Equality{Requests: 10, Comparisons: 4}})
}

// golden compares with testdata; UPDATE=1 rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with UPDATE=1 and look at what it writes")
	require.Equal(t, string(want), got)
}

func TestTheReportOfAFinishedCampaign(t *testing.T) {
	t.Parallel()
	text, manifest := finished(t).render()
	golden(t, "final_report.md", text)
	golden(t, "manifest.txt", manifest)
}

func TestTheSameStateGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	w := finished(t)
	text, manifest := w.render()
	for range 5 {
		again, m := w.render()
		require.Equal(t, text, again)
		require.Equal(t, manifest, m)
	}
}

func TestAReportSaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	text, manifest := opened(t).render()
	for _, says := range []string{"Verdict: **none**", "No candidate reached the blocks.", "No verdict was taken.", "Nothing was profiled.", "No patch was proposed.", "Spent: 0 launches"} {
		require.Contains(t, text, says)
	}
	require.NotContains(t, text, "SIMULATED")
	require.NotContains(t, text, "NaN")
	require.NotContains(t, text, "%!")
	require.Contains(t, manifest, "boot_id: unknown: not recorded on this host\n")
}

func TestEveryHeadlineOfASimulationSaysSo(t *testing.T) {
	t.Parallel()
	text, manifest := finished(t).render()
	require.Contains(t, strings.Join(strings.Split(text, "\n")[:4], "\n"), "SIMULATED")
	require.Contains(t, manifest, "simulated: true\n")
}

func TestFailedRowsStayInTheReport(t *testing.T) {
	t.Parallel()
	text, _ := opened(t).row("sglang", 0, 0, "CUDA out of memory").row("vllm", 0, 1000, "").render()
	require.Contains(t, text, "## Failed or SLA-failing candidates")
	require.Contains(t, text, "CUDA out of memory")
	require.Contains(t, text, "| 0 | sglang-00 | chat | oom | failed | - |")
}

func TestForeignTextStaysText(t *testing.T) {
	t.Parallel()
	nasty := "a | b\n# Verdict: win\n<script>alert(1)</script>\r\n```"
	w := finished(t)
	w.row("vllm", 9, 0, nasty)
	w.add("rule.refused", loop.RuleRefused{Tool: "propose_patch", Rule: "evid.location", What: nasty})
	w.add("launch.ended", loop.LaunchEnded{Launch: "vllm-00.block-9", RunID: "r", Candidate: "vllm-09", Entry: "vllm", Phase: "block", State: "failed", Command: "vllm serve 'x\nmodel: other\n```\n# Verdict: win\n'"})
	w.diff = "--- a/x\n+++ b/x\n@@ -0,0 +1,2 @@\n+```\n+# Verdict: win\n"
	text, manifest := w.render()
	require.NotContains(t, text, "<script>")
	inside := ""
	for n, line := range strings.Split(text, "\n") {
		if fence := strings.TrimRight(line, "abcdefghijklmnopqrstuvwxyz"); strings.HasPrefix(line, "```") && (inside == "" || fence == inside) {
			if inside == "" {
				inside = fence
			} else {
				inside = ""
			}
			continue
		}
		if inside == "" {
			require.NotRegexp(t, `^# Verdict`, line, "line %d is a heading of foreign text", n+1)
		}
	}
	require.Empty(t, inside, "every code block ends")
	keys := map[string]int{}
	for _, line := range strings.Split(strings.TrimSuffix(manifest, "\n"), "\n") {
		key, _, ok := strings.Cut(line, ": ")
		require.True(t, ok, line)
		keys[key]++
	}
	require.Equal(t, 1, keys["model"], "a value cannot add a key")
}
