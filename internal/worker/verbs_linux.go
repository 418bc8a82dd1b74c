package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
)

func dispatch(ctx context.Context, o HostOptions, verb string) (any, error) {
	switch verb {
	case VerbPrepare:
		return prepare(o)
	case VerbStatus:
		return onRun(o, func(dir string, r runRequest) (any, error) { return statusOf(dir, r.RunID, r.Since), nil })
	case VerbFile:
		return onRun(o, findFile)
	case VerbCancel:
		return onRun(o, cancelRun)
	case VerbReap:
		return onRun(o, reapRun)
	case VerbProbe:
		return probe(ctx, o)
	case VerbQuery:
		return query(ctx, o)
	case VerbInstalled:
		return installed(ctx, o)
	case VerbAnalyze:
		return analyze(ctx, o)
	case VerbDataset:
		return serveDataset(ctx, o)
	case VerbExamine:
		return examine(o)
	case VerbSelftest:
		return selftest(ctx, o)
	case VerbReceipt:
		return nil, noGate()
	default:
		return nil, fault.New(fault.InvalidInput, "unknown verb %q", verb).At("verb", verb, Verbs...)
	}
}

func onRun(o HostOptions, f func(dir string, r runRequest) (any, error)) (any, error) {
	r, err := request[runRequest](o)
	if err != nil {
		return nil, err
	}
	workdir, err := expand(r.Workdir, o.Home)
	if err != nil {
		return nil, err
	}
	dir, err := runPath(workdir, r.RunID)
	if err != nil {
		return nil, err
	}
	return f(dir, r)
}

// prepare makes the run folder by one mkdir and puts the plan there by one link: whoever comes second finds both, and
// is refused where his plan is another.
func prepare(o HostOptions) (any, error) {
	asked, err := io.ReadAll(io.LimitReader(o.In, maxAnswer))
	if err != nil {
		return nil, err
	}
	o.In = bytes.NewReader(asked)
	p, err := request[Plan](o)
	if err != nil {
		return nil, err
	}
	if err := p.complete(o.Home); err != nil {
		return nil, err
	}
	dir, err := runPath(p.Workdir, p.RunID)
	if err != nil {
		return nil, err
	}
	if _, err := makeOnce(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the run folder %q cannot be made", dir).At("workdir", p.Workdir)
	}
	if err := os.MkdirAll(filepath.Join(dir, inboxDir), 0o700); err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the inbox of run %q cannot be made", p.RunID)
	}
	p.Asked = digestAsked(asked)
	if err := writePlan(dir, p); err != nil {
		return nil, err
	}
	answer := prepared{Dir: dir, State: statusOf(dir, p.RunID, 0).State, Missing: []string{}}
	for _, name := range p.inbox() {
		if !exists(filepath.Join(dir, inboxDir, name)) {
			answer.Missing = append(answer.Missing, name)
		}
	}
	if answer.State == StateStarting {
		_ = os.Remove(filepath.Join(dir, refusedFile)) // an earlier refusal: this start tries again
	}
	return answer, nil
}

func writePlan(dir string, p Plan) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	raw = append(raw, '\n')
	path := filepath.Join(dir, planFile)
	tmp, err := os.CreateTemp(dir, ".plan-*")
	if err != nil {
		return fault.Wrap(fault.Denied, err, "the plan cannot be written")
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(raw)
	if e := errors.Join(err, tmp.Sync(), tmp.Close()); e != nil {
		return fault.Wrap(fault.Denied, e, "the plan cannot be written")
	}
	if err = os.Link(tmp.Name(), path); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(old, raw) {
		return fault.New(fault.Conflict, "run %q exists with another plan", p.RunID).At("run_id", p.RunID).
			Hint("give another plan another run id")
	}
	return nil
}

// statusOf reads a run's state from its folder alone.
func statusOf(dir, runID string, since int) Status {
	st := Status{RunID: runID, State: StateAbsent, Events: []Event{}}
	if !exists(filepath.Join(dir, planFile)) {
		return st
	}
	var last Event
	st.Events, last = readEvents(filepath.Join(dir, eventsFile), since)
	alive := isWorked(dir)
	if last.Kind != EventRunDone && !alive { // it may have ended between the two looks
		st.Events, last = readEvents(filepath.Join(dir, eventsFile), since)
	}
	var pr progress
	_ = readJSON(filepath.Join(dir, progressFile), &pr)
	st.Doing, st.Fraction = pr.Doing, pr.Fraction
	var beat heartbeat
	if readJSON(filepath.Join(dir, heartbeatFile), &beat) == nil && beat.BootID == bootID() {
		st.Heartbeat = boottime() - beat.BoottimeS
	}
	var end final
	switch {
	case last.Kind == EventRunDone:
		st.State, st.Fraction = last.State, 1
		if last.Failure != nil {
			st.Reason = last.Failure.Reason
		}
	case readJSON(filepath.Join(dir, finalFile), &end) == nil:
		st.State, st.Reason = end.State, end.Reason
	case last.Seq > 0 && alive:
		st.State = StateRunning
	case last.Seq > 0:
		st.State, st.Reason = StateLost, "the worker is gone without a last event"
	default:
		st.State = StateStarting
		var w Refusal
		if readJSON(filepath.Join(dir, refusedFile), &w) == nil {
			st.Refused = &w
		}
	}
	return st
}

// isWorked says whether the worker that began the run lives.
func isWorked(dir string) bool {
	var me Proc
	return readJSON(filepath.Join(dir, workerFile), &me) == nil && me.isAlive(bootID())
}

// findFile answers with an artifact's place; nothing outside the run folder is given, by whatever name.
func findFile(dir string, r runRequest) (any, error) {
	if !filepath.IsLocal(r.Name) {
		return nil, fault.New(fault.InvalidInput, "%q is not a name inside the run folder", r.Name).At("name", r.Name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "no run %q", r.RunID).At("run_id", r.RunID)
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(r.Name)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "no file %q in run %q", r.Name, r.RunID).At("name", r.Name)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fault.New(fault.InvalidInput, "%q is not a regular file", r.Name).At("name", r.Name)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return nil, err
	}
	return fileAnswer{Path: filepath.Join(dir, r.Name), SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n}, nil
}

// cancelRun leaves the request where the worker sees it. A run that no worker has begun is ended here.
func cancelRun(dir string, r runRequest) (any, error) {
	st := statusOf(dir, r.RunID, 0)
	if st.State != StateRunning && st.State != StateStarting {
		return st, nil
	}
	if err := replaceJSON(filepath.Join(dir, cancelFile), cancelRequest{Reason: cleanLine(r.Reason, maxReasonLine)}); err != nil {
		if !terminate(dir) { // a full disk must not keep a run alive
			return nil, fault.Wrap(fault.Denied, err, "the request to cancel run %q cannot be written", r.RunID)
		}
		return st, nil
	}
	if st.State == StateStarting {
		lock, err := lockRun(dir)
		if err != nil {
			return st, nil //nolint:nilerr // a worker has just begun and will see the request
		}
		defer func() { _ = lock.Close() }()
		if j, err := openJournal(filepath.Join(dir, eventsFile)); err == nil {
			defer j.close()
			if err := j.append(Event{Kind: EventRunDone, State: StateCanceled, Failure: canceledBy(r.Reason)}); err != nil {
				return nil, err
			}
		}
	}
	return statusOf(dir, r.RunID, 0), nil
}

// terminate asks a run's worker by a signal; it says whether there was one to ask.
func terminate(dir string) bool {
	var me Proc
	if readJSON(filepath.Join(dir, workerFile), &me) != nil || !me.isAlive(bootID()) {
		return false
	}
	signalProc(me, unix.SIGTERM)
	return true
}

func canceledBy(reason string) *Failure {
	if reason == "" {
		reason = "canceled"
	}
	return &Failure{Class: failCanceled, Reason: cleanLine(reason, maxReasonLine)}
}

func reapRun(dir string, r runRequest) (any, error) {
	st := statusOf(dir, r.RunID, 0)
	if st.State == StateRunning {
		return nil, fault.New(fault.Busy, "the worker of run %q lives", r.RunID).At("run_id", r.RunID).Hint("cancel the run instead")
	}
	if st.State == StateAbsent {
		return Reaped{Killed: []Proc{}, Left: []Proc{}}, nil
	}
	lock, err := lockRun(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Busy, err, "the worker of run %q is just starting", r.RunID).At("run_id", r.RunID)
	}
	defer func() { _ = lock.Close() }()
	done := reap(dir)
	if len(done.Left) > 0 {
		return nil, fault.New(fault.Conflict, "%s of run %q does not end", done.Left[0].name(), r.RunID).
			Hint("look at it on the host: it may hang in the kernel or the GPU driver")
	}
	return done, nil
}

// lockRun takes the run's lock without waiting; the kernel frees it with the process.
func lockRun(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
