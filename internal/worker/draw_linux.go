package worker

import (
	"bytes"
	"encoding/json"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// drawn gives a point's spec with the rows that it sends. From the first private row on, nothing that the engine writes
// leaves the host.
func (r *runner) drawn(e *engine, p *Point) (bench.Spec, *Failure) {
	spec := p.Spec
	if p.Rows == nil {
		return spec, nil
	}
	r.doing(0, "%s %s: drawing rows", e.launch.ID, p.ID)
	set, err := r.dataset(p.Rows.Dataset)
	if err == nil {
		e.sealed = e.sealed || set.Private()
		err = draw(set, *p.Rows, &spec)
	}
	if err != nil {
		reason := err.Error()
		if f, ok := fault.As(err); ok && len(f.Hints) > 0 {
			reason += "; " + f.Hints[0]
		}
		return spec, &Failure{Class: FailWorker, Reason: cleanLine(reason, maxReasonLine)}
	}
	return spec, nil
}

// dataset opens a stored dataset once a run; it is held against its digest then, and each row again when it is drawn.
func (r *runner) dataset(digest string) (*dataset.Set, error) {
	if set, ok := r.sets[digest]; ok {
		return set, nil
	}
	set, err := dataset.Open(filepath.Join(r.plan.Workdir, datasetsDir), digest)
	if err != nil {
		return nil, err
	}
	if r.sets == nil {
		r.sets = map[string]*dataset.Set{}
	}
	r.sets[digest] = set
	return set, nil
}

// draw puts the rows of a draw into a spec, with what proves them.
func draw(set *dataset.Set, d DatasetDraw, spec *bench.Spec) error {
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
