// Package bench offers load to a serving engine and measures what comes back: arrivals, the streaming client,
// per-request records, metric formulas and the client's audit of itself. It compares nothing and judges nobody.
//
// # Times of one request
//
// All times are nanoseconds after the origin of their point.
//
//	t_sched        planned arrival; closed loop: the instant the slot became free
//	t_sent         just before the first byte is written
//	t_first_chunk  first event with choices, whatever it carries
//	t_first_text   first event with non-empty text
//	t_first        first event that carries a generated token: text, reasoning, tool delta, token ids, a rise in usage
//	t_last         last such event
//	t_end          last byte of the response
//
// # Metrics
//
// Only requests scheduled inside the window W count (see Window).
//
//	ttft_ms       t_first − t_sent               ttft_user_ms  t_first − t_sched
//	tpot_ms       (t_last − t_first)/(n_out − k1), k1 = tokens of the first event; undefined for n_out ≤ k1
//	icl_ms        gap between content events      itl_ms        the same, where one token an event is established
//	e2e_ms        t_end − t_sent                  e2e_user_ms   t_end − t_sched
//
// Quantiles are Hyndman–Fan type 7 over all requests offered in W, failed ones as +∞; a quantile q of n requests is
// null unless (1 − q)·n ≥ 10. Means are of successful requests. Throughputs count successful requests only, over |W|;
// a burst has a makespan and no rate.
package bench

// ClientName and ClientVersion label the rows this client measures.
const (
	ClientName    = "sotaloop"
	ClientVersion = "1"
)
