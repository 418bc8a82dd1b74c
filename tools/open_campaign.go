package tools

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// OpenCampaignIn are the terms to freeze. What is left out is assumed, and said.
type OpenCampaignIn struct {
	Model          string            `json:"model,omitempty" jsonschema_description:"model id, as Qwen/Qwen3-8B; required unless from is given"`
	Host           string            `json:"host,omitempty" jsonschema_description:"host of list_hosts; required unless from is given"`
	Study          string            `json:"study,omitempty" jsonschema:"enum=sota,enum=tune,enum=ab,enum=look" jsonschema_description:"sota: target against other frameworks. tune: one engine against an incumbent. ab: two fixed commands. look: two blocks, no verdict"`
	Target         string            `json:"target,omitempty" jsonschema_description:"engine entry to improve"`
	Against        []string          `json:"against,omitempty" jsonschema_description:"engine entries to compare with"`
	Incumbent      string            `json:"incumbent,omitempty" jsonschema_description:"tune: the command line in use"`
	Commands       map[string]string `json:"commands,omitempty" jsonschema_description:"ab and look: command line by entry"`
	GPUs           []int             `json:"gpus,omitempty"`
	Precision      string            `json:"precision,omitempty"`
	Quantization   string            `json:"quantization,omitempty"`
	KVDtype        string            `json:"kv_dtype,omitempty"`
	Speculation    string            `json:"speculation,omitempty"`
	MaxContext     int               `json:"max_context,omitempty" jsonschema_description:"tokens"`
	Revision       string            `json:"revision,omitempty"`
	Tokenizer      string            `json:"tokenizer,omitempty"`
	Endpoint       string            `json:"endpoint,omitempty"`
	Scenarios      []Scenario        `json:"scenarios,omitempty" jsonschema_description:"request shapes; default chat 1000/1000 and summarization 8000/1000"`
	SLA            SLA               `json:"sla,omitempty" jsonschema_description:"limits by key: max_p50_ttft_ms, max_p50_tpot_ms, max_p50_e2e_ms (also p95, p99), min_success_rate. For no limits say so: {none: 1}"`
	Goodput        *Goodput          `json:"goodput,omitempty" jsonschema_description:"limits a request must keep to count"`
	MinAttainment  float64           `json:"min_attainment,omitempty" jsonschema:"minimum=0,maximum=1"`
	RankBy         string            `json:"rank_by,omitempty" jsonschema_description:"request_throughput ranks by that instead of the SLA first"`
	Delta          float64           `json:"delta,omitempty" jsonschema_description:"noise threshold as a ratio, default 0.03"`
	MaxBlocks      int               `json:"max_blocks,omitempty"`
	BudgetLaunches int               `json:"budget_launches,omitempty" jsonschema_description:"search launches for each framework, default 10"`
	MaxGPUHours    float64           `json:"max_gpu_hours,omitempty"`
	CapacityStudy  bool              `json:"capacity_study,omitempty" jsonschema_description:"also search memory fractions and schedule policy"`
	Accuracy       string            `json:"accuracy,omitempty" jsonschema_description:"accuracy evaluation for patches that change outputs"`
	From           string            `json:"from,omitempty" jsonschema_description:"campaign to copy terms from"`
	Plan           bool              `json:"plan,omitempty" jsonschema_description:"show contract and cost, freeze nothing"`
	Key            string            `json:"key,omitempty" jsonschema_description:"the same key again answers the same campaign"`
}

// Scenario is one request shape; its fields are those of contract.Scenario, all but the name with a default.
type Scenario struct {
	Name           string           `json:"name"`
	Kind           string           `json:"kind,omitempty" jsonschema:"enum=random,enum=text,enum=chat"`
	Dataset        string           `json:"dataset,omitempty" jsonschema_description:"sha256:… of sotaloop dataset add, for text and chat"`
	InputLen       int              `json:"input_len,omitempty" jsonschema_description:"tokens"`
	OutputLen      int              `json:"output_len,omitempty" jsonschema_description:"tokens"`
	NumPrompts     int              `json:"num_prompts,omitempty"`
	Arrival        contract.Arrival `json:"arrival,omitempty" jsonschema:"enum=closed,enum=poisson,enum=constant,enum=burst,enum=replay"`
	RequestRate    *float64         `json:"request_rate,omitempty" jsonschema_description:"per second; open loop"`
	MaxConcurrency *int             `json:"max_concurrency,omitempty" jsonschema_description:"slots; closed loop"`
	Temperature    float64          `json:"temperature,omitempty"`
	IgnoreEOS      bool             `json:"ignore_eos,omitempty"`
	Stream         bool             `json:"stream,omitempty"`
	WarmupWaves    int              `json:"warmup_waves,omitempty"`
	Primary        string           `json:"primary,omitempty" jsonschema_description:"metric the verdict is about"`
	ClaimsNatural  bool             `json:"natural_end,omitempty"`

	RateSearch *contract.RateSearch `json:"rate_search,omitempty" jsonschema_description:"instead of request_rate: find the highest rate under the SLA, between low and high; {} takes the cookbook's bounds"`
	Reuse      string               `json:"reuse,omitempty" jsonschema:"enum=blocks" jsonschema_description:"every block sends the same rows, where the dataset is too small"`
}

// Goodput is contract.Goodput with names for a caller.
type Goodput struct {
	TTFTUserMS float64 `json:"ttft_user_ms,omitempty"`
	TPOTMS     float64 `json:"tpot_ms,omitempty"`
	E2EUserMS  float64 `json:"e2e_user_ms,omitempty"`
}

func openCampaign(l *loop.Loop) Tool {
	return Define("open_campaign", "Open a campaign",
		"Freezes the terms of a comparison: model, host, sides, scenarios, SLA, budget. Nothing in them changes afterwards. Call it with plan: true first to see assumptions and projected cost.",
		Hints{OpenWorld: true},
		func(ctx context.Context, in OpenCampaignIn) (loop.Opened, error) { return l.Open(ctx, in.request()) })
}

// request gives the terms as the domain takes them.
func (in OpenCampaignIn) request() loop.OpenRequest {
	limits, none := in.SLA.limits()
	r := loop.OpenRequest{
		Model: in.Model, Host: in.Host, Study: in.Study, Target: in.Target, GPUs: in.GPUs, Against: in.Against,
		Incumbent: in.Incumbent, Commands: in.Commands,
		Precision: in.Precision, Quantization: in.Quantization, KVDtype: in.KVDtype, Speculation: in.Speculation,
		Revision: in.Revision, Tokenizer: in.Tokenizer, MaxContext: in.MaxContext, Endpoint: in.Endpoint,
		SLA: limits, SLANone: none, MinAttainment: in.MinAttainment, Delta: in.Delta, MaxGPUHours: in.MaxGPUHours,
		MaxBlocks: in.MaxBlocks, BudgetLaunches: in.BudgetLaunches, RankBy: in.RankBy, Accuracy: in.Accuracy,
		CapacityStudy: in.CapacityStudy, Plan: in.Plan, From: in.From, Key: in.Key,
	}
	for _, s := range in.Scenarios {
		r.Scenarios = append(r.Scenarios, contract.Scenario(s))
	}
	if in.Goodput != nil {
		g := contract.Goodput(*in.Goodput)
		r.Goodput = &g
	}
	return r
}
