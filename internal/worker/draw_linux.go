package worker

import (
	"errors"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// drawn gives a point's spec with the rows that it sends. From the first private row on, nothing that the engine writes
// leaves the host. Rows that cannot be drawn end the run, which has failed then: it is no candidate's fault.
func (r *runner) drawn(e *engine, p *Point) (bench.Spec, *Failure) {
	spec := p.Spec
	if p.Rows == nil {
		return spec, nil
	}
	r.doing(0, "%s %s: drawing rows", e.launch.ID, p.ID)
	set, err := r.dataset(p.Rows.Dataset)
	if err == nil {
		e.sealed = e.sealed || set.Private()
		err = Draw(set, *p.Rows, &spec)
	}
	if err != nil {
		reason := err.Error()
		if f, ok := fault.As(err); ok && len(f.Hints) > 0 {
			reason += "; " + f.Hints[0]
		}
		r.undrawn = true
		r.cancel(errors.New(reason))
		return spec, &Failure{Class: FailWorker, Reason: cleanLine(reason, maxReasonLine)}
	}
	return spec, nil
}

// hasDatasets refuses a run whose datasets are not on the host, before it begins.
func (r *runner) hasDatasets() error {
	for _, l := range r.plan.Launches {
		for _, p := range l.Points {
			if p.Rows == nil {
				continue
			}
			if _, err := (datasets{dir: filepath.Join(r.plan.Workdir, datasetsDir)}).described(p.Rows.Dataset); err != nil {
				return absent(p.Rows.Dataset)
			}
		}
	}
	return nil
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
