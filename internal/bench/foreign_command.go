package bench

import (
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// ForeignLoad is what a foreign client is to offer: random prompts of one length, without an end before the last token.
type ForeignLoad struct {
	BaseURL        string
	Model          string // as the server names it
	Tokenizer      string // folder or name; their clients make their prompts with it
	InputLen       int    // tokens
	OutputLen      int    // tokens
	NumPrompts     int
	MaxConcurrency int     // 0 = unbounded
	RequestRate    float64 // requests/s, Poisson; 0 = as fast as MaxConcurrency lets
	Seed           int
}

// ForeignClients lists the clients by their short names.
func ForeignClients() map[string]ForeignClient {
	return map[string]ForeignClient{"sglang": ForeignSGLang, "vllm": ForeignVLLM}
}

// Package is the Python package that a client comes with.
func (c ForeignClient) Package() string {
	if c == ForeignVLLM {
		return "vllm"
	}
	return "sglang"
}

// Environment is what a client's process needs besides its own: nothing is sent home, and the client measured is the
// Python one, whose definitions are known here.
func (c ForeignClient) Environment() []string {
	return []string{"VLLM_NO_USAGE_STATS=1", "VLLM_USE_RUST_BENCH=0"}
}

// Command gives the arguments after the Python interpreter that make a client offer the load and write its results, all
// details included, to out.
func (c ForeignClient) Command(l ForeignLoad, out string) ([]string, error) {
	if l.InputLen < 1 || l.OutputLen < 2 || l.NumPrompts < 1 || l.Tokenizer == "" || l.Model == "" || (l.MaxConcurrency < 1) == (l.RequestRate <= 0) {
		return nil, fault.New(fault.InvalidInput, "a cross-check takes a model, a tokenizer, a length of prompts, at least two tokens out, a number of prompts, and either slots or a rate")
	}
	common := []string{"--base-url", l.BaseURL, "--model", l.Model, "--tokenizer", l.Tokenizer, "--random-input-len", strconv.Itoa(l.InputLen),
		"--random-output-len", strconv.Itoa(l.OutputLen), "--num-prompts", strconv.Itoa(l.NumPrompts), "--seed", strconv.Itoa(l.Seed), "--disable-tqdm"}
	if l.MaxConcurrency > 0 {
		common = append(common, "--max-concurrency", strconv.Itoa(l.MaxConcurrency))
	}
	if l.RequestRate > 0 {
		common = append(common, "--request-rate", strconv.FormatFloat(l.RequestRate, 'g', -1, 64))
	}
	switch c {
	case ForeignVLLM:
		return slices.Concat([]string{"-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai", "--endpoint", PathCompletions, "--dataset-name", "random", "--ignore-eos",
			"--temperature", "0", "--save-result", "--save-detailed", "--result-dir", filepath.Dir(out), "--result-filename", filepath.Base(out)}, common), nil
	case ForeignSGLang:
		return slices.Concat([]string{"-m", "sglang.bench_serving", "--backend", "sglang-oai", "--dataset-name", "random-ids", "--random-range-ratio", "1.0", "--output-details", "--output-file", out}, common), nil
	}
	return nil, fault.New(fault.InvalidInput, "unknown client %q", c)
}
