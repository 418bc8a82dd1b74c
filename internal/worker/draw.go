package worker

import (
	"bytes"
	"encoding/json"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Draw puts the rows of a draw into a spec, with what proves them.
func Draw(set *dataset.Set, d DatasetDraw, spec *bench.Spec) error {
	if d.Private && !set.Private() {
		return fault.New(fault.Corrupt, "dataset %s is private, and its key is gone from the host", d.Dataset).At("dataset", d.Dataset).
			Hint("put the key file back from a copy; or add the dataset again with --private and open a new campaign, since another key divides it otherwise")
	}
	division, err := dataset.Divide(set.Index, d.By)
	if err != nil {
		return err
	}
	drawn, err := division.Draw(d.Draw)
	if err != nil {
		return err
	}
	if spec.Rows, err = benchRows(set, drawn.Rows); err != nil {
		return err
	}
	if spec.WarmupRows, err = benchRows(set, drawn.Warmup); err != nil {
		return err
	}
	evidence := bench.Drawn(set.Evidence(drawn))
	spec.Drawn = &evidence
	if set.Private() {
		spec.DigestKey, spec.KeepOutputs, spec.WantLogprobs = set.OutputKey(), false, false
	}
	return nil
}

// benchRows reads rows as the load client sends them; numbers of their extra fields stay as they are written.
func benchRows(set *dataset.Set, numbers []int) ([]bench.Row, error) {
	rows, err := set.Rows(numbers)
	if err != nil {
		return nil, err
	}
	out := make([]bench.Row, len(rows))
	for i, row := range rows {
		out[i] = bench.Row{Prompt: row.Prompt, Messages: row.Messages, OutputLen: row.OutputLen, At: row.At}
		if row.Extra == nil {
			continue
		}
		decode := json.NewDecoder(bytes.NewReader(row.Extra))
		decode.UseNumber()
		if err := decode.Decode(&out[i].Extra); err != nil {
			return nil, err
		}
	}
	return out, nil
}
