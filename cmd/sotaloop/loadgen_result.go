package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// loadgenResult is what `loadgen run` measured. What rows have, too, has their names.
type loadgenResult struct {
	Model          string           `json:"model"` // empty where the endpoint takes none
	URL            string           `json:"url"`
	Status         bench.Status     `json:"status"`
	FailureReason  string           `json:"failure_reason"`
	Incomplete     bool             `json:"incomplete"` // interrupted: what was measured until then
	StartedAt      time.Time        `json:"started_at"`
	DurationS      float64          `json:"duration_s"` // warm-up included
	Client         string           `json:"client"`
	ClientVersion  string           `json:"client_version"`
	Verdict        string           `json:"verdict"` // valid or client_limited
	WarmupRequests int              `json:"warmup_requests"`
	Workload       compare.Workload `json:"workload"`
	Seed           uint64           `json:"seed,string"`
	Vocab          bench.TokenRange `json:"vocab"`

	SLA        *compare.SLA      `json:"sla"`         // null without limits; passed is null of an incomplete load
	SLAReasons []string          `json:"sla_reasons"` // limits that were broken
	Goodput    *contract.Goodput `json:"goodput"`     // limits of each request
	Metrics    bench.Metrics     `json:"metrics"`
	Counts     bench.Counts      `json:"counts"`
	FirstError string            `json:"first_error"` // of the load, in the server's words
	Audit      compare.Audit     `json:"audit"`
	Trends     []bench.Trend     `json:"trends"`
	Settling   bench.Settling    `json:"settling"`
	Warnings   []string          `json:"warnings"`
	Assumed    []string          `json:"assumed"`
	Records    string            `json:"records"`    // file of the raw records
	RawSHA256  string            `json:"raw_sha256"` // of that file
}

// The words of a verdict about the client.
const (
	verdictValid   = "valid"
	verdictLimited = "client_limited"
)

// result puts together what was measured. From here on nothing holds the key any more.
func (r *loadgenRun) result(p *bench.Point, interrupted bool) *loadgenResult {
	if interrupted {
		cutShort(p)
	}
	first := ""
	for _, rec := range p.Recording.Records {
		rec.Error, rec.Finish = r.clean(rec.Error), r.clean(rec.Finish)
		if first == "" && rec.ErrorClass != "" && rec.ErrorClass != bench.ErrCanceled {
			first = fmt.Sprintf("%s: %s", rec.ErrorClass, strings.TrimPrefix(rec.Error, string(rec.ErrorClass)+": "))
		}
	}
	p.Reason = r.clean(p.Reason)
	s := r.spec.Scenario
	out := &loadgenResult{
		Model: r.clean(r.target.Model), URL: r.target.BaseURL, Status: p.Status, FailureReason: p.Reason, Incomplete: interrupted, StartedAt: p.StartedAt,
		DurationS: p.DurationS, Client: bench.ClientName, ClientVersion: bench.ClientVersion, Verdict: verdictValid, WarmupRequests: p.Counts.Warmup,
		Workload: compare.Workload{Kind: s.Kind, Scenario: s.Name, DatasetPath: s.Dataset, Endpoint: r.target.Path, Arrival: s.Arrival, InputLen: &s.InputLen, OutputLen: &s.OutputLen,
			InputLenP50: &s.InputLen, InputLenP95: &s.InputLen, OutputLenP50: &s.OutputLen, OutputLenP95: &s.OutputLen, NumPrompts: &s.NumPrompts,
			RequestRate: s.RequestRate, MaxConcurrency: s.MaxConcurrency, Temperature: &s.Temperature, IgnoreEOS: &s.IgnoreEOS, Stream: &s.Stream,
			DrawDigest: fmt.Sprintf("seed-%016x", r.spec.Seed)},
		Seed: r.spec.Seed, Vocab: r.spec.Vocab, Goodput: r.spec.Goodput, SLAReasons: []string{}, Metrics: p.Metrics, Counts: p.Counts, FirstError: first,
		Audit: compare.Audit{ClientLimited: p.Audit.ClientLimited, Unsettled: !p.Settling.Settled, Overloaded: p.Overloaded, LoadTest: p.Load, Reasons: p.Audit.Reasons,
			LateSendP99MS: p.Audit.LateSendP99MS, LoopLagP99MS: p.Audit.LoopLagP99MS, GCPauseMaxMS: p.Audit.GCPauseMaxMS, StealShare: p.Audit.Steal, ClientCPU: p.Audit.CPUShare},
		Trends: p.Trends, Settling: p.Settling, Warnings: p.Warnings, Assumed: slices.Concat([]string{}, r.assumed), Records: r.out,
	}
	if p.Audit.ClientLimited {
		out.Verdict = verdictLimited
	}
	out.judge(r.sla, interrupted)
	return out
}

// judge holds the metrics against the limits. An overloaded point breaks them, an incomplete one is not judged.
func (l *loadgenResult) judge(limits contract.SLA, interrupted bool) {
	if len(limits) == 0 {
		return
	}
	l.SLA = &compare.SLA{Limits: limits}
	if interrupted {
		return
	}
	passed, reasons := limits.Judge(l.Metrics.Get)
	if l.Audit.Overloaded {
		reasons = append(reasons, bench.OverloadReason(l.Audit.LoadTest))
	}
	if l.Status != bench.StatusOK {
		reasons = append(reasons, "status "+string(l.Status))
	}
	passed = passed && len(reasons) == 0
	if t := l.Audit.LoadTest; passed && t != nil && t.State == bench.LoadUndecided {
		l.SLAReasons = append(l.SLAReasons, bench.OverloadReason(t))
		return
	}
	l.SLA.Passed, l.SLAReasons = &passed, append(l.SLAReasons, reasons...)
}

// cutShort ends an open loop's window where the load was interrupted: what was planned for later was not offered.
func cutShort(p *bench.Point) {
	until := *p.Recording
	switch until.Header.Scenario.Arrival {
	case contract.ArrivalPoisson, contract.ArrivalConstant:
	default:
		return
	}
	until.Header.Window.End = until.Header.Window.Start
	until.Records = slices.DeleteFunc(slices.Clone(until.Records), func(rec *bench.Record) bool { return rec.Role == bench.RoleWindow && !rec.Sent.Happened() })
	for _, rec := range until.Records {
		if rec.Role == bench.RoleWindow {
			until.Header.Window.End = max(until.Header.Window.End, rec.Sched+1)
		}
	}
	p.Warnings = slices.DeleteFunc(p.Warnings, func(text string) bool { return strings.HasPrefix(text, "the window of ") }) // the planned one
	p.Window, p.Metrics = until.Header.Window, bench.Measure(&until)
	p.JudgeLoad(&until)
}

// text is the result for a person.
func (l *loadgenResult) text() string {
	var b strings.Builder
	w := l.Workload
	load := fmt.Sprintf("%s arrivals", w.Arrival)
	switch {
	case w.Arrival == contract.ArrivalClosed:
		load = fmt.Sprintf("closed loop of %d slots", *w.MaxConcurrency)
	case w.RequestRate != nil:
		load = fmt.Sprintf("%s arrivals at %g requests/s", w.Arrival, *w.RequestRate)
	}
	lengths := fmt.Sprintf("%d tokens in, %d out", *w.InputLen, *w.OutputLen)
	if w.DatasetPath != "" {
		lengths = fmt.Sprintf("rows of dataset %.19s, %s tokens in, %s out on average", w.DatasetPath, l.figure("mean_input_tokens", "%.1f"), l.figure("mean_output_tokens", "%.1f"))
	}
	fmt.Fprintf(&b, "%s%s, model %q\n%s, %s, %d prompts\n", l.URL, w.Endpoint, l.Model, load, lengths, *w.NumPrompts)
	if l.Incomplete {
		b.WriteString("INCOMPLETE: the load was interrupted; requests that had not ended count as failed\n")
	} else if l.Status != bench.StatusOK {
		fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(string(l.Status)), l.FailureReason)
	}
	l.latencyTable(&b)
	window := "in the window"
	if w.Arrival != contract.ArrivalBurst {
		window += " of " + l.figure("window_s", "%.1f") + " s"
	}
	c := l.Counts
	fmt.Fprintf(&b, "\n%-12s %s %s, %s ok; whole load: %d ok, %d failed, %d unfinished, %d never sent\n", "requests", l.figure("requests_offered", "%.0f"), window,
		l.figure("requests_ok", "%.0f"), c.OK, c.Failed, c.Unfinished, c.Dropped)
	if w.Arrival == contract.ArrivalBurst {
		fmt.Fprintf(&b, "%-12s %s s\n", "makespan", l.figure("makespan_s", "%.3f"))
	} else {
		fmt.Fprintf(&b, "%-12s %s requests/s, %s output tokens/s, %s total tokens/s\n", "throughput", l.figure("request_throughput", "%.2f"),
			l.figure("output_token_throughput", "%.1f"), l.figure("total_token_throughput", "%.1f"))
	}
	if l.Goodput != nil {
		fmt.Fprintf(&b, "%-12s %s requests/s, attainment %s\n", "goodput", l.figure("goodput_rps", "%.2f"), l.figure("sla_attainment", "%.4f"))
	} else {
		fmt.Fprintf(&b, "%-12s - (no limits of each request: --goodput)\n", "goodput")
	}
	l.remarks(&b)
	return b.String()
}

// latencyTable writes the latencies and, where a figure is missing, why.
func (l *loadgenResult) latencyTable(b *strings.Builder) {
	columns := []string{"mean", "p50", "p95", "p99"}
	fmt.Fprintf(b, "\n%-14s", "milliseconds")
	for _, c := range columns {
		fmt.Fprintf(b, "%11s", c)
	}
	b.WriteByte('\n')
	missing, infinite := false, false
	for _, name := range bench.Latencies() {
		fmt.Fprintf(b, "%-14s", strings.TrimSuffix(name, "_ms"))
		for _, c := range columns {
			v, ok := l.Metrics.Get(c + "_" + name)
			missing, infinite = missing || !ok, infinite || math.IsInf(v, 0)
			fmt.Fprintf(b, "%11s", l.figure(c+"_"+name, "%.2f"))
		}
		b.WriteByte('\n')
	}
	if missing {
		fmt.Fprintf(b, "- is not defined, or of too few requests in the window: p50 takes %d, p95 %d, p99 %d\n", bench.RequestsFor(0.5), bench.RequestsFor(0.95), bench.RequestsFor(0.99))
	}
	if infinite {
		b.WriteString("inf fell on a request that failed\n")
	}
}

// figure renders a metric, - where it is null.
func (l *loadgenResult) figure(name, format string) string {
	v, ok := l.Metrics.Get(name)
	switch {
	case !ok:
		return "-"
	case math.IsInf(v, 0):
		return "inf"
	}
	return fmt.Sprintf(format, v)
}

// remarks writes everything that a figure needs to be believed.
func (l *loadgenResult) remarks(b *strings.Builder) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(l.Counts.Errors)) {
		classes = append(classes, fmt.Sprintf("%s %d", class, l.Counts.Errors[class]))
	}
	for _, status := range slices.Sorted(maps.Keys(l.Counts.Statuses)) {
		classes = append(classes, fmt.Sprintf("HTTP %s %d", status, l.Counts.Statuses[status]))
	}
	if len(classes) == 0 {
		classes = []string{"none"}
	}
	line("failures", "%s", strings.Join(classes, ", "))
	if l.FirstError != "" {
		line("first", "%s", l.FirstError)
	}
	if l.SLA != nil {
		verdict := "not judged"
		if p := l.SLA.Passed; p != nil && *p {
			verdict = "pass"
		} else if p != nil {
			verdict = "FAIL: " + strings.Join(l.SLAReasons, "; ")
		} else if len(l.SLAReasons) > 0 {
			verdict += ": " + strings.Join(l.SLAReasons, "; ")
		}
		line("SLA", "%s", verdict)
	}
	line("client", "%s", strings.Join(slices.Concat([]string{l.Verdict}, l.Audit.Reasons), "; "))
	if l.Verdict == verdictLimited {
		line("", "such a point can neither win nor lose: give the client cores of its own, or share the load over processes (--shards N)")
	}
	l.loadText(line)
	if l.Audit.Unsettled {
		line("warning", "the server had not settled after %d waves: %s output tokens/s", len(l.Settling.WaveTokS), waves(l.Settling.WaveTokS))
	}
	for _, text := range l.Warnings {
		line("warning", "%s", text)
	}
	for _, text := range l.Assumed {
		line("assumed", "%s", text)
	}
	if l.Records != "" {
		line("records", "%s, sha256 %s", l.Records, l.RawSHA256)
	}
}

// loadText says how the offered load stands to what the server can take.
func (l *loadgenResult) loadText(line func(name, format string, args ...any)) {
	t := l.Audit.LoadTest
	switch {
	case t == nil:
	case t.State == bench.LoadOverloaded:
		line("OVERLOADED", "offered %.4g output tokens/s, %.0f %% of the %.4g served while requests piled up", t.Offered, 100*t.Load, t.Served)
		for _, trend := range l.Trends {
			if trend.Rising {
				line("", "%s rose by %.0f %% of its mean over the window", trend.Quantity, 100*trend.Rise)
			}
		}
	case t.State == bench.LoadUndecided:
		line("UNDECIDED", "the window cannot tell whether the server can take this load for long; one of %.0f s would", t.NeedsS)
	}
}

func waves(tokS []float64) string {
	parts := make([]string, len(tokS))
	for i, v := range tokS {
		parts[i] = fmt.Sprintf("%.0f", v)
	}
	return strings.Join(parts, ", ")
}

// progressLine tells a person how the load goes on: one line rewritten on a terminal, now and then a line elsewhere.
type progressLine struct {
	w     io.Writer
	live  bool
	pause time.Duration // between two lines
	told  time.Time
	phase string
}

func newProgressLine(w io.Writer) *progressLine {
	f, ok := w.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		return &progressLine{w: w, live: true, pause: 250 * time.Millisecond}
	}
	return &progressLine{w: w, pause: 5 * time.Second}
}

// show is called about once a second.
func (l *progressLine) show(p bench.Progress) {
	phase := p.Phase
	if p.Wave > 0 {
		phase = fmt.Sprintf("%s wave %d", p.Phase, p.Wave)
	}
	if now := time.Now(); now.Sub(l.told) >= l.pause || (phase != l.phase && now.Sub(l.told) >= 250*time.Millisecond) {
		l.told, l.phase = now, phase
	} else {
		return
	}
	of := ""
	if p.Planned > 0 {
		of = fmt.Sprintf(" of %d", p.Planned)
	}
	text := fmt.Sprintf("%s: %d%s ended, %d in flight, %d failed, %.0f s", phase, p.Done, of, p.InFlight, p.Failed, p.Elapsed.Seconds())
	if l.live {
		fmt.Fprintf(l.w, "\r%s\x1b[K", text)
	} else {
		fmt.Fprintln(l.w, text)
	}
}

// end takes the moving line away.
func (l *progressLine) end() {
	if l.live {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

// recordsFile is where the raw records go: whole or not at all. It is opened before the load, so that a place that
// cannot be written to is found before it.
type recordsFile struct {
	path string // empty: no records are kept
	part *os.File
}

func newRecordsFile(path string) (*recordsFile, error) {
	if path == "" {
		return &recordsFile{}, nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.InvalidInput, "--out: %q is no regular file", path).At("out", path)
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".sotaloop-*.part")
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "--out: cannot write %q", path).At("out", path).Hint("name a file in a folder that exists and that you may write to")
	}
	return &recordsFile{path: path, part: part}, nil
}

// keep stores the records and gives their digest.
func (f *recordsFile) keep(r *bench.Recording) (digest string, err error) {
	if f.part == nil {
		return "", nil
	}
	sum := sha256.New()
	err = errors.Join(bench.WriteRecords(io.MultiWriter(f.part, sum), r), f.part.Chmod(0o644), f.part.Close())
	if err == nil {
		err = os.Rename(f.part.Name(), f.path)
	}
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "--out: cannot write %q", f.path)
	}
	f.part = nil
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// discard removes what was not kept.
func (f *recordsFile) discard() {
	if f.part != nil {
		_ = f.part.Close()
		_ = os.Remove(f.part.Name())
	}
}
