package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// ForeignClient is another load client, whose figures are a cross-check of ours and never enter a verdict.
type ForeignClient string

// The foreign clients, by the name that their rows carry.
const (
	ForeignSGLang ForeignClient = "sglang.bench_serving"
	ForeignVLLM   ForeignClient = "vllm bench serve"
)

// ForeignRun is what a foreign client wrote about one run. It measures from its first request to its last, without a
// window, and knows no planned times.
type ForeignRun struct {
	Client         ForeignClient
	Model          string // as the client calls it; empty where it does not say
	Completed      int
	Failed         int // requests it gave up; SGLang's client says so only with --output-details
	InputTokens    int
	OutputTokens   int
	DurationS      float64
	RequestRate    *float64 // requests/s; nil = unbounded
	MaxConcurrency *int     // nil = unbounded
	Metrics        Metrics  // by the names of our rows, by the client's own definitions
	Requests       []ForeignRequest
}

// ForeignRequest is one request of a run that was written with all its details.
type ForeignRequest struct {
	TTFT   time.Duration
	Gaps   []time.Duration
	Out    int // tokens
	Text   string
	Failed bool
}

// Figures are the three that clients are compared by.
type Figures struct {
	Throughput float64 `json:"output_tokens_per_s"` // over the whole run
	TTFT       float64 `json:"mean_ttft_ms"`
	TPOT       float64 `json:"mean_tpot_ms"`
}

// Over divides figure by figure.
func (f Figures) Over(g Figures) Figures {
	return Figures{Throughput: f.Throughput / g.Throughput, TTFT: f.TTFT / g.TTFT, TPOT: f.TPOT / g.TPOT}
}

// Figures are the run's own; a figure the client did not give is NaN.
func (r *ForeignRun) Figures() Figures {
	get := func(name string) float64 {
		if v, ok := r.Metrics.Get(name); ok {
			return v
		}
		return math.NaN()
	}
	return Figures{Throughput: get("output_token_throughput"), TTFT: get("mean_ttft_ms"), TPOT: get("mean_tpot_ms")}
}

// maxForeign bounds a result file; a thousand streams of a thousand tokens with all details take 45 MB.
const maxForeign = 1 << 30

// ReadForeign reads a result file of either client: one JSON object a run (vllm bench serve --save-result, or
// sglang.bench_serving --output-file, which appends), plain or packed with zstd or
// gzip. An error names what does not add up.
func ReadForeign(r io.Reader) ([]*ForeignRun, error) {
	plain, done, err := decompress(bufio.NewReader(r))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "unpack the results")
	}
	defer done()
	raw, err := io.ReadAll(io.LimitReader(plain, maxForeign+1))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "read results")
	}
	if len(raw) > maxForeign {
		return nil, fault.New(fault.InvalidInput, "the results exceed 1 GiB").Hint("leave the details out: one file a run is enough")
	}
	objects, err := foreignObjects(raw)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "run %d is not JSON as sglang.bench_serving or vllm bench serve write it", len(objects)+1)
	}
	if len(objects) == 0 {
		return nil, fault.New(fault.InvalidInput, "the results hold no run")
	}
	runs := make([]*ForeignRun, 0, len(objects))
	for i, o := range objects {
		run, err := o.run()
		if err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "run %d", i+1)
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// errForeign says that a client's figures contradict each other.
var errForeign = errors.New("figures contradict each other")

// check recomputes what can be: a file that was edited, or a client that changed its definitions, shows.
func (r *ForeignRun) check() error {
	throughput, _ := r.Metrics.Get("output_token_throughput")
	if want := float64(r.OutputTokens) / r.DurationS; !near(throughput, want) {
		return fmt.Errorf("%w: output_throughput %.6g is not total_output_tokens %d over duration %.6g", errForeign, throughput, r.OutputTokens, r.DurationS)
	}
	if len(r.Requests) == 0 || r.Completed == 0 {
		return nil
	}
	ok := slices.DeleteFunc(slices.Clone(r.Requests), func(q ForeignRequest) bool { return q.Failed })
	if len(ok) != r.Completed {
		return fmt.Errorf("%w: completed %d, and %d requests without an error", errForeign, r.Completed, len(ok))
	}
	sum, tokens := 0.0, 0
	for _, q := range ok {
		sum += q.TTFT.Seconds() * 1e3
		tokens += q.Out
	}
	ttft, said := r.Metrics.Get("mean_ttft_ms")
	if mean := sum / float64(len(ok)); said && math.Abs(mean-ttft) > 1e-3 {
		return fmt.Errorf("%w: mean_ttft_ms %.6g, and %.6g by the requests", errForeign, ttft, mean)
	}
	if tokens != r.OutputTokens {
		return fmt.Errorf("%w: total_output_tokens %d, and %d by the requests", errForeign, r.OutputTokens, tokens)
	}
	return nil
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b)) }
