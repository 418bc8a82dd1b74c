package bench

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// CertifySpec is the load of a certificate.
type CertifySpec struct {
	Streams  int           // concurrent streams at the height of the load
	ITL      time.Duration // gap between a stream's events, as the mock was told
	Duration time.Duration // length of a stream; they start evenly over half of it
	Burst    bool          // all streams at once instead: printed without a bar
	Limits   Limits
}

// Spread is a distribution in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Certificate is what the client itself adds to a measurement on this machine. Errors are absolute differences between
// what the client saw and what the mock really did.
type Certificate struct {
	Streams       int          `json:"streams"`
	ITLMS         float64      `json:"itl_ms"`
	DurationS     float64      `json:"duration_s"`
	Burst         bool         `json:"burst"`
	Events        int          `json:"events"`
	EventsLost    int          `json:"events_lost"`
	EventsPerS    float64      `json:"events_per_s"` // at the height of the load
	TTFTErrorMS   Spread       `json:"ttft_error_ms"`
	ITLErrorMS    Spread       `json:"itl_error_ms"`
	LateMS        Spread       `json:"late_ms"`          // the mock's own lateness, which the errors do not hold
	LateSendMS    Spread       `json:"late_send_ms"`     // arrivals against their plan
	AsOthers      ClientErrors `json:"as_other_clients"` // by the clock that other clients have, see ClientErrors
	CPUPerEventUS float64      `json:"cpu_us_per_event"` // of the client, by its own getrusage
	CapacityEvS   float64      `json:"capacity_events_per_s"`
	ClientLimited bool         `json:"client_limited"`
	Audit         Audit        `json:"audit"`
}

// Validate refuses a certificate without streams or events.
func (c CertifySpec) Validate() error {
	switch {
	case c.Streams < 1 || c.Streams > 100_000:
		return fault.New(fault.InvalidInput, "a certificate takes 1 to 100000 streams, not %d", c.Streams).At("streams", strconv.Itoa(c.Streams))
	case c.ITL < time.Millisecond:
		return fault.New(fault.InvalidInput, "the gap between events is at least 1ms, not %s", c.ITL).At("itl", c.ITL.String())
	case c.Duration < c.ITL:
		return fault.New(fault.InvalidInput, "a duration of %s is shorter than one gap of %s", c.Duration, c.ITL).At("duration", c.Duration.String())
	}
	return nil
}

// Certify measures the client against a Mock that serves at baseURL, in another process of the same machine.
func Certify(ctx context.Context, baseURL string, spec CertifySpec) (*Certificate, error) {
	return certify(ctx, baseURL, spec, nil)
}

// CertifySharded measures the client as several processes that share the streams.
func CertifySharded(ctx context.Context, baseURL string, spec CertifySpec, shards Shards) (*Certificate, error) {
	f, err := newFleet(Target{}, shards)
	if err != nil {
		return nil, err
	}
	return certify(ctx, baseURL, spec, f)
}

// certify measures this process, or the fleet in its place.
func certify(ctx context.Context, baseURL string, spec CertifySpec, f *fleet) (*Certificate, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tokens := max(1, int(spec.Duration/spec.ITL))
	r, err := newRunner(ctx, Target{BaseURL: baseURL, Path: PathCompletions, Model: "mock"}, spec.load(tokens))
	if err != nil {
		return nil, err
	}
	defer r.lanes.close()
	r.fleet = f
	planned := spaced(RoleWindow, 0, spec.Streams, spec.Duration/2/time.Duration(spec.Streams))
	if spec.Burst {
		planned = together(RoleWindow, 0, spec.Streams)
	}
	audit, err := r.certified(ctx, planned)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Canceled, ctx.Err(), "certificate cancelled")
	}
	return spec.certificate(r, audit, tokens)
}

// certified plays the streams and gives the audit of who sent them.
func (r *runner) certified(ctx context.Context, planned []arrival) (Audit, error) {
	limits := r.spec.Limits.or(DefaultLimits())
	r.spec.Limits = limits
	if r.fleet != nil {
		m := newMeter(ctx, r.clk, r.dialer.poll)
		_, err := r.offerFleet(ctx, fleetLoad{planned: planned, ready: len(planned)})
		return r.fleet.audit(m.read(limits, r.dialer)), err
	}
	if err := r.lanes.prepare(len(planned)); err != nil {
		return Audit{}, fault.Wrap(fault.HostUnreachable, err, "cannot connect to the mock at %q", r.target.BaseURL)
	}
	m := newMeter(ctx, r.clk, r.dialer.poll)
	r.countWindow(planned)
	_, err := r.play(ctx, planned)
	return m.read(limits, r.dialer), err
}

// load is the certificate's load as a point's spec.
func (c CertifySpec) load(tokens int) Spec {
	rate := float64(c.Streams) / (c.Duration / 2).Seconds()
	return Spec{Seed: 1, Vocab: TokenRange{Lo: 1, Hi: 1000}, KeepOutputs: true, Limits: c.Limits, Scenario: contract.Scenario{Name: "certify", Kind: contract.KindRandom, InputLen: 16, OutputLen: tokens,
		NumPrompts: c.Streams, Arrival: contract.ArrivalConstant, RequestRate: &rate, IgnoreEOS: true, Stream: true}}
}

// certificate compares the records with what the mock wrote into the outputs.
func (c CertifySpec) certificate(r *runner, audit Audit, tokens int) (*Certificate, error) {
	rec := &Recording{Records: r.records, Header: Header{Scenario: r.spec.Scenario}}
	audit.judge(rec)
	var ttft, itl, late, lateSend []float64
	out := &Certificate{Streams: c.Streams, ITLMS: ms(c.ITL), DurationS: c.Duration.Seconds(), Burst: c.Burst, Audit: audit,
		EventsPerS: float64(c.Streams) / c.ITL.Seconds(), ClientLimited: audit.ClientLimited, Events: c.Streams * tokens}
	for _, record := range r.records {
		truth, err := readMockTruth(record.Output)
		sent := truth.sent
		if err != nil && record.OK() {
			return nil, err
		}
		out.EventsLost += tokens - min(record.Events, len(sent))
		if !record.OK() || len(sent) == 0 || len(record.Gaps) != len(sent)-1 {
			continue
		}
		late = append(late, truth.late...)
		lateSend = append(lateSend, float64(record.Sent-record.Sched)/1e6)
		ttft = append(ttft, math.Abs(float64(r.clk.base+int64(record.First)-sent[0]))/1e6)
		for i, gap := range record.Gaps {
			itl = append(itl, math.Abs(float64(gap)*1e3-float64(sent[i+1]-sent[i]))/1e6)
		}
	}
	var err error
	if out.AsOthers, err = MockErrors(rec); err != nil {
		return nil, err
	}
	out.TTFTErrorMS, out.ITLErrorMS, out.LateMS, out.LateSendMS = spread(ttft), spread(itl), spread(late), spread(lateSend)
	if audit.CPUPerEventUS != nil && *audit.CPUPerEventUS > 0 {
		out.CPUPerEventUS = math.Round(*audit.CPUPerEventUS*100) / 100
		out.CapacityEvS = math.Round(1e6 / *audit.CPUPerEventUS * audit.Limits.CPUShare * float64(audit.CPUs))
	}
	return out, nil
}

// spread gives the distribution of values, rounded to microseconds.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	round := func(v float64) float64 { return math.Round(v*1000) / 1000 }
	return Spread{P50: round(quantile7(values, 0.5)), P99: round(quantile7(values, 0.99)), Max: round(values[len(values)-1])}
}
