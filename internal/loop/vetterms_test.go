package loop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// shape is a scenario that is fine.
func shape() contract.Scenario {
	slots := 2
	return contract.Scenario{Name: "chat", InputLen: 20, OutputLen: 4, MaxConcurrency: &slots, NumPrompts: 40}
}

func shaped(edit func(*contract.Scenario)) func(*loop.OpenRequest) {
	return func(r *loop.OpenRequest) {
		s := shape()
		edit(&s)
		r.Scenarios = []contract.Scenario{s}
	}
}

// TestTermsThatDecideNothing refuses what would freeze a contract that hides losses, never ends, or says what was not
// checked, and words that an engine would read as an option.
func TestTermsThatDecideNothing(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	for name, c := range map[string]struct {
		edit  func(*loop.OpenRequest)
		field string
	}{
		"a threshold that hides losses": {func(r *loop.OpenRequest) { r.Delta = 0.5 }, "delta"},
		"a context before zero":         {func(r *loop.OpenRequest) { r.MaxContext = -1 }, "max_context"},
		"a context beyond sense":        {func(r *loop.OpenRequest) { r.MaxContext = 1 << 40 }, "max_context"},
		"hours before zero":             {func(r *loop.OpenRequest) { r.MaxGPUHours = -1 }, "max_gpu_hours"},
		"a rank nobody knows":           {func(r *loop.OpenRequest) { r.RankBy = "luck" }, "rank_by"},
		"an endpoint elsewhere":         {func(r *loop.OpenRequest) { r.Endpoint = "http://evil/v1" }, "endpoint"},
		"an option as a type":           {func(r *loop.OpenRequest) { r.Precision = "--trust-remote-code" }, "precision"},
		"an option as a cache type":     {func(r *loop.OpenRequest) { r.KVDtype = "--a" }, "kv_dtype"},
		"a path as a quantization":      {func(r *loop.OpenRequest) { r.Quantization = "../x" }, "quantization"},
		"a command as an accuracy":      {func(r *loop.OpenRequest) { r.Accuracy = "rm -rf" }, "accuracy"},
		"a file as a tokenizer":         {func(r *loop.OpenRequest) { r.Tokenizer = "/etc/passwd" }, "tokenizer"},
		"a way out as a tokenizer":      {func(r *loop.OpenRequest) { r.Tokenizer = "a/../../b" }, "tokenizer"},
		"an option as a revision":       {func(r *loop.OpenRequest) { r.Revision = "--upload-pack=x" }, "revision"},
		"a key without end":             {func(r *loop.OpenRequest) { r.Key = strings.Repeat("k", 300) }, "key"},
		"one GPU twice":                 {func(r *loop.OpenRequest) { r.GPUs = []int{0, 0} }, "gpus"},
		"a metric nobody measures":      {shaped(func(s *contract.Scenario) { s.Primary = "happiness" }), "scenarios.primary"},
		"memory as speed":               {shaped(func(s *contract.Scenario) { s.Primary = "peak_gpu_mem_mib" }), "scenarios.primary"},
		"prompts without end":           {shaped(func(s *contract.Scenario) { s.NumPrompts = 1e9 }), "scenarios.num_prompts"},
		"waves before zero":             {shaped(func(s *contract.Scenario) { s.WarmupWaves = -1 }), "scenarios.warmup_waves"},
		"a temperature below zero":      {shaped(func(s *contract.Scenario) { s.Temperature = -1 }), "scenarios.temperature"},
		"a temperature beyond sense":    {shaped(func(s *contract.Scenario) { s.Temperature = 1e308 }), "scenarios.temperature"},
		"a dataset by its path":         {shaped(func(s *contract.Scenario) { s.Dataset = "../../x" }), "scenarios.dataset"},
		"too many scenarios": {func(r *loop.OpenRequest) {
			for i := range 21 {
				s := shape()
				s.Name = "s" + strings.Repeat("x", i)
				r.Scenarios = append(r.Scenarios, s)
			}
		}, "scenarios"},
	} {
		r := request()
		r.Plan = true
		c.edit(&r)
		_, err := l.Open(t.Context(), r)
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, fault.InvalidInput, f.Code, name)
		require.Equal(t, c.field, f.Field, name)
		require.NotEmpty(t, f.Hints, name)
		require.Less(t, len(f.Error()), 400, name)
	}
	for name, edit := range map[string]func(*loop.OpenRequest){
		"one per cent": func(r *loop.OpenRequest) { r.Delta = 0.01 },
		"a type": func(r *loop.OpenRequest) {
			r.Precision, r.KVDtype, r.Quantization = "bfloat16", "fp8_e5m2", "awq_marlin"
		},
		"a tokenizer":          func(r *loop.OpenRequest) { r.Tokenizer = "Qwen/Qwen3-8B" },
		"a latency as primary": shaped(func(s *contract.Scenario) { s.Primary = "p50_ttft_user_ms" }),
	} {
		r := request()
		r.Plan = true
		edit(&r)
		_, err := l.Open(t.Context(), r)
		require.NoError(t, err, name)
	}
}

func TestWhatIsLeftOutOrAssumedIsSaid(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	r := request()
	r.Plan, r.Study, r.Revision = true, "tune", "abc123"
	r.Incumbent = "python -m sglang.launch_server --model-path /x --max-running-requests 4 --dtype=bfloat16 --port 1"
	out, err := l.Open(t.Context(), r)
	require.NoError(t, err)
	said := strings.Join(out.Assumed, "\n")
	require.Contains(t, said, "--model-path, --dtype, --port left out")
	require.NotContains(t, said, "--max-running-requests")
	require.Contains(t, said, "revision abc123: as said; the model is a plain folder")
	require.Contains(t, said, "ignore_eos")
}
