package bench

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// ArrivalsSpec is the load of a certificate of arrivals.
type ArrivalsSpec struct {
	Rate     float64       // requests/s, Poisson
	Duration time.Duration // of the load
	Seed     uint64
	Limits   Limits
}

// Arrivals says how well the client keeps a Poisson process on this machine. The gaps are held against the exponential
// distribution of the rate, which is known and not fitted (Kolmogorov and Smirnov), as they were drawn and as the requests
// were really sent.
type Arrivals struct {
	Rate          float64      `json:"request_rate"`
	Requests      int          `json:"requests"`
	Failed        int          `json:"failed"`
	LateSendMS    Spread       `json:"late_send_ms"`
	Drawn         DistanceTest `json:"drawn_gaps"`
	Sent          DistanceTest `json:"sent_gaps"`
	ClientLimited bool         `json:"client_limited"`
	Audit         Audit        `json:"audit"`
}

// DistanceTest is a Kolmogorov–Smirnov test.
type DistanceTest struct {
	D float64 `json:"ks_distance"`
	P float64 `json:"ks_p"`
}

// Validate refuses a load without arrivals to test.
func (s ArrivalsSpec) Validate() error {
	switch {
	case !(s.Rate > 0) || s.Rate > 1e5:
		return fault.New(fault.InvalidInput, "a certificate of arrivals takes a rate up to 100000 requests/s, not %v", s.Rate).At("request-rate", strconv.FormatFloat(s.Rate, 'g', -1, 64))
	case s.Rate*s.Duration.Seconds() < 100:
		return fault.New(fault.InvalidInput, "%g requests/s for %s are fewer than 100 arrivals to test", s.Rate, s.Duration).At("duration", s.Duration.String())
	}
	return nil
}

// CertifyArrivals offers requests of one token as a Poisson process to a Mock that serves at baseURL.
func CertifyArrivals(ctx context.Context, baseURL string, spec ArrivalsSpec) (*Arrivals, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	scenario := contract.Scenario{Name: "arrivals", Kind: contract.KindRandom, InputLen: 16, OutputLen: 1, NumPrompts: 1, Arrival: contract.ArrivalPoisson,
		RequestRate: &spec.Rate, IgnoreEOS: true, Stream: true}
	r, err := newRunner(ctx, Target{BaseURL: baseURL, Path: PathCompletions, Model: "mock"}, Spec{Seed: spec.Seed, Vocab: TokenRange{Lo: 1, Hi: 1000}, Scenario: scenario})
	if err != nil {
		return nil, err
	}
	defer r.lanes.close()
	planned := openSchedule(scenario, spec.Seed, spec.Duration, 0)
	if err := r.lanes.prepare(r.ready(spec.Rate)); err != nil {
		return nil, fault.Wrap(fault.HostUnreachable, err, "cannot connect to the mock at %q", baseURL)
	}
	m := newMeter(ctx, r.clk, r.dialer.poll)
	r.windowLeft.Store(int64(len(planned)))
	if _, err := r.play(ctx, planned); err != nil {
		return nil, err
	}
	audit := m.read(spec.Limits.or(DefaultLimits()), r.dialer)
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Canceled, ctx.Err(), "certificate cancelled")
	}
	audit.judge(&Recording{Records: r.records, Header: Header{Scenario: scenario}})
	return spec.arrivals(r.records, audit)
}

// arrivals tests what was drawn and what was sent.
func (s ArrivalsSpec) arrivals(records []*Record, audit Audit) (*Arrivals, error) {
	out := &Arrivals{Rate: s.Rate, Requests: len(records), ClientLimited: audit.ClientLimited, Audit: audit}
	var drawn, sent []Offset
	var late []float64
	for _, rec := range records {
		if !rec.OK() {
			out.Failed++
		}
		if rec.Sent.Happened() {
			drawn, sent = append(drawn, rec.Sched), append(sent, rec.Sent)
			late = append(late, float64(rec.Sent-rec.Sched)/1e6)
		}
	}
	out.LateSendMS = spread(late)
	var err error
	if out.Drawn, err = PoissonTest(drawn, s.Rate); err != nil {
		return nil, err
	}
	out.Sent, err = PoissonTest(sent, s.Rate)
	return out, err
}

// PoissonTest holds the gaps between instants against the exponential distribution of a rate in 1/s.
func PoissonTest(instants []Offset, rate float64) (DistanceTest, error) {
	instants = slices.Clone(instants)
	slices.Sort(instants)
	gaps := make([]float64, 0, len(instants))
	for i := 1; i < len(instants); i++ {
		gaps = append(gaps, float64(instants[i]-instants[i-1])/1e9)
	}
	d, p, err := stats.Kolmogorov(gaps, func(gap float64) float64 { return -math.Expm1(-rate * gap) })
	return DistanceTest{D: d, P: p}, err
}
