package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// searchRate measures one rate after the other on a running engine until the terms have no further one. A rate at which
// no request succeeds, or whose deadline comes first, does not pass; an engine that dies ends the search and has no
// rate. Nothing of it is told before its end, so that a run that is lost searches anew.
func (r *runner) searchRate(ctx context.Context, e *engine, p *Point) Event {
	out := Event{Kind: EventPointDone, Launch: e.launch.ID, Point: p.ID, Proc: &e.proc, Port: e.port, Quiet: &Quiet{ForeignGPU: []string{}}}
	var tried []bench.RateTried
	var measured []*bench.Point
	defer r.within(scope{})
	for rate := p.Rate.Next(tried); rate > 0; rate = p.Rate.Next(tried) {
		n := len(tried) + 1
		r.within(scope{of: p.Rate.Search.Points, done: len(tried), text: rateText(p.Rate, tried, rate)})
		// No scenario may have an @ in its name.
		one := Point{ID: fmt.Sprintf("%s@rate-%02d", p.ID, n), Spec: p.Rate.Probe(p.Spec, len(tried), rate), Flush: p.Flush}
		ev := r.tryTwice(ctx, e, &one)
		for _, f := range ev.Files {
			f.Tried = n
			out.Files = append(out.Files, f)
		}
		out.Cache = ev.Cache
		out.Quiet.add(ev.Quiet)
		out.Memory = larger(out.Memory, ev.Memory)
		if ev.Failure != nil && !slowRate(ev) {
			out.Failure = ev.Failure
			return out
		}
		x := p.Rate.Judge(rate, ev.Measured)
		x.Unfit, x.Repeated = r.unfit(ev), ev.Repeated
		tried, measured = append(tried, x), append(measured, ev.Measured)
	}
	result := p.Rate.Result(tried)
	chosen := measured[result.Chosen()]
	if !slices.ContainsFunc(measured, func(m *bench.Point) bool { return m.Status == bench.StatusOK }) {
		out.Failure = r.judge(e, chosen, nil)
	}
	out.Rate, out.Measured, out.Metrics, out.Audit = &result, chosen, &chosen.Metrics, &chosen.Audit
	return out
}

// slowRate says whether a try failed because of what was offered, on an engine that lives.
func slowRate(ev Event) bool {
	return ev.Measured != nil && ev.Measured.Status != bench.StatusOK && (ev.Failure.Class == FailRequests || ev.Failure.Class == framework.FailDeadline)
}

// rateText says where a search stands.
func rateText(t *bench.RateTerms, tried []bench.RateTried, rate float64) string {
	text := fmt.Sprintf("load point %d of at most %d at %.4g requests/s", len(tried)+1, t.Search.Points, rate)
	so := t.Result(tried)
	if so.Pass != nil {
		text += fmt.Sprintf(", %.4g passes", *so.Pass)
	}
	if so.Fail != nil {
		text += fmt.Sprintf(", %.4g does not", *so.Fail)
	}
	return text
}

// add takes over what was worse during another load point.
func (q *Quiet) add(o *Quiet) {
	if o == nil {
		return
	}
	worse := func(a, b *float64) *float64 {
		if a == nil || (b != nil && *b > *a) {
			return b
		}
		return a
	}
	q.ForeignCPUShare = max(q.ForeignCPUShare, o.ForeignCPUShare)
	q.ForeignCoreShare = worse(q.ForeignCoreShare, o.ForeignCoreShare)
	q.PSICPU, q.PSIMemory = worse(q.PSICPU, o.PSICPU), worse(q.PSIMemory, o.PSIMemory)
	q.Repinned += o.Repinned
	q.CacheWrites, q.CacheFiles = q.CacheWrites+o.CacheWrites, union(q.CacheFiles, o.CacheFiles)
	q.PeakRSSMiB, q.PeakGPUMiB = max(q.PeakRSSMiB, o.PeakRSSMiB), max(q.PeakGPUMiB, o.PeakGPUMiB)
	q.OffCores, q.ForeignGPU = union(q.OffCores, o.OffCores), union(q.ForeignGPU, o.ForeignGPU)
}

func union(a, b []string) []string {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// larger is the higher of two peaks.
func larger(a, b *TreeMemory) *TreeMemory {
	if a == nil || (b != nil && b.PeakMiB > a.PeakMiB) {
		return b
	}
	return a
}
