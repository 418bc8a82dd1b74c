package bench

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Spec is one load point: what is offered, and how it is judged to have been offered well.
type Spec struct {
	Scenario contract.Scenario `json:"scenario"`
	Seed     uint64            `json:"seed,string"` // from MixSeed; equal for every side of a block
	Phase    string            `json:"phase"`       // recorded only; MixSeed has it in the seed
	Block    int               `json:"block"`       // recorded only

	ArrivalSeed uint64 `json:"arrival_seed,string,omitempty"` // of an open loop's arrivals; 0: Seed

	Vocab      TokenRange `json:"vocab"`                 // random scenarios
	Rows       []Row      `json:"rows,omitempty"`        // text, chat and replay: the measured rows, in order
	WarmupRows []Row      `json:"warmup_rows,omitempty"` // text, chat: rows for everything unmeasured; none of Rows
	Drawn      *Drawn     `json:"drawn,omitempty"`       // where Rows come from; recorded only

	Overload contract.OverloadTest `json:"overload_test,omitempty"` // how an open loop's load is judged

	Goodput      *contract.Goodput `json:"goodput,omitempty"`
	WantLogprobs bool              `json:"want_logprobs,omitempty"` // ask for the log-probability of every generated token
	KeepOutputs  bool              `json:"keep_outputs,omitempty"`  // keep output text in the records
	DigestKey    []byte            `json:"digest_key,omitempty"`    // private datasets: output digests are HMAC-SHA256 under this key

	MaxWarmupWaves int           `json:"max_warmup_waves,omitempty"`   // most settling waves; 0 takes the scenario's warmup_waves
	Deadline       time.Duration `json:"deadline_ns,omitempty"`        // longest time the whole point may take; 0 = no limit but ctx
	Drain          time.Duration `json:"drain_ns,omitempty"`           // open loop: how long after the window its requests may take, at least ten median latencies of the warm-up; then they are unfinished. 0 = no limit
	RequestTimeout time.Duration `json:"request_timeout_ns,omitempty"` // longest time one request may take from its sending; 0 = DefaultRequestTimeout
	Window         WindowRule    `json:"window"`                       // zero fields take the defaults
	Limits         Limits        `json:"limits"`                       // zero fields take the defaults
}

// DefaultRequestTimeout bounds one request unless the spec says otherwise.
const DefaultRequestTimeout = 30 * time.Minute

// WindowRule says how long an open-loop window has to be.
type WindowRule struct {
	Min       time.Duration `json:"min_ns,omitempty"`     // shortest window; default 60 s
	E2EFactor float64       `json:"e2e_factor,omitempty"` // the window must span this many median E2E latencies; default 5
	Lead      time.Duration `json:"lead_ns,omitempty"`    // load before the window; 0 = twice the median E2E of the warm-up, at least a tenth of the window and 15 s or a quarter of it
}

// Drawn names the rows that a point sent, so that whoever has the dataset can draw them again.
type Drawn struct {
	Dataset string `json:"dataset"` // sha256:…
	Digest  string `json:"digest"`  // of the drawn rows' digests, in the order of sending
	Rows    int    `json:"rows"`
	Warmup  int    `json:"warmup"`
}

// Private says that no text may get into records: output digests are keyed, and of what a server says only its class is
// kept, since servers quote what they were sent.
func (s Spec) Private() bool { return s.DigestKey != nil }

// Row is one line of a stored dataset.
type Row struct {
	Prompt    string          `json:"prompt,omitempty"`
	Messages  json.RawMessage `json:"messages,omitempty"`
	OutputLen int             `json:"output_len"` // tokens; 0 takes the scenario's
	Extra     map[string]any  `json:"extra_request_body,omitempty"`
	At        *float64        `json:"timestamp,omitempty"` // replay: seconds, any origin
}

// TokenRange is the ids random prompts are drawn from: [Lo, Hi) without Exclude.
type TokenRange struct {
	Lo      int   `json:"lo"`
	Hi      int   `json:"hi"`
	Exclude []int `json:"exclude,omitempty"` // special, placeholder and padding ids
}

// Size is the number of ids in the range.
func (r TokenRange) Size() int {
	return max(0, r.Hi-r.Lo) - len(r.excluded())
}

// excluded gives the excluded ids inside the range, sorted, each once.
func (r TokenRange) excluded() []int {
	in := slices.DeleteFunc(slices.Clone(r.Exclude), func(id int) bool { return id < r.Lo || id >= r.Hi })
	slices.Sort(in)
	return slices.Compact(in)
}

// Validate refuses a spec that cannot be offered.
func (s Spec) Validate() error {
	if err := s.Scenario.Validate(); err != nil {
		return err
	}
	switch {
	case s.Scenario.RateSearch != nil:
		return fault.New(fault.InvalidInput, "scenario %q is a rate search, not one load", s.Scenario.Name).At("scenarios.rate_search", "").
			Hint("search with `sotaloop loadgen rate`, or give request_rate")
	case s.Private() && (s.KeepOutputs || s.WantLogprobs):
		return fault.New(fault.InvalidInput, "scenario %q: outputs of a private dataset are not kept, and neither are their tokens", s.Scenario.Name).At("keep_outputs", "true")
	case s.Scenario.Kind == contract.KindRandom && s.Scenario.Arrival == contract.ArrivalReplay:
		return fault.New(fault.InvalidInput, "scenario %q: replay needs the timestamps of a dataset", s.Scenario.Name).At("scenarios.kind", s.Scenario.Kind, contract.KindText, contract.KindChat)
	case s.Scenario.Kind == contract.KindRandom && (s.Vocab.Lo < 0 || s.Vocab.Size() < 2):
		return fault.New(fault.InvalidInput, "token range [%d, %d) without %d ids leaves fewer than two", s.Vocab.Lo, s.Vocab.Hi, len(s.Vocab.Exclude)).At("vocab", "")
	case s.Scenario.Kind != contract.KindRandom:
		return s.validateRows()
	}
	return nil
}

func (s Spec) validateRows() error {
	if s.Scenario.Arrival != contract.ArrivalReplay && len(s.Rows) < s.Scenario.NumPrompts {
		return fault.New(fault.InvalidInput, "scenario %q: %d rows for %d prompts", s.Scenario.Name, len(s.Rows), s.Scenario.NumPrompts).At("rows", "").
			Hint("lower num_prompts to %d or give a larger dataset", len(s.Rows))
	}
	if len(s.WarmupRows) == 0 && (s.waves() > 0 || s.Scenario.Arrival == contract.ArrivalPoisson || s.Scenario.Arrival == contract.ArrivalConstant) {
		return fault.New(fault.InvalidInput, "scenario %q: no rows are left for the warm-up", s.Scenario.Name).At("warmup_rows", "").
			Hint("keep rows of the dataset apart for the warm-up: a warm-up prompt is never a measured one")
	}
	for i, r := range s.Rows {
		if (r.Prompt == "") == (len(r.Messages) == 0) || (s.Scenario.Arrival == contract.ArrivalReplay && r.At == nil) {
			return fault.New(fault.InvalidInput, "row %d needs a prompt or messages, and a timestamp for a replay", i+1).At("rows", "")
		}
	}
	return nil
}

// arrivals is the seed of an open loop's arrivals.
func (s Spec) arrivals() uint64 {
	if s.ArrivalSeed != 0 {
		return s.ArrivalSeed
	}
	return s.Seed
}

// waves is the most settling waves the point may run.
func (s Spec) waves() int {
	if s.MaxWarmupWaves > 0 {
		return s.MaxWarmupWaves
	}
	return s.Scenario.WarmupWaves
}
