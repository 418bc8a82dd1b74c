package loop_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/cookbook"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const cookedModel = "Qwen/Qwen3-Next-80B-A3B-Instruct"

// cookedHost is a host with a model that the cookbook knows, and SGLang's real help.
func cookedHost(t *testing.T) *host {
	t.Helper()
	h := newHost()
	h.facts.Models[cookedModel] = worker.Model{Path: "/hub/models--Qwen--Qwen3-Next-80B-A3B-Instruct/snapshots/" + strings.Repeat("9c", 20), Identity: "1d1d1d1d1d1d1d1d1d",
		Config: `{"vocab_size": 151936, "max_position_embeddings": 262144}`}
	h.facts.Models[cookedModel] = withCode(h.facts.Models[cookedModel])
	h.help = readFile(t, filepath.Join("..", "framework", "testdata", "help", "sglang_launch_server.txt"))
	return h
}

// withCode is a snapshot that brings code of its own.
func withCode(m worker.Model) worker.Model {
	m.Code = map[string]string{"modeling_qwen.py": strings.Repeat("ab", 32)}
	return m
}

func cookedRequest() loop.OpenRequest {
	return loop.OpenRequest{Model: cookedModel, Host: "gpu", GPUs: []int{0, 1}}
}

func parsed(t *testing.T, o loop.Opened) *contract.Contract {
	t.Helper()
	c, err := contract.Parse(o.Contract)
	require.NoError(t, err)
	return c
}

func TestACampaignOfAKnownModelTakesTheCookbooksTerms(t *testing.T) {
	t.Parallel()
	out, err := newLoop(t, t.TempDir(), cookedHost(t)).Open(t.Context(), cookedRequest())
	require.NoError(t, err)
	c := parsed(t, out)
	require.Regexp(t, `^qwen3-next-80b-a3b@[0-9a-f]{16}$`, c.Cookbook)
	require.Equal(t, contract.SLA{"max_p50_ttft_ms": 1500, "max_p50_tpot_ms": 30, "min_success_rate": 0.99}, c.SLA)
	require.Equal(t, 12288, c.MaxContext)
	var names []string
	for _, s := range c.Scenarios {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{"chat-c16", "summarization-c16"}, names, "one closed loop a shape, the heaviest")
	require.Equal(t, []string{"chat-burst", "chat-c8", "summarization-burst", "summarization-c8"}, c.CookbookLeft)
	said := strings.Join(out.Assumed, "\n")
	for _, word := range []string{"scenarios: chat-c16", "sla: max_p50_tpot_ms 30", "max_context: 12288"} {
		require.Contains(t, said, word)
	}
	require.Contains(t, strings.Join(out.Warnings, "\n"), "the figures are for GPUs of 140 GiB, not 80")
}

func TestWhatTheCallerSaysIsNotTheCookbooks(t *testing.T) {
	t.Parallel()
	r := cookedRequest()
	slots := 16
	r.Scenarios = []contract.Scenario{{Name: "mine", InputLen: 1000, OutputLen: 1000, MaxConcurrency: &slots}}
	r.SLA, r.MaxContext, r.KVDtype, r.GPUs = contract.SLA{"max_p50_ttft_ms": 9}, 4096, "fp8_e5m2", []int{0}
	out, err := newLoop(t, t.TempDir(), cookedHost(t)).Open(t.Context(), r)
	require.NoError(t, err)
	c := parsed(t, out)
	require.Equal(t, r.SLA, c.SLA)
	require.Equal(t, 4096, c.MaxContext)
	require.Equal(t, "fp8_e5m2", c.KVDtype)
	require.Len(t, c.CookbookLeft, 6, "none of the entry's is measured")
	require.Contains(t, strings.Join(out.Warnings, "\n"), "the figures are for 2 GPUs, not 1")

	r.Scenarios[0].InputLen, r.MaxContext = 20000, 0
	out, err = newLoop(t, t.TempDir(), cookedHost(t)).Open(t.Context(), r)
	require.NoError(t, err)
	require.Zero(t, parsed(t, out).MaxContext, "the entry's context would not hold this scenario")

	r = cookedRequest()
	r.SLANone = true
	out, err = newLoop(t, t.TempDir(), cookedHost(t)).Open(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, parsed(t, out).SLA)
}

// TestAnUnknownModelHasNoSilentSLA: without an entry there are no limits to take.
func TestAnUnknownModelHasNoSilentSLA(t *testing.T) {
	t.Parallel()
	_, err := newLoop(t, t.TempDir(), newHost()).Open(t.Context(), loop.OpenRequest{Model: "tiny", Host: "gpu"})
	require.ErrorContains(t, err, "sla is missing")
}

func TestRemoteCodeIsTheEngineersToAllow(t *testing.T) {
	t.Parallel()
	here := cookedModel + "@" + strings.Repeat("9c", 20)
	for name, c := range map[string]struct {
		list    []string
		trusted bool
	}{
		"not listed":       {nil, false},
		"this snapshot":    {[]string{"other/model@main", here}, true},
		"another revision": {[]string{cookedModel + "@" + strings.Repeat("77", 20)}, false},
		"no revision":      {[]string{cookedModel}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := cookedHost(t)
			h.allow = policy.Policy{TrustRemoteCode: c.list}
			out, err := newLoop(t, t.TempDir(), h).Open(t.Context(), cookedRequest())
			require.NoError(t, err)
			require.Equal(t, c.trusted, parsed(t, out).TrustRemoteCode)
			require.Equal(t, c.trusted, parsed(t, out).Model.Code["modeling_qwen.py"] != "", "what runs is on record, and nothing else")
			require.Equal(t, c.trusted, strings.Contains(strings.Join(out.Assumed, "\n"), "trust_remote_code: "+here))
		})
	}
}

// searchedArgs starts a search and gives its answer and the arguments that were recorded.
func searchedArgs(t *testing.T, mend func(*contract.Contract), r loop.SearchRequest) (loop.Search, map[string]any) {
	t.Helper()
	home, h := t.TempDir(), cookedHost(t)
	w := &written{t: t, c: terms()}
	book, err := cookbook.Open()
	require.NoError(t, err)
	e, ok := book.ByID("qwen3-next-80b-a3b")
	require.True(t, ok)
	w.c.Cookbook, w.c.Host.GPUs, w.c.Host.GPUModel = e.ID+"@"+e.Digest(), []int{0, 1}, "NVIDIA H100 80GB HBM3"
	if mend != nil {
		mend(w.c)
	}
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	r.Campaign = w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest}).in(home)
	l := newLoop(t, home, h)
	flags, err := l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: r.Campaign, Framework: r.Framework})
	require.NoError(t, err)
	_, err = l.WaitJob(t.Context(), r.Campaign, flags.Job, 10*time.Second, "", nil)
	require.NoError(t, err)
	out, err := l.Search(t.Context(), r)
	require.NoError(t, err)
	entries, _, err := chain.Read(filepath.Join(home, "runs", r.Campaign, ledger.ChainFile), loop.Kinds)
	require.NoError(t, err)
	var job loop.JobStarted
	for _, e := range entries {
		if e.Kind == "job.started" {
			require.NoError(t, json.Unmarshal(e.Payload, &job))
		}
	}
	args := map[string]any{}
	require.NoError(t, json.Unmarshal(job.Args, &args))
	return out, args
}

func TestASearchWithoutASpaceBeginsWithTheCookbook(t *testing.T) {
	t.Parallel()
	out, args := searchedArgs(t, nil, loop.SearchRequest{Framework: "sglang"})
	require.Equal(t, map[string]any{"tensor-parallel-size": 2.0, "mem-fraction-static": 0.82, "schedule-policy": "lpm",
		"prefill-attention-backend": "fa3", "decode-attention-backend": "fa3"}, args["base"])
	require.Equal(t, map[string]any{"prefill-attention-backend": []any{"fa3", "flashinfer"}, "decode-attention-backend": []any{"fa3", "flashinfer"},
		"chunked-prefill-size": []any{4096.0, 8192.0}, "max-running-requests": []any{64.0, 96.0, 128.0}, "expert-parallel-size": []any{2.0}}, args["space"])
	require.Equal(t, true, args["default_space"])
	require.Contains(t, out.Warnings[0], "the cookbook's is searched")
	require.Contains(t, out.Warnings[0], "base flags: decode-attention-backend fa3")

	_, args = searchedArgs(t, nil, loop.SearchRequest{Framework: "sglang", BaseFlags: map[string]any{"chunked_prefill_size": 2048.0}})
	require.Equal(t, map[string]any{"chunked-prefill-size": 2048.0}, args["base"], "the caller's base is the base")
	require.NotContains(t, args["space"], "chunked-prefill-size")
	require.Contains(t, args["space"], "max-running-requests")

	_, args = searchedArgs(t, nil, loop.SearchRequest{Framework: "sglang", Space: map[string][]any{"max-running-requests": {8.0}}})
	require.Equal(t, map[string]any{}, args["base"])
	require.Len(t, args["space"], 1, "the caller's space is the space")
}

func TestTheCookbookFollowsTheHost(t *testing.T) {
	t.Parallel()
	out, args := searchedArgs(t, func(c *contract.Contract) { c.Host.GPUs, c.Host.GPUModel = []int{0}, "NVIDIA B200" }, loop.SearchRequest{Framework: "sglang"})
	require.NotContains(t, args["base"], "tensor-parallel-size")
	require.NotContains(t, args["base"], "prefill-attention-backend", "fa3 runs on Hopper")
	require.NotContains(t, args["space"], "expert-parallel-size")
	require.Contains(t, strings.Join(out.Warnings, "\n"), "left out of the cookbook's: ")

	out, args = searchedArgs(t, func(c *contract.Contract) { c.Cookbook = "qwen3-next-80b-a3b@0000000000000000" }, loop.SearchRequest{Framework: "sglang"})
	require.Equal(t, map[string]any{}, args["base"])
	require.Contains(t, args["space"], "attention-backend")
	require.Contains(t, strings.Join(out.Warnings, "\n"), "changed since the contract was frozen")
}
