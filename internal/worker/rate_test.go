//go:build linux

package worker_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// ratePoint searches between bounds under a limit on the median TTFT, in windows of a quarter of a second.
func ratePoint(id string, low, high float64) worker.Point {
	search := contract.RateSearch{Low: low, High: high, Tolerance: 0.25}.Complete()
	p := point(id)
	p.Rate = &bench.RateTerms{Search: search, SLA: contract.SLA{"max_p50_ttft_ms": 100}, Seed: 3, ArrivalSeed: 4}
	p.Spec.Window = bench.WindowRule{Min: 250 * time.Millisecond, Lead: 50 * time.Millisecond}
	p.Spec.Scenario.Arrival, p.Spec.Scenario.MaxConcurrency, p.Spec.Scenario.NumPrompts = contract.ArrivalPoisson, nil, 38
	p.Spec.Scenario.RateSearch, p.Spec.Scenario.Primary = &search, contract.MaxRateUnderSLA
	return p
}

// TestRateSearch searches on an engine of two slots that serves a request in 16 ms: 125 requests/s at most.
func TestRateSearch(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("rate", r.launch("l1", []string{"slots=2", "itl=4ms"}, ratePoint("chat", 50, 300), point("after")))
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	said := ""
	st := r.until("rate", func(st worker.Status) bool {
		if strings.Contains(st.Doing, "load point") {
			said = st.Doing
		}
		return st.State == worker.StateDone
	})
	require.Equal(t, "run.started launch.started launch.ready point.done point.done launch.stopped run.done", kinds(st))
	require.Regexp(t, `^l1 chat@rate-\d\d: .*; load point \d+ of at most \d+ at [\d.]+ requests/s`, said)
	done := st.Events[3]
	require.NotNil(t, done.Rate)
	require.Equal(t, bench.RateBetween, done.Rate.Edge, "%+v", done.Rate)
	require.Greater(t, *done.Rate.Rate, 20.0)
	require.Less(t, *done.Rate.Rate, 150.0, "no more than two slots can serve in a quarter of a second")
	if done.Rate.Ended == bench.RateEndTolerance {
		require.Less(t, *done.Rate.Fail / *done.Rate.Pass, 1.2501)
	}
	require.Len(t, done.Files, len(done.Rate.Tried))

	terms := p.Launches[0].Points[0].Rate
	for i, x := range done.Rate.Tried {
		require.Equal(t, terms.Next(done.Rate.Tried[:i]), x.Rate, "the same history gives the same rate")
		require.Equal(t, i+1, done.Files[i].Tried)
		require.Equal(t, fmt.Sprintf("launches/l1/points/chat@rate-%02d.jsonl.zst", i+1), done.Files[i].Name)
		rec, err := bench.ReadRecords(bytes.NewReader(r.fetch("rate", done.Files[i].Name)))
		require.NoError(t, err)
		require.NoError(t, rec.Check())
		require.Equal(t, x.Rate, *rec.Header.Scenario.RequestRate)
		require.EqualValues(t, 4, rec.Header.Arrivals)
		m := bench.Measure(rec)
		again := terms.Judge(x.Rate, &bench.Point{Status: x.Status, Metrics: m, Window: rec.Header.Window, Overloaded: x.Overloaded})
		require.Equal(t, x, again, "the line follows from the records")
	}
	require.Zero(t, terms.Next(done.Rate.Tried))
	chosen := done.Rate.Tried[done.Rate.Chosen()]
	require.Equal(t, *done.Rate.Pass, chosen.Rate)
	offered, _ := done.Metrics.Get("requests_offered")
	require.EqualValues(t, chosen.Requests, offered)
	require.Nil(t, st.Events[4].Rate)
}

func TestRateSearchEdges(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, faults string
		low, high    float64
		edge         bench.RateEdge
	}{
		{"passes everywhere", "itl=1ms", 200, 400, bench.RateAtLeast},
		{"fails everywhere", "slots=1 itl=5ms", 200, 600, bench.RateBelow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			var done worker.Event
			for n := range 5 { // a machine that stalls for the length of a window measures the stall
				st := r.run(r.plan(fmt.Sprintf("rate-%d", n), r.launch("l1", strings.Fields(tc.faults), ratePoint("chat", tc.low, tc.high))))
				if done = event(t, st, worker.EventPointDone); done.Rate.Edge == tc.edge {
					break
				}
			}
			require.Equal(t, tc.edge, done.Rate.Edge, "%+v", done.Rate)
			require.Nil(t, done.Rate.Rate, "no figure is made up")
			require.Contains(t, []string{bench.RateEndEdge, bench.RateEndPoints}, done.Rate.Ended, "a busy machine may need every point")
		})
	}
}

// TestRateSearchUnfit repeats every load point that is unsettled, and takes none of them for a pass or a result.
func TestRateSearchUnfit(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	restless := ratePoint("chat", 47, 60)
	restless.Rate.Search.Points = restless.Rate.Search.FewestPoints()
	restless.Spec.MaxWarmupWaves, restless.Spec.Scenario.NumPrompts = 2, 4
	p := r.plan("rate", r.launch("l1", nil, restless))
	p.AuditLimits.SettleTolerance = 1e-12
	st := r.run(p)
	done := event(t, st, worker.EventPointDone)
	require.Equal(t, bench.RateLimited, done.Rate.Edge)
	for _, x := range done.Rate.Tried {
		require.Equal(t, []string{"unsettled", "unsettled"}, []string{x.Unfit, x.Repeated})
		require.False(t, x.Passes())
	}
	require.Len(t, done.Files, 2*len(done.Rate.Tried))
	require.Equal(t, 2, len(slices.DeleteFunc(done.Files, func(f worker.File) bool { return f.Tried != 1 })))
}

func TestRateSearchOfADyingEngine(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	st := r.run(r.plan("rate", r.launch("l1", []string{"die-after=60"}, ratePoint("chat", 20, 400))))
	failed := event(t, st, worker.EventPointFailed)
	require.Equal(t, framework.FailChild, failed.Failure.Class)
	require.Nil(t, failed.Rate, "half a search is none")
	require.NotEmpty(t, failed.Files)
}

func TestRateTermsAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for says, edit := range map[string]func(*bench.RateTerms){
		"high must be above low": func(p *bench.RateTerms) { p.Search.High = 1 },
		"no tolerance":           func(p *bench.RateTerms) { p.Search.Tolerance = 0 },
		"no number of points":    func(p *bench.RateTerms) { p.Search.Points = 0 },
		"needs limits":           func(p *bench.RateTerms) { p.SLA = nil },
	} {
		one := ratePoint("chat", 20, 400)
		edit(one.Rate)
		require.ErrorContains(t, r.client.Start(t.Context(), r.plan("rate", r.launch("l1", nil, one)), nil), says)
	}
}

// TestRateSearchOfAKilledWorker leaves no half of a search: the run is lost without a word of the point, and the launch
// that is planned again searches from its beginning, which is the same.
func TestRateSearchOfAKilledWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	p := r.plan("lost", r.launch("l1", []string{"itl=1ms"}, ratePoint("chat", 200, 400)))
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	first := filepath.Join(r.workdir, "runs", "lost", "launches", "l1", "points", "chat@rate-01.jsonl.zst")
	r.until("lost", func(worker.Status) bool { _, err := os.Stat(first); return err == nil })
	require.NoError(t, syscall.Kill(r.workerPID("lost"), syscall.SIGKILL))
	st := r.finish("lost")
	require.Equal(t, worker.StateLost, st.State)
	require.Equal(t, "run.started launch.started launch.ready", kinds(st))
	_, err := r.client.Reap(t.Context(), "lost")
	require.NoError(t, err)

	again := r.run(r.plan("again", p.Launches...))
	done := event(t, again, worker.EventPointDone)
	require.NotEmpty(t, done.Rate.Ended)
	require.InDelta(t, p.Launches[0].Points[0].Rate.Next(nil), done.Rate.Tried[0].Rate, 0)
}
