// Package jobs runs long work under durable handles: start once, wait, cancel, look at progress. Whether a job exists
// and how it ended is in the campaign's ledger; this package holds only what a living process adds to that: the
// goroutine, its progress and its log lines. A job outlives the request that started it and ends with its manager's
// context; what the job started on a host goes on there and is met again by the next process.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Key names a job: ids are unique within a campaign.
type Key struct {
	Campaign string
	ID       string
}

// ErrCanceled is the cause in a job's context once Cancel was called.
var ErrCanceled = errors.New("job canceled")

// Func is a job's work. It returns nil when the work is done and recorded.
type Func func(ctx context.Context, p *Progress) error

// View is a job as a process sees it now.
type View struct {
	Running  bool
	Fraction float64
	Doing    string
	Started  time.Time
	ETA      time.Duration // 0 = unknown
	Err      error         // how it ended, nil while running and when done
	Log      []string      // lines after the asked cursor
	Cursor   int           // pass it to see later lines only
}

// Manager runs the jobs of one process.
type Manager struct {
	ctx  context.Context
	log  *slog.Logger
	mu   sync.Mutex
	jobs map[Key]*job
	wg   sync.WaitGroup
}

type job struct {
	progress *Progress
	cancel   context.CancelCauseFunc
	done     chan struct{}
	err      error
}

// New makes a manager whose jobs end with ctx.
func New(ctx context.Context, log *slog.Logger) *Manager {
	return &Manager{ctx: ctx, log: log, jobs: map[Key]*job{}}
}

// Start runs f under key. It answers false, and starts nothing, where that job already runs here.
func (m *Manager) Start(key Key, f Func) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j, ok := m.jobs[key]; ok && !j.ended() {
		return false
	}
	ctx, cancel := context.WithCancelCause(m.ctx)
	j := &job{progress: newProgress(), cancel: cancel, done: make(chan struct{})}
	m.jobs[key] = j
	m.wg.Go(func() {
		defer close(j.done)
		defer cancel(nil)
		j.err = guard(ctx, f, j.progress)
		if j.err != nil {
			m.log.Debug("job ended", "campaign", key.Campaign, "job", key.ID, "err", j.err)
		}
	})
	return true
}

// guard turns a panic into an error, so that one job cannot end the process.
func guard(ctx context.Context, f Func, p *Progress) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("job panicked: %v", r)
		}
	}()
	return f(ctx, p)
}

// View gives a job's state here; false where this process does not know it.
func (m *Manager) View(key Key, cursor int) (View, bool) {
	j, ok := m.find(key)
	if !ok {
		return View{}, false
	}
	v := j.progress.view(cursor)
	if j.ended() {
		v.Running, v.Err = false, j.err
	}
	return v, true
}

// Wait blocks until the job ends, the timeout passes or ctx ends, and gives its state then.
func (m *Manager) Wait(ctx context.Context, key Key, timeout time.Duration, cursor int) (View, bool) {
	j, ok := m.find(key)
	if !ok {
		return View{}, false
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-j.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return m.View(key, cursor)
}

// Cancel ends a job's context with ErrCanceled and waits for its end or for ctx.
func (m *Manager) Cancel(ctx context.Context, key Key) bool {
	j, ok := m.find(key)
	if !ok {
		return false
	}
	j.cancel(ErrCanceled)
	select {
	case <-j.done:
	case <-ctx.Done():
	}
	return true
}

// Close waits for the jobs after the manager's context has ended.
func (m *Manager) Close() { m.wg.Wait() }

func (m *Manager) find(key Key) (*job, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.jobs[key]
	return j, ok
}

func (j *job) ended() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}
