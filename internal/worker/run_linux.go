package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/redact"
)

const (
	beatEvery   = time.Second
	reserveSize = 64 << 10
)

// heartbeat is the worker's sign of life, on the clock that counts suspended time too.
type heartbeat struct {
	BootID    string  `json:"boot_id"`
	BoottimeS float64 `json:"boottime_s"`
}

// progress is what the run is doing, for people.
type progress struct {
	Doing    string  `json:"doing"`
	Fraction float64 `json:"fraction"`
}

// cancelRequest is left in the run folder by VerbCancel.
type cancelRequest struct {
	Reason string `json:"reason"`
}

// final is the end of a run whose last event could not be appended.
type final struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// canceledError is the cause of a context that somebody's request ended.
type canceledError struct{ reason string }

func (e *canceledError) Error() string { return e.reason }

// runner carries out one plan.
type runner struct {
	plan    Plan
	dir     string
	opts    HostOptions
	family  *family
	journal *journal
	hidden  *redact.Redactor // knows the engines' secrets
	gpus    *gpuWatch
	pinning *Pinning // nil where the plan names no cores
	cancel  context.CancelCauseFunc
	unclean bool                    // an engine could not be stopped
	sets    map[string]*dataset.Set // opened datasets, by digest
	undrawn bool                    // rows of a point could not be drawn
	warmed  map[string]bool         // cache folders that a cold launch of this run filled
	passed  map[string]bool         // test runs all of whose tests passed
	full    bool                    // the last beat found no space; of the beating goroutine

	mu    sync.Mutex
	done  int // steps behind us
	now   progress
	scope scope
}

// scope is what one step is made of, where it is of several parts.
type scope struct {
	of, done int
	text     string
}

// Run executes the plan in run folder dir to its end. A second worker for the same run, and one for a run that has
// ended or was lost, does nothing. What keeps the run from beginning (a busy GPU) is written for the caller and returned.
func Run(ctx context.Context, o HostOptions, dir string) error {
	lock, err := lockRun(dir)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "run folder %q cannot be used", dir).At("dir", dir)
	}
	defer func() { _ = lock.Close() }()
	if exists(filepath.Join(dir, eventsFile)) {
		return nil
	}
	r := &runner{dir: dir, opts: o, warmed: map[string]bool{}, passed: map[string]bool{}}
	held, err := r.begin()
	if err != nil {
		_ = os.Remove(filepath.Join(dir, reserveFile))
		return errors.Join(err, replaceJSON(filepath.Join(dir, refusedFile), toWire(err)))
	}
	return r.execute(ctx, held)
}

// begin claims everything the run needs; after it, events exist.
func (r *runner) begin() (*lease, error) {
	if err := readJSON(filepath.Join(r.dir, planFile), &r.plan); err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "the plan of run folder %q cannot be read", r.dir)
	}
	if err := r.plan.complete(r.opts.Home); err != nil {
		return nil, err
	}
	r.hideSecrets()
	if err := r.hasDatasets(); err != nil {
		return nil, err
	}
	me, err := self()
	if err != nil {
		return nil, err
	}
	if err := r.reserve(); err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the run folder %q cannot be written", r.dir).Hint("free disk space on the host")
	}
	if err := r.openTools(); err != nil {
		return nil, err
	}
	user, _ := r.opts.LookupEnv("USER")
	if user == "" {
		user = fmt.Sprintf("uid %d", os.Getuid())
	}
	held, err := acquire(r.plan.LeaseDir, r.leaseNames(), leaseRecord{RunDir: r.dir,
		Lease: Lease{Campaign: r.plan.Campaign, RunID: r.plan.RunID, Owner: user, Proc: me, Since: time.Now().UTC()}})
	if err != nil {
		return nil, err
	}
	if err = r.pin(); err == nil {
		r.journal, err = r.openRun(me)
	}
	if err != nil {
		held.release()
		return nil, err
	}
	r.journal.hidden = r.hidden
	return held, nil
}

// leaseNames are what the run claims. A plan of a host without GPUs that names no cores pins nothing, so it claims all.
func (r *runner) leaseNames() []string {
	names := leaseNames(&r.plan)
	if r.plan.Device != deviceCPU || len(r.plan.Cores) > 0 {
		return names
	}
	all, _ := allowedCores(0)
	for _, core := range all {
		names = append(names, CorePrefix+strconv.Itoa(core))
	}
	return names
}

// pin takes the worker, and with it the load client, off the cores that engines will have.
func (r *runner) pin() error {
	if len(r.plan.Cores) == 0 {
		return nil
	}
	allowed, err := allowedCores(0)
	if err != nil {
		return err
	}
	if err := r.share(allowed); err != nil {
		return err
	}
	return pinSelf(r.pinning.ClientCores)
}

func (r *runner) openRun(me Proc) (*journal, error) {
	if err := replaceJSON(filepath.Join(r.dir, workerFile), me); err != nil {
		return nil, err
	}
	r.beat()
	return openJournal(filepath.Join(r.dir, eventsFile))
}

func (r *runner) openTools() error {
	log, err := os.OpenFile(filepath.Join(r.dir, procsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if r.family, err = newFamily(r.dir, log); err != nil {
		return err
	}
	r.gpus = &gpuWatch{indices: r.plan.GPUs, family: r.family}
	if r.plan.Device != deviceCUDA {
		return nil
	}
	r.gpus.conn, err = hosts.NewLocal("local", r.opts.Home)
	return err
}

// reserve sets space aside for the last events of a run that fills the disk.
func (r *runner) reserve() error {
	return os.WriteFile(filepath.Join(r.dir, reserveFile), make([]byte, reserveSize), 0o600)
}

// execute runs the launches; whatever happens, the engines are down and the lease is free when it returns.
func (r *runner) execute(ctx context.Context, held *lease) error {
	defer r.journal.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	stop := r.watch(ctx)
	defer stop()

	r.emit(Event{Kind: EventRunStarted, Proc: r.workerProc()})
	for i := range r.plan.Tests {
		if ctx.Err() != nil {
			break
		}
		r.runTests(ctx, &r.plan.Tests[i])
	}
	for i := range r.plan.Launches {
		if ctx.Err() != nil {
			break
		}
		r.carryOut(ctx, &r.plan.Launches[i])
	}
	state, why := r.verdict(ctx)
	if r.unclean {
		held.abandon()
	} else {
		held.release()
	}
	_ = os.Remove(filepath.Join(r.dir, reserveFile))
	last := Event{Kind: EventRunDone, State: state, Failure: why}
	if err := r.journal.append(last); err != nil {
		end := final{State: state, Reason: err.Error()}
		if why != nil {
			end.Reason = why.Reason
		}
		return errors.Join(err, replaceJSON(filepath.Join(r.dir, finalFile), end))
	}
	return nil
}

func (r *runner) workerProc() *Proc {
	p, err := self()
	if err != nil {
		return nil
	}
	return &p
}

// verdict says how the run ended. Failed launches and points are results; only what kept the plan from being carried
// out fails a run.
func (r *runner) verdict(ctx context.Context) (state string, why *Failure) {
	cause := context.Cause(ctx)
	var asked *canceledError
	switch {
	case cause == nil:
		return StateDone, nil
	case errors.As(cause, &asked):
		return StateCanceled, canceledBy(asked.reason)
	case errors.Is(cause, context.Canceled):
		return StateCanceled, canceledBy("")
	default:
		return StateFailed, &Failure{Class: FailWorker, Reason: cleanLine(cause.Error(), maxReasonLine)}
	}
}

// emit records an event. When it cannot, the reserve is given back and the run ends: nothing more is started that would
// go unrecorded.
func (r *runner) emit(e Event) {
	if err := r.journal.append(e); err != nil {
		_ = os.Remove(filepath.Join(r.dir, reserveFile))
		r.cancel(err)
	}
}

// watch beats the heart and turns a cancel request or a signal into the end of ctx. The function it gives ends it.
func (r *runner) watch(ctx context.Context) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(beatEvery / 4)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case s := <-signals:
				r.cancel(&canceledError{"the worker got signal " + s.String()})
			case <-tick.C:
				r.lookForCancel(ctx)
				if n%4 == 0 {
					r.beat()
				}
			}
		}
	})
	return func() { signal.Stop(signals); close(ended); wg.Wait() }
}

func (r *runner) lookForCancel(ctx context.Context) {
	var c cancelRequest
	if ctx.Err() == nil && readJSON(filepath.Join(r.dir, cancelFile), &c) == nil {
		if c.Reason == "" {
			c.Reason = "canceled"
		}
		r.cancel(&canceledError{c.Reason})
	}
}

// beat writes heartbeat and progress. A disk without space from one beat to the next ends the run: an engine that cannot
// write its log says neither that it is ready nor why it is not.
func (r *runner) beat() {
	err := refreshJSON(filepath.Join(r.dir, heartbeatFile), heartbeat{BootID: bootID(), BoottimeS: boottime()})
	r.mu.Lock()
	now := r.now
	r.mu.Unlock()
	err = errors.Join(err, refreshJSON(filepath.Join(r.dir, progressFile), now))
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if full && r.full {
		r.cancel(fmt.Errorf("the run folder cannot be written: %w", err))
	}
	r.full = full
}

// doing says what goes on; share is how much of the current step is done.
func (r *runner) doing(share float64, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if s := r.scope; s.of > 0 {
		share, text = (float64(s.done)+share)/float64(s.of), text+"; "+s.text
	}
	r.now = progress{Doing: text, Fraction: (float64(r.done) + min(1, max(0, share))) / float64(r.plan.steps())}
}

// within sets the scope of what doing says next.
func (r *runner) within(s scope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scope = s
}

func (r *runner) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
}

// boottime is seconds since boot, suspended time included.
func boottime() float64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return float64(ts.Sec) + float64(ts.Nsec)/1e9
}
