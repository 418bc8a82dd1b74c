package verify

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// datasets compares what the contract says of its datasets with their indexes, and those with the datasets themselves
// where they were given.
func (v *verifier) datasets() (string, error) {
	if v.unread != nil {
		return "", v.unread
	}
	c := v.state.Contract
	frozen, ok := v.decoded[0].(*loop.ContractFrozen)
	if !ok || len(frozen.Datasets) != len(c.Datasets) {
		return "", fmt.Errorf("the contract names %d datasets and other indexes are kept with it", len(c.Datasets))
	}
	for _, s := range c.Scenarios {
		if _, known := c.Dataset(s.Dataset); s.Dataset != "" && !known {
			return "", fmt.Errorf("scenario %s: the contract does not describe dataset %s", s.Name, s.Dataset)
		}
	}
	rows := 0
	for _, d := range c.Datasets {
		if err := v.sameDataset(d); err != nil {
			return "", fmt.Errorf("dataset %s: %w", d.Digest, err)
		}
		rows += d.Rows
	}
	given, err := v.givenDatasets()
	if err != nil || rows == 0 {
		return "none", err
	}
	how := "draws are made again from their indexes, without text"
	if given > 0 {
		how = fmt.Sprintf("%d of them compared with the dataset itself", given)
	}
	return fmt.Sprintf("%d datasets with %d rows; %s", len(c.Datasets), rows, how), nil
}

// sameDataset compares one dataset of the contract with its index.
func (v *verifier) sameDataset(d contract.Dataset) error {
	ix, err := v.index(d.Digest)
	if err != nil {
		return err
	}
	division, err := v.division(d.Digest, dataset.By(d.By))
	if err != nil {
		return err
	}
	parts := map[string]int{}
	for part, n := range division.Sizes() {
		parts[string(part)] = n
	}
	switch {
	case ix.Keyed != d.Private || ix.Content != d.Content || string(ix.Shape) != d.Shape:
		return fmt.Errorf("its index is of another dataset, or of the same one without its secrecy")
	case ix.Len() != d.Rows:
		return fmt.Errorf("it has %d rows, its index %d", d.Rows, ix.Len())
	case !maps.Equal(parts, d.Parts):
		return fmt.Errorf("its parts are %v, its index gives %v", d.Parts, parts)
	}
	return nil
}

// givenDatasets compares indexes with files that the caller has.
func (v *verifier) givenDatasets() (int, error) {
	for _, path := range v.opt.Datasets {
		own, err := dataset.IndexOf(path)
		if err != nil {
			return 0, err
		}
		kept, err := v.index(own.Digest)
		if err != nil {
			return 0, fmt.Errorf("%s is no dataset of this campaign: %w", own.Digest, err)
		}
		if kept.Keyed && !own.Keyed {
			return 0, fmt.Errorf("dataset %s is private, and no key lies beside the given file", own.Digest)
		}
		if err := kept.Same(own); err != nil {
			return 0, fmt.Errorf("dataset %s: %w", own.Digest, err)
		}
	}
	return len(v.opt.Datasets), nil
}

// index reads a dataset's index once.
func (v *verifier) index(digest string) (*dataset.Index, error) {
	if ix, ok := v.indexes[digest]; ok {
		return ix, nil
	}
	d, ok := v.state.Contract.Dataset(digest)
	frozen, is := v.decoded[0].(*loop.ContractFrozen)
	if !ok || !is {
		return nil, fmt.Errorf("the contract does not name dataset %s", digest)
	}
	for _, a := range frozen.Datasets {
		if a.SHA256 != d.Index {
			continue
		}
		raw, err := v.readFile(a)
		if err != nil {
			return nil, err
		}
		if got := contract.Digest(raw); got != d.Index {
			return nil, fmt.Errorf("%s has the sha256 %s, the contract names %s", a.Name, got, d.Index)
		}
		ix, err := dataset.ReadIndex(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		if ix.Digest != digest {
			return nil, fmt.Errorf("%s is the index of %s", a.Name, ix.Digest)
		}
		if v.indexes == nil {
			v.indexes = map[string]*dataset.Index{}
		}
		v.indexes[digest] = ix
		return ix, nil
	}
	return nil, fmt.Errorf("no index is kept of dataset %s", digest)
}

func (v *verifier) division(digest string, by dataset.By) (*dataset.Division, error) {
	key := digest + " " + string(by)
	if d, ok := v.divided[key]; ok {
		return d, nil
	}
	ix, err := v.index(digest)
	if err != nil {
		return nil, err
	}
	d, err := dataset.Divide(ix, by)
	if err != nil {
		return nil, err
	}
	if v.divided == nil {
		v.divided = map[string]*dataset.Division{}
	}
	v.divided[key] = d
	return d, nil
}

// drawnAgain is what a point's draw gives when it is made anew; empty for random prompts.
type drawnAgain struct {
	index    *dataset.Index
	rows     dataset.Drawn
	evidence *bench.Drawn
	keyed    bool
}

// drawn makes a point's draw again.
func (v *verifier) drawn(pt worker.Point) (drawnAgain, error) {
	if pt.Rows == nil {
		return drawnAgain{}, nil
	}
	division, err := v.division(pt.Rows.Dataset, pt.Rows.By)
	if err != nil {
		return drawnAgain{}, err
	}
	rows, err := division.Draw(pt.Rows.Draw)
	if err != nil {
		return drawnAgain{}, err
	}
	ix := v.indexes[pt.Rows.Dataset]
	evidence := bench.Drawn(ix.Evidence(rows))
	return drawnAgain{index: ix, rows: rows, evidence: &evidence, keyed: ix.Keyed}, nil
}

// check compares each request's length with that of the row it has to have sent, and of private rows that nothing was
// kept which could be their text.
func (d drawnAgain) check(rec *bench.Recording) error {
	if d.index == nil {
		return nil
	}
	arrival := rec.Header.Scenario.Arrival
	found := arrival != contract.ArrivalPoisson && arrival != contract.ArrivalConstant // lead and tail were planned for the window
	for i, r := range rec.Records {
		rows := d.rows.Warmup
		if r.Role == bench.RoleWindow || found && r.Role != bench.RoleWarmup {
			rows = d.rows.Rows
		}
		switch unmade := r.Outcome == bench.OutcomeDropped && r.WantOut == 0; {
		case d.keyed && (r.Output != "" || len(r.Logprobs) > 0):
			return fmt.Errorf("records: request %d of a private dataset holds its output", i+1)
		case unmade:
		case len(rows) == 0 || r.Index < 0:
			return fmt.Errorf("records: request %d has no row", i+1)
		case d.index.OutputLen(rows[r.Index%len(rows)]) != r.WantOut:
			return fmt.Errorf("records: request %d asked for %d tokens, its row for %d", i+1, r.WantOut, d.index.OutputLen(rows[r.Index%len(rows)]))
		}
	}
	return nil
}
