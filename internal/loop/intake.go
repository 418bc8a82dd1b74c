package loop

import (
	"context"
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Uses of a point.
const (
	useMain      = "main"      // a scenario of the contract
	usePreflight = "preflight" // a handful of requests before anything is measured
	useProbe     = "probe"     // a short burst that decides whether a launch of the search carries the full load
	useEquality  = "equality"  // the same prompts in every launch, for output digests
	useUnseen    = "unseen"    // a shape drawn after the approval
)

// intake turns a run's events into ledger entries. It may see an event again: keys make every entry idempotent.
type intake struct {
	c    *campaign
	step step
	plan worker.Plan
	seq  int
	open map[string]*launchSoFar
	busy string // who kept launches from beginning
	cut  string // a launch of whose points some are not known
	// changed is what of host or model kept launches from beginning.
	changed string
}

// launchSoFar is what is known of a launch that has not ended.
type launchSoFar struct {
	spec   worker.Launch
	began  float64
	phases map[string]float64
	loaded map[string]string
	fail   *worker.Failure
	info   string
	engine *worker.EngineFacts // what the ready engine showed of itself
	log    *ledger.Artifact
	told   map[string]bool // points and captures whose end is known
	cancel *worker.Failure // how a point was canceled
	cold   *ColdLaunch     // the launch before it that compiled the build's kernels; nil where none was needed
	pinned *worker.Pinning // which cores it runs on; nil where the plan names none
}

func newIntake(c *campaign, s step, plan worker.Plan) *intake {
	in := &intake{c: c, step: s, plan: plan, open: map[string]*launchSoFar{}}
	for _, l := range plan.Launches {
		in.open[l.ID] = &launchSoFar{spec: l, phases: map[string]float64{}, told: map[string]bool{}}
	}
	return in
}

// take records events in order.
func (in *intake) take(ctx context.Context, client *worker.Client, events []worker.Event) error {
	for _, e := range events {
		if err := in.one(ctx, client, e); err != nil {
			return fmt.Errorf("event %d (%s): %w", e.Seq, e.Kind, err)
		}
		in.seq = e.Seq
	}
	return nil
}

func (in *intake) one(ctx context.Context, client *worker.Client, e worker.Event) error {
	l := in.open[e.Launch]
	if l == nil && e.Launch != "" {
		return fmt.Errorf("launch %q is not in the plan", e.Launch)
	}
	switch e.Kind {
	case worker.EventTestsDone:
		return in.tests(ctx, client, e)
	case worker.EventLaunchCold:
		l.cold = &ColdLaunch{SecondsS: e.ColdS, PhasesS: e.Phases}
		return in.keepColdLog(ctx, client, l, e)
	case worker.EventLaunchStarted:
		l.began, l.pinned = e.ElapsedS, e.Pinning
	case worker.EventLaunchReady:
		l.phases, l.loaded, l.info, l.engine = e.Phases, e.Loaded, e.Info, e.Engine
		return in.correctCost(ctx, l, e)
	case worker.EventLaunchFailed:
		l.fail = e.Failure
		return in.keepLog(ctx, client, l, e)
	case worker.EventPointSkipped:
		l.tell(e.Point, nil)
	case worker.EventPointDone, worker.EventPointFailed:
		l.tell(e.Point, e.Failure)
		return in.point(ctx, client, l, e)
	case worker.EventCaptureDone, worker.EventCaptureFailed:
		l.tell(e.Capture, e.Failure)
		return in.capture(ctx, client, l, e)
	case worker.EventLaunchStopped:
		return in.stopped(ctx, client, l, e)
	}
	return nil
}

// keepLog fetches a launch's log, cleaned.
func (in *intake) keepLog(ctx context.Context, client *worker.Client, l *launchSoFar, e worker.Event) error {
	for _, f := range e.Files {
		if f.Role != "log" {
			continue
		}
		art, err := in.c.fetchText(ctx, client, in.plan.RunID, f, "benchmark/logs/"+l.spec.ID+".log")
		if err != nil {
			return err
		}
		l.log = &art
	}
	return nil
}

// keepColdLog fetches the log of a cold launch, cleaned.
func (in *intake) keepColdLog(ctx context.Context, client *worker.Client, l *launchSoFar, e worker.Event) error {
	for _, f := range e.Files {
		if f.Role != "log" {
			continue
		}
		art, err := in.c.fetchText(ctx, client, in.plan.RunID, f, "benchmark/logs/"+l.spec.ID+".cold.log")
		if err != nil {
			return err
		}
		l.cold.Log = &art
	}
	return nil
}

// stopped closes a launch: its end, and a row for every measured point that its failure cost.
func (in *intake) stopped(ctx context.Context, client *worker.Client, l *launchSoFar, e worker.Event) error {
	if err := in.keepLog(ctx, client, l, e); err != nil {
		return err
	}
	state := "ok"
	if l.fail == nil && e.Failure != nil {
		l.fail = e.Failure
	}
	if l.fail == nil && !l.whole() {
		l.fail = l.cancel
	}
	switch { // what says nothing about the candidate is no end: the launch is planned again
	case l.fail != nil && l.fail.Class == framework.FailForeign:
		in.busy = l.fail.Reason
		return nil
	case l.fail != nil && l.fail.Class == framework.FailChanged:
		in.changed = l.fail.Reason
		return nil
	case l.fail == nil && !l.whole():
		in.cut = l.spec.ID
		return nil
	}
	if l.fail != nil {
		state = "failed"
		for _, p := range l.spec.Points {
			if err := in.lostPoint(ctx, l, p, l.fail); err != nil {
				return err
			}
		}
	}
	end := LaunchEnded{
		Launch: l.spec.ID, RunID: in.plan.RunID, Candidate: l.spec.Candidate, Entry: l.spec.Entry, Phase: l.spec.Phase, Block: l.spec.Block,
		State: state, Failure: l.fail, PhasesS: l.phases, SecondsS: e.ElapsedS - l.began, Loaded: l.loaded, Log: l.log,
		Command: commandLine(l.spec), Pinning: l.pinned, Memory: e.Memory, Cold: l.cold, Engine: l.engine,
	}
	if l.spec.Overlay != nil {
		end.Tree = l.spec.Overlay.Tree
	}
	return in.c.once(ctx, kindLaunch, end.RunID+"/"+end.Launch, end)
}

// tell notes the end of a point or capture.
func (l *launchSoFar) tell(id string, why *worker.Failure) {
	l.told[id] = true
	if why != nil && why.Class == framework.FailCanceled {
		l.cancel = why
	}
}

// whole says whether the end of everything that the launch was to carry is known. It is not where the host's disk was
// full, or where the worker was ended between two points.
func (l *launchSoFar) whole() bool {
	for _, p := range l.spec.Points {
		if !l.told[p.ID] {
			return false
		}
	}
	for _, x := range l.spec.Captures {
		if !l.told[x.ID] {
			return false
		}
	}
	return true
}

// ended is the end of the run. One with launches that have no end has failed, so that they are planned again.
func (in *intake) ended(s worker.Status) RunEnded {
	end := RunEnded{RunID: in.plan.RunID, State: s.State, Error: s.Reason}
	if in.busy != "" && s.State == worker.StateDone {
		end.State, end.Error, end.Busy = worker.StateFailed, in.busy, true
	}
	if in.changed != "" && s.State == worker.StateDone {
		end.State, end.Error, end.Changed = worker.StateFailed, in.changed, true
	}
	if in.cut != "" && end.State == worker.StateDone {
		end.State, end.Error = worker.StateFailed, "not all points of launch "+in.cut+" are known"
	}
	return end
}

// pointKey identifies a point for ever: a repeated event is the same row.
func (in *intake) pointKey(l *launchSoFar, point string) string { return l.spec.ID + "/" + point }

// point records one measured point with its raw records.
func (in *intake) point(ctx context.Context, client *worker.Client, l *launchSoFar, e worker.Event) error {
	spec, ok := pointOf(l.spec, e.Point)
	if !ok {
		return fmt.Errorf("point %q is not in the plan", e.Point)
	}
	st, err := in.c.state()
	if err != nil {
		return err
	}
	key := in.pointKey(l, e.Point)
	if st.has(kindPoint, key) {
		return nil
	}
	rec := PointMeasured{Key: key, Point: e.Point, Use: in.step.use[e.Point], Row: measuredRow(st, l, spec, e)}
	if e.Repeated != "" {
		repeat := 1
		rec.Repeated, rec.Row.RepeatIndex = e.Repeated, &repeat
	}
	for _, f := range e.Files {
		if f.Role != worker.RoleFirstRecords && f.Role != "records" {
			continue
		}
		art, err := in.c.fetch(ctx, client, in.plan.RunID, f, recordsName(l.spec.ID, e.Point, f))
		if err != nil {
			return err
		}
		switch {
		case f.Tried > 0:
			rec.rateFile(f, art)
			continue
		case f.Role == worker.RoleFirstRecords:
			rec.First = &art
			continue
		}
		rec.Records, rec.Row.RawSHA256, rec.Row.Artifacts.RawResult = &art, art.SHA256, art.Name
	}
	if err := in.c.once(ctx, kindPoint, key, rec); err != nil {
		return err
	}
	return in.c.project()
}

// lostPoint keeps the row of a point that a failed launch never measured.
func (in *intake) lostPoint(ctx context.Context, l *launchSoFar, p worker.Point, f *worker.Failure) error {
	st, err := in.c.state()
	if err != nil {
		return err
	}
	use := in.step.use[p.ID]
	key := in.pointKey(l, p.ID)
	if use != useMain || st.has(kindPoint, key) {
		return nil
	}
	if err := in.c.once(ctx, kindPoint, key, PointMeasured{Key: key, Point: p.ID, Use: use, Row: failedRow(st, l, p, f)}); err != nil {
		return err
	}
	return in.c.project()
}

// capture records the traces of a capture; a failed one is in the launch's failure list and in the job's log.
func (in *intake) capture(ctx context.Context, client *worker.Client, l *launchSoFar, e worker.Event) error {
	if e.Kind == worker.EventCaptureFailed {
		if l.fail == nil {
			l.fail = e.Failure
		}
		return nil
	}
	return in.c.keepTraces(ctx, client, in, l, e)
}

// correctCost compares the first ready launch with the projection and records the correction once.
func (in *intake) correctCost(ctx context.Context, l *launchSoFar, e worker.Event) error {
	st, err := in.c.state()
	if err != nil || len(st.Costs) > 0 {
		return err
	}
	launch := e.ElapsedS - l.began
	hours := 0.0
	for _, c := range st.Contract.Cost {
		hours += float64(c.Launches) * (launch + c.LoadS) / 3600 * float64(st.Contract.GPUCount())
	}
	return in.c.once(ctx, kindCost, l.spec.ID, CostCorrected{LaunchS: launch, Launch: l.spec.ID, GPUHours: hours})
}

func pointOf(l worker.Launch, id string) (worker.Point, bool) {
	for _, p := range l.Points {
		if p.ID == id {
			return p, true
		}
	}
	return worker.Point{}, false
}

// commandLine renders a launch's argv for people; it is never parsed again.
func commandLine(l worker.Launch) string {
	parts := make([]string, 0, len(l.Argv))
	for _, a := range l.Argv {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$`;&|<>*?()[]{}#~") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		parts = append(parts, a)
	}
	return strings.Join(parts, " ")
}
