package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// LoadState is what an open loop's window says of its load.
type LoadState string

// The states. Only a sustained load may keep an SLA.
const (
	LoadSustained  LoadState = "sustained"  // the engine served more than was offered while requests piled up, or they did not pile up
	LoadUndecided  LoadState = "undecided"  // the window cannot tell
	LoadOverloaded LoadState = "overloaded" // the load is above what the engine served while requests piled up
)

// LoadTest is the judgement of an open loop's load and what it rests on. Figures are 0 where Method has no use for them.
type LoadTest struct {
	Method contract.OverloadTest `json:"method"`
	State  LoadState             `json:"state"`
	Spans  int                   `json:"spans,omitempty"`
	// Offered is the nominal rate times the mean output of a request; Served what came out in the third of the spans with the
	// most requests in flight. Both in output tokens/s.
	Offered float64 `json:"offered_tok_s,omitempty"`
	Served  float64 `json:"served_tok_s,omitempty"`
	Load    float64 `json:"load,omitempty"` // Offered ÷ Served: at an engine that was always busy, the share of its capacity
	// Swing and Response compare that third with the third with the fewest: ln of the ratio of requests in flight, and ln of the
	// ratio of what was served over it. An engine with room to spare serves more where more is in flight (1), a full one does not (0).
	Swing    float64 `json:"swing,omitempty"`
	Response float64 `json:"response,omitempty"`
	// Pile is how many requests more are in flight in that third than in the other.
	Pile float64 `json:"pile,omitempty"`
	// Waiting is the share of those in flight in the fullest third that wait for their first token.
	Waiting float64 `json:"waiting,omitempty"`
	// NeedsS is the window that would tell, in seconds; only where State is undecided.
	NeedsS float64 `json:"needs_s,omitempty"`
}

// The capacity test. Why it takes no trend, and what these numbers do on simulated engines, is in docs/STATISTICS.md.
const (
	fewestLoadSpans = 12
	mostLoadSpans   = 120
	requestsASpan   = 10    // fewer, and what a span serves is a matter of where its ends lie
	leastLoad       = 0.97  // below it, more was served than offered
	shortLoad       = 1.003 // beyond it, a window of too few latencies may have ended before the engine was full
	leastSwing      = 0.01  // below it, nothing piled up; nor where less than
	leastPile       = 1     // request more is in flight
	fullResponse    = 0.5   // below it, the engine is full
	freeResponse    = 0.7   // from it on, it has room
	queueWaiting    = 0.03  // from it on, requests wait in front of a full engine
	leastGrowing    = 1.02  // an engine where none waits takes every request into its batch, and may be filling still: beyond it, it is full
	hugeFigure      = 1e6   // bounds what JSON cannot hold
)

// TestLoad judges an open loop's load by the method that the recording's header names; nil where there is nothing to judge:
// closed loops, bursts and empty windows.
func TestLoad(r *Recording) *LoadTest {
	trends := Trends(r)
	if r.Header.Overload == contract.OverloadTrend {
		if len(trends) == 0 {
			return nil
		}
		out := &LoadTest{State: LoadSustained}
		if slices.ContainsFunc(trends, func(t Trend) bool { return t.Rising }) {
			out.State = LoadOverloaded
		}
		return out
	}
	return capacityTest(r)
}

// capacityTest compares what was offered, which is known and not estimated, with what the engine served while it had the
// most to do.
func capacityTest(r *Recording) *LoadTest {
	load, ok := offeredLoad(r)
	if !ok {
		return nil
	}
	out := &LoadTest{Method: contract.OverloadCapacity, State: LoadUndecided, Offered: load.tokens}
	seconds := r.Header.Window.Seconds()
	if load.median == 0 {
		out.NeedsS = 2 * seconds
		return out
	}
	latencies := seconds / load.median
	out.Spans = min(max(int(min(latencies, float64(load.requests)/requestsASpan, mostLoadSpans)), fewestLoadSpans), mostLoadSpans)
	out.fill(spanned{flying: inFlight(r.Records, r.Header.Window, out.Spans), waiting: waiting(r.Records, r.Header.Window, out.Spans),
		tokens: served(r.Records, r.Header.Window, out.Spans)})
	out.State = out.decide(latencies >= fewestLoadSpans)
	if out.State == LoadUndecided {
		out.NeedsS = max(2*seconds, 2*fewestLoadSpans*load.median)
	}
	return out
}

// decide is the rule; long says whether the window spans enough latencies.
func (t *LoadTest) decide(long bool) LoadState {
	switch {
	case !long && t.Load > shortLoad && (t.steady() || t.Response >= fullResponse):
		return LoadUndecided
	case t.Load <= leastLoad, t.steady(), t.Response >= freeResponse:
		return LoadSustained
	case t.Response >= fullResponse, t.Waiting < queueWaiting && t.Load <= leastGrowing:
		return LoadUndecided
	}
	return LoadOverloaded
}

// steady says whether requests in flight hardly varied.
func (t *LoadTest) steady() bool { return t.Swing < leastSwing || t.Pile < leastPile }

// spanned are means over the window's spans.
type spanned struct {
	flying, waiting []float64 // requests in flight, and those of them without a token
	tokens          []float64 // that came, a second
}

// fill computes the figures.
func (t *LoadTest) fill(s spanned) {
	order := make([]int, len(s.flying))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.flying[a], s.flying[b]) })
	third := len(order) / 3
	mean := func(of []float64, spans []int) float64 {
		sum := 0.0
		for _, i := range spans {
			sum += of[i]
		}
		return sum / float64(len(spans))
	}
	low, high := order[:third], order[len(order)-third:]
	flying, least := mean(s.flying, high), mean(s.flying, low)
	t.Served = mean(s.tokens, high)
	t.Load = quotient(t.Offered, t.Served)
	t.Swing, t.Pile = math.Log(max(1, quotient(flying, least))), flying-least
	if flying > 0 {
		t.Waiting = mean(s.waiting, high) / flying
	}
	if t.Swing > 0 {
		ratio := quotient(t.Served, mean(s.tokens, low))
		t.Response = min(max(math.Log(max(ratio, 1/hugeFigure))/t.Swing, -hugeFigure), hugeFigure)
	}
}

// quotient is a/b, at most hugeFigure.
func quotient(a, b float64) float64 {
	if b <= 0 || a/b > hugeFigure {
		return hugeFigure
	}
	return a / b
}

// offer is what an open loop offered.
type offer struct {
	tokens   float64 // output tokens/s
	requests int     // of the window
	median   float64 // E2E of the window's requests that succeeded, in seconds; 0 where none did
}

// offeredLoad is the nominal rate times the mean output of the window's requests. A replay's rate is that of its window.
func offeredLoad(r *Recording) (offer, bool) {
	w, rate := r.Header.Window, 0.0
	var took []float64
	tokens, n := 0.0, 0
	for _, rec := range r.Records {
		if rec.Role != RoleWindow {
			continue
		}
		n++
		switch {
		case rec.OK():
			took, tokens = append(took, float64(rec.End-rec.Sched)/1e9), tokens+float64(rec.Out)
		default:
			tokens += float64(rec.WantOut)
		}
	}
	if n == 0 || tokens <= 0 || w.End <= w.Start {
		return offer{}, false
	}
	switch s := r.Header.Scenario; s.Arrival {
	case contract.ArrivalPoisson, contract.ArrivalConstant:
		if s.RequestRate == nil {
			return offer{}, false
		}
		rate = *s.RequestRate
	case contract.ArrivalReplay:
		rate = float64(n) / w.Seconds()
	default:
		return offer{}, false
	}
	out := offer{tokens: rate * tokens / float64(n), requests: n}
	if len(took) > 0 {
		slices.Sort(took)
		out.median = max(quantile7(took, 0.5), 1e-9)
	}
	return out, true
}

// served is the output tokens a second that came in each of n spans of the window, of all requests. An event carries an
// equal share of its request's tokens; of a request that did not succeed, one.
func served(records []*Record, w Window, n int) []float64 {
	tokens := make([]float64, n)
	width := float64(w.End-w.Start) / float64(n)
	for _, r := range records {
		if r.Role == RoleWarmup || !r.First.Happened() {
			continue
		}
		first, each := float64(max(r.K1, 1)), 1.0
		switch {
		case r.OK() && r.Events > 1:
			each = max(0, float64(r.Out)-first) / float64(r.Events-1)
		case r.OK():
			first = float64(r.Out)
		}
		at, share := float64(r.First-w.Start), first
		for i := 0; ; i++ {
			if at >= 0 && at < width*float64(n) {
				tokens[min(int(at/width), n-1)] += share * 1e9 / width
			}
			if i == len(r.Gaps) {
				break
			}
			at, share = at+float64(r.Gaps[i])*1e3, each
		}
	}
	return tokens
}

// JudgeLoad fills in what a recording says of its load.
func (p *Point) JudgeLoad(r *Recording) {
	p.Trends, p.Load = Trends(r), TestLoad(r)
	p.Overloaded = p.Load != nil && p.Load.State == LoadOverloaded
}

// OverloadReason says why a load is not known to be one that the engine can take; nil is the method of before, whose rows
// said no more.
func OverloadReason(t *LoadTest) string {
	switch {
	case t == nil || t.Method == contract.OverloadTrend:
		return "overloaded: load rose over the window"
	case t.State == LoadUndecided:
		return fmt.Sprintf("undecided: the window cannot tell this load from one above capacity, one of %.0f s would", t.NeedsS)
	}
	return fmt.Sprintf("overloaded: offered %.4g times what was served while requests piled up", t.Load)
}
