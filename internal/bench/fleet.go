package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Shards are the processes that share a load.
type Shards struct {
	N int
	// Start starts a process that runs ServeShard and gives a pipe to it. Close ends it and waits.
	Start func(ctx context.Context) (io.ReadWriteCloser, error)
}

// RunSharded is Run with the load offered by several processes of this host, each of which sends every nth planned request
// of each role. What is sent when is the same as without: the union of the parts is the plan. A closed loop's slots and
// prompts are split alike. The waves that settle the server come from this process. Records and the audit are merged, and
// a point is client_limited if any of the processes was.
func RunSharded(ctx context.Context, target Target, spec Spec, shards Shards, progress func(Progress)) (*Point, error) {
	f, err := newFleet(target, shards)
	if err != nil {
		return nil, err
	}
	return run(ctx, target, spec, f, progress)
}

// MostShards bounds the processes of one load.
const MostShards = 64

func newFleet(target Target, shards Shards) (*fleet, error) {
	switch {
	case shards.N < 1 || shards.N > MostShards:
		return nil, fault.New(fault.InvalidInput, "a load is shared by 1 to %d processes, not %d", MostShards, shards.N).At("shards", fmt.Sprint(shards.N))
	case monotonic() == 0:
		return nil, fault.New(fault.InvalidInput, "this system has no clock that processes share: no shards here").At("shards", fmt.Sprint(shards.N)).Hint("use one process")
	case target.Dial != nil || target.Lookup != nil:
		return nil, fault.New(fault.InvalidInput, "a load over a connection of its own kind cannot be shared")
	}
	return &fleet{shards: shards}, nil
}

// fleet is the processes that offer a load, seen from their parent.
type fleet struct {
	shards Shards

	mu       sync.Mutex
	members  []*member
	finished int // members whose last measured request has ended
}

// member is one process.
type member struct {
	link    io.ReadWriteCloser
	pipe    *pipe
	writing sync.Mutex // of pipe.out
	closing sync.Once
	ready   chan error
	ended   chan error

	// Of the fleet's mutex until ended has been read.
	latest  Progress
	audit   *Audit
	records []*Record
}

// fleetLoad is what the processes are to send.
type fleetLoad struct {
	planned []arrival
	slots   int           // closed loop
	open    bool          // with a tail
	length  time.Duration // of an open loop's window
	lead    time.Duration // from the first planned request to the start
	ready   int
}

// fleetMargin lies between the order to start and the first arrival.
const fleetMargin = 200 * time.Millisecond

// loadFleet offers the measured load through the fleet and gives its window where it is known beforehand.
func (r *runner) loadFleet(ctx context.Context, e2e time.Duration) (Window, error) {
	s := r.spec.Scenario
	switch s.Arrival {
	case contract.ArrivalClosed:
		_, err := r.offerFleet(ctx, fleetLoad{planned: together(RoleWindow, 0, s.NumPrompts), slots: *s.MaxConcurrency, ready: *s.MaxConcurrency})
		return Window{}, err
	case contract.ArrivalBurst:
		_, err := r.offerFleet(ctx, fleetLoad{planned: together(RoleWindow, 0, s.NumPrompts), ready: s.NumPrompts})
		return Window{}, err
	case contract.ArrivalReplay:
		planned := replaySchedule(r.spec.Rows)
		start, err := r.offerFleet(ctx, fleetLoad{planned: planned, ready: r.ready(float64(len(planned)))})
		span := Offset(planned[len(planned)-1].at)
		return Window{Start: start + span/10, End: start + span - span/10}, err
	}
	length := openWindow(s, r.spec.Window)
	lead := leadTime(r.spec.Window, length, e2e)
	ready := r.ready(*s.RequestRate * 2)
	l := fleetLoad{planned: openSchedule(s, r.spec.arrivals(), length, lead), open: true, length: length, lead: lead, ready: ready}
	if drain := r.drain(e2e); drain > 0 {
		defer time.AfterFunc(fleetMargin+lead+length+drain, func() { r.drained.Store(true); r.giveUp() }).Stop()
	}
	start, err := r.offerFleet(ctx, l)
	return Window{Start: start, End: start + Offset(length)}, err
}

// offerFleet starts the processes, lets them offer the load together, and takes their records.
func (r *runner) offerFleet(ctx context.Context, l fleetLoad) (Offset, error) {
	f := r.fleet
	n := min(f.shards.N, len(l.planned))
	if l.slots > 0 {
		n = min(n, l.slots)
	}
	r.begin(phaseLoad, 0, len(l.planned))
	if l.open {
		r.planned.Store(0)
	}
	defer f.close()
	for k := range n {
		o := shardOrder{V: shardVersion, Shard: k, Shards: n, BaseNS: r.clk.base, BaseURL: r.target.BaseURL, Path: r.target.Path, Model: r.target.Model,
			Header: r.target.Header, Extra: r.target.Extra, Spec: r.spec, Arrivals: ofShard(l.planned, k, n), Ready: share(l.ready, k, n), Open: l.open, WindowNS: l.length}
		if l.slots > 0 {
			o.Slots = share(l.slots, k, n)
		}
		if err := f.enlist(ctx, o); err != nil {
			return 0, err
		}
	}
	stop := context.AfterFunc(ctx, func() { f.tell(shardTold{Cancel: cancelWord(ctx)}) })
	defer stop()
	for k, m := range f.members {
		if err := <-m.ready; err != nil {
			return 0, fmt.Errorf("shard %d: %w", k, err)
		}
	}
	start := r.clk.now() + Offset(fleetMargin+l.lead)
	f.tell(shardTold{StartNS: &start})
	for k, m := range f.members {
		if err := <-m.ended; err != nil {
			return start, fmt.Errorf("shard %d: %w", k, err)
		}
	}
	r.records = append(r.records, f.records()...)
	return start, nil
}

// cancelWord says why a load was cut short, as the deadline or otherwise.
func cancelWord(ctx context.Context) string {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return cancelDeadline
	}
	return cancelPerson
}

// enlist starts a process and gives it its order. A process that has been started outlives a load that is cut short: it
// still has its records to give.
func (f *fleet) enlist(ctx context.Context, o shardOrder) error {
	link, err := f.shards.Start(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("shard %d: %w", o.Shard, err)
	}
	m := &member{link: link, pipe: newPipe(link, link), ready: make(chan error, 1), ended: make(chan error, 1)}
	f.mu.Lock()
	f.members = append(f.members, m)
	f.mu.Unlock()
	go f.hear(m)
	if err := m.tell(o); err != nil {
		m.close()
		return fmt.Errorf("shard %d: %w", o.Shard, errors.Join(<-m.ended, err))
	}
	return nil
}

// hear takes what a process says until it has given its records or gone.
func (f *fleet) hear(m *member) {
	err := f.conversation(m)
	if err != nil {
		m.close() // whoever still writes to it is to hear of it
	}
	select {
	case m.ready <- err: // it did not come that far
	default:
	}
	m.ended <- err
}

func (f *fleet) conversation(m *member) error {
	for {
		var says shardSays
		if err := m.pipe.in.Decode(&says); err != nil {
			return fmt.Errorf("%w went away: %w", errShard, err)
		}
		switch {
		case says.Error != "" && says.Limit:
			return &shardLimit{says.Error}
		case says.Error != "":
			return fmt.Errorf("%w: %s", errShard, says.Error)
		case says.Ready:
			m.ready <- nil
		case says.Progress != nil:
			f.mu.Lock()
			m.latest = *says.Progress
			f.mu.Unlock()
		case says.WindowDone:
			f.windowDone()
		case says.Audit != nil:
			m.audit = says.Audit
			return m.read(says.Records)
		}
	}
}

// shardLimit is a socket limit that a process met.
type shardLimit struct{ text string }

func (e *shardLimit) Error() string { return e.text }

// read takes the records.
func (m *member) read(n int) error {
	for range n {
		rec := newRecord(0, "")
		if err := m.pipe.in.Decode(rec); err != nil {
			return fmt.Errorf("%w: record: %w", errShard, err)
		}
		m.records = append(m.records, rec)
	}
	return nil
}

// windowDone ends the tails of all once the last measured request of all has ended.
func (f *fleet) windowDone() {
	f.mu.Lock()
	f.finished++
	all := f.finished == len(f.members)
	f.mu.Unlock()
	if all {
		f.tell(shardTold{Stop: true})
	}
}

// tell says something to every process; one that has gone is heard of elsewhere.
func (f *fleet) tell(m shardTold) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, to := range f.members {
		_ = to.tell(m)
	}
}

// tell says one thing to a process.
func (m *member) tell(what any) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.pipe.out.Encode(what)
}

// close ends a process.
func (m *member) close() { m.closing.Do(func() { _ = m.link.Close() }) }

// close ends the processes.
func (f *fleet) close() {
	f.mu.Lock()
	members := slices.Clone(f.members)
	f.mu.Unlock()
	for _, m := range members {
		m.close()
	}
}

// records gives what all have sent, in order of planning.
func (f *fleet) records() []*Record {
	var out []*Record
	for _, m := range f.members {
		out = append(out, m.records...)
	}
	order := map[Role]int{RoleLead: 0, RoleWindow: 1, RoleTail: 2}
	slices.SortStableFunc(out, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(order[a.Role], order[b.Role]), cmp.Compare(a.Index, b.Index))
	})
	return out
}

// progress adds up what the processes last said.
func (f *fleet) progress(planned int, elapsed time.Duration) Progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := Progress{Phase: "load", Planned: planned, Elapsed: elapsed}
	for _, m := range f.members {
		p.Sent, p.Done, p.Failed, p.InFlight = p.Sent+m.latest.Sent, p.Done+m.latest.Done, p.Failed+m.latest.Failed, p.InFlight+m.latest.InFlight
	}
	return p
}
