package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// flagSet is a command's flags, whose usage is printed elsewhere.
func flagSet(name string) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return set
}

// parseFlags reads the flags of a command that takes nothing else.
func parseFlags(set *flag.FlagSet, args []string) error {
	rest, err := parseMixed(set, args)
	if err != nil {
		return fault.Wrap(fault.InvalidInput, err, "%s", set.Name()).Hint("sotaloop %s --help lists the flags", set.Name())
	}
	if len(rest) > 0 {
		return fault.New(fault.InvalidInput, "%s takes flags only", set.Name()).Hint("sotaloop %s --help lists them", set.Name())
	}
	return nil
}

// flags declares what every load has: target, shape, draws, limits and where its result goes.
func (r *loadgenRun) flags(set *flag.FlagSet) {
	sc := &r.spec.Scenario
	set.StringVar(&r.url, "url", "", "")
	set.StringVar(&r.endpoint, "endpoint", "completions", "")
	set.StringVar(&r.model, "model", "", "")
	set.StringVar(&r.keyEnv, "api-key-env", "", "")
	set.StringVar(&r.file, "scenario", "", "")
	set.IntVar(&sc.InputLen, "input-len", 0, "")
	set.IntVar(&sc.OutputLen, "output-len", 0, "")
	set.IntVar(&sc.NumPrompts, "num-prompts", 0, "")
	set.BoolVar(&sc.IgnoreEOS, "ignore-eos", true, "")
	set.IntVar(&sc.WarmupWaves, "warmup", runWarmup, "")
	set.DurationVar(&r.spec.Window.Min, "window", bench.DefaultWindow, "")
	set.DurationVar(&r.spec.RequestTimeout, "request-timeout", bench.DefaultRequestTimeout, "")
	r.spec.Vocab = runVocab()
	set.Func("vocab", "", func(v string) error { return readVocab(v, &r.spec.Vocab) })
	set.Uint64Var(&r.spec.Seed, "seed", 0, "")
	set.Func("sla", "", func(v string) error { return readLimits(v, r.limit) })
	set.Func("goodput", "", func(v string) error { return readLimits(v, r.perRequest) })
	set.StringVar(&r.out, "out", "", "")
	set.BoolVar(&r.json, "json", false, "")
}

// fromFile reads the scenario's file; the flags named say what the file says, and are refused beside it.
func (r *loadgenRun) fromFile(s *contract.Scenario, flags ...string) error {
	for _, name := range flags {
		if r.given[name] {
			return fault.New(fault.InvalidInput, "--%s and --scenario: the file says it", name).At(name, "")
		}
	}
	raw, err := os.ReadFile(r.file)
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "open scenario")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fault.Wrap(fault.InvalidInput, err, "read scenario %q", r.file)
	}
	return nil
}

// assumeVocab names the token ids that random prompts are drawn from where nobody said them.
func (r *loadgenRun) assumeVocab() {
	if !r.given["vocab"] {
		r.assume("token ids from %d to %d, since the vocabulary is not known (--vocab LO:HI)", r.spec.Vocab.Lo, r.spec.Vocab.Hi-1)
	}
}
