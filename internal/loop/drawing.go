package loop

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// This file joins datasets and campaigns: which endpoint takes which rows, what a contract records of a dataset, whether
// it is large enough, and which rows a point draws.

// endpointOf is the endpoint of the scenarios' kind; requests of all of them go to one.
func endpointOf(scenarios []contract.Scenario) string {
	for _, s := range scenarios {
		if s.Kind == contract.KindChat {
			return bench.PathChat
		}
	}
	return defaultEndpoint
}

// vetKinds refuses scenarios that the endpoint does not take, and loads that their dataset cannot be sent by.
func vetKinds(c *contract.Contract) error {
	for _, s := range c.Scenarios {
		bad := func(field, got, format string, args ...any) *fault.Error {
			return fault.New(fault.InvalidInput, "scenario %q: "+format, append([]any{s.Name}, args...)...).At("scenarios."+field, got)
		}
		want := bench.PathCompletions
		if s.Kind == contract.KindChat {
			want = bench.PathChat
		}
		switch {
		case c.Endpoint != want:
			return bad("kind", s.Kind, "kind %s is sent to %s, and this campaign's endpoint is %s", s.Kind, want, c.Endpoint).
				Hint("set endpoint to %s; scenarios of kind chat and others belong into two campaigns", want)
		case s.Reuse != "" && s.Reuse != contract.ReuseBlocks, s.Reuse != "" && s.Dataset == "":
			return bad("reuse", s.Reuse, "reuse %q is not known", s.Reuse).Hint("give reuse: %s, with a dataset, or leave it out", contract.ReuseBlocks)
		case s.Arrival == contract.ArrivalReplay && s.Kind == contract.KindRandom:
			return bad("arrival", string(s.Arrival), "a replay needs the timestamps of a dataset").Hint("give kind text or chat and a dataset whose rows have timestamps")
		case s.Arrival == contract.ArrivalReplay && (s.RequestRate != nil || s.MaxConcurrency != nil):
			return bad("arrival", string(s.Arrival), "a replay sends rows at their own times").Hint("leave request_rate and max_concurrency out")
		}
	}
	return nil
}

// frozenIndex is an index that goes with a contract.
type frozenIndex struct {
	digest string
	raw    []byte
}

// datasets resolves the scenarios' datasets on the host, records them in the contract, and refuses those that are too
// small or of another shape.
func (d *drafting) datasets(ctx context.Context, c *contract.Contract, h *hostConn, model string) error {
	if err := vetKinds(c); err != nil {
		return err
	}
	found := map[string]*dataset.Index{}
	for i := range c.Scenarios {
		s := &c.Scenarios[i]
		if s.Dataset == "" {
			continue
		}
		if found[s.Dataset] == nil {
			stored, err := h.dataset(ctx, s.Dataset, model)
			if err != nil {
				return err
			}
			found[s.Dataset] = stored.Index
			d.indexes = append(d.indexes, frozenIndex{s.Dataset, stored.Raw})
			c.Datasets = append(c.Datasets, describedIn(c, stored))
		}
		ds, _ := c.Dataset(s.Dataset)
		if s.Kind == contract.KindText && ds.Shape != string(dataset.ShapePrompt) {
			return fault.New(fault.InvalidInput, "scenario %q: kind text sends prompts, and dataset %s holds %s", s.Name, s.Dataset, ds.Shape).At("scenarios.kind", s.Kind, contract.KindChat).
				Hint("give kind chat and endpoint %s", bench.PathChat)
		}
		division, err := dataset.Divide(found[s.Dataset], dataset.By(ds.By))
		if err != nil {
			return err
		}
		if err := sufficient(division, c, *s); err != nil {
			return err
		}
		s.InputLen, s.OutputLen = ds.Median(), max(1, int(ds.OutputLen.P50+0.5))
		d.tellDataset(*s, ds)
	}
	return nil
}

// dataset finds a dataset with its index.
func (h *hostConn) dataset(ctx context.Context, digest, model string) (StoredDataset, error) {
	client, _, err := h.worker(ctx)
	if err != nil {
		return StoredDataset{}, err
	}
	stored, err := client.Dataset(ctx, digest, model)
	if err != nil {
		return StoredDataset{}, err
	}
	return withIndex(ctx, client, stored)
}

// describedIn is a dataset as the contract records it.
func describedIn(c *contract.Contract, stored StoredDataset) contract.Dataset {
	d := stored.Description
	by := byOf(c, d.Digest)
	out := contract.Dataset{
		Digest: d.Digest, Content: d.Content, Index: contract.Digest(stored.Raw), Private: d.Private, Shape: string(d.Shape), Rows: d.Rows, Conversations: d.Conversations,
		PromptChars: contract.Lengths(d.PromptChars), OutputLen: contract.Lengths(d.OutputLen), LongestChars: d.LongestChars, LongestOutput: d.LongestOutput,
		SharedPrefix: d.SharedPrefix.Share, By: string(by), Parts: map[string]int{},
	}
	if d.PromptTokens != nil && d.LongestTokens != nil {
		tokens := contract.Lengths(*d.PromptTokens)
		out.PromptTokens, out.LongestTokens, out.Tokenizer = &tokens, *d.LongestTokens, d.Tokenizer
	}
	sizes := d.Parts
	if by == dataset.ByTime {
		sizes = d.Windows
	}
	for part, n := range sizes {
		out.Parts[string(part)] = n
	}
	return out
}

// byOf says what divides a dataset in a campaign: time as soon as one scenario replays it, so that no row is on two sides.
func byOf(c *contract.Contract, digest string) dataset.By {
	for _, s := range c.Scenarios {
		if s.Dataset == digest && s.Arrival == contract.ArrivalReplay {
			return dataset.ByTime
		}
	}
	return dataset.ByConversation
}

// sufficient refuses a dataset that a scenario would run out of. The shape drawn after an approval may have more slots,
// so its need is a larger one.
func sufficient(d *dataset.Division, c *contract.Contract, s contract.Scenario) error {
	draws := DatasetDraws(string(c.Study), c.Blocks.Max)
	unseen := draws[dataset.PartUnseen]
	delete(draws, dataset.PartUnseen)
	reuse := dataset.Reuse(s.Reuse)
	if err := d.Suffices(dataset.NeedOf(s, 0, draws, reuse)); err != nil {
		return err
	}
	if unseen == 0 {
		return nil
	}
	if s.MaxConcurrency != nil {
		slots := mostSlots(*s.MaxConcurrency)
		s.NumPrompts, s.MaxConcurrency = max(5*slots, s.NumPrompts), &slots
	}
	return d.Suffices(dataset.NeedOf(s, 0, map[dataset.Part]int{dataset.PartUnseen: unseen}, reuse))
}

// tellDataset names what the contract takes from a dataset.
func (d *drafting) tellDataset(s contract.Scenario, ds contract.Dataset) {
	if ds.PromptTokens != nil {
		d.assume("scenario %s: input_len %d and output_len %d, the medians of its dataset", s.Name, s.InputLen, s.OutputLen)
	} else {
		d.assume("scenario %s: input_len %d estimated from %.0f characters, a quarter of them, since nobody counted tokens; output_len %d, the dataset's median",
			s.Name, s.InputLen, ds.PromptChars.P50, s.OutputLen)
	}
	if s.NaturalEnd() {
		d.assume("scenario %s: answers end where the model ends them; their length is not compared, the time of a token is", s.Name)
	}
}

// datasetWarnings say what a careful reader would ask of datasets.
func datasetWarnings(c *contract.Contract) []string {
	var out []string
	for _, d := range c.Datasets {
		if d.Private {
			out = append(out, fmt.Sprintf("dataset %.19s is private: its text and what engines log of it stay on the host", d.Digest))
		}
	}
	for _, s := range c.Scenarios {
		if s.Reuse == contract.ReuseBlocks {
			out = append(out, fmt.Sprintf("scenario %s: every block sends the same rows (reuse: blocks), so the verdict is about these rows", s.Name))
		}
	}
	return out
}

// drawOf says which rows a point draws; nil for random prompts. The search has rows of its own, the same for every launch;
// blocks have others, and what is measured after an approval others again.
func drawOf(c *contract.Contract, s contract.Scenario, phase string, block int) *worker.DatasetDraw {
	if s.Dataset == "" {
		return nil
	}
	reuse := dataset.Reuse(s.Reuse)
	part := dataset.PartSearch
	switch {
	case phase == string(compare.PhaseBlock) || phase == string(compare.PhaseRevalidate):
		part = dataset.PartBlocks
	case phase == useEquality || strings.HasSuffix(phase, "/"+useUnseen):
		part = dataset.PartUnseen
	default:
		reuse = dataset.ReuseBlocks
	}
	ds, _ := c.Dataset(s.Dataset)
	need := dataset.NeedOf(s, 0, nil, reuse)
	if s.WarmupWaves == 0 {
		need.Warmup = 0
	}
	return &worker.DatasetDraw{Dataset: s.Dataset, By: byOf(c, s.Dataset), Draw: dataset.Draw{
		Seed: c.Seed, Phase: phase, Scenario: s.Name, Block: block, Part: part, Prompts: need.Prompts, Warmup: need.Warmup, Reuse: reuse,
	}, Private: ds.Private}
}

// rowsLeft refuses blocks that the datasets have no rows for: void ones were replaced more often than the contract foresaw.
func rowsLeft(c *contract.Contract, blocks int) error {
	most := DatasetDraws(string(c.Study), c.Blocks.Max)[dataset.PartBlocks]
	for _, s := range c.Scenarios {
		if s.Dataset != "" && s.Reuse == "" && blocks > most {
			return fault.New(fault.Conflict, "%d blocks were asked for, void ones included, and the dataset of scenario %q has rows for %d", blocks, s.Name, most).
				Hint("look at the audits in section rows of get_campaign; then open a campaign with a larger dataset, or reuse: blocks")
		}
	}
	return nil
}

// keepIndexes puts the datasets' indexes into the run directory.
func keepIndexes(led *ledger.Ledger, indexes []frozenIndex) ([]ledger.Artifact, error) {
	var out []ledger.Artifact
	for _, ix := range indexes {
		art, err := led.Put("datasets/"+strings.Replace(ix.digest, ":", "-", 1)+".index.jsonl.gz", bytes.NewReader(ix.raw))
		if err != nil {
			return nil, err
		}
		out = append(out, art)
	}
	return out, nil
}
