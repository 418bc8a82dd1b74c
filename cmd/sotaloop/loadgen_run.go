package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// loadgenRunUsage is the help of `sotaloop loadgen run`.
const loadgenRunUsage = `usage: sotaloop loadgen run --url http://HOST:PORT --input-len N --output-len N (--max-concurrency N | --request-rate R)
       sotaloop loadgen run --url http://HOST:PORT --dataset FILE (--max-concurrency N | --request-rate R | --arrival replay)
       sotaloop loadgen run --url http://HOST:PORT --scenario FILE.json [--dataset FILE]

Offers a load to an endpoint of yours with the product's own client and prints what it measured.

  --endpoint NAME       completions (default), generate, or chat: the default for messages, and not for random prompts
  --model NAME          as requests name it; default: the only one of /v1/models
  --api-key-env NAME    environment variable that holds the key, sent as a bearer token and shown nowhere
  --scenario FILE       a scenario as contracts have it, instead of the next flags
  --input-len N, --output-len N
                        tokens of every request; with --dataset, --output-len is for rows that name none
  --dataset FILE        send rows of a dataset (docs/DATASETS.md) instead of random prompts, drawn as a campaign's first block is
  --num-prompts N       requests to measure
  --max-concurrency N   closed loop: slots, each sends its next request when the last one has ended
  --request-rate R      open loop: requests a second
  --arrival MODE        closed, poisson, constant, burst, or of a dataset replay; default: closed for a concurrency, poisson for a rate
  --ignore-eos=BOOL     default true: every answer has --output-len tokens; with --dataset false
  --warmup N            most unmeasured waves before the load, which end as soon as the server has settled; default 5
  --window D            shortest window of an open loop; default 60s
  --request-timeout D   longest time of one request; default 30m
  --vocab LO:HI         token ids of random prompts, HI excluded
  --seed N              of prompts and arrivals; default: another one each time
  --sla KEY=LIMIT,…     limits as contracts name them: max_p99_ttft_ms=1500 (or p99_ttft_ms), min_success_rate=0.99
  --goodput KEY=LIMIT,… limits of each request, for goodput and attainment: ttft_user_ms, tpot_ms, e2e_user_ms
  --shards N            processes of the client that share the load; default: one, more from 2,000 streams at once on
  --out FILE            the record of every request, as zstd-compressed JSON lines
  --json                one JSON object on standard output
`

// What is assumed of a load when nothing is said.
const (
	runWarmup    = 5
	runPrompts   = 100
	mostRequests = 10_000_000 // as many as stored records may hold
)

// runVocab is the token ids of random prompts where the vocabulary is not known: without the first ones, which are
// often special, and inside the smallest vocabulary that is common, 32,000.
func runVocab() bench.TokenRange { return bench.TokenRange{Lo: 256, Hi: 30000} }

// loadgenRun is one `loadgen run`: its flags and what follows from them.
type loadgenRun struct {
	url, endpoint, model, keyEnv string
	file, out                    string
	rows                         string       // file of a dataset
	set                          *dataset.Set // of it, normalised
	json                         bool
	rate                         float64
	slots                        int
	shards                       int // processes
	given                        map[string]bool
	sla                          contract.SLA

	target  bench.Target
	spec    bench.Spec
	redact  *redact.Redactor
	assumed []string
	note    func(text string) // tells the person at once
}

// runLoadgenRun offers one load and prints its result. Failed requests are a result; none that succeeded is an error.
func runLoadgenRun(ctx context.Context, s streams, args []string) error {
	r := &loadgenRun{given: map[string]bool{}, sla: contract.SLA{}, spec: bench.Spec{Overload: contract.OverloadCapacity}, note: func(text string) { fmt.Fprintln(s.Err, text) }}
	if err := r.parse(args); errors.Is(err, flag.ErrHelp) {
		_, err := io.WriteString(s.Out, loadgenRunUsage)
		return err
	} else if err != nil {
		return err
	}
	defer func() { _ = r.forget() }()
	if err := r.prepare(); err != nil {
		return err
	}
	records, err := newRecordsFile(r.out)
	if err != nil {
		return err
	}
	defer records.discard()
	progress := newProgressLine(s.Err)
	if err := r.greet(ctx, progress); err != nil {
		return err
	}
	point, failed := r.offer(ctx, s.Err, progress)
	progress.end()
	if point == nil {
		return failed
	}
	result := r.result(point, failed != nil)
	if result.RawSHA256, err = records.keep(point.Recording); err != nil {
		return err
	}
	if r.json {
		encode := json.NewEncoder(s.Out)
		encode.SetEscapeHTML(false)
		err = encode.Encode(result)
	} else {
		_, err = io.WriteString(s.Out, result.text())
	}
	switch {
	case err != nil:
		return fmt.Errorf("write result: %w", err)
	case failed != nil:
		return failed
	case point.Status != bench.StatusOK:
		return fault.New(fault.FrameworkFailed, "the load gave no measurement: %s", point.Reason)
	}
	return nil
}

// offer runs the load in this process, or in several that share it.
func (r *loadgenRun) offer(ctx context.Context, stderr io.Writer, progress *progressLine) (*bench.Point, error) {
	if r.shards == 1 {
		return bench.Run(ctx, r.target, r.spec, progress.show)
	}
	return bench.RunSharded(ctx, r.target, r.spec, worker.Shards(r.shards, stderr), progress.show)
}

// parse reads the flags.
func (r *loadgenRun) parse(args []string) error {
	set := flagSet("loadgen run")
	sc := &r.spec.Scenario
	*sc = contract.Scenario{Name: "loadgen", Kind: contract.KindRandom, Stream: true}
	r.flags(set)
	set.IntVar(&r.slots, "max-concurrency", 0, "")
	set.Float64Var(&r.rate, "request-rate", 0, "")
	set.Func("arrival", "", func(v string) error { sc.Arrival = contract.Arrival(v); return nil })
	set.IntVar(&r.shards, "shards", 0, "")
	set.StringVar(&r.rows, "dataset", "", "")
	if err := parseFlags(set, args); err != nil {
		return err
	}
	set.Visit(func(f *flag.Flag) { r.given[f.Name] = true })
	return nil
}

// readVocab reads LO:HI.
func readVocab(v string, into *bench.TokenRange) error {
	low, high, ok := strings.Cut(v, ":")
	lo, err1 := strconv.Atoi(low)
	hi, err2 := strconv.Atoi(high)
	if !ok || err1 != nil || err2 != nil || lo < 0 || hi < lo+2 {
		return errors.New("not LO:HI, for example 256:30000")
	}
	into.Lo, into.Hi = lo, hi
	return nil
}

// readLimits reads KEY=LIMIT,….
func readLimits(v string, set func(key string, limit float64) error) error {
	for _, part := range strings.Split(v, ",") {
		key, number, ok := strings.Cut(strings.TrimSpace(part), "=")
		limit, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return fmt.Errorf("%q is not KEY=LIMIT", part)
		}
		if err := set(key, limit); err != nil {
			return err
		}
	}
	return nil
}

// limit takes one limit of the SLA; p99_ttft_ms is short for max_p99_ttft_ms.
func (r *loadgenRun) limit(key string, limit float64) error {
	if slices.Contains(contract.SLAKeys(), "max_"+key) {
		key = "max_" + key
	}
	r.sla[key] = limit
	return r.sla.Validate()
}

// perRequest takes one limit of each request.
func (r *loadgenRun) perRequest(key string, limit float64) error {
	if r.spec.Goodput == nil {
		r.spec.Goodput = &contract.Goodput{}
	}
	field := map[string]*float64{"ttft_user_ms": &r.spec.Goodput.TTFTUserMS, "tpot_ms": &r.spec.Goodput.TPOTMS, "e2e_user_ms": &r.spec.Goodput.E2EUserMS}[key]
	if field == nil || !(limit > 0) || math.IsInf(limit, 0) {
		return fmt.Errorf("%s=%v is none of ttft_user_ms, tpot_ms, e2e_user_ms with a positive number of milliseconds", key, limit)
	}
	*field = limit
	return nil
}

// prepare completes target and spec from the flags and refuses what can be refused without the server.
func (r *loadgenRun) prepare() error {
	if err := r.address(); err != nil {
		return err
	}
	if err := r.key(); err != nil {
		return err
	}
	if err := r.openDataset(); err != nil {
		return err
	}
	if err := r.scenario(); err != nil {
		return err
	}
	if !r.given["seed"] {
		r.spec.Seed = rand.Uint64() //nolint:gosec // prompts need to differ, not to be secret
		r.assume("seed %d, drawn: another run sends other prompts, which no prefix cache holds (--seed repeats this one)", r.spec.Seed)
	}
	if err := r.drawRows(); err != nil {
		return err
	}
	s := r.spec.Scenario
	if s.Kind == contract.KindRandom {
		r.assumeVocab()
	}
	if err := r.spec.Validate(); err != nil {
		return err
	}
	if !r.given["shards"] {
		if r.shards = bench.ShardsFor(s, runtime.NumCPU()); r.shards > 1 {
			r.assume("%d processes of the client share the load (--shards)", r.shards)
		}
	} else if r.shards < 1 || r.shards > bench.MostShards {
		return fault.New(fault.InvalidInput, "--shards takes 1 to %d processes", bench.MostShards).At("shards", strconv.Itoa(r.shards))
	}
	return r.bounds(s)
}

// address makes the target of --url and --endpoint. What stands between slashes is not shown again: it may be a secret.
func (r *loadgenRun) address() error {
	u, err := url.Parse(r.url)
	if err != nil || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fault.New(fault.InvalidInput, "--url is scheme, host and port only").At("url", "").
			Hint("for example --url http://127.0.0.1:8000; the path follows from --endpoint, a key from --api-key-env")
	}
	r.target.BaseURL = strings.TrimRight(r.url, "/")
	paths := map[string]string{"completions": bench.PathCompletions, "chat": bench.PathChat, "generate": bench.PathGenerate}
	r.target.Path = r.endpoint
	if path, ok := paths[r.endpoint]; ok {
		r.target.Path = path
	}
	if !slices.Contains(bench.Paths(), r.target.Path) {
		return fault.New(fault.InvalidInput, "unknown endpoint %q", r.endpoint).At("endpoint", r.endpoint, slices.Sorted(maps.Keys(paths))...)
	}
	return r.target.Validate()
}

// key takes the key from the environment.
func (r *loadgenRun) key() error {
	if r.keyEnv == "" {
		return nil
	}
	key := os.Getenv(r.keyEnv)
	if key == "" || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fault.New(fault.InvalidInput, "--api-key-env: that variable is empty or holds what no header can carry").At("api-key-env", "").
			Hint("name the variable, not the key: export API_KEY=… and --api-key-env API_KEY")
	}
	r.redact = redact.New(map[string]string{r.keyEnv: key})
	r.target.Header = map[string]string{"Authorization": "Bearer " + key}
	return nil
}

// scenario reads the scenario's file or completes the one of the flags.
func (r *loadgenRun) scenario() error {
	s := &r.spec.Scenario
	if r.file != "" {
		*s = contract.Scenario{}
		if err := r.fromFile(s, "input-len", "output-len", "num-prompts", "max-concurrency", "request-rate", "arrival", "ignore-eos", "warmup"); err != nil {
			return err
		}
		return r.supported()
	}
	if r.given["max-concurrency"] {
		s.MaxConcurrency = &r.slots
	}
	if r.given["request-rate"] {
		s.RequestRate = &r.rate
	}
	r.useDataset(s)
	if err := r.chooseArrival(); err != nil {
		return err
	}
	if !r.given["ignore-eos"] && r.set == nil {
		r.assume("ignore_eos, so that every answer has its full length")
	}
	if !r.given["warmup"] {
		r.assume("at most %d unmeasured waves first (--warmup)", runWarmup)
	}
	return r.supported()
}

// chooseArrival chooses arrival and number of prompts where the flags leave them open.
func (r *loadgenRun) chooseArrival() error {
	s := &r.spec.Scenario
	switch {
	case s.Arrival != "":
	case s.MaxConcurrency != nil:
		s.Arrival = contract.ArrivalClosed
	case s.RequestRate != nil:
		s.Arrival = contract.ArrivalPoisson
		r.assume("poisson arrivals (--arrival)")
	default:
		return fault.New(fault.InvalidInput, "no load named").Hint("give --max-concurrency N, --request-rate R, or --arrival burst")
	}
	if r.given["num-prompts"] {
		return nil
	}
	_, need := r.needed()
	switch {
	case s.Arrival == contract.ArrivalClosed && s.MaxConcurrency != nil:
		s.NumPrompts = max(runPrompts, 10**s.MaxConcurrency, need+2**s.MaxConcurrency)
	case s.RequestRate != nil && *s.RequestRate > 0 && *s.RequestRate < mostRequests:
		s.NumPrompts = max(need, int(math.Ceil(*s.RequestRate*r.spec.Window.Min.Seconds())))
	case s.Arrival == contract.ArrivalReplay:
		s.NumPrompts = r.mostRows()
	default:
		s.NumPrompts = max(need, runPrompts)
	}
	r.assume("%d prompts (--num-prompts)", s.NumPrompts)
	return nil
}

// supported refuses scenarios whose prompts this command does not have.
func (r *loadgenRun) supported() error {
	s := r.spec.Scenario
	if err := s.Validate(); err != nil {
		return err
	}
	if err := r.suits(); err != nil {
		return err
	}
	if s.Arrival == contract.ArrivalBurst && (s.MaxConcurrency != nil || s.RequestRate != nil) {
		return fault.New(fault.InvalidInput, "a burst sends everything at once: it has neither request_rate nor max_concurrency").At("scenarios.arrival", string(s.Arrival))
	}
	if !s.Stream {
		r.assume("no streaming, as the scenario says: nothing tells when the first token came")
	}
	if r.target.Path == bench.PathChat && r.set == nil {
		return fault.New(fault.InvalidInput, "random prompts are token ids, which %s does not take", r.target.Path).At("endpoint", r.endpoint, "completions", "generate")
	}
	return nil
}

// bounds refuses loads that cannot be, and limits that the window has too few requests for.
func (r *loadgenRun) bounds(s contract.Scenario) error {
	window := float64(s.NumPrompts)
	switch {
	case s.Arrival == contract.ArrivalClosed:
		window -= 2 * float64(*s.MaxConcurrency) // its first and its last wave
	case s.RequestRate != nil && (math.IsNaN(*s.RequestRate) || math.IsInf(*s.RequestRate, 0)):
		return fault.New(fault.InvalidInput, "request_rate must be a number").At("request-rate", fmt.Sprint(*s.RequestRate)).Hint("everything at once is --arrival burst")
	case s.RequestRate != nil:
		window = max(window, *s.RequestRate*r.spec.Window.Min.Seconds())
		r.assume("a window of %.4g s, about %.0f requests, and load before and after it", window / *s.RequestRate, window)
	}
	switch {
	case s.WarmupWaves < 0 || r.spec.Window.Min <= 0 || r.spec.RequestTimeout <= 0:
		return fault.New(fault.InvalidInput, "--warmup cannot be negative, --window and --request-timeout must be positive")
	case window > mostRequests || s.InputLen > mostRequests || s.OutputLen > mostRequests:
		return fault.New(fault.InvalidInput, "at most %d requests and tokens", mostRequests).At("num-prompts", fmt.Sprintf("%.4g", window))
	}
	if key, need := r.needed(); window < float64(need) {
		return fault.New(fault.InvalidInput, "%s needs %d requests in the measured window, this load has about %.0f", key, need, window).At("sla", key).
			Hint("give --num-prompts %d, or a limit on a lower percentile", s.NumPrompts+need-int(window))
	}
	return nil
}

// needed is the limit that takes the most requests to judge, and how many.
func (r *loadgenRun) needed() (key string, requests int) {
	for _, k := range slices.Sorted(maps.Keys(r.sla)) {
		q, ok := map[string]float64{"max_p50": 0.5, "max_p95": 0.95, "max_p99": 0.99}[k[:min(len(k), 7)]]
		if n := bench.RequestsFor(q); ok && n > requests {
			key, requests = k, n
		}
	}
	return key, requests
}

// assume notes what nobody said.
func (r *loadgenRun) assume(format string, args ...any) {
	r.assumed = append(r.assumed, fmt.Sprintf(format, args...))
}

// clean makes a server's words fit for showing: without the key and without control characters.
func (r *loadgenRun) clean(text string) string {
	printable := strings.Map(func(c rune) rune {
		if c == '\t' || c == '\n' {
			return ' '
		}
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, text)
	return r.redact.String(printable)
}
