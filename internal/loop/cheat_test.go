package loop_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// appendTo adds entries to a campaign's ledger as another server would.
func appendTo(t *testing.T, home string, kind string, payload any) {
	t.Helper()
	raw, err := json.Marshal(payload)
	require.NoError(t, err)
	led, err := ledger.Open(filepath.Join(home, "runs", campaignID), filepath.Join(home, "locks"), loop.Kinds)
	require.NoError(t, err)
	_, err = led.Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{{Kind: kind, Payload: raw}}, nil })
	require.NoError(t, err)
}

// captured is a campaign whose flags of one side were captured from the host.
func captured(t *testing.T, home, side string) *loop.Loop {
	t.Helper()
	id := opened(t).in(home)
	l := newLoop(t, home, newHost())
	out, err := l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: id, Framework: side})
	require.NoError(t, err)
	_, err = l.WaitJob(t.Context(), id, out.Job, 10*time.Second, "", nil)
	require.NoError(t, err)
	return l
}

func refusedBy(t *testing.T, rule string, err error) *fault.Error {
	t.Helper()
	f, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, rule, f.Rule, "%v", f)
	require.NotEmpty(t, f.Hints)
	require.NotEmpty(t, f.Next)
	return f
}

func TestASideIsSearchedOverOneSpaceAtATime(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := captured(t, home, "vllm")
	appendTo(t, home, "job.started", loop.JobStarted{Job: "job-2", Tool: "search_deployments", Spec: "s", Args: json.RawMessage(`{"entry":"vllm","base":{},"space":{"knob-1":[1]},"strategy":"auto"}`)})
	_, err := l.Search(t.Context(), loop.SearchRequest{Campaign: campaignID, Framework: "vllm", Space: map[string][]any{"knob-2": {1.0, 2.0}}})
	f := refusedBy(t, "flow.one-search", err)
	require.Equal(t, "wait_job", f.Next[0].Tool)
	require.Contains(t, f.Message, "job-2")
}

func TestOneFlagHasOneName(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := captured(t, home, "vllm")
	for name, r := range map[string]loop.SearchRequest{
		"two spellings in the space": {Space: map[string][]any{"knob-1": {1.0}, "--knob_1": {2.0}}},
		"two spellings in the base":  {BaseFlags: map[string]any{"KNOB-1": 1.0, "knob-1": 2.0}},
		"no value to try":            {Space: map[string][]any{"knob-1": {}}},
	} {
		r.Campaign, r.Framework = campaignID, "vllm"
		_, err := l.Search(t.Context(), r)
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, fault.InvalidInput, f.Code, name)
		require.NotEmpty(t, f.Hints, name)
	}
	require.NotContains(t, ledgerKinds(t, home)[2:], "candidate.added")
}

func TestFlagsInOtherSpellingsAreUnknown(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := captured(t, home, "vllm")
	for _, name := range []string{"--knob-1=4", "knob-1 4", " knob-1", "knob-1\n", "knob\u20111", "\u2014knob-1", "\u2013\u2013knob-1", "", "--", "knob-1;id", "$(id)"} {
		_, err := l.Search(t.Context(), loop.SearchRequest{Campaign: campaignID, Framework: "vllm", BaseFlags: map[string]any{name: 1.0}})
		refusedBy(t, "flow.unknown-flag", err)
	}
}

func TestVariablesThatNoSearchMaySet(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := captured(t, home, "vllm")
	for name, what := range map[string]string{
		"env:LD_PRELOAD": "what code is loaded", "env:ld_library_path": "what code is loaded", "env:PYTHONPATH": "what code is loaded", "env:BASH_ENV": "what code is loaded",
		"env:VLLM_PLUGINS": "no variable that a search of vllm may set", "env:CUDA_VISIBLE_DEVICES": "no variable", "env:SGLANG_USE_PICKLE_IPC": "no variable", "env:": "no variable",
	} {
		for _, r := range []loop.SearchRequest{{BaseFlags: map[string]any{name: "1"}}, {Space: map[string][]any{name: {"0", "1"}}}} {
			r.Campaign, r.Framework = campaignID, "vllm"
			_, err := l.Search(t.Context(), r)
			require.Contains(t, refusedBy(t, "flow.flag-class", err).Message, what, name)
		}
	}
	for name, v := range map[string]any{"env:VLLM_USE_DEEP_GEMM": "yes; id", "env:VLLM_FUSED_MOE_CHUNK_SIZE": "many", "env:VLLM_USE_FLASHINFER_SAMPLER": true} {
		_, err := l.Search(t.Context(), loop.SearchRequest{Campaign: campaignID, Framework: "vllm", BaseFlags: map[string]any{name: v}})
		refusedBy(t, "flow.flag-value", err)
	}
	_, err := l.Search(t.Context(), loop.SearchRequest{Campaign: campaignID, Framework: "vllm", Space: map[string][]any{"env:VLLM_KV_CACHE_LAYOUT": {"HND"}}})
	require.Contains(t, refusedBy(t, "flow.flag-value", err).Message, "hosts.yaml sets it")
}

// TestVariablesOfASearch searches over a variable like over any other knob.
func TestVariablesOfASearch(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := captured(t, home, "vllm")
	shown, err := l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: campaignID, Framework: "vllm", Match: "env:vllm_use_deep"})
	require.NoError(t, err)
	require.Len(t, shown.Flags, 1)
	require.Equal(t, "env:VLLM_USE_DEEP_GEMM", shown.Flags[0]["name"])
	require.EqualValues(t, "search", shown.Flags[0]["class"])
	_, err = l.Search(t.Context(), loop.SearchRequest{Campaign: campaignID, Framework: "vllm", Space: map[string][]any{"env:vllm_use_deep_gemm": {"1"}}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(rawLedger(t, home), `"env:VLLM_USE_DEEP_GEMM"`) }, 10*time.Second, 10*time.Millisecond, "it has the name that the engine knows")
}

// rawLedger is the text of the campaign's ledger.
func rawLedger(t *testing.T, home string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(home, "runs", campaignID, "ledger.jsonl"))
	require.NoError(t, err)
	return string(raw)
}

func TestBlocksTakeTheBestOfEverySide(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).flags("sglang", "vllm").searched("sglang", "vllm").
		add("candidate.added", loop.CandidateAdded{ID: "vllm-01", Entry: "vllm", Index: 1, Flags: map[string]any{"max-num-seqs": 1.0}, Knobs: map[string]any{}}).
		add("launch.ended", loop.LaunchEnded{Launch: "vllm-01.search", RunID: "r", Candidate: "vllm-01", Entry: "vllm", Phase: "search", State: "ok"}).in(home)
	l := newLoop(t, home, newHost())
	_, err := l.Benchmark(t.Context(), loop.BenchmarkRequest{Campaign: id, Candidates: []string{"sglang-00", "vllm-01"}})
	f := refusedBy(t, "fair.best-candidate", err)
	require.Equal(t, []string{"vllm-00"}, f.Want)
}

func TestBlocksGoOnWithTheirCandidates(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	search := loop.SearchEnded{Entry: "vllm", Strategy: "auto", Launches: 1, Why: "nothing left", Best: map[string]string{"chat": "vllm-01"}}
	id := opened(t).flags("sglang", "vllm").searched("sglang", "vllm").
		add("candidate.added", loop.CandidateAdded{ID: "vllm-01", Entry: "vllm", Index: 1, Flags: map[string]any{}, Knobs: map[string]any{}}).
		add("launch.ended", loop.LaunchEnded{Launch: "vllm-01.search", RunID: "r", Candidate: "vllm-01", Entry: "vllm", Phase: "search", State: "ok"}).
		add("search.ended", search).
		add("job.started", loop.JobStarted{Job: "job-1", Tool: "run_benchmark", Spec: "s", Args: json.RawMessage(`{"candidates":["sglang-00","vllm-00"],"blocks":8}`)}).
		add("job.ended", loop.JobEnded{Job: "job-1", State: "done"}).in(home)
	l := newLoop(t, home, newHost())
	_, err := l.Benchmark(t.Context(), loop.BenchmarkRequest{Campaign: id, Candidates: []string{"sglang-00", "vllm-01"}, Blocks: 12})
	refusedBy(t, "fair.one-pairing", err)
}

func TestANarrowSpaceIsNoFullEffort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		launches, knobs, tried int
		failed                 string
		ours                   bool
		says                   bool
	}{
		"narrower than the target's":       {2, 1, 2, "", false, true},
		"as wide as the target's":          {2, 3, 9, "", false, false},
		"it does not serve at all":         {2, 0, 0, "candidate 0 does not start", false, false},
		"all launches on one knob":         {10, 1, 2, "", false, true},
		"all launches on the default ones": {10, 2, 5, "", true, false},
		"few knobs, all their values":      {10, 2, 9, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			id := opened(t).searched("sglang", "vllm").
				add("search.ended", loop.SearchEnded{Entry: "sglang", Strategy: "auto", Launches: 10, Knobs: 3, Tried: 8, Why: "budget", Best: map[string]string{"chat": "sglang-00"}}).
				add("search.ended", loop.SearchEnded{Entry: "vllm", Strategy: "auto", Launches: c.launches, Knobs: c.knobs, Tried: c.tried, Default: c.ours, Why: "nothing left", Failed: c.failed, Best: map[string]string{"chat": "vllm-00"}}).
				blocks(8, 2).verdict("win").in(home)
			out, err := newLoop(t, home, newHost()).WriteReport(t.Context(), id)
			require.NoError(t, err)
			if c.says {
				require.Contains(t, out.Claim, "fair.equal-effort")
				require.NotContains(t, out.Claim, "reproducible performance")
			} else {
				require.NotContains(t, out.Claim, "fair.equal-effort")
			}
		})
	}
}

func TestASearchWithoutASpaceIsNotOfTheDefaultAlone(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := opened(t).in(home)
	h := newHost()
	h.help += "  --max-num-seqs N  sequences\n  --max-num-batched-tokens N  tokens\n"
	l := newLoop(t, home, h)
	flags, err := l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: id, Framework: "vllm"})
	require.NoError(t, err)
	_, err = l.WaitJob(t.Context(), id, flags.Job, 10*time.Second, "", nil)
	require.NoError(t, err)
	_, err = l.Search(t.Context(), loop.SearchRequest{Campaign: id, Framework: "vllm", BaseFlags: map[string]any{"max_num_seqs": 64.0}})
	require.NoError(t, err)
	entries, _, err := chain.Read(filepath.Join(home, "runs", id, ledger.ChainFile), loop.Kinds)
	require.NoError(t, err)
	var job loop.JobStarted
	for _, e := range entries {
		if e.Kind == "job.started" {
			require.NoError(t, json.Unmarshal(e.Payload, &job))
		}
	}
	require.JSONEq(t, `{"entry":"vllm","base":{"max-num-seqs":64},"space":{"max-num-batched-tokens":[2048,4096,8192,16384]},"strategy":"auto","default_space":true}`, string(job.Args), "what the base fixes is not searched")
}
