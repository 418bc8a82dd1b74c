package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// loadgenCrossUsage is the help of `sotaloop loadgen cross`.
const loadgenCrossUsage = `usage: sotaloop loadgen cross --client sglang|vllm --python PROGRAM --tokenizer FOLDER --input-len N --output-len N --max-concurrency N
       sotaloop loadgen cross --results FILE [--records OURS.jsonl.zst]

Holds another load client against the product's own: the same closed loop, in turn, and our figures by the other's
definitions. A cross-check: its rows are labelled with their client and enter no verdict.

  --client NAME         sglang (sglang.bench_serving) or vllm (vllm bench serve)
  --python PROGRAM      the Python interpreter that the client is installed for
  --tokenizer FOLDER    folder or name of the tokenizer the client makes its prompts with
  --url URL, --model NAME
                        the endpoint under load; without it a mock of known times, against which both have errors
  --input-len N, --output-len N, --num-prompts N, --max-concurrency N
                        the load; prompts default to 10 a slot, at least 40
  --rounds N            runs of each client, in turns; medians are compared; default 3
  --framework NAME      of the endpoint, for the rows
  --results FILE        read what a client wrote instead of running one
  --records FILE        our records of the same load (loadgen run --out), to stand beside --results
  --out FILE            the client's runs as rows, one JSON object a line
  --json                one JSON object on standard output
`

// crossMock is the schedule of the mock of a cross-check: a first event after 200 ms makes the clients' own milliseconds
// small beside it, as those of an engine are.
func crossMock() *bench.Mock {
	return &bench.Mock{TTFT: 200 * time.Millisecond, ITL: 20 * time.Millisecond}
}

// crossTolerance is how far two clients may differ and still agree.
const crossTolerance = 0.02

// loadgenCross is one `loadgen cross`.
type loadgenCross struct {
	client, python, framework string
	results, records, out     string
	json                      bool
	rounds                    int
	load                      bench.ForeignLoad
	as                        bench.ForeignClient
	version                   string
}

// crossAnswer is what a cross-check found. Ratios are ours over theirs, by the other client's definitions.
type crossAnswer struct {
	Client        bench.ForeignClient `json:"client"`
	ClientVersion string              `json:"client_version"` // empty where a file does not say
	URL           string              `json:"url"`
	Mock          bool                `json:"simulated"` // the endpoint was the mock
	Rounds        []crossRound        `json:"rounds"`
	Theirs        bench.Figures       `json:"theirs"` // medians of the rounds
	Ours          *bench.Figures      `json:"ours"`   // null without runs of ours
	Ratio         *bench.Figures      `json:"ratio"`
	Tolerance     float64             `json:"tolerance"`
	Agree         *bool               `json:"agree"` // every ratio is within the tolerance of 1
	Warnings      []string            `json:"warnings"`
	Rows          []compare.Row       `json:"rows"` // theirs
}

// crossRound is one run of each client.
type crossRound struct {
	Theirs       bench.Figures       `json:"theirs"`
	Ours         *bench.Figures      `json:"ours"`
	TheirsErrors *bench.ClientErrors `json:"theirs_errors,omitempty"` // against the mock
	OursErrors   *bench.ClientErrors `json:"ours_errors,omitempty"`
}

// runLoadgenCross holds another load client against ours. Clients that disagree are a result.
func runLoadgenCross(ctx context.Context, s streams, args []string) error {
	c := &loadgenCross{}
	if err := c.parse(args); errors.Is(err, flag.ErrHelp) {
		_, err := io.WriteString(s.Out, loadgenCrossUsage)
		return err
	} else if err != nil {
		return err
	}
	answer := &crossAnswer{Tolerance: crossTolerance, Rounds: []crossRound{}, Warnings: []string{}, Rows: []compare.Row{}}
	check := c.live
	if c.results != "" {
		check = c.stored
	}
	if err := check(ctx, s, answer); err != nil {
		return err
	}
	answer.conclude()
	if err := c.keep(answer.Rows); err != nil {
		return err
	}
	if c.json {
		return json.NewEncoder(s.Out).Encode(answer)
	}
	_, err := io.WriteString(s.Out, answer.text())
	return err
}

// parse reads the flags.
func (c *loadgenCross) parse(args []string) error {
	set := flagSet("loadgen cross")
	set.StringVar(&c.client, "client", "", "")
	set.StringVar(&c.python, "python", "", "")
	set.StringVar(&c.framework, "framework", "", "")
	set.StringVar(&c.load.Tokenizer, "tokenizer", "", "")
	set.StringVar(&c.load.BaseURL, "url", "", "")
	set.StringVar(&c.load.Model, "model", "", "")
	set.IntVar(&c.load.InputLen, "input-len", 0, "")
	set.IntVar(&c.load.OutputLen, "output-len", 0, "")
	set.IntVar(&c.load.NumPrompts, "num-prompts", 0, "")
	set.IntVar(&c.load.MaxConcurrency, "max-concurrency", 0, "")
	set.IntVar(&c.rounds, "rounds", 3, "")
	set.StringVar(&c.results, "results", "", "")
	set.StringVar(&c.records, "records", "", "")
	set.StringVar(&c.out, "out", "", "")
	set.BoolVar(&c.json, "json", false, "")
	if err := parseFlags(set, args); err != nil {
		return err
	}
	if c.results != "" {
		return c.onlyResults(set)
	}
	return c.complete()
}

// onlyResults refuses flags of a run beside --results.
func (c *loadgenCross) onlyResults(set *flag.FlagSet) error {
	var wrong string
	set.Visit(func(f *flag.Flag) {
		if !slices.Contains([]string{"results", "records", "framework", "out", "json"}, f.Name) {
			wrong = f.Name
		}
	})
	if wrong != "" {
		return fault.New(fault.InvalidInput, "--%s and --results: the run is over", wrong).At(wrong, "")
	}
	return c.rowsNeed()
}

// rowsNeed refuses rows without a framework.
func (c *loadgenCross) rowsNeed() error {
	if c.out != "" && c.framework == "" {
		return fault.New(fault.InvalidInput, "--out: rows name the framework they are of").At("framework", "", contract.Frameworks...)
	}
	return nil
}

// complete refuses what cannot be run and fills in what nobody said.
func (c *loadgenCross) complete() error {
	as, ok := bench.ForeignClients()[c.client]
	switch {
	case !ok:
		return fault.New(fault.InvalidInput, "unknown client %q", c.client).At("client", c.client, slices.Sorted(maps.Keys(bench.ForeignClients()))...)
	case c.python == "":
		return fault.New(fault.InvalidInput, "no interpreter named").At("python", "").Hint("--python names the Python that %s is installed for, as venv/bin/python", as.Package())
	case c.records != "":
		return fault.New(fault.InvalidInput, "--records stands beside --results only").At("records", c.records)
	case c.rounds < 1 || c.rounds > 100:
		return fault.New(fault.InvalidInput, "--rounds takes 1 to 100").At("rounds", fmt.Sprint(c.rounds))
	case c.load.MaxConcurrency < 1:
		return fault.New(fault.InvalidInput, "a cross-check is a closed loop").At("max-concurrency", fmt.Sprint(c.load.MaxConcurrency)).
			Hint("give --max-concurrency N: the clients draw other arrivals, but the same slots")
	}
	c.as = as
	if c.load.NumPrompts == 0 {
		c.load.NumPrompts = max(40, 10*c.load.MaxConcurrency)
	}
	if c.load.BaseURL == "" {
		c.load.Model, c.framework = "mock", "mock"
	}
	if _, err := as.Command(c.load, "out"); err != nil {
		return err
	}
	if err := c.spec(1).Validate(); err != nil {
		return err
	}
	return c.rowsNeed()
}

// spec is the load as ours.
func (c *loadgenCross) spec(round int) bench.Spec {
	return bench.Spec{Seed: bench.MixSeed(uint64(round), "cross_check", string(c.as), round), Vocab: runVocab(), KeepOutputs: true, Scenario: contract.Scenario{Name: "cross_check", Kind: contract.KindRandom,
		InputLen: c.load.InputLen, OutputLen: c.load.OutputLen, NumPrompts: c.load.NumPrompts, Arrival: contract.ArrivalClosed, MaxConcurrency: &c.load.MaxConcurrency, IgnoreEOS: true, Stream: true}}
}

// keep writes the rows.
func (c *loadgenCross) keep(rows []compare.Row) error {
	if c.out == "" {
		return nil
	}
	var lines []byte
	var err error
	for _, row := range rows {
		if lines, err = compare.AppendRow(lines, row); err != nil {
			return fault.Wrap(fault.Internal, err, "write rows")
		}
	}
	if err := os.WriteFile(c.out, lines, 0o644); err != nil { //nolint:gosec // figures for everybody
		return fault.Wrap(fault.InvalidInput, err, "--out: cannot write %q", c.out).At("out", c.out)
	}
	return nil
}
