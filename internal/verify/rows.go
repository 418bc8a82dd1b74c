package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// rows computes every row again: what contract, help and plan fix of it, its metrics from the raw records, and whether
// it kept the SLA.
func (v *verifier) rows() group {
	rows, requests := 0, 0
	visit := func(before *loop.State, _ chain.Entry, payload any) error {
		switch p := payload.(type) {
		case *loop.HelpCaptured:
			return v.help(before, p)
		case *loop.PointMeasured:
			n, err := v.row(before, p)
			if err != nil {
				return fmt.Errorf("row %s: %w", p.Key, err)
			}
			rows, requests = rows+1, requests+n
		}
		return nil
	}
	return group{"rows", visit, func() (string, error) {
		return fmt.Sprintf("%d rows from %d raw requests: facts, metrics, SLA", rows, requests), nil
	}}
}

// help parses a captured text again.
func (v *verifier) help(before *loop.State, h *loop.HelpCaptured) error {
	if n := v.named[h.Text.Name]; n == nil || n.Artifact != h.Text {
		return nil // captured again later
	}
	text, err := v.read(h.Text)
	if err != nil {
		return err
	}
	help, err := before.ParseHelp(h.Entry, string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", h.Text.Name, err)
	}
	stored, err := v.read(h.Flags)
	if err != nil {
		return err
	}
	if err := equal(help, stored); err != nil {
		return fmt.Errorf("%s: %w", h.Flags.Name, err)
	}
	if help.Digest != h.Digest {
		return fmt.Errorf("%s: digest is %s, computed again it is %s", h.Entry, h.Digest, help.Digest)
	}
	return nil
}

// row compares one row and counts its requests.
func (v *verifier) row(before *loop.State, p *loop.PointMeasured) (int, error) {
	var problem error = fmt.Errorf("launch %q and point %q are in no plan", p.Row.LaunchID, p.Point)
	for _, l := range v.launches(p.Row.LaunchID) {
		for _, pt := range l.Points {
			if pt.ID != p.Point {
				continue
			}
			var n int
			if n, problem = v.rowOf(before, l, pt, p); problem == nil {
				return n, nil
			}
		}
	}
	return 0, problem
}

func (v *verifier) rowOf(before *loop.State, l worker.Launch, pt worker.Point, p *loop.PointMeasured) (int, error) {
	if want := l.ID + "/" + pt.ID; p.Key != want {
		return 0, fmt.Errorf("its key is not %q", want)
	}
	if _, use, _ := v.state.PlannedPoint(l, pt.ID); use != p.Use {
		return 0, fmt.Errorf("use is %q, the plan's point is %q", p.Use, use)
	}
	if pt.Rate != nil {
		return v.rateRow(before, l, pt, p)
	}
	if p.Records == nil {
		return 0, withoutRecords(before, l, pt, p)
	}
	if p.Row.RawSHA256 != p.Records.SHA256 || p.Row.Artifacts.RawResult != p.Records.Name {
		return 0, fmt.Errorf("it names records %s, the entry %s", p.Row.Artifacts.RawResult, p.Records.Name)
	}
	rec, err := v.recording(*p.Records, l, pt)
	if err != nil {
		return 0, err
	}
	if err := sameMetrics(loop.MeasuredMetrics(rec), p.Row.Metrics); err != nil {
		return 0, err
	}
	if err := outcome(rec, p.Row); err != nil {
		return 0, err
	}
	if before.Disturbed(p.Row) && !p.Row.Audit.Untrusted {
		return 0, errors.New("audit.untrusted is not true, as its foreign_cpu_share and psi_cpu_some_pct say")
	}
	return len(rec.Records), equal(before.PlannedRow(l, pt, p.Row), p.Row)
}

// recording reads a point's records and checks that they are in order and of the load that was planned.
func (v *verifier) recording(a ledger.Artifact, l worker.Launch, pt worker.Point) (*bench.Recording, error) {
	raw, err := v.read(a)
	if err != nil {
		return nil, err
	}
	rec, err := bench.ReadRecords(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if err := rec.Check(); err != nil {
		return nil, err
	}
	return rec, v.header(rec, l, pt)
}

// withoutRecords checks a row that nothing was measured for: it failed and has no figures.
func withoutRecords(before *loop.State, l worker.Launch, pt worker.Point, p *loop.PointMeasured) error {
	if p.Row.Status == compare.StatusOK {
		return fmt.Errorf("status is ok and it %w", errNoRecords)
	}
	for name := range p.Row.Metrics {
		if !loop.HostMetric(name) {
			return fmt.Errorf("it carries %s and %w", name, errNoRecords)
		}
	}
	return equal(before.PlannedRow(l, pt, p.Row), p.Row)
}

// header checks that the records are of the load that was planned.
func (v *verifier) header(rec *bench.Recording, l worker.Launch, pt worker.Point) error {
	want := rec.Header
	want.Path, want.Phase, want.Block = l.Endpoint, pt.Spec.Phase, pt.Spec.Block
	want.Seed, want.Arrivals, want.Scenario, want.Goodput, want.Overload = pt.Spec.Seed, pt.Spec.ArrivalSeed, pt.Spec.Scenario, pt.Spec.Goodput, pt.Spec.Overload
	drawn, err := v.drawn(pt)
	if err != nil {
		return err
	}
	want.Drawn, want.Keyed = drawn.evidence, drawn.keyed
	if err := equal(want, rec.Header); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	return drawn.check(rec)
}

// sameMetrics compares a row's metrics with those of its records.
func sameMetrics(want, got compare.Metrics) error {
	for _, name := range slices.Sorted(maps.Keys(got)) {
		g, _ := got.Get(name)
		w, ok := want.Get(name)
		switch {
		case loop.HostMetric(name):
		case !ok:
			return fmt.Errorf("%s is %v, the records give none", name, g)
		case !near(w, g):
			return fmt.Errorf("%s is %v, the records give %v", name, g, w)
		}
	}
	for _, name := range append(compare.MetricNames(), compare.PrefixCacheHit) {
		if w, ok := want.Get(name); ok && !loop.HostMetric(name) {
			if _, has := got.Get(name); !has {
				return fmt.Errorf("%s is missing, the records give %v", name, w)
			}
		}
	}
	return nil
}

// outcome checks what a row says of its requests as a whole.
func outcome(rec *bench.Recording, row compare.Row) error {
	ok, warm := 0, 0
	for _, r := range rec.Records {
		if r.Role == bench.RoleWarmup {
			warm++
		}
		if r.Role == bench.RoleWindow && r.OK() {
			ok++
		}
	}
	switch {
	case row.Status == compare.StatusOK && ok == 0:
		return errors.New("status is ok and no request of the window succeeded")
	case row.WarmupRequests == nil || *row.WarmupRequests != warm:
		return fmt.Errorf("warmup_requests is %s, the records hold %d", short(row.WarmupRequests), warm)
	case row.Audit == nil || row.Audit.Overloaded != overloaded(rec):
		return fmt.Errorf("audit.overloaded is not %t, as the records say", overloaded(rec))
	}
	return sameLoad(bench.TestLoad(rec), row.Audit.LoadTest)
}

// sameLoad compares what a row says of its load with what its records do.
func sameLoad(want, got *bench.LoadTest) error {
	if want != nil && want.Method == contract.OverloadTrend {
		want = nil // rows of such contracts say overloaded and nothing more
	}
	if (want == nil) != (got == nil) {
		return fmt.Errorf("audit.load_test is %s, the records give %s", short(got), short(want))
	}
	if want == nil {
		return nil
	}
	for name, x := range map[string][2]float64{"offered_tok_s": {want.Offered, got.Offered}, "served_tok_s": {want.Served, got.Served}, "load": {want.Load, got.Load},
		"swing": {want.Swing, got.Swing}, "pile": {want.Pile, got.Pile}, "waiting": {want.Waiting, got.Waiting}, "response": {want.Response, got.Response}, "needs_s": {want.NeedsS, got.NeedsS}} {
		if !near(x[0], x[1]) {
			return fmt.Errorf("audit.load_test.%s is %v, the records give %v", name, x[1], x[0])
		}
	}
	if want.Method != got.Method || want.State != got.State || want.Spans != got.Spans {
		return fmt.Errorf("audit.load_test is %s by %s over %d spans, the records give %s by %s over %d", got.State, got.Method, got.Spans, want.State, want.Method, want.Spans)
	}
	return nil
}

// projections checks the files that are written from the ledger for readers.
func (v *verifier) projections() (string, error) {
	want := v.state.CandidateRows()
	got, err := fs.ReadFile(v.files, rowsFile)
	if len(want) == 0 && errors.Is(err, fs.ErrNotExist) {
		return "no rows yet", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", rowsFile, plain(err))
	}
	n := bytes.Count(want, []byte("\n"))
	if bytes.Equal(want, got) {
		return fmt.Sprintf("%s holds the ledger's %d rows", rowsFile, n), nil
	}
	a, b := bytes.SplitAfter(want, []byte("\n")), bytes.SplitAfter(got, []byte("\n"))
	for i := range max(len(a), len(b)) {
		if i < len(a) && i < len(b) && bytes.Equal(a[i], b[i]) {
			continue
		}
		if i >= len(b)-1 && len(b[len(b)-1]) == 0 && len(v.openLaunches()) > 0 {
			v.res.note("%s lacks the last %d rows: its writer died before it was written again", rowsFile, n-i)
			return fmt.Sprintf("%s holds the ledger's first %d of %d rows", rowsFile, i, n), nil
		}
		return "", fmt.Errorf("%s, line %d: it is not the ledger's row", rowsFile, i+1)
	}
	return "", nil
}
