package verify

import (
	"errors"
	"fmt"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// rateRow computes a rate search again: what the records of each load point say of its rate, which rate had to follow on
// which, and what all of them together find. It counts the requests.
func (v *verifier) rateRow(before *loop.State, l worker.Launch, pt worker.Point, p *loop.PointMeasured) (int, error) {
	found := p.Row.Rate
	if found == nil {
		if p.Records != nil {
			return 0, errors.New("it has records and no rate_search")
		}
		return 0, withoutRecords(before, l, pt, p)
	}
	if len(p.Rates) != len(found.Tried) {
		return 0, fmt.Errorf("it tried %d rates and has the records of %d", len(found.Tried), len(p.Rates))
	}
	requests, chosen := 0, (*bench.Recording)(nil)
	for i := range found.Tried {
		rec, err := v.triedRate(l, pt, found.Tried[:i+1], p.Rates[i])
		if err != nil {
			return 0, fmt.Errorf("load point %d: %w", i+1, err)
		}
		requests += len(rec.Records)
		if i == found.Chosen() {
			chosen = rec
		}
	}
	if next := pt.Rate.Next(found.Tried); next != 0 {
		return 0, fmt.Errorf("the rate search stops before %v requests/s, its next rate", next)
	}
	if err := equal(pt.Rate.Result(found.Tried), *found); err != nil {
		return 0, fmt.Errorf("rate_search: %w", err)
	}
	return requests, v.ratedRow(before, l, pt, p, chosen)
}

// triedRate checks the newest of the rates tried: that it had to be the next one, and that its line is what its records
// say. What the client said of itself is taken as it is, as in every row.
func (v *verifier) triedRate(l worker.Launch, pt worker.Point, tried []bench.RateTried, at loop.RateRecords) (*bench.Recording, error) {
	n := len(tried) - 1
	x := tried[n]
	if next := pt.Rate.Next(tried[:n]); !near(next, x.Rate) {
		return nil, fmt.Errorf("it is at %v requests/s, the search's next rate is %v", x.Rate, next)
	}
	if at.Records == nil || (at.First != nil) != (x.Repeated != "") {
		return nil, fmt.Errorf("repeated is %q, and it %w, or has them of another first try", x.Repeated, errNoRecords)
	}
	one := pt
	one.Spec = pt.Rate.Probe(pt.Spec, n, x.Rate)
	if at.First != nil {
		if _, err := v.recording(*at.First, l, one); err != nil {
			return nil, fmt.Errorf("first try: %w", err)
		}
	}
	rec, err := v.recording(*at.Records, l, one)
	if err != nil {
		return nil, err
	}
	again := pt.Rate.Judge(x.Rate, &bench.Point{Status: x.Status, Metrics: bench.Measure(rec), Window: rec.Header.Window, Overloaded: overloaded(rec), Load: bench.TestLoad(rec)})
	again.Unfit, again.Repeated = x.Unfit, x.Repeated
	if err := equal(again, x); err != nil {
		return nil, err
	}
	return rec, sameStatus(rec, x.Status)
}

// sameStatus refuses a status that the window's requests do not bear out.
func sameStatus(rec *bench.Recording, said bench.Status) error {
	ok, open := 0, 0
	for _, r := range rec.Records {
		switch {
		case r.Role != bench.RoleWindow:
		case r.OK():
			ok++
		case r.Outcome == bench.OutcomeUnfinished || r.Outcome == bench.OutcomeDropped:
			open++
		}
	}
	if said == bench.StatusOK && ok == 0 || said != bench.StatusOK && ok > 0 && open == 0 {
		return fmt.Errorf("status is %s, and of the window's requests %d succeeded and %d never ended", said, ok, open)
	}
	return nil
}

// ratedRow compares the row with the load point that stands for the search.
func (v *verifier) ratedRow(before *loop.State, l worker.Launch, pt worker.Point, p *loop.PointMeasured, chosen *bench.Recording) error {
	at := p.Row.Rate.Chosen()
	if chosen == nil || p.Records == nil || *p.Records != *p.Rates[at].Records {
		return errors.New("its records are not those of the load point that stands for the search")
	}
	if p.Row.RawSHA256 != p.Records.SHA256 || p.Row.Artifacts.RawResult != p.Records.Name {
		return fmt.Errorf("it names records %s, the entry %s", p.Row.Artifacts.RawResult, p.Records.Name)
	}
	if err := sameMetrics(loop.RatedMetrics(chosen, p.Row.Rate), p.Row.Metrics); err != nil {
		return err
	}
	if err := outcome(chosen, p.Row); err != nil {
		return err
	}
	a := p.Row.Audit
	limited, said := p.Row.Rate.Edge == bench.RateLimited, a.ClientLimited || a.Unsettled
	if said && !limited || limited && !said && !a.Untrusted {
		return fmt.Errorf("the rate search ended %s, audit.client_limited is %t and audit.unsettled %t", p.Row.Rate.Edge, a.ClientLimited, a.Unsettled)
	}
	if p.Row.Status == compare.StatusOK && p.Row.Rate.Tried[at].Status != bench.StatusOK {
		return fmt.Errorf("status is ok, that of the load point that stands for the search is %s", p.Row.Rate.Tried[at].Status)
	}
	return equal(before.PlannedRow(l, pt, p.Row), p.Row)
}

// overloaded says whether records call their point overloaded, by the method of their contract.
func overloaded(rec *bench.Recording) bool {
	load := bench.TestLoad(rec)
	return load != nil && load.State == bench.LoadOverloaded
}
