package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// stored reads what a client wrote, and our records beside it.
func (c *loadgenCross) stored(_ context.Context, _ streams, answer *crossAnswer) error {
	runs, err := readForeignFile(c.results)
	if err != nil {
		return err
	}
	var ours *bench.Recording
	if c.records != "" {
		f, err := os.Open(c.records)
		if err != nil {
			return fault.Wrap(fault.NotFound, err, "open --records")
		}
		defer f.Close()
		if ours, err = bench.ReadRecords(f); err != nil {
			return fault.Wrap(fault.Corrupt, err, "--records %q", c.records)
		}
	}
	answer.Client = runs[0].Client
	for i, run := range runs {
		if run.Client != answer.Client {
			return fault.New(fault.InvalidInput, "--results holds runs of %s and of %s", answer.Client, run.Client)
		}
		r := crossRound{Theirs: run.Figures()}
		if e, err := run.MockErrors(); err == nil && len(run.Requests) > 0 {
			r.TheirsErrors, answer.Mock = &e, true // only the mock's outputs can be read as its times
		}
		if ours != nil {
			f, err := bench.AsForeign(ours, run.Client)
			if err != nil {
				return fault.Wrap(fault.InvalidInput, err, "--records %q", c.records)
			}
			r.Ours = &f
			answer.otherLoad(i+1, run, ours)
		}
		if run.Failed > 0 {
			answer.warn("run %d: %d requests failed", i+1, run.Failed)
		}
		row := c.row(run)
		row.Simulated = row.Simulated || r.TheirsErrors != nil
		answer.Rounds, answer.Rows = append(answer.Rounds, r), append(answer.Rows, row)
	}
	return nil
}

// otherLoad warns of figures that are of different loads.
func (a *crossAnswer) otherLoad(i int, run *bench.ForeignRun, ours *bench.Recording) {
	s := ours.Header.Scenario
	slots := func(n *int) string {
		if n == nil {
			return "unbounded"
		}
		return fmt.Sprint(*n)
	}
	if slots(run.MaxConcurrency) != slots(s.MaxConcurrency) {
		a.warn("run %d: %s slots, ours %s: the loads differ", i, slots(run.MaxConcurrency), slots(s.MaxConcurrency))
	}
	out, n := 0, 0
	for _, rec := range ours.Records {
		if rec.OK() && rec.Role != bench.RoleWarmup {
			out, n = out+rec.Out, n+1
		}
	}
	theirs, mine := float64(run.OutputTokens)/float64(max(run.Completed, 1)), float64(out)/float64(max(n, 1))
	if math.Abs(theirs/mine-1) > crossTolerance {
		a.warn("run %d: %.1f tokens out on average, ours %.1f: the loads differ", i, theirs, mine)
	}
}

func readForeignFile(path string) ([]*bench.ForeignRun, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "open results")
	}
	defer f.Close()
	runs, err := bench.ReadForeign(f)
	if err != nil {
		return nil, fault.Wrap(fault.CodeOf(err), err, "%q", path)
	}
	return runs, nil
}

func (a *crossAnswer) warn(format string, args ...any) {
	a.Warnings = append(a.Warnings, fmt.Sprintf(format, args...))
}

// conclude takes medians over the rounds.
func (a *crossAnswer) conclude() {
	var theirs, ours []bench.Figures
	for _, r := range a.Rounds {
		theirs = append(theirs, r.Theirs)
		if r.Ours != nil {
			ours = append(ours, *r.Ours)
		}
	}
	a.Theirs = medianFigures(theirs)
	if len(ours) == 0 {
		return
	}
	mine := medianFigures(ours)
	ratio := mine.Over(a.Theirs)
	agree := true
	for _, r := range []float64{ratio.Throughput, ratio.TTFT, ratio.TPOT} {
		agree = agree && math.Abs(r-1) <= crossTolerance
	}
	a.Ours, a.Ratio, a.Agree = &mine, &ratio, &agree
}

func medianFigures(list []bench.Figures) bench.Figures {
	middle := func(pick func(bench.Figures) float64) float64 {
		values := make([]float64, len(list))
		for i, f := range list {
			values[i] = pick(f)
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return bench.Figures{Throughput: middle(func(f bench.Figures) float64 { return f.Throughput }), TTFT: middle(func(f bench.Figures) float64 { return f.TTFT }),
		TPOT: middle(func(f bench.Figures) float64 { return f.TPOT })}
}

// text is the cross-check for a person.
func (a *crossAnswer) text() string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(string(a.Client) + " " + a.ClientVersion))
	if a.Mock {
		b.WriteString(", against the mock")
	}
	fmt.Fprintf(&b, ", %d rounds\n%-26s %12s %12s %9s\n", len(a.Rounds), "", "theirs", "ours", "ratio")
	for _, line := range []struct {
		name string
		pick func(bench.Figures) float64
	}{
		{"output tokens/s", func(f bench.Figures) float64 { return f.Throughput }},
		{"mean TTFT, ms", func(f bench.Figures) float64 { return f.TTFT }},
		{"mean TPOT, ms", func(f bench.Figures) float64 { return f.TPOT }},
	} {
		ours, ratio := "-", "-"
		if a.Ours != nil {
			ours, ratio = fmt.Sprintf("%.3f", line.pick(*a.Ours)), fmt.Sprintf("%.4f", line.pick(*a.Ratio))
		}
		fmt.Fprintf(&b, "%-26s %12.3f %12s %9s\n", line.name, line.pick(a.Theirs), ours, ratio)
	}
	for i, r := range a.Rounds {
		for _, e := range []struct {
			name string
			*bench.ClientErrors
		}{{"theirs", r.TheirsErrors}, {"ours", r.OursErrors}} {
			if e.ClientErrors != nil {
				fmt.Fprintf(&b, "round %d, %-6s against the mock: TTFT off by p50 %.3f p99 %.3f ms, %+.3f on average; ITL by p50 %.3f p99 %.3f ms; %d events lost\n",
					i+1, e.name, e.TTFTMS.P50, e.TTFTMS.P99, e.TTFTBiasMS, e.ITLMS.P50, e.ITLMS.P99, e.EventsLost)
			}
		}
	}
	if a.Agree != nil {
		verdict := "agree"
		if !*a.Agree {
			verdict = "DISAGREE"
		}
		fmt.Fprintf(&b, "the clients %s within %.0f %%, by the definitions of %s\n", verdict, 100*a.Tolerance, a.Client)
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}
