package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Run offers the load of spec to the target and measures it. progress may be nil; it is called about once a second
// from one goroutine. An error means that the load could not be offered or observed; failed requests are no error.
// When ctx is cancelled the point so far is given together with the error.
func Run(ctx context.Context, target Target, spec Spec, progress func(Progress)) (*Point, error) {
	return run(ctx, target, spec, nil, progress)
}

// run is Run, with other processes to offer the load if there are any.
func run(ctx context.Context, target Target, spec Spec, f *fleet, progress func(Progress)) (*Point, error) {
	if err := target.Validate(); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := fits(target, spec); err != nil {
		return nil, err
	}
	spec.Limits = spec.Limits.or(DefaultLimits())
	outer := ctx
	ctx, end := context.WithCancelCause(ctx)
	cancel := func() { end(nil) }
	defer cancel()
	if spec.Deadline > 0 {
		timed, stop := context.WithTimeout(ctx, spec.Deadline)
		defer stop()
		ctx = timed
	}
	r, err := newRunner(ctx, target, spec)
	if err != nil {
		return nil, err
	}
	r.fleet = f
	r.giveUp = func() { end(context.DeadlineExceeded) }
	stopProgress := report(r, progress)
	point, err := r.point(ctx)
	cancel()
	r.lanes.close()
	stopProgress()
	if err != nil && (point == nil || ctx.Err() == nil) {
		return nil, err
	}
	if outer.Err() != nil {
		return point, fault.Wrap(fault.Canceled, context.Cause(outer), "load point cancelled after %s", time.Duration(r.clk.now()).Round(time.Second))
	}
	return point, err
}

// fits refuses scenarios that the endpoint cannot carry.
func fits(target Target, spec Spec) error {
	if spec.Scenario.Kind == contract.KindRandom && target.Path == PathChat {
		return fault.New(fault.InvalidInput, "a random scenario sends token ids, which %s does not take", target.Path).
			At("path", target.Path, PathCompletions, PathGenerate)
	}
	for i, row := range append(spec.Rows[:len(spec.Rows):len(spec.Rows)], spec.WarmupRows...) {
		if len(row.Messages) > 0 && target.Path != PathChat {
			return fault.New(fault.InvalidInput, "row %d has messages, which %s does not take", i+1, target.Path).At("path", target.Path, PathChat)
		}
	}
	return nil
}

// report calls progress once a second until the returned function is called, which waits for the last call.
func report(r *runner, progress func(Progress)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				progress(r.progress())
				return
			case <-tick.C:
				progress(r.progress())
			}
		}
	})
	return func() { close(quit); done.Wait() }
}

// point settles the engine, runs the load and puts the point together.
func (r *runner) point(ctx context.Context) (*Point, error) {
	p := &Point{Client: ClientName + "/" + ClientVersion, StartedAt: time.Now().UTC(), Warnings: []string{}}
	settling, e2e, broken, err := r.settle(ctx)
	if err != nil {
		return nil, err
	}
	p.Settling = settling
	m := newMeter(ctx, r.clk, r.dialer.poll)
	window := Window{}
	if broken == nil && ctx.Err() == nil {
		window, err = r.load(ctx, e2e)
	}
	p.Audit = m.read(r.spec.Limits, r.dialer)
	if r.fleet != nil {
		p.Audit = r.fleet.audit(p.Audit)
	}
	if err != nil && ctx.Err() == nil {
		return nil, cannotOffer(err, r.target.BaseURL)
	}
	r.complete(p, window)
	r.judge(ctx, p, broken)
	return p, nil
}

// cannotOffer says why no connection could be opened for a load: this machine's limits are not the server's fault.
func cannotOffer(err error, address string) error {
	if socketLimit(err) {
		return fault.Wrap(fault.Internal, err, "this machine has too few descriptors or local ports for the load").
			Hint("raise the limit of open files (ulimit -n), widen net.ipv4.ip_local_port_range, or offer fewer requests at once")
	}
	return fault.Wrap(fault.FrameworkFailed, err, "the load could not be offered to %q", address)
}

// complete fills in everything that follows from the records.
func (r *runner) complete(p *Point, window Window) {
	s := r.spec.Scenario
	switch s.Arrival {
	case contract.ArrivalClosed, contract.ArrivalBurst:
		window = WindowOf(r.records, s)
		assignRoles(r.records, window)
	case contract.ArrivalReplay:
		assignRoles(r.records, window)
	}
	p.Window = window
	p.Recording = &Recording{Records: r.records, Header: Header{Kind: RecordsKind, V: RecordsVersion, Client: p.Client, Path: r.target.Path,
		Phase: r.spec.Phase, Block: r.spec.Block, Seed: r.spec.Seed, Arrivals: r.spec.ArrivalSeed, Scenario: s, Goodput: r.spec.Goodput, Overload: r.spec.Overload, Window: window,
		BaseNS: r.clk.base, Keyed: r.spec.Private(), Drawn: r.spec.Drawn, Records: len(r.records)}}
	p.DurationS = float64(r.clk.now()) / 1e9
	p.Counts = count(r.records)
	p.Metrics = Measure(p.Recording)
	p.JudgeLoad(p.Recording)
	p.Audit.judge(p.Recording)
}

// count accounts for every request.
func count(records []*Record) Counts {
	c := Counts{Errors: map[string]int{}}
	for _, r := range records {
		if r.Role == RoleWarmup {
			c.Warmup++
			continue
		}
		c.Offered++
		switch r.Outcome {
		case OutcomeOK:
			c.OK++
		case OutcomeFailed:
			c.Failed++
		case OutcomeUnfinished:
			c.Unfinished++
		case OutcomeDropped:
			c.Dropped++
		}
		c.note(r)
	}
	return c
}

// note counts what a request of the load was besides its outcome.
func (c *Counts) note(r *Record) {
	if r.ErrorClass != "" {
		c.Errors[string(r.ErrorClass)]++
	}
	if r.HTTPStatus != 0 && r.HTTPStatus != 200 {
		if c.Statuses == nil {
			c.Statuses = map[string]int{}
		}
		c.Statuses[strconv.Itoa(r.HTTPStatus)]++
	}
	if r.Retried {
		c.Retried++
	}
	if r.OK() && r.Events > r.Out {
		c.Surplus++
	}
	c.Empty += r.Empty
}

// judge gives the point its status and warnings.
func (r *runner) judge(ctx context.Context, p *Point, broken *Record) {
	ok, _ := p.Metrics.Get("requests_ok")
	offered, _ := p.Metrics.Get("requests_offered")
	p.Status = StatusOK
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.Status, p.Reason = StatusTimeout, fmt.Sprintf("the point's deadline of %s came first", r.spec.Deadline)
	case ctx.Err() != nil && !r.drained.Load():
		p.Status, p.Reason = StatusFailed, "cancelled"
	case broken != nil:
		p.Status, p.Reason = StatusFailed, fmt.Sprintf("no warm-up request succeeded: %s: %s", broken.ErrorClass, broken.Error)
	case offered == 0:
		p.Status, p.Reason = StatusFailed, "no request fell into the window"
	case ok == 0:
		p.Status, p.Reason = StatusFailed, "no request in the window succeeded: "+firstError(r.records)
	}
	p.Warnings = append(p.Warnings, r.warnings(p)...)
}

// firstError is the first failure of the load.
func firstError(records []*Record) string {
	for _, r := range records {
		if r.Role != RoleWarmup && r.ErrorClass != "" {
			return string(r.ErrorClass) + ": " + r.Error
		}
	}
	return "none was sent"
}

// slowResolve is the time of resolving the host's name, in milliseconds, from which on it is worth a warning.
const slowResolve = 100

// oddities are caveats that come from how the server behaved.
func oddities(p *Point) []string {
	var out []string
	if n := p.Counts.Retried; n > 0 {
		out = append(out, fmt.Sprintf("%d requests were sent twice, since the server had closed their idle connection: their t_sent is that of the second sending", n))
	}
	if n := p.Counts.Surplus; n > 0 {
		out = append(out, fmt.Sprintf("%d requests had more content events than tokens by usage: the server repeats events, splits tokens or counts wrongly", n))
	}
	if n := p.Counts.Empty; n > 0 {
		out = append(out, fmt.Sprintf("%d events carried neither token nor finish reason; a token held back in one is timed with the next", n))
	}
	if ms := p.Audit.ResolveMS; ms != nil && *ms > slowResolve {
		out = append(out, fmt.Sprintf("resolving the host's name took %.0f ms; it is done once, before the first connection", *ms))
	}
	return out
}

// warnings are caveats on a point that is otherwise valid.
func (r *runner) warnings(p *Point) []string {
	var out []string
	if p.Settling.MaxWaves == 1 {
		out = append(out, "one warm-up wave cannot show that the engine has settled")
	}
	factor := r.spec.Window.E2EFactor
	if factor == 0 {
		factor = DefaultE2EFactor
	}
	if e2e, ok := p.Metrics.Get("p50_e2e_ms"); ok && len(p.Trends) > 0 && factor*e2e/1e3 > p.Window.Seconds() {
		p.ShortWindow = true
		out = append(out, fmt.Sprintf("the window of %.0f s is shorter than %.0f median latencies (%.0f s)", p.Window.Seconds(), factor, factor*e2e/1e3))
	}
	if share, ok := p.Metrics.Get("k1_unknown_share"); ok && share > 0 {
		out = append(out, fmt.Sprintf("tokens in the first event are unknown for %.0f %% of the requests and taken as 1", share*100))
	}
	out = append(out, oddities(p)...)
	if p.Audit.WiderLimits {
		out = append(out, "the client was audited under wider limits than a real host's")
	}
	return out
}
