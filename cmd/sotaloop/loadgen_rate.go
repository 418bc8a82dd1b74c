package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// loadgenRateUsage is the help of `sotaloop loadgen rate`.
const loadgenRateUsage = `usage: sotaloop loadgen rate --url http://HOST:PORT --input-len N --output-len N --low R --high R --max-p95-ttft-ms MS …
       sotaloop loadgen rate --url http://HOST:PORT --scenario FILE.json --sla KEY=LIMIT,…

Searches the highest request rate that an endpoint of yours serves within limits, by load points with Poisson arrivals.

  --endpoint NAME       completions (default) or generate
  --model NAME          as requests name it; default: the only one of /v1/models
  --api-key-env NAME    environment variable that holds the key, sent as a bearer token and shown nowhere
  --scenario FILE       a scenario with rate_search as contracts have it, instead of the next flags
  --input-len N, --output-len N
                        tokens of every request
  --low R, --high R     requests a second to search between
  --tolerance T         ratio at which a failing rate is close enough to a passing one; default 0.03
  --points N            most load points; default: as many as the bounds need, and three
  --num-prompts N       requests of every load point, at least; default: as many as the limits need
  --ignore-eos=BOOL     default true: every answer has --output-len tokens
  --warmup N            most unmeasured waves before a load point; default 5
  --max-p50-ttft-ms MS  a limit of the SLA; also p95 and p99, tpot and e2e, and --min-success-rate SHARE
  --sla KEY=LIMIT,…     the same as contracts name them
  --goodput KEY=LIMIT,… limits of each request: ttft_user_ms, tpot_ms, e2e_user_ms
  --min-attainment A    a rate passes when this share of requests keeps the goodput limits, whatever the SLA
  --window D            shortest window of a load point; default 60s
  --request-timeout D   longest time of one request; default 30m
  --vocab LO:HI         token ids of random prompts, HI excluded
  --seed N              of prompts and arrivals; default: another one each time
  --out FOLDER          the record of every request, a file a load point, as zstd-compressed JSON lines
  --json                one JSON object on standard output, instead of the table
`

// loadgenRate is one `loadgen rate`.
type loadgenRate struct {
	loadgenRun
	search        contract.RateSearch
	minAttainment float64
	terms         bench.RateTerms
}

// rateAnswer is what `loadgen rate --json` prints.
type rateAnswer struct {
	Model      string            `json:"model"`
	URL        string            `json:"url"`
	Scenario   contract.Scenario `json:"scenario"`
	Terms      bench.RateTerms   `json:"terms"`
	Seed       uint64            `json:"seed,string"`
	Incomplete bool              `json:"incomplete"` // interrupted: what was measured until then
	Result     bench.RateResult  `json:"rate_search"`
	Assumed    []string          `json:"assumed"`
	Records    []string          `json:"records"` // files, first tries before their repetitions
}

// runLoadgenRate searches a rate and prints its load points as they end.
func runLoadgenRate(ctx context.Context, s streams, args []string) error {
	r := &loadgenRate{loadgenRun: loadgenRun{given: map[string]bool{}, sla: contract.SLA{}, spec: bench.Spec{Overload: contract.OverloadCapacity}, note: func(text string) { fmt.Fprintln(s.Err, text) }}}
	if err := r.parse(args); errors.Is(err, flag.ErrHelp) {
		_, err := io.WriteString(s.Out, loadgenRateUsage)
		return err
	} else if err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	progress := newProgressLine(s.Err)
	if err := r.greet(ctx, progress); err != nil {
		return err
	}
	table := &rateTable{out: s.Out, terms: r.terms}
	if r.json {
		table.out = io.Discard
	} else if _, err := io.WriteString(s.Out, r.headline()); err != nil {
		return err
	}
	answer, failed := r.run(ctx, progress, table)
	if answer == nil {
		return failed
	}
	if !r.json {
		_, err := io.WriteString(s.Out, answer.text())
		return errors.Join(err, failed)
	}
	encode := json.NewEncoder(s.Out)
	encode.SetEscapeHTML(false)
	return errors.Join(encode.Encode(answer), failed)
}

// parse reads the flags.
func (r *loadgenRate) parse(args []string) error {
	set := flagSet("loadgen rate")
	sc := &r.spec.Scenario
	*sc = contract.Scenario{Name: "loadgen", Kind: contract.KindRandom, Arrival: contract.ArrivalPoisson, Stream: true}
	r.flags(set)
	set.Float64Var(&r.search.Low, "low", 0, "")
	set.Float64Var(&r.search.High, "high", 0, "")
	set.Float64Var(&r.search.Tolerance, "tolerance", 0, "")
	set.IntVar(&r.search.Points, "points", 0, "")
	for _, key := range contract.SLAKeys() {
		set.Func(strings.ReplaceAll(key, "_", "-"), "", func(v string) error {
			limit, err := strconv.ParseFloat(v, 64)
			return errors.Join(err, r.limit(key, limit))
		})
	}
	set.Float64Var(&r.minAttainment, "min-attainment", 0, "")
	if err := parseFlags(set, args); err != nil {
		return err
	}
	set.Visit(func(f *flag.Flag) { r.given[f.Name] = true })
	return nil
}

// prepare completes target, terms and load from the flags and refuses what can be refused without the server.
func (r *loadgenRate) prepare() error {
	if err := errors.Join(r.address(), r.key()); err != nil {
		return err
	}
	r.terms = bench.RateTerms{SLA: r.sla, MinAttainment: r.minAttainment}
	if err := r.terms.CheckLimits(r.spec.Goodput); err != nil {
		return err
	}
	if err := r.readScenario(); err != nil {
		return err
	}
	if !r.given["seed"] {
		r.spec.Seed = rand.Uint64() //nolint:gosec // prompts need to differ, not to be secret
		r.assume("seed %d, drawn (--seed repeats it)", r.spec.Seed)
	}
	r.assumeVocab()
	if err := r.search.Validate(); err != nil {
		return err
	}
	r.search = r.search.Complete()
	r.terms.Search, r.terms.Seed = r.search, r.spec.Seed
	if err := r.prompts(); err != nil {
		return err
	}
	low := r.search.Low
	r.spec.Scenario.RequestRate = &low // what the terms are checked and the first request is sent with
	if err := r.supported(); err != nil {
		return err
	}
	if r.spec.Scenario.WarmupWaves < 0 || r.spec.Window.Min <= 0 || r.spec.RequestTimeout <= 0 {
		return fault.New(fault.InvalidInput, "--warmup cannot be negative, --window and --request-timeout must be positive")
	}
	return r.spec.Validate()
}

// readScenario takes the scenario from its file, where one is named.
func (r *loadgenRate) readScenario() error {
	if r.file == "" {
		return nil
	}
	s := contract.Scenario{}
	if err := r.fromFile(&s, "input-len", "output-len", "num-prompts", "low", "high", "tolerance", "points", "ignore-eos", "warmup"); err != nil {
		return err
	}
	if s.RateSearch == nil {
		return fault.New(fault.InvalidInput, "scenario %q has no rate_search", r.file).At("scenarios.rate_search", "").Hint("give it low and high, or use loadgen run")
	}
	if s.NumPrompts == 0 {
		_, s.NumPrompts = r.terms.Needs()
	}
	if err := s.Validate(); err != nil {
		return err
	}
	r.search, s.RateSearch, s.Primary = *s.RateSearch, nil, ""
	r.spec.Scenario = s
	return nil
}

// prompts sees that every load point has enough requests to be judged by.
func (r *loadgenRate) prompts() error {
	s := &r.spec.Scenario
	key, need := r.terms.Needs()
	if s.NumPrompts == 0 {
		s.NumPrompts = need
		r.assume("at least %d requests a load point (--num-prompts)", need)
	}
	if s.NumPrompts < need {
		return fault.New(fault.InvalidInput, "%s needs %d requests in every load point, not %d", key, need, s.NumPrompts).At("num-prompts", fmt.Sprint(s.NumPrompts), fmt.Sprintf("at least %d", need)).
			Hint("leave --num-prompts out, or give a limit on a lower percentile")
	}
	return nil
}

// run searches; an interrupted search gives what it has together with the error.
func (r *loadgenRate) run(ctx context.Context, progress *progressLine, table *rateTable) (*rateAnswer, error) {
	if r.out != "" {
		if err := os.MkdirAll(r.out, 0o755); err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "--out: cannot make %q", r.out).At("out", r.out)
		}
	}
	var tried []bench.RateTried
	files := []string{}
	answer := func() *rateAnswer {
		return &rateAnswer{Model: r.clean(r.target.Model), URL: r.target.BaseURL, Scenario: r.spec.Scenario, Terms: r.terms, Seed: r.spec.Seed,
			Result: r.terms.Result(tried), Assumed: append([]string{}, r.assumed...), Records: files}
	}
	for rate := r.terms.Next(tried); rate > 0; rate = r.terms.Next(tried) {
		spec := r.terms.Probe(r.spec, len(tried), rate)
		name := fmt.Sprintf("rate-%02d", len(tried)+1)
		point, why, err := r.measure(ctx, spec, progress, name, &files)
		if err != nil {
			cut := answer()
			cut.Incomplete = true
			return cut, err
		}
		x := r.terms.Judge(rate, point)
		if x.Repeated = why; why != "" {
			x.Unfit = bench.Unfit(point)
		}
		tried = append(tried, x)
		if err := table.line(len(tried), x); err != nil {
			return nil, err
		}
	}
	return answer(), nil
}

// measure runs a load point, and once more where it says itself that it cannot count.
func (r *loadgenRate) measure(ctx context.Context, spec bench.Spec, progress *progressLine, name string, files *[]string) (point *bench.Point, repeated string, err error) {
	for {
		point, err = bench.Run(ctx, r.target, spec, func(p bench.Progress) {
			p.Phase = fmt.Sprintf("%s, %.4g requests/s, %s", name, *spec.Scenario.RequestRate, p.Phase)
			progress.show(p)
		})
		progress.end()
		if err != nil {
			return nil, "", err
		}
		why := bench.Unfit(point)
		again := why != "" && repeated == ""
		file := name
		if again {
			file += ".first"
		}
		if err := r.keep(point, file, files); err != nil || !again {
			return point, repeated, err
		}
		repeated = why
	}
}

// keep stores a load point's records where they are wanted; nothing in them holds the key.
func (r *loadgenRate) keep(p *bench.Point, name string, files *[]string) error {
	if r.out == "" {
		return nil
	}
	for _, rec := range p.Recording.Records {
		rec.Error, rec.Finish = r.clean(rec.Error), r.clean(rec.Finish)
	}
	path := filepath.Join(r.out, name+".jsonl.zst")
	file, err := newRecordsFile(path)
	if err != nil {
		return err
	}
	defer file.discard()
	if _, err := file.keep(p.Recording); err != nil {
		return err
	}
	*files = append(*files, path)
	return nil
}
