package loop

import (
	"bytes"
	"context"
	"path"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// StoredDataset is a dataset on a host with its index, which holds no text.
type StoredDataset struct {
	worker.DatasetStored
	Index *dataset.Index
	Raw   []byte // of the index
}

// AddDataset stores a normalised dataset on a host. model, where it is not empty, is whose tokenizer counts lengths.
func (l *Loop) AddDataset(ctx context.Context, host, model string, a worker.AddDataset) (StoredDataset, error) {
	client, entry, err := l.datasetHost(ctx, host)
	if err != nil {
		return StoredDataset{}, err
	}
	if model != "" {
		t, err := l.tokenizer(ctx, host, model, entry)
		if err != nil {
			return StoredDataset{}, err
		}
		a.Tokenizer = &t
	}
	stored, err := client.StoreDataset(ctx, a)
	if err != nil {
		return StoredDataset{}, err
	}
	return withIndex(ctx, client, stored)
}

// Datasets lists a host's datasets.
func (l *Loop) Datasets(ctx context.Context, host string) ([]dataset.Description, error) {
	client, _, err := l.datasetHost(ctx, host)
	if err != nil {
		return nil, err
	}
	return client.Datasets(ctx)
}

// Dataset finds a dataset on a host.
func (l *Loop) Dataset(ctx context.Context, host, digest string) (StoredDataset, error) {
	client, _, err := l.datasetHost(ctx, host)
	if err != nil {
		return StoredDataset{}, err
	}
	stored, err := client.Dataset(ctx, digest, "")
	if err != nil {
		return StoredDataset{}, err
	}
	return withIndex(ctx, client, stored)
}

// CountTokens counts texts by a model's tokenizer on a host.
func (l *Loop) CountTokens(ctx context.Context, host, model string, texts []string) ([]int, error) {
	client, entry, err := l.datasetHost(ctx, host)
	if err != nil {
		return nil, err
	}
	t, err := l.tokenizer(ctx, host, model, entry)
	if err != nil {
		return nil, err
	}
	return client.CountTokens(ctx, t, texts)
}

func (l *Loop) datasetHost(ctx context.Context, host string) (*worker.Client, hosts.HostEntry, error) {
	h, entry, err := l.host(host)
	if err != nil {
		return nil, entry, err
	}
	client, _, err := h.worker(ctx)
	return client, entry, err
}

// tokenizer says where a model's tokenizer lies and which interpreters may read it: those of the engines' environments.
func (l *Loop) tokenizer(ctx context.Context, host, model string, entry hosts.HostEntry) (worker.Tokenizer, error) {
	h, _, err := l.host(host)
	if err != nil {
		return worker.Tokenizer{}, err
	}
	facts, _, _, err := h.probe(ctx, model)
	if err != nil {
		return worker.Tokenizer{}, err
	}
	m := facts.Models[model]
	if m.Path == "" {
		return worker.Tokenizer{}, fault.New(fault.NotFound, "model %q is not on host %q", model, host).At("model", model, sortedKeys(entry.Models)...).
			Hint("name a model of the host, or leave --model out")
	}
	t := worker.Tokenizer{Model: m.Path, Pythons: []string{}}
	for _, name := range sortedKeys(entry.Engines) {
		if venv := entry.Engines[name].Venv; venv != "" {
			t.Pythons = append(t.Pythons, path.Join(venv, "bin", "python"), path.Join(venv, "bin", "python3"))
		}
	}
	return t, nil
}

func withIndex(ctx context.Context, client *worker.Client, stored worker.DatasetStored) (StoredDataset, error) {
	out := StoredDataset{DatasetStored: stored}
	var raw bytes.Buffer
	if err := client.FetchIndex(ctx, stored, &raw); err != nil {
		return out, err
	}
	out.Raw = raw.Bytes()
	var err error
	if out.Index, err = dataset.ReadIndex(bytes.NewReader(out.Raw)); err != nil {
		return out, fault.Wrap(fault.Corrupt, err, "the index of dataset %s cannot be used", stored.Description.Digest).Hint("add the dataset again")
	}
	if out.Index.Digest != stored.Description.Digest || out.Index.Keyed != stored.Description.Private {
		return out, fault.New(fault.Corrupt, "the index on the host is not that of dataset %s", stored.Description.Digest).Hint("add the dataset again")
	}
	return out, nil
}

// DatasetDraws is how many draws a scenario of a study takes from each part of its dataset: one for the search, whose
// launches all send the same rows; one for every block, and for the blocks that may have to replace void ones; and for
// every block of the shape that nobody knew before.
func DatasetDraws(study string, blocks int) map[dataset.Part]int {
	draws := map[dataset.Part]int{dataset.PartBlocks: blocks + spareBlocks(blocks)}
	if study == string(contract.StudySOTA) || study == string(contract.StudyTune) {
		draws[dataset.PartSearch] = 1
	}
	if study == string(contract.StudySOTA) {
		draws[dataset.PartUnseen] = blocks
	}
	return draws
}

// mostViews is how many datasets of a host an answer names.
const mostViews = 20

// datasetViews lists a host's datasets for an answer; a worker that cannot list them has none.
func (h *hostConn) datasetViews(ctx context.Context) []DatasetView {
	client, _, err := h.worker(ctx)
	if err != nil {
		return nil
	}
	list, err := client.Datasets(ctx)
	if err != nil {
		h.loop.opt.Log.Debug("list datasets", "host", h.name, "error", err)
		return nil
	}
	var out []DatasetView
	for _, d := range list[:min(len(list), mostViews)] {
		kind := contract.KindText
		if d.Shape == dataset.ShapeMessages {
			kind = contract.KindChat
		}
		out = append(out, DatasetView{Digest: d.Digest, Kind: kind, Rows: d.Rows, Replay: d.SpanS != nil, Private: d.Private})
	}
	return out
}
