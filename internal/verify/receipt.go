package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// receipted is a run for which the host's account signed, with its events.
type receipted struct {
	rec    *loop.ReceiptRecorded
	signed worker.Receipt
	events []worker.Event
	plan   worker.Plan
}

// receipts checks what the host's account signed: by the key that the contract froze, about these runs, plans and events;
// and that rows, launches and traces are what the signed events say, none left out.
func (v *verifier) receipts() group {
	rows, loaded := 0, false
	visit := func(before *loop.State, _ chain.Entry, payload any) error {
		if !loaded {
			if loaded = true; v.loadReceipts() != nil {
				return v.loadReceipts()
			}
		}
		switch p := payload.(type) {
		case *loop.ReceiptRecorded:
			_, err := before.Receipted(*p)
			return err
		case *loop.PointMeasured:
			covered, err := v.signedRow(before, p)
			if err != nil {
				return fmt.Errorf("row %s: %w", p.Key, err)
			}
			if covered {
				rows++
			}
		case *loop.LaunchEnded:
			return v.signedEnd(p)
		case *loop.TraceCaptured:
			return v.signedTrace(p)
		}
		return nil
	}
	return group{"receipts", visit, func() (string, error) {
		if len(v.vouched) == 0 {
			return "none: " + v.state.HostLevel(), nil
		}
		for _, r := range v.vouched {
			if err := v.whole(r); err != nil {
				return "", fmt.Errorf("receipt of run %s: %w", r.rec.RunID, err)
			}
		}
		return fmt.Sprintf("%d runs signed for by %s, %d of %d rows as their events say", len(v.vouched), v.vouched[0].rec.Key, rows, len(v.state.Points)), nil
	}}
}

// loadReceipts reads every receipt with its events, once.
func (v *verifier) loadReceipts() error {
	if v.vouched != nil || v.unsigned != nil {
		return v.unsigned
	}
	v.vouched = []*receipted{}
	for _, p := range v.decoded {
		if rec, ok := p.(*loop.ReceiptRecorded); ok {
			one, err := v.loadReceipt(rec)
			if err != nil {
				v.unsigned = fmt.Errorf("receipt of run %s: %w", rec.RunID, err)
				return v.unsigned
			}
			v.vouched = append(v.vouched, one)
		}
	}
	return nil
}

func (v *verifier) loadReceipt(rec *loop.ReceiptRecorded) (*receipted, error) {
	one := &receipted{rec: rec}
	var err error
	if one.signed, err = v.state.Receipted(*rec); err != nil {
		return nil, err
	}
	if v.state.Contract.Host.ReceiptKey == "" {
		return nil, errors.New("the contract names no key for receipts")
	}
	key, err := v.state.ReceiptSigner(*rec)
	if err != nil {
		return nil, err
	}
	if key != rec.Key {
		return nil, fmt.Errorf("its key is %s, the entry says %s", key, rec.Key)
	}
	if unknown := v.state.Unknown(one.signed); len(unknown) > 0 {
		return nil, fmt.Errorf("the host holds run %s of this contract, which is in no plan of the ledger: it was measured and is not shown", unknown[0])
	}
	raw, err := v.read(rec.Events)
	if err != nil {
		return nil, err
	}
	if one.events, err = worker.ParseEvents(raw); err != nil {
		return nil, err
	}
	if len(one.events) != one.signed.Count {
		return nil, fmt.Errorf("it is about %d events, there are %d", one.signed.Count, len(one.events))
	}
	for _, p := range v.plans {
		if p.RunID == rec.RunID {
			one.plan = p.plan
		}
	}
	return one, nil
}

// signedRow compares a row with what the host signed of it; false where an ended run without a receipt may have given it.
func (v *verifier) signedRow(before *loop.State, p *loop.PointMeasured) (bool, error) {
	var problem error
	covered, told := false, false
	for _, r := range v.vouched {
		for _, l := range r.plan.Launches {
			if l.ID != p.Row.LaunchID {
				continue
			}
			covered = true
			for _, e := range r.events {
				if e.Launch != l.ID || e.Point != p.Point || e.Kind != worker.EventPointDone && e.Kind != worker.EventPointFailed {
					continue
				}
				told = true
				if problem = sameSigned(before, l, r.started(l.ID), e, p); problem == nil {
					return true, nil
				}
			}
		}
	}
	switch {
	case !covered || v.elsewhere(p.Row.LaunchID, string(p.Row.Phase)):
		return false, nil
	case told:
		return false, problem
	}
	return true, v.signedLoss(before, p)
}

// elsewhere says whether a run that has an end and no receipt carried a launch too, so that what is told of it may be that
// run's. Runs of a patch's code can stand for nothing but the patch.
func (v *verifier) elsewhere(launch, phase string) bool {
	missing, _ := v.state.Unreceipted()
	for _, p := range v.plans {
		_, signed := v.state.Receipts[p.RunID]
		if signed || !slices.ContainsFunc(p.plan.Launches, func(l worker.Launch) bool { return l.ID == launch }) {
			continue
		}
		if slices.Contains(missing, p.RunID) || phase != string(compare.PhaseBlock) && phase != string(compare.PhaseSearch) && phase != string(compare.PhaseRace) {
			return true
		}
	}
	return false
}

// started is how a launch was pinned when it started.
func (r *receipted) started(launch string) *worker.Pinning {
	for _, e := range r.events {
		if e.Kind == worker.EventLaunchStarted && e.Launch == launch {
			return e.Pinning
		}
	}
	return nil
}

// sameSigned compares a row with a signed event.
func sameSigned(before *loop.State, l worker.Launch, pinned *worker.Pinning, e worker.Event, p *loop.PointMeasured) error {
	for _, pt := range l.Points {
		if pt.ID != e.Point {
			continue
		}
		want := before.SignedRow(l, pt, pinned, e, *p)
		if want.Repeated != p.Repeated {
			return fmt.Errorf("repeated is %q, the host signed %q", p.Repeated, want.Repeated)
		}
		if err := equal(measured(want.Row), measured(p.Row)); err != nil {
			return fmt.Errorf("it is not what the host signed: %w", err)
		}
		return sameFiles(e.Files, p)
	}
	return fmt.Errorf("point %q is not in the plan", e.Point)
}

// measured leaves of a row what only the host could tell.
func measured(r compare.Row) compare.Row {
	out := compare.Row{Status: r.Status, FailureReason: r.FailureReason, StartedAt: r.StartedAt, WarmupRequests: r.WarmupRequests, Metrics: r.Metrics,
		Engine: r.Engine, Rate: r.Rate, Audit: r.Audit, SLA: compare.SLA{Passed: r.SLA.Passed}, Interference: r.Interference}
	out.Hardware.ClientCores = r.Hardware.ClientCores
	return out
}

// sameFiles compares the digests of a row's raw records with the signed ones.
func sameFiles(files []worker.File, p *loop.PointMeasured) error {
	var signed, kept []string
	for _, f := range files {
		if f.Role == "records" || f.Role == worker.RoleFirstRecords {
			signed = append(signed, f.SHA256)
		}
	}
	all := []*ledger.Artifact{p.Records, p.First}
	for _, r := range p.Rates {
		all = append(all, r.Records, r.First)
	}
	for _, a := range all {
		if a != nil {
			kept = append(kept, a.SHA256)
		}
	}
	slices.Sort(signed)
	slices.Sort(kept)
	if !slices.Equal(slices.Compact(signed), slices.Compact(kept)) {
		return fmt.Errorf("its raw records are %.16q, the host signed for %.16q", kept, signed)
	}
	return nil
}

// signedLoss checks the row of a point that its launch's failure cost: the host has to have told of such a failure.
func (v *verifier) signedLoss(before *loop.State, p *loop.PointMeasured) error {
	for _, r := range v.vouched {
		for _, l := range r.plan.Launches {
			if l.ID != p.Row.LaunchID {
				continue
			}
			why := r.failure(l.ID)
			for _, pt := range l.Points {
				if pt.ID == p.Point && why != nil && equal(measured(before.LostRow(l, pt, why)), measured(p.Row)) == nil {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("status is %s (%s), the host signed for no such failure of launch %s", p.Row.Status, short(p.Row.FailureReason), p.Row.LaunchID)
}

// failure is why a launch failed, as its events say; nil where it did not.
func (r *receipted) failure(launch string) *worker.Failure {
	var why, canceled *worker.Failure
	for _, e := range r.events {
		switch {
		case e.Launch != launch || e.Failure == nil:
		case e.Kind == worker.EventLaunchFailed, why == nil && (e.Kind == worker.EventCaptureFailed || e.Kind == worker.EventLaunchStopped):
			why = e.Failure
		case e.Kind == worker.EventPointFailed:
			canceled = e.Failure
		}
	}
	if why == nil {
		why = canceled
	}
	return why
}

// signedEnd compares a launch's end with the signed events of its run.
func (v *verifier) signedEnd(end *loop.LaunchEnded) error {
	for _, r := range v.vouched {
		if r.rec.RunID != end.RunID {
			continue
		}
		stopped := false
		var engine *worker.EngineFacts
		var loaded map[string]string
		for _, e := range r.events {
			if e.Launch == end.Launch && e.Kind == worker.EventLaunchReady {
				engine, loaded = e.Engine, e.Loaded
			}
			stopped = stopped || e.Launch == end.Launch && e.Kind == worker.EventLaunchStopped
		}
		switch why := r.failure(end.Launch); {
		case !stopped:
			return fmt.Errorf("launch %s: the host signed for no end of it", end.Launch)
		case end.State == "ok" && why != nil && why.Class != worker.FailRequests && r.failedWhole(end.Launch):
			return fmt.Errorf("launch %s: it ended ok, the host signed that it failed (%s)", end.Launch, why.Class)
		case end.State != "ok" && why == nil:
			return fmt.Errorf("launch %s: it ended as %s, the host signed for no failure", end.Launch, end.State)
		}
		if err := errors.Join(equal(engine, end.Engine), equal(loaded, end.Loaded)); err != nil {
			return fmt.Errorf("launch %s: its engine is not what the host signed: %w", end.Launch, err)
		}
	}
	return nil
}

// failedWhole says whether a launch failed as such, not only a point of it.
func (r *receipted) failedWhole(launch string) bool {
	return slices.ContainsFunc(r.events, func(e worker.Event) bool {
		return e.Launch == launch && (e.Kind == worker.EventLaunchFailed || e.Kind == worker.EventLaunchStopped && e.Failure != nil)
	})
}

// signedTrace compares a trace's digest with those that the host signed.
func (v *verifier) signedTrace(t *loop.TraceCaptured) error {
	for _, r := range v.vouched {
		if r.rec.RunID != t.Run {
			continue
		}
		for _, e := range r.events {
			if e.Launch == t.Launch && slices.ContainsFunc(e.Files, func(f worker.File) bool { return f.SHA256 == t.File.SHA256 }) {
				return nil
			}
		}
		return fmt.Errorf("trace %s: the host signed for no file with its sha256 %s", t.ID, t.File.SHA256)
	}
	return nil
}

// whole checks that no row of a run was left out. Of canceled runs only the rows of a search are kept.
func (v *verifier) whole(r *receipted) error {
	end, over := v.state.Runs[r.rec.RunID]
	if _, err := v.state.Receipted(*r.rec); err != nil {
		return err
	}
	if !over || end.State == worker.StateCanceled {
		return nil
	}
	have := map[string]bool{}
	for _, p := range v.state.Points {
		have[p.Key] = true
	}
	for _, e := range r.events {
		if point := e.Kind == worker.EventPointDone || e.Kind == worker.EventPointFailed; point && !have[e.Launch+"/"+e.Point] {
			return fmt.Errorf("the host signed for point %s of launch %s, and the ledger has no row of it", e.Point, e.Launch)
		}
	}
	return nil
}

// hostLevel is the host's part of what a reader may rely on.
func (v *verifier) hostLevel() string {
	level := v.state.HostLevel()
	if len(v.vouched) == 0 {
		return level
	}
	if who, err := v.vouchedHost(); err == nil {
		return level + ", a key of " + who
	}
	return level + ", which nobody vouches for"
}

// vouchedHost is whose key signed every receipt by the given hosts file.
func (v *verifier) vouchedHost() (string, error) {
	if v.opt.Hosts == nil {
		return "", errors.New("no hosts file was given, and a directory's own word counts for nothing")
	}
	allowed, err := gitops.ParseAllowedSigners(v.opt.Hosts)
	if err != nil {
		return "", fmt.Errorf("hosts file: %w", err)
	}
	var names []string
	for _, r := range v.vouched {
		sig, err := gitops.Trust{Allowed: allowed}.Verify(gitops.Claim{Namespace: gitops.NamespaceReceipt, At: r.signed.Time, Now: time.Now()}, r.rec.Statement, []byte(r.rec.Signature))
		if err != nil {
			return "", err
		}
		if !slices.Contains(names, sig.Principal) {
			names = append(names, sig.Principal)
		}
	}
	return strings.Join(names, ", "), nil
}

// unprotected says why the host's account does not vouch for all that was measured, "" where it does.
func (v *verifier) unprotected() string {
	missing, patched := v.state.Unreceipted()
	switch {
	case len(v.vouched) == 0:
		return "its account signed for nothing"
	case len(missing) > 0:
		return fmt.Sprintf("%d runs have no receipt, the first %s", len(missing), missing[0])
	case patched > 0:
		return fmt.Sprintf("%d runs ran a patch's code, for which no account can vouch", patched)
	}
	if _, err := v.vouchedHost(); err != nil {
		return err.Error()
	}
	return ""
}
