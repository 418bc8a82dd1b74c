package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// openDataset reads the file of --dataset into a folder that forget removes.
func (r *loadgenRun) openDataset() error {
	if r.rows == "" {
		return nil
	}
	for _, name := range []string{"input-len", "vocab"} {
		if r.given[name] {
			return fault.New(fault.InvalidInput, "--%s and --dataset: the rows are what is sent", name).At(name, "")
		}
	}
	f, err := os.Open(r.rows)
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "open dataset").At("dataset", r.rows)
	}
	defer f.Close()
	dir, err := os.MkdirTemp("", "sotaloop-dataset-")
	if err != nil {
		return fmt.Errorf("make a folder for the normalised dataset: %w", err)
	}
	opt := dataset.Options{OutputLen: r.spec.Scenario.OutputLen, Turns: dataset.TurnsFirst}
	if r.set, err = dataset.Store(dir, f, opt); err != nil {
		_ = os.RemoveAll(dir)
	}
	return err
}

// forget removes what openDataset made.
func (r *loadgenRun) forget() error {
	if r.set == nil {
		return nil
	}
	return os.RemoveAll(filepath.Dir(r.set.Path()))
}

// useDataset makes the scenario of the flags one of the dataset's rows.
func (r *loadgenRun) useDataset(s *contract.Scenario) {
	if r.set == nil {
		return
	}
	if r.set.Shape == dataset.ShapeMessages && !r.given["endpoint"] {
		r.endpoint, r.target.Path = "chat", bench.PathChat
		r.assume("endpoint chat, since the rows are messages (--endpoint)")
	}
	s.Dataset, s.Kind, s.OutputLen = r.set.Digest, contract.KindText, 0
	if r.target.Path == bench.PathChat {
		s.Kind = contract.KindChat
	}
	if !r.given["ignore-eos"] {
		s.IgnoreEOS = false
		r.assume("answers end where the model ends them, at their row's output_len at the latest (--ignore-eos)")
	}
}

// suits refuses a scenario and a dataset that do not go together.
func (r *loadgenRun) suits() error {
	s := &r.spec.Scenario
	switch {
	case r.set == nil && (s.Kind != contract.KindRandom || s.Arrival == contract.ArrivalReplay):
		return fault.New(fault.InvalidInput, "a scenario of kind %s, and a replay, need a dataset", s.Kind).At("scenarios.kind", s.Kind, contract.KindRandom).
			Hint("give the rows with --dataset FILE")
	case r.set == nil:
		return nil
	case s.Kind == contract.KindRandom:
		return fault.New(fault.InvalidInput, "a scenario of kind random sends no rows").At("scenarios.kind", s.Kind, contract.KindText, contract.KindChat).Hint("leave --dataset out")
	case s.Dataset != r.set.Digest:
		return fault.New(fault.InvalidInput, "the scenario names another dataset than the file holds").At("scenarios.dataset", s.Dataset, r.set.Digest)
	case r.set.Shape == dataset.ShapeMessages && r.target.Path != bench.PathChat:
		return fault.New(fault.InvalidInput, "the rows are messages, which %s does not take", r.target.Path).At("endpoint", r.endpoint, "chat")
	case s.Arrival == contract.ArrivalReplay && (s.RequestRate != nil || s.MaxConcurrency != nil):
		return fault.New(fault.InvalidInput, "a replay sends rows at their own times: it has neither request_rate nor max_concurrency").At("scenarios.arrival", string(s.Arrival))
	}
	return nil
}

// mostRows is how many rows one draw can have; 0 where the dataset cannot be divided.
func (r *loadgenRun) mostRows() int {
	if r.set == nil {
		return 0
	}
	division, err := dataset.Divide(r.set.Index, dataset.ByOf(r.spec.Scenario))
	if err != nil {
		return 0
	}
	return division.Most(map[dataset.Part]int{dataset.PartBlocks: 1}, dataset.ReuseNone)
}

// drawRows draws the rows as a campaign's first block does: measured ones from the part blocks, and others of it for
// everything unmeasured.
func (r *loadgenRun) drawRows() error {
	if r.set == nil {
		return nil
	}
	s := r.spec.Scenario
	need := dataset.NeedOf(s, r.spec.Window.Min, nil, dataset.ReuseNone)
	draw := dataset.Draw{Seed: r.spec.Seed, Phase: "loadgen", Scenario: s.Name, Part: dataset.PartBlocks, Prompts: need.Prompts, Warmup: need.Warmup}
	if err := worker.Draw(r.set, worker.DatasetDraw{Dataset: r.set.Digest, By: dataset.ByOf(s), Draw: draw}, &r.spec); err != nil {
		return err
	}
	r.assume("%d rows of the part blocks of %d, and %d others for what is not measured", len(r.spec.Rows), r.set.Len(), len(r.spec.WarmupRows))
	return nil
}
