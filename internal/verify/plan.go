package verify

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// planned is one run's plan as it was sent to the host.
type planned struct {
	loop.RunPlanned
	plan worker.Plan
}

// read gives an artifact's bytes, which the check of artifacts has compared with its digest.
func (v *verifier) read(a ledger.Artifact) ([]byte, error) {
	n := v.named[a.Name]
	if n == nil || n.Artifact != a {
		return nil, fmt.Errorf("%q was replaced by a later entry", a.Name)
	}
	return v.readFile(a)
}

// loadPlans reads every plan once.
func (v *verifier) loadPlans() error {
	for _, p := range v.decoded {
		run, ok := p.(*loop.RunPlanned)
		if !ok {
			continue
		}
		raw, err := v.read(run.Plan)
		if err != nil {
			return err
		}
		one := planned{RunPlanned: *run}
		if err := json.Unmarshal(raw, &one.plan); err != nil {
			return fmt.Errorf("%s: %w", run.Plan.Name, err)
		}
		v.plans = append(v.plans, one)
	}
	return nil
}

// launches are the plans' launches of an id, the newest plan first: a lost run is planned again.
func (v *verifier) launches(id string) []worker.Launch {
	var out []worker.Launch
	for i := len(v.plans) - 1; i >= 0; i-- {
		for _, l := range v.plans[i].plan.Launches {
			if l.ID == id {
				out = append(out, l)
			}
		}
	}
	return out
}

// runs checks that what was asked of the host follows from the contract: jobs, plans, load points and launches.
func (v *verifier) runs() group {
	ends := 0
	visit := func(_ *loop.State, _ chain.Entry, payload any) error {
		switch p := payload.(type) {
		case *loop.JobStarted:
			return sameJob(p)
		case *loop.LaunchEnded:
			ends++
			return v.launchEnd(p)
		}
		return nil
	}
	return group{"runs", visit, func() (string, error) {
		points := 0
		for _, p := range v.plans {
			n, err := v.plan(p)
			if err != nil {
				return "", fmt.Errorf("%s: %w", p.Plan.Name, err)
			}
			points += n
		}
		return fmt.Sprintf("%d jobs, %d plans with %d load points, %d launches", len(v.state.Jobs), len(v.plans), points, ends), nil
	}}
}

func sameJob(j *loop.JobStarted) error {
	spec, err := loop.JobSpec(*j)
	if err == nil && spec != j.Spec {
		err = fmt.Errorf("%s has spec %s, tool and arguments give %s", j.Job, j.Spec, spec)
	}
	return err
}

// plan compares one plan with what contract and proposal fix, and counts its points.
func (v *verifier) plan(p planned) (int, error) {
	if !v.state.NamesRun(p.RunPlanned) {
		return 0, fmt.Errorf("run id %s is not that of job %q, step %q", p.RunID, p.Job, p.Step)
	}
	if err := equal(v.state.PlanFrame(p.RunPlanned, p.plan), p.plan); err != nil {
		return 0, err
	}
	n := 0
	for _, l := range p.plan.Launches {
		tree := ""
		if l.Overlay != nil {
			tree = l.Overlay.Tree
		}
		if want := v.state.OverlayTree(l); tree != want {
			return 0, fmt.Errorf("launch %s runs tree %q, its side is tree %q", l.ID, tree, want)
		}
		for _, pt := range l.Points {
			want, _, ok := v.state.PlannedPoint(l, pt.ID)
			if !ok {
				return 0, fmt.Errorf("launch %s carries point %q, which the contract does not know", l.ID, pt.ID)
			}
			if err := equal(want, pt); err != nil {
				return 0, fmt.Errorf("launch %s, point %s: %w", l.ID, pt.ID, err)
			}
			n++
		}
	}
	return n, nil
}

// launchEnd compares a launch's end with its plan: identity, command, tree and, where a tree was laid over the installed
// package, the proof that the process loaded it.
func (v *verifier) launchEnd(end *loop.LaunchEnded) error {
	specs := v.launches(end.Launch)
	if len(specs) == 0 {
		return fmt.Errorf("launch %q is in no plan", end.Launch)
	}
	spec := specs[0]
	for _, p := range v.plans { // the plan of the run that it names
		for _, l := range p.plan.Launches {
			if p.RunID == end.RunID && l.ID == end.Launch {
				spec = l
			}
		}
	}
	if err := equal(loop.PlannedEnd(spec, *end), *end); err != nil {
		return fmt.Errorf("launch %s: %w", end.Launch, err)
	}
	if err := v.engine(end); err != nil {
		return fmt.Errorf("launch %s: %w", end.Launch, err)
	}
	if spec.Overlay == nil || end.State != "ok" {
		return v.everyPoint(spec, end)
	}
	for file, want := range spec.Overlay.Want {
		if got := end.Loaded[file]; got != want {
			return fmt.Errorf("launch %s: the process loaded %s with sha256 %q, the tree holds %s", end.Launch, file, got, want)
		}
	}
	return v.everyPoint(spec, end)
}

// engine checks that every row of a launch tells of the engine what its launch found: neither a digest nor a finding may be
// left out.
func (v *verifier) engine(end *loop.LaunchEnded) error {
	if end.Engine == nil || end.Engine.Identity == nil {
		return nil // of a release before identities, or not ready
	}
	id := end.Engine.Identity
	for _, p := range v.state.Points {
		e := p.Row.Engine
		switch {
		case p.Row.LaunchID != end.Launch || e == nil && p.Row.Status != compare.StatusOK:
			continue
		case e == nil:
			return fmt.Errorf("the row of point %s does not say what engine it is of", p.Point)
		case e.SHA256 != id.Sum() || e.Identity != id.Kind:
			return fmt.Errorf("the row of point %s is of engine %s %.12s, the launch found %s %.12s", p.Point, e.Identity, e.SHA256, id.Kind, id.Sum())
		}
		for _, why := range slices.Concat(id.Modified, end.Engine.Suspect) {
			if !slices.Contains(e.Modified, why) {
				return fmt.Errorf("the row of point %s leaves out that %s", p.Point, why)
			}
		}
	}
	return nil
}

// everyPoint refuses a launch whose points have no rows: a failed row that was left out would make a side look better.
func (v *verifier) everyPoint(l worker.Launch, end *loop.LaunchEnded) error {
	have := map[string]bool{}
	for _, p := range v.state.Points {
		if p.Row.LaunchID == l.ID {
			have[p.Point] = true
		}
	}
	for _, p := range l.Points {
		_, use, _ := v.state.PlannedPoint(l, p.ID)
		skipped := end.State == "ok" && v.state.Skipped(l, p)
		switch {
		case skipped && have[p.ID]:
			return fmt.Errorf("launch %s has a row of point %s, whose gate its probes left shut", l.ID, p.ID)
		case !skipped && !have[p.ID] && (use == "main" || end.State == "ok"):
			return fmt.Errorf("launch %s has ended and has no row of point %s", l.ID, p.ID)
		}
	}
	return nil
}

// equal compares what was computed with what is stored.
func equal(want, got any) error {
	d, err := same(want, got)
	if err == nil && d != "" {
		err = fmt.Errorf("%s", d)
	}
	return err
}
