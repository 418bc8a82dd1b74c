package loop

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// What the words of a contract may look like. They become arguments of engines: none begins with a dash, and names of
// folders stay below the host's own.
var (
	termWord      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:+-]{0,79}$`)
	termName      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.@+-]*(/[A-Za-z0-9][A-Za-z0-9_.@+-]*)*$`)
	primaryMetric = regexp.MustCompile(`^(output_token_throughput|total_token_throughput|request_throughput|goodput_rps|sla_attainment|max_rate_under_sla|makespan_s|(mean|p50|p95|p99)_(ttft|tpot|itl|icl|e2e)(_user)?_ms)$`)
)

// Bounds of a contract's numbers: beyond them a value is a slip, or a way to make a campaign that decides nothing.
const (
	maxDelta     = 0.1
	maxContext   = 10_000_000 // tokens
	maxPrompts   = 100_000    // of one scenario
	maxWarmup    = 100        // waves
	maxScenarios = 20
	maxName      = 200 // bytes of keys, revisions and paths
)

// vetTerms checks what a caller said in words and numbers that no other check reads.
func vetTerms(c *contract.Contract, key string) error {
	bad := func(field, got string, want ...string) *fault.Error {
		return fault.New(fault.InvalidInput, "%s %q cannot be a term of a contract", field, short(got, 60)).At(field, short(got, 60), want...)
	}
	switch {
	case c.Delta > maxDelta:
		return bad("delta", fmt.Sprint(c.Delta), "0.001 to 0.1").Hint("a threshold above 10 %% would call most losses equivalent; give 0.01 to 0.05")
	case c.MaxContext < 0 || c.MaxContext > maxContext:
		return bad("max_context", fmt.Sprint(c.MaxContext), fmt.Sprintf("1 to %d", maxContext)).Hint("leave it out for the model's own")
	case c.Budget.MaxGPUHours < 0:
		return bad("max_gpu_hours", fmt.Sprint(c.Budget.MaxGPUHours), "above 0").Hint("leave it out for no limit")
	case c.RankBy != "" && c.RankBy != "request_throughput":
		return bad("rank_by", c.RankBy, "request_throughput").Hint("leave it out for the SLA first")
	case c.Endpoint != bench.PathCompletions && c.Endpoint != bench.PathChat:
		return bad("endpoint", c.Endpoint, bench.PathCompletions, bench.PathChat).Hint("give a path of the engines' own servers; load never leaves the host")
	case len(c.Scenarios) > maxScenarios:
		return bad("scenarios", fmt.Sprint(len(c.Scenarios)), fmt.Sprintf("at most %d", maxScenarios)).Hint("open several campaigns")
	case len(key) > maxName:
		return bad("key", key, fmt.Sprintf("at most %d bytes", maxName)).Hint("give a short key")
	}
	for field, text := range map[string]string{"precision": c.Precision, "quantization": c.Quantization, "kv_dtype": c.KVDtype, "accuracy": c.Accuracy} {
		if text != "" && !termWord.MatchString(text) {
			return bad(field, text).Hint("give one plain word, as engines spell it")
		}
	}
	return vetScenarios(c.Scenarios, bad)
}

func vetScenarios(scenarios []contract.Scenario, bad func(field, got string, want ...string) *fault.Error) error {
	for _, s := range scenarios {
		switch {
		case s.NumPrompts > maxPrompts:
			return bad("scenarios.num_prompts", fmt.Sprint(s.NumPrompts), fmt.Sprintf("1 to %d", maxPrompts)).Hint("a launch measures hundreds of requests; more launches decide more than more requests")
		case s.WarmupWaves < 0 || s.WarmupWaves > maxWarmup:
			return bad("scenarios.warmup_waves", fmt.Sprint(s.WarmupWaves), fmt.Sprintf("1 to %d", maxWarmup)).Hint("leave it out for 5")
		case s.Temperature < 0 || s.Temperature > 2 || math.IsNaN(s.Temperature):
			return bad("scenarios.temperature", fmt.Sprint(s.Temperature), "0 to 2").Hint("leave it out for 0")
		case s.RequestRate != nil && *s.RequestRate > maxPrompts:
			return bad("scenarios.request_rate", fmt.Sprint(*s.RequestRate), fmt.Sprintf("above 0, at most %d", maxPrompts)).Hint("give requests per second")
		case s.Dataset != "" && (s.Kind == contract.KindRandom || !dataset.IsDigest(s.Dataset)):
			return bad("scenarios.dataset", s.Dataset, "sha256:<64 hex digits>").Hint("name a stored dataset by its digest, for kinds text and chat; random has none")
		case !primaryMetric.MatchString(s.Primary):
			return bad("scenarios.primary", s.Primary, "output_token_throughput", "total_token_throughput", "request_throughput", "goodput_rps", "makespan_s", "p50_ttft_ms", "p50_tpot_ms", "p50_e2e_user_ms").
				Hint("name a metric of speed; leave it out for the arrival mode's own")
		}
	}
	return nil
}

// vetNames checks revision and tokenizer against the model that the host has. A model's folder of the cache is named by
// its revision; a plain folder has none that could be checked, which is said.
func (d *drafting) vetNames(c *contract.Contract) error {
	for field, text := range map[string]string{"revision": d.r.Revision, "tokenizer": d.r.Tokenizer} {
		if text != "" && (len(text) > maxName || !termName.MatchString(text)) {
			return fault.New(fault.InvalidInput, "%s %q cannot be a term of a contract", field, short(text, 60)).At(field, short(text, 60)).
				Hint("give a name or commit; the engineer's hosts.yaml says where models lie")
		}
	}
	if d.r.Revision == "" {
		return nil
	}
	parent := filepath.Base(filepath.Dir(c.Model.Path))
	if got := filepath.Base(c.Model.Path); parent == "snapshots" && !strings.HasPrefix(got, d.r.Revision) {
		return fault.New(fault.NotFound, "model_gap: revision %q of %q is not on the host", d.r.Revision, d.r.Model).At("revision", d.r.Revision, got).
			Hint("leave revision out for the one that the host has, or ask the engineer for this one")
	} else if parent != "snapshots" {
		d.assume("revision %s: as said; the model is a plain folder whose revision cannot be checked, its identity is %.16s", d.r.Revision, c.Model.Identity)
	}
	return nil
}

// gpuNames lists the GPUs of a host.
func gpuNames(gpus []hosts.GPU) []string {
	var out []string
	for _, g := range gpus {
		out = append(out, fmt.Sprint(g.Index))
	}
	return out
}

// vetGPUs refuses a GPU that is named twice: a layout would count it twice.
func vetGPUs(gpus []int) error {
	sorted := slices.Sorted(slices.Values(gpus))
	if len(slices.Compact(sorted)) < len(gpus) {
		return fault.New(fault.InvalidInput, "gpus %v names a GPU twice", gpus).At("gpus", fmt.Sprint(gpus)).Hint("name each GPU once")
	}
	return nil
}

// leftOut names the options of a pasted command that are not among its kept flags: the contract's and the worker's.
func leftOut(text string, kept map[string]any) []string {
	plain := func(name string) string {
		return strings.ToLower(strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-"))
	}
	have := map[string]bool{}
	for name := range kept {
		have[plain(strings.SplitN(name, ".", 2)[0])] = true
	}
	var out []string
	for _, word := range strings.Fields(text) {
		name, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(name, "--") && !have[plain(strings.SplitN(name, ".", 2)[0])] && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
