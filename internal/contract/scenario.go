package contract

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Arrival is how requests are offered.
type Arrival string

// The arrival modes.
const (
	ArrivalClosed   Arrival = "closed"   // max_concurrency slots, each sends its next request when the last ends
	ArrivalPoisson  Arrival = "poisson"  // open loop at request_rate
	ArrivalConstant Arrival = "constant" // open loop at request_rate, evenly spaced
	ArrivalBurst    Arrival = "burst"    // everything at once: a makespan, never a rate
	ArrivalReplay   Arrival = "replay"   // timestamps of the dataset
)

// Arrivals lists the valid arrival modes.
var Arrivals = []string{string(ArrivalClosed), string(ArrivalPoisson), string(ArrivalConstant), string(ArrivalBurst), string(ArrivalReplay)}

// Scenario kinds: random token ids, or text and chat rows of a dataset.
const (
	KindRandom = "random"
	KindText   = "text"
	KindChat   = "chat"
)

// Scenario is one named request shape under one arrival mode.
type Scenario struct {
	Name           string   `json:"name"`
	Kind           string   `json:"kind"`
	Dataset        string   `json:"dataset,omitempty"` // sha256:… of a stored dataset; empty for random
	InputLen       int      `json:"input_len"`         // tokens
	OutputLen      int      `json:"output_len"`        // tokens
	NumPrompts     int      `json:"num_prompts"`
	Arrival        Arrival  `json:"arrival"`
	RequestRate    *float64 `json:"request_rate"`    // requests/s, open loop only
	MaxConcurrency *int     `json:"max_concurrency"` // slots, closed loop only
	Temperature    float64  `json:"temperature"`
	IgnoreEOS      bool     `json:"ignore_eos"`
	Stream         bool     `json:"stream"`
	WarmupWaves    int      `json:"warmup_waves"` // most unmeasured waves before the window; settling ends earlier
	Primary        string   `json:"primary"`      // metric a verdict is about
	ClaimsNatural  bool     `json:"natural_end,omitempty"`

	RateSearch *RateSearch `json:"rate_search,omitempty"` // poisson only, instead of request_rate
	Reuse      string      `json:"reuse,omitempty"`       // ReuseBlocks: every block has the same rows of the dataset
}

var scenarioName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,40}$`)

// PrimaryMetric is the metric frozen for an arrival mode when the caller names none: closed loop → output tokens/s,
// burst → makespan, open loop at a fixed rate or replay → median user-side end-to-end latency.
func PrimaryMetric(a Arrival) string {
	switch a {
	case ArrivalClosed:
		return "output_token_throughput"
	case ArrivalBurst:
		return "makespan_s"
	default:
		return "p50_e2e_user_ms"
	}
}

// LowerIsBetter says which way a metric improves.
func LowerIsBetter(metric string) bool {
	switch metric {
	case "output_token_throughput", "total_token_throughput", "request_throughput", "goodput_rps", "sla_attainment", "success_rate", MaxRateUnderSLA:
		return false
	default:
		return true
	}
}

// Validate checks one scenario; the fault names the field.
func (s Scenario) Validate() error {
	bad := func(field, got string, format string, args ...any) error {
		return fault.New(fault.InvalidInput, "scenario %q: "+format, append([]any{s.Name}, args...)...).At("scenarios."+field, got)
	}
	switch {
	case !scenarioName.MatchString(s.Name):
		return bad("name", s.Name, "name must match %s", scenarioName)
	case !slices.Contains([]string{KindRandom, KindText, KindChat}, s.Kind):
		return fault.New(fault.InvalidInput, "scenario %q: unknown kind %q", s.Name, s.Kind).At("scenarios.kind", s.Kind, KindRandom, KindText, KindChat)
	case !slices.Contains(Arrivals, string(s.Arrival)):
		return fault.New(fault.InvalidInput, "scenario %q: unknown arrival %q", s.Name, s.Arrival).At("scenarios.arrival", string(s.Arrival), Arrivals...)
	case s.Kind != KindRandom && s.Dataset == "":
		return bad("dataset", "", "a %s scenario needs a dataset digest", s.Kind)
	case s.Kind == KindRandom && (s.InputLen < 1 || s.OutputLen < 1):
		return bad("input_len", fmt.Sprintf("%d/%d", s.InputLen, s.OutputLen), "input_len and output_len must be at least 1 token")
	case s.NumPrompts < 1:
		return bad("num_prompts", fmt.Sprint(s.NumPrompts), "num_prompts must be at least 1")
	}
	return s.validateLoad(bad)
}

func (s Scenario) validateLoad(bad func(field, got, format string, args ...any) error) error {
	open := s.Arrival == ArrivalPoisson || s.Arrival == ArrivalConstant
	switch {
	case s.RequestRate != nil && s.MaxConcurrency != nil:
		return bad("max_concurrency", fmt.Sprint(*s.MaxConcurrency), "request_rate with max_concurrency hides queueing: give one of them")
	case s.RateSearch != nil || s.Primary == MaxRateUnderSLA:
		return s.validateRate(bad)
	case open && (s.RequestRate == nil || *s.RequestRate <= 0):
		return bad("request_rate", "", "an open-loop scenario needs request_rate > 0")
	case s.Arrival == ArrivalClosed && (s.MaxConcurrency == nil || *s.MaxConcurrency < 1):
		return bad("max_concurrency", "", "a closed-loop scenario needs max_concurrency of at least 1")
	case s.Arrival == ArrivalClosed && s.NumPrompts < 5**s.MaxConcurrency:
		return bad("num_prompts", fmt.Sprint(s.NumPrompts), "a closed loop needs at least 5 prompts a slot: %d for max_concurrency %d", 5**s.MaxConcurrency, *s.MaxConcurrency)
	}
	return nil
}
