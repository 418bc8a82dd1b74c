package bench

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// errNoFigures says that a recording has nothing to give figures of.
var errNoFigures = errors.New("no request succeeded with more than one token")

// AsForeign gives a recording's figures by another client's definitions, over all requests of the load:
//
//	vllm bench serve       first: first chunk with choices   last: last content event
//	sglang.bench_serving   first: first chunk with text      last: the end of the response, behind [DONE]
//
// TTFT is first − t_sent, TPOT (last − first)/(n_out − 1), throughput all output tokens over the time from the first
// sending to the last end.
func AsForeign(r *Recording, client ForeignClient) (Figures, error) {
	var f Figures
	n, tokens := 0.0, 0
	began, ended := Offset(math.MaxInt64), Offset(math.MinInt64)
	for _, rec := range r.Records {
		if rec.Role == RoleWarmup || !rec.OK() || !rec.First.Happened() || rec.Out < 2 {
			continue
		}
		first, last := rec.FirstChunk, rec.Last
		if client == ForeignSGLang {
			first, last = rec.FirstText, rec.End
		}
		if !first.Happened() {
			continue
		}
		n++
		tokens += rec.Out
		began, ended = min(began, rec.Sent), max(ended, rec.End)
		f.TTFT += float64(first-rec.Sent) / 1e6
		f.TPOT += float64(last-first) / 1e6 / float64(rec.Out-1)
	}
	if n == 0 {
		return Figures{}, errNoFigures
	}
	f.TTFT, f.TPOT, f.Throughput = f.TTFT/n, f.TPOT/n, float64(tokens)/(float64(ended-began)/1e9)
	return f, nil
}

// ClientErrors is how far a client's figures are from what the mock really did, in milliseconds. TTFT is compared with the
// time from the mock's reading of the request to its first event, so that the way to the mock, and whatever the client
// does between starting its clock and sending, count as the client's. Bias is the mean with its sign.
type ClientErrors struct {
	Requests   int     `json:"requests"`
	Events     int     `json:"events"`
	EventsLost int     `json:"events_lost"`
	TTFTMS     Spread  `json:"ttft_error_ms"`
	TTFTBiasMS float64 `json:"ttft_bias_ms"`
	ITLMS      Spread  `json:"itl_error_ms"`
}

// errorsOf gathers the errors of one client.
type errorsOf struct {
	out       ClientErrors
	ttft, itl []float64
	bias      float64
}

// add takes one request: what the client measured, and the output that holds the truth.
func (e *errorsOf) add(ttft time.Duration, gaps []time.Duration, output string, tokens int) error {
	truth, err := readMockTruth(output)
	if err != nil {
		return err
	}
	e.out.Requests++
	e.out.Events += tokens
	e.out.EventsLost += tokens - min(tokens, len(truth.sent))
	if len(truth.sent) == 0 || truth.received == 0 {
		return nil
	}
	off := float64(int64(ttft)-(truth.sent[0]-truth.received)) / 1e6
	e.bias += off
	e.ttft = append(e.ttft, math.Abs(off))
	if len(gaps) != len(truth.sent)-1 {
		return fmt.Errorf("%w: %d gaps between %d events", errForeign, len(gaps), len(truth.sent))
	}
	for i, gap := range gaps {
		e.itl = append(e.itl, math.Abs(float64(int64(gap)-(truth.sent[i+1]-truth.sent[i])))/1e6)
	}
	return nil
}

func (e *errorsOf) done() ClientErrors {
	e.out.TTFTMS, e.out.ITLMS = spread(e.ttft), spread(e.itl)
	if len(e.ttft) > 0 {
		e.out.TTFTBiasMS = math.Round(e.bias/float64(len(e.ttft))*1e3) / 1e3
	}
	return e.out
}

// MockErrors holds a run against the mock, whose outputs its details must have kept.
func (r *ForeignRun) MockErrors() (ClientErrors, error) {
	var e errorsOf
	for i, q := range r.Requests {
		if q.Failed {
			e.out.EventsLost += q.Out
			continue
		}
		if err := e.add(q.TTFT, q.Gaps, q.Text, q.Out); err != nil {
			return ClientErrors{}, fmt.Errorf("request %d: %w", i+1, err)
		}
	}
	return e.done(), nil
}

// MockErrors holds a recording against the mock, whose outputs must have been kept.
func MockErrors(r *Recording) (ClientErrors, error) {
	var e errorsOf
	for i, rec := range r.Records {
		if rec.Role == RoleWarmup {
			continue
		}
		if !rec.OK() {
			e.out.EventsLost += rec.WantOut
			continue
		}
		gaps := make([]time.Duration, len(rec.Gaps))
		for k, gap := range rec.Gaps {
			gaps[k] = time.Duration(gap) * time.Microsecond
		}
		if err := e.add(time.Duration(rec.First-rec.Sent), gaps, rec.Output, rec.Out); err != nil {
			return ClientErrors{}, fmt.Errorf("request %d: %w", i+1, err)
		}
	}
	return e.done(), nil
}
