package loop_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestOpenFreezesWhatWasSaidFoundAndAssumed(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	out, err := newLoop(t, home, newHost()).Open(t.Context(), request())
	require.NoError(t, err)
	require.Regexp(t, `^[0-9]{8}_tiny_sota_loop$`, out.Campaign)
	require.Equal(t, filepath.Join(home, "runs", out.Campaign), out.RunDir)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, contract.Digest(out.Contract), out.Digest)
	require.Equal(t, string(out.Contract)+"\n", readFile(t, filepath.Join(out.RunDir, "contract.json")))
	require.Equal(t, "sglang", c.Target.Entry)
	require.Equal(t, []contract.Side{{Entry: "vllm", Framework: contract.VLLM}}, c.Against)
	require.Equal(t, []int{0}, c.Host.GPUs)
	require.Equal(t, "NVIDIA H100 80GB HBM3", c.Host.GPUModel)
	require.Equal(t, "b007", c.Host.BootID)
	require.Equal(t, map[string]string{"cpu.governor": "performance", "gpu0.clocks.applications.graphics": "1980", "gpu0.clocks.applications.memory": "2619", "gpu0.power.limit": "700.00"},
		c.Host.Clocks, "of the GPU that is used")
	require.Equal(t, 32000, c.Model.Vocabulary)
	require.Equal(t, []int{8, 12}, c.Blocks.Looks)
	require.Equal(t, 2, c.Blocks.Comparisons, "two scenarios against one side")
	require.InDelta(t, 0.03, c.Delta, 0)
	require.Equal(t, 10, c.Budget.Launches)
	for _, s := range c.Scenarios {
		require.Equal(t, "output_token_throughput", s.Primary)
		require.True(t, s.IgnoreEOS && s.Stream)
		require.GreaterOrEqual(t, s.NumPrompts, 5**s.MaxConcurrency)
	}
	for _, word := range []string{"study", "target", "against", "precision", "kv_dtype", "endpoint", "delta", "budget_launches", "scenarios", "blocks", "gpus"} {
		require.Truef(t, strings.Contains(strings.Join(out.Assumed, "\n"), word+":"), "default %s is named in %v", word, out.Assumed)
	}
	require.Equal(t, out.Assumed, c.Assumed)
	require.NotEmpty(t, out.Cost)
	require.Equal(t, "list_flags", out.Next[0].Tool)

	other, err := newLoop(t, home, newHost()).Open(t.Context(), request())
	require.NoError(t, err)
	require.Equal(t, out.Campaign+"_2", other.Campaign)
	again, err := contract.Parse(other.Contract)
	require.NoError(t, err)
	require.NotEqual(t, c.Seed, again.Seed, "every campaign draws its own seed")
}

func TestAFrozenContractIsReadBackBitForBit(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := newLoop(t, home, newHost())
	out, err := l.Open(t.Context(), request())
	require.NoError(t, err)
	view, err := newLoop(t, home, newHost()).Get(t.Context(), out.Campaign, "contract", "")
	require.NoError(t, err)
	require.Equal(t, out.Digest, view.Digest)
	require.Len(t, view.Items, 1)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	_, digest, err := c.Freeze()
	require.NoError(t, err)
	require.Equal(t, out.Digest, digest)
}

func TestAPlanFreezesNothing(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	r := request()
	r.Plan = true
	out, err := newLoop(t, home, newHost()).Open(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, out.Campaign)
	require.NotEmpty(t, out.Contract)
	require.NoDirExists(t, filepath.Join(home, "runs"))
}

func TestTheSameKeyIsTheSameCampaign(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	r := request()
	r.Key = "7"
	first, err := newLoop(t, home, newHost()).Open(t.Context(), r)
	require.NoError(t, err)
	h := newHost()
	again, err := newLoop(t, home, h).Open(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, first.Campaign, again.Campaign)
	require.Equal(t, first.Digest, again.Digest)
	require.JSONEq(t, string(first.Contract), string(again.Contract))
	require.Zero(t, h.dials, "a repeated call touches no host")
	r.Key = "8"
	other, err := newLoop(t, home, newHost()).Open(t.Context(), r)
	require.NoError(t, err)
	require.NotEqual(t, first.Campaign, other.Campaign)
}

func TestFromCopiesAndNamesWhatChanged(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	r := request()
	r.SLANone, r.SLA, r.Delta = false, contract.SLA{"max_p50_ttft_ms": 900}, 0.01
	first, err := l.Open(t.Context(), r)
	require.NoError(t, err)
	out, err := l.Open(t.Context(), loop.OpenRequest{From: first.Campaign, Precision: "float16"})
	require.NoError(t, err)
	require.Equal(t, []string{"precision: auto → float16"}, out.Changed)
	a, err := contract.Parse(first.Contract)
	require.NoError(t, err)
	b, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, a.SLA, b.SLA)
	require.InDelta(t, 0.01, b.Delta, 0)
	require.Equal(t, a.Scenarios, b.Scenarios)
	require.Equal(t, first.Campaign, b.From)
}

func TestFromCopiesFixedCommandsAndGPUs(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	r := request()
	r.Study, r.Against, r.GPUs, r.MaxContext = "ab", []string{"vllm"}, []int{1}, 20000
	r.Commands = map[string]string{"sglang": "python -m sglang.launch_server --model x --tp-size 1"}
	first, err := l.Open(t.Context(), r)
	require.NoError(t, err)
	out, err := l.Open(t.Context(), loop.OpenRequest{From: first.Campaign})
	require.NoError(t, err)
	a, err := contract.Parse(first.Contract)
	require.NoError(t, err)
	b, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.NotEmpty(t, a.Target.Flags)
	require.Equal(t, a.Sides(), b.Sides())
	require.Equal(t, []int{1}, b.Host.GPUs)
	require.Equal(t, 20000, b.MaxContext)
	require.Empty(t, out.Changed)
}

func TestOneKeyOpensOneCampaignHoweverManyServersAsk(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	r := request()
	r.Key = "once"
	ids := make([]string, 4)
	var wg sync.WaitGroup
	for i := range ids {
		l := newLoop(t, home, newHost())
		wg.Go(func() {
			if out, err := l.Open(t.Context(), r); err == nil {
				ids[i] = out.Campaign
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, ids[0])
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	left, err := os.ReadDir(filepath.Join(home, "runs"))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestOpenRefusesWithAWord(t *testing.T) {
	t.Parallel()
	rate, slots := 2.0, 4
	scenario := func(s contract.Scenario) func(*loop.OpenRequest, *host) {
		return func(r *loop.OpenRequest, _ *host) { r.Scenarios = []contract.Scenario{s} }
	}
	for name, c := range map[string]struct {
		edit func(*loop.OpenRequest, *host)
		says string
	}{
		"no model":                    {func(r *loop.OpenRequest, _ *host) { r.Model = "" }, "model is missing"},
		"no SLA":                      {func(r *loop.OpenRequest, _ *host) { r.SLANone = false }, "sla is missing"},
		"a bare key":                  {func(r *loop.OpenRequest, _ *host) { r.SLANone, r.SLA = false, contract.SLA{"max_ttft_ms": 10} }, `unknown sla key "max_ttft_ms"`},
		"a quantile of few":           {func(r *loop.OpenRequest, _ *host) { r.SLANone, r.SLA = false, contract.SLA{"max_p99_ttft_ms": 10} }, "needs 1000 requests a launch"},
		"another host":                {func(r *loop.OpenRequest, _ *host) { r.Host = "gpuu" }, `no host "gpuu"`},
		"another study":               {func(r *loop.OpenRequest, _ *host) { r.Study = "sotta" }, `unknown study "sotta"`},
		"another engine":              {func(r *loop.OpenRequest, _ *host) { r.Against = []string{"vlm"} }, `no engine entry "vlm"`},
		"itself":                      {func(r *loop.OpenRequest, _ *host) { r.Against = []string{"sglang"} }, "stands on two sides"},
		"nothing to compare":          {func(r *loop.OpenRequest, _ *host) { r.Against = []string{} }, "needs something to compare"},
		"a GPU not there":             {func(r *loop.OpenRequest, _ *host) { r.GPUs = []int{7} }, "has no GPU"},
		"too few blocks":              {func(r *loop.OpenRequest, _ *host) { r.MaxBlocks = 5 }, "can never decide"},
		"too many blocks":             {func(r *loop.OpenRequest, _ *host) { r.MaxBlocks = 17 }, "max_blocks 17"},
		"a threshold of one":          {func(r *loop.OpenRequest, _ *host) { r.Delta = 1 }, "delta 1"},
		"no budget":                   {func(r *loop.OpenRequest, _ *host) { r.BudgetLaunches = -1 }, "budget_launches -1"},
		"too dear":                    {func(r *loop.OpenRequest, _ *host) { r.MaxGPUHours = 0.01 }, "max_gpu_hours is 0.01"},
		"a context too short":         {func(r *loop.OpenRequest, _ *host) { r.MaxContext = 1500 }, "max_context is 1500"},
		"rate and slots":              {scenario(contract.Scenario{Name: "x", InputLen: 9, OutputLen: 9, NumPrompts: 20, RequestRate: &rate, MaxConcurrency: &slots}), "request_rate with max_concurrency"},
		"prompts for a slot":          {scenario(contract.Scenario{Name: "x", InputLen: 9, OutputLen: 9, NumPrompts: 19, MaxConcurrency: &slots}), "at least 5 prompts a slot"},
		"a name for a path":           {scenario(contract.Scenario{Name: "../x", InputLen: 9, OutputLen: 9, MaxConcurrency: &slots}), "name must match"},
		"longer than the model":       {scenario(contract.Scenario{Name: "x", InputLen: 40000, OutputLen: 1000, MaxConcurrency: &slots}), "the model has 40960"},
		"a missing model":             {func(_ *loop.OpenRequest, h *host) { h.facts.Models = map[string]worker.Model{"tiny": {Gap: "partial"}} }, "model_gap: partial"},
		"a broken model":              {func(_ *loop.OpenRequest, h *host) { h.facts.Models = map[string]worker.Model{"tiny": {Config: "{"}} }, "config.json"},
		"a model without vocabulary":  {func(_ *loop.OpenRequest, h *host) { h.facts.Models = map[string]worker.Model{"tiny": {Config: "{}"}} }, "names no vocab_size"},
		"an engine that is not there": {func(_ *loop.OpenRequest, h *host) { h.facts.Engines["vllm"] = "no python3" }, "no python3"},
	} {
		home := t.TempDir()
		h, r := newHost(), request()
		c.edit(&r, h)
		_, err := newLoop(t, home, h).Open(t.Context(), r)
		require.ErrorContains(t, err, c.says, name)
		_, ok := fault.As(err)
		require.True(t, ok, name)
		left, _ := os.ReadDir(filepath.Join(home, "runs"))
		require.Empty(t, left, "%s: nothing was frozen", name)
	}
}

func TestStudiesOfOneEngine(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	r := loop.OpenRequest{Model: "tiny", Host: "lonely", SLANone: true, Study: "tune"}
	out, err := l.Open(t.Context(), r)
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, "sglang@incumbent", c.Against[0].Entry)
	require.True(t, c.Against[0].Incumbent)
	require.NotNil(t, c.Against[0].Flags)
	require.Contains(t, strings.Join(out.Assumed, "\n"), "incumbent: the shipped default")
	require.Contains(t, strings.Join(out.Warnings, "\n"), contract.NoGPUClaim)

	view, err := l.Get(t.Context(), out.Campaign, "candidates", "")
	require.NoError(t, err)
	require.Len(t, view.Items, 1)
	require.Equal(t, "sglang@incumbent-00", view.Items[0]["candidate"])
	require.Regexp(t, `_tune_loop$`, out.Campaign)
}

func TestALookStudyHasTwoBlocksAndNoVerdict(t *testing.T) {
	t.Parallel()
	r := request()
	r.Study, r.Against, r.MaxBlocks = "look", []string{"vllm"}, 12
	out, err := newLoop(t, t.TempDir(), newHost()).Open(t.Context(), r)
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, contract.Blocks{Max: 2, Looks: []int{2}, Comparisons: 2}, c.Blocks)
	require.NotNil(t, c.Target.Flags, "commands are fixed: nothing is searched")
	require.Contains(t, strings.Join(out.Warnings, "\n"), "gives no verdict")
	for _, next := range out.Next {
		require.Equal(t, "list_flags", next.Tool, "fixed commands too are held against the captured help")
	}
}
