package sim

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// scheduler is an engine's continuous batching in simulated time. Steps follow one another on an absolute schedule:
// each starts when the one before was planned to end, so that a late wake-up delays one token and not the run.
//
// Which requests a step takes is decided a little after its start (linger), before the host would have launched it.
// That stands for the scheduler's own loop, and makes a closed loop of clients that answer in time deterministic.
type scheduler struct {
	set    *settings
	roof   roof
	speed  float64 // simulated over real time
	noise  float64 // this launch's factor on kernel times
	seed   uint64
	linger time.Duration
	pool   int // cache tokens

	mu      sync.Mutex
	waiting []*request
	running []*request
	prefix  *prefixCache
	used    int // cache tokens reserved
	wake    chan struct{}

	steps     atomic.Int64
	generated atomic.Int64
	prompted  atomic.Int64
	finished  atomic.Int64
	busyUS    atomic.Int64 // simulated µs of all steps
	active    atomic.Bool
	lastTPS   atomic.Uint64 // float bits

	observe func(stepRecord) // the profiler's; called between steps
}

// stepRecord is one simulated step, as the profiler keeps it.
type stepRecord struct {
	index int64
	begin time.Time // planned
	work  work
	plan  *plan
	noise float64
}

func newScheduler(set *settings, gpu GPU, pool int, c Config, seed uint64) *scheduler {
	r := newRoof(gpu, set)
	shortest := r.stepUS(r.plan(work{decodes: 1, decodeCtx: 1}))
	s := &scheduler{set: set, roof: r, speed: c.Speed, noise: 1, seed: seed, pool: pool,
		linger: time.Duration(shortest * 0.8 / c.Speed * 1e3), wake: make(chan struct{}, 1)}
	if c.NoiseSD > 0 {
		s.noise = math.Exp(c.NoiseSD * normal(mix(seed, 11)))
	}
	if set.prefixCache {
		s.prefix = newPrefixCache(pool)
	}
	return s
}

// submit queues a request.
func (s *scheduler) submit(r *request) {
	r.out = make(chan token, r.maxTokens+1)
	r.gen = newGenerator(s.set.model, r.prompt, r.sampling)
	s.mu.Lock()
	s.waiting = append(s.waiting, r)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run steps until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	runtime.LockOSThread() // the thread sleeps in the kernel, by clock_nanosleep
	defer runtime.UnlockOSThread()
	var at time.Time // planned end of the step before; zero when idle
	for ctx.Err() == nil {
		if at.IsZero() {
			s.active.Store(false)
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
			}
			at = time.Now()
			s.active.Store(true)
		}
		sleepUntil(at.Add(s.linger))
		batch := s.next()
		if batch == nil {
			at = time.Time{}
			if s.hasWaiting() {
				// Nothing fits although somebody waits: the pool is held by requests that no longer step.
				at = time.Now().Add(s.linger)
			}
			continue
		}
		at = s.step(batch, at)
	}
}

func (s *scheduler) hasWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)+len(s.running) > 0
}

// step sleeps through one batch and hands out its tokens; it returns when the next step starts.
func (s *scheduler) step(b *batch, at time.Time) time.Time {
	w := b.work()
	p := s.roof.plan(w)
	index := s.steps.Add(1)
	jitter := s.noise * math.Exp(0.004*normal(mix(s.seed, uint64(index))))
	_, us := s.roof.timeline(p, jitter, nil)
	length := time.Duration(us * 1e3 / s.speed)
	end := at.Add(length)
	sleepUntil(end)
	if late := time.Since(end); late > 50*time.Millisecond {
		end = end.Add(late) // the machine stood still: do not race after it
	}
	s.busyUS.Add(int64(us))
	tokens := s.finish(b)
	s.lastTPS.Store(math.Float64bits(float64(tokens) / (us / 1e6)))
	if s.observe != nil {
		s.observe(stepRecord{index: index, begin: at, work: w, plan: p, noise: jitter})
	}
	return end
}

// finish emits the tokens of a completed step and drops finished requests; it returns how many tokens were made.
func (s *scheduler) finish(b *batch) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := 0
	ended := map[*request]bool{}
	emit := func(r *request) {
		tokens++
		if r.emit() {
			ended[r] = true
		}
	}
	for _, c := range b.prefills {
		c.req.computed += c.n
		s.prompted.Add(int64(c.n))
		if c.req.prefilled() {
			if s.prefix != nil {
				s.prefix.insert(c.req.prompt)
			}
			emit(c.req)
		}
	}
	for _, r := range b.decodes {
		emit(r)
	}
	s.generated.Add(int64(tokens))
	keep := s.running[:0]
	for _, r := range s.running {
		if ended[r] || r.ctx.Err() != nil {
			s.used -= r.reserved
			s.finished.Add(1)
			continue
		}
		keep = append(keep, r)
	}
	clear(s.running[len(keep):])
	s.running = keep
	return tokens
}

// flush empties the prefix cache; false while requests are running, as SGLang answers.
func (s *scheduler) flush() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.running)+len(s.waiting) > 0 {
		return false
	}
	if s.prefix != nil {
		s.prefix.flush()
	}
	return true
}

// load is a snapshot for metrics.
type load struct {
	running, waiting, used, pool int
	cacheAsked, cacheFound       int
}

func (s *scheduler) load() load {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := load{running: len(s.running), waiting: len(s.waiting), used: s.used, pool: s.pool}
	if s.prefix != nil {
		l.cacheAsked, l.cacheFound = s.prefix.asked, s.prefix.found
	}
	return l
}
