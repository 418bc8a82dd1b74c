package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// headline says what is searched under which limits.
func (r *loadgenRate) headline() string {
	s := r.spec.Scenario
	var limits []string
	for _, key := range slices.Sorted(keysOf(r.sla)) {
		limits = append(limits, fmt.Sprintf("%s %g", key, r.sla[key]))
	}
	if r.minAttainment > 0 {
		limits = []string{fmt.Sprintf("attainment of at least %g within %s", r.minAttainment, goodputText(r.spec.Goodput))}
	}
	return fmt.Sprintf("%s%s, model %q\n%d tokens in, %d out, Poisson arrivals; %s\nlimits: %s\n\n", r.target.BaseURL, r.target.Path, r.clean(r.target.Model), s.InputLen, s.OutputLen, r.search, strings.Join(limits, ", "))
}

func keysOf(m contract.SLA) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func goodputText(g *contract.Goodput) string {
	var out []string
	for _, x := range []struct {
		name  string
		limit float64
	}{{"ttft_user_ms", g.TTFTUserMS}, {"tpot_ms", g.TPOTMS}, {"e2e_user_ms", g.E2EUserMS}} {
		if x.limit > 0 {
			out = append(out, fmt.Sprintf("%s %g", x.name, x.limit))
		}
	}
	return strings.Join(out, ", ")
}

// rateTable prints load points as they end.
type rateTable struct {
	out     io.Writer
	terms   bench.RateTerms
	columns []string
}

// line prints one load point; the first one prints the heads before it.
func (t *rateTable) line(n int, x bench.RateTried) error {
	var b strings.Builder
	if t.columns == nil {
		t.columns = t.terms.Shown()
		fmt.Fprintf(&b, "%5s %12s %9s %9s", "point", "requests/s", "requests", "window s")
		for _, c := range t.columns {
			fmt.Fprintf(&b, " %*s", max(len(c), 9), c)
		}
		b.WriteString("  passes\n")
	}
	fmt.Fprintf(&b, "%5d %12.4g %9d %9.1f", n, x.Rate, x.Requests, x.WindowS)
	for _, c := range t.columns {
		text := "-"
		if v, ok := x.Metrics[c]; ok {
			text = fmt.Sprintf("%.4g", v)
		}
		fmt.Fprintf(&b, " %*s", max(len(c), 9), text)
	}
	switch {
	case x.Unfit != "":
		fmt.Fprintf(&b, "  does not count: %s, also when repeated\n", x.Unfit)
	case x.Passed:
		b.WriteString("  yes\n")
	default:
		fmt.Fprintf(&b, "  no: %s\n", strings.Join(x.Reasons, "; "))
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// text is what the load points came to.
func (a *rateAnswer) text() string {
	var b strings.Builder
	b.WriteByte('\n')
	r := a.Result
	switch {
	case a.Incomplete:
		b.WriteString("INCOMPLETE: the search was interrupted\n")
	case r.Edge == bench.RateBetween:
		fmt.Fprintf(&b, "max rate     %.4g requests/s under these limits\n", *r.Rate)
	case r.Edge == bench.RateAtLeast:
		fmt.Fprintf(&b, "max rate     at least %.4g requests/s: every rate tried passes; give a higher --high\n", *r.Pass)
	case r.Edge == bench.RateBelow:
		fmt.Fprintf(&b, "max rate     below %.4g requests/s: no rate tried passes; give a lower --low or wider limits\n", *r.Fail)
	default:
		fmt.Fprintf(&b, "max rate     no result: at %.4g requests/s this client was the limit, or the server did not settle\n", *r.Fail)
	}
	if r.Pass != nil && r.Fail != nil {
		fmt.Fprintf(&b, "bracket      %.4g passes, %.4g does not\n", *r.Pass, *r.Fail)
	}
	if r.Ended == bench.RateEndPoints {
		b.WriteString("warning      the load points ran out before the bracket was narrow and confirmed: give more --points\n")
	}
	if slices.ContainsFunc(r.Tried, func(x bench.RateTried) bool { return x.ShortWindow }) {
		b.WriteString("warning      windows were shorter than five median latencies: give a longer --window\n")
	}
	b.WriteString("note         one server, one launch: another launch differs, and only launches compared side by side say which is faster\n")
	for _, text := range a.Assumed {
		fmt.Fprintf(&b, "assumed      %s\n", text)
	}
	if len(a.Records) > 0 {
		fmt.Fprintf(&b, "records      %d files, %s to %s\n", len(a.Records), a.Records[0], a.Records[len(a.Records)-1])
	}
	return b.String()
}
