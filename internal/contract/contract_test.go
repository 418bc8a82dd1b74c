package contract_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
)

func frozen() *contract.Contract {
	slots := 16
	return &contract.Contract{
		Kind: contract.Kind, V: contract.Version, Campaign: "20261123_qwen3-8b_sota_loop", Study: contract.StudySOTA, Created: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		Model: contract.Model{ID: "Qwen/Qwen3-8B", Path: "/models/q", Vocabulary: 151936}, Precision: "auto", KVDtype: "auto", Endpoint: "/v1/completions",
		Host:   contract.Host{Name: "h100a", Device: "cuda", GPUs: []int{0, 1}},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM, Flags: map[string]any{}}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 1000, OutputLen: 1000, NumPrompts: 80, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots}},
		SLA:       contract.SLA{"max_p50_ttft_ms": 2000}, Delta: 0.03, Blocks: contract.Blocks{Max: 12, Looks: []int{8, 12}, Comparisons: 1},
		Budget: contract.Budget{Launches: 10}, Seed: 1<<63 + 1, Assumed: []string{}, Cost: []contract.Cost{},
	}
}

func TestAContractIsFrozenOnceAndReadBackTheSame(t *testing.T) {
	t.Parallel()
	raw, digest, err := frozen().Freeze()
	require.NoError(t, err)
	require.Len(t, digest, 64)
	require.Equal(t, contract.Digest(raw), digest)
	read, err := contract.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, frozen(), read, "a seed beyond 2^53 survives, and no flags are not the same as an empty command")
	again, same, err := read.Freeze()
	require.NoError(t, err)
	require.Equal(t, digest, same)
	require.Equal(t, string(raw), string(again))
}

func TestEveryTermIsInTheDigest(t *testing.T) {
	t.Parallel()
	_, digest, err := frozen().Freeze()
	require.NoError(t, err)
	seen := map[string]string{digest: "the contract"}
	for name, edit := range map[string]func(*contract.Contract){
		"sla":        func(c *contract.Contract) { c.SLA["max_p50_ttft_ms"] = 2001 },
		"no sla":     func(c *contract.Contract) { c.SLA = contract.SLA{} },
		"delta":      func(c *contract.Contract) { c.Delta = 0.031 },
		"looks":      func(c *contract.Contract) { c.Blocks.Looks = []int{12} },
		"seed":       func(c *contract.Contract) { c.Seed-- },
		"length":     func(c *contract.Contract) { c.Scenarios[0].OutputLen-- },
		"slots":      func(c *contract.Contract) { *c.Scenarios[0].MaxConcurrency = 15 },
		"primary":    func(c *contract.Contract) { c.Scenarios[0].Primary = "p50_tpot_ms" },
		"GPU":        func(c *contract.Contract) { c.Host.GPUs = []int{1, 0} },
		"side":       func(c *contract.Contract) { c.Against[0].Flags = nil },
		"precision":  func(c *contract.Contract) { c.Precision = "float16" },
		"policy":     func(c *contract.Contract) { c.Policy = "x" },
		"assumption": func(c *contract.Contract) { c.Assumed = []string{"study: sota"} },
	} {
		c := frozen()
		edit(c)
		_, got, err := c.Freeze()
		require.NoError(t, err)
		require.Empty(t, seen[got], "%s gives the digest of %s", name, seen[got])
		seen[got] = name
	}
}

func TestDigestIsSHA256InHex(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", contract.Digest([]byte("abc")))
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for raw, says := range map[string]string{
		`{`: "parse contract", `[]`: "parse contract", `{}`: `kind ""`, `{"kind":"sotaloop.contract","v":2}`: "version 2", `{"kind":"sotaloop.plan","v":1}`: `kind "sotaloop.plan"`,
		`{"kind":"sotaloop.contract","v":1,"seed":7}`: "uint64", `{"kind":"sotaloop.contract"}`: "version 0",
	} {
		_, err := contract.Parse([]byte(raw))
		require.ErrorContains(t, err, says, raw)
	}
}

func TestSidesTargetFirst(t *testing.T) {
	t.Parallel()
	c := frozen()
	require.Equal(t, "sglang", c.Sides()[0].Entry)
	require.Len(t, c.Sides(), 2)
	side, ok := c.Side("vllm")
	require.True(t, ok)
	require.Equal(t, contract.VLLM, side.Framework)
	_, ok = c.Side("nobody")
	require.False(t, ok)
	_, ok = c.Scenario("nothing")
	require.False(t, ok)
	require.Equal(t, 2000, c.LongestSequence())
	require.Equal(t, 2, c.GPUCount())
	c.Host.GPUs = nil
	require.Equal(t, 1, c.GPUCount(), "a host without GPUs counts as one device")
}

func TestScenariosThatCannotBeOfferedAreRefused(t *testing.T) {
	t.Parallel()
	rate, zero, slots, none := 2.0, 0.0, 4, 0
	good := contract.Scenario{Name: "chat", Kind: contract.KindRandom, InputLen: 10, OutputLen: 10, NumPrompts: 20, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots}
	require.NoError(t, good.Validate())
	for name, c := range map[string]struct {
		edit  func(*contract.Scenario)
		field string // empty: allowed
	}{
		"no name":              {func(s *contract.Scenario) { s.Name = "" }, "name"},
		"a path for a name":    {func(s *contract.Scenario) { s.Name = "a/b" }, "name"},
		"a dash before":        {func(s *contract.Scenario) { s.Name = "--x" }, "name"},
		"a name of other case": {func(s *contract.Scenario) { s.Name = "Chat" }, "name"},
		"unknown kind":         {func(s *contract.Scenario) { s.Kind = "image" }, "kind"},
		"unknown arrival":      {func(s *contract.Scenario) { s.Arrival = "soon" }, "arrival"},
		"text without rows":    {func(s *contract.Scenario) { s.Kind = contract.KindText }, "dataset"},
		"text with rows":       {func(s *contract.Scenario) { s.Kind, s.Dataset = contract.KindText, "sha256:00" }, ""},
		"no output":            {func(s *contract.Scenario) { s.OutputLen = 0 }, "input_len"},
		"no prompts":           {func(s *contract.Scenario) { s.NumPrompts = 0 }, "num_prompts"},
		"one prompt short":     {func(s *contract.Scenario) { s.NumPrompts = 19 }, "num_prompts"},
		"no slots":             {func(s *contract.Scenario) { s.MaxConcurrency = nil }, "max_concurrency"},
		"zero slots":           {func(s *contract.Scenario) { s.MaxConcurrency = &none }, "max_concurrency"},
		"rate and slots":       {func(s *contract.Scenario) { s.RequestRate = &rate }, "max_concurrency"},
		"rate and slots, open": {func(s *contract.Scenario) { s.Arrival, s.RequestRate = contract.ArrivalPoisson, &rate }, "max_concurrency"},
		"open loop": {func(s *contract.Scenario) {
			s.Arrival, s.RequestRate, s.MaxConcurrency = contract.ArrivalPoisson, &rate, nil
		}, ""},
		"open without rate": {func(s *contract.Scenario) { s.Arrival, s.MaxConcurrency = contract.ArrivalConstant, nil }, "request_rate"},
		"open at zero": {func(s *contract.Scenario) {
			s.Arrival, s.RequestRate, s.MaxConcurrency = contract.ArrivalConstant, &zero, nil
		}, "request_rate"},
		"a burst": {func(s *contract.Scenario) { s.Arrival, s.MaxConcurrency, s.NumPrompts = contract.ArrivalBurst, nil, 1 }, ""},
	} {
		s := good
		c.edit(&s)
		err := s.Validate()
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Error(t, err, name)
		require.Equal(t, "scenarios."+c.field, field(err), "%s: %v", name, err)
	}
}

func TestPrimaryMetrics(t *testing.T) {
	t.Parallel()
	for arrival, want := range map[contract.Arrival]string{
		contract.ArrivalClosed: "output_token_throughput", contract.ArrivalBurst: "makespan_s", contract.ArrivalPoisson: "p50_e2e_user_ms",
		contract.ArrivalConstant: "p50_e2e_user_ms", contract.ArrivalReplay: "p50_e2e_user_ms",
	} {
		require.Equal(t, want, contract.PrimaryMetric(arrival))
		require.Equal(t, arrival != contract.ArrivalClosed, contract.LowerIsBetter(want), want)
	}
	require.Len(t, contract.Arrivals, 5)
	for _, m := range []string{"goodput_rps", "sla_attainment", "success_rate", "request_throughput", "total_token_throughput", "max_rate_under_sla"} {
		require.False(t, contract.LowerIsBetter(m), m)
	}
	for _, m := range []string{"p99_ttft_ms", "mean_itl_ms", "makespan_s"} {
		require.True(t, contract.LowerIsBetter(m), m)
	}
}

// FuzzParse reads foreign bytes: no panic, and what is read freezes to something that reads back.
func FuzzParse(f *testing.F) {
	raw, _, err := frozen().Freeze()
	require.NoError(f, err)
	f.Add([]byte(raw))
	f.Add([]byte(`{"kind":"sotaloop.contract","v":1,"sla":{"max_p50_ttft_ms":1e999}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := contract.Parse(raw)
		if err != nil {
			return
		}
		again, _, err := c.Freeze()
		require.NoError(t, err)
		require.True(t, json.Valid(again))
		_, err = contract.Parse(again)
		require.NoError(t, err)
	})
}

func TestAHostWithGPUsIsSerialisedAsBefore(t *testing.T) {
	t.Parallel()
	gpu := contract.Host{Name: "h", EntryDigest: "e", Device: "cuda", GPUs: []int{0}, GPUModel: "H100", GPUMemory: 81559, Driver: "570.1", BootID: "b"}
	raw, err := json.Marshal(gpu)
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"h","entry_digest":"e","device":"cuda","gpus":[0],"gpu_model":"H100","gpu_memory_mib":81559,"driver":"570.1","boot_id":"b","clock_skew_s":0,"simulated":false}`, string(raw))
	require.Empty(t, gpu.Mark())
	require.Empty(t, contract.Host{Device: "cpu"}.Mark(), "a contract of before there was a mark")
}

func TestMarkAndClientCores(t *testing.T) {
	t.Parallel()
	h := contract.Host{Device: "cpu", Cores: []int{0, 2}, CPU: &contract.CPU{Model: "M", Cores: 8, Allowed: []int{0, 1, 2, 5}}}
	require.Equal(t, contract.NoGPUClaim, h.Mark())
	require.Equal(t, []int{1, 5}, h.ClientCores())
	require.Equal(t, "no GPU, cores [0 2] of 8, M", h.Machine())
	h.Cores = h.CPU.Allowed
	require.Empty(t, h.ClientCores())
}
