package report

import (
	"fmt"
	"math"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// noise is what the host's launches vary by: what was planned with, an A/A of launches of its own where the campaign ran
// one, the effect of the order within blocks, and an A/A from halves. None of it is a verdict or overrules one.
func (w *writer) noise() {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)+"\n") }
	if n := w.st.Contract.Noise; n != nil {
		source := "assumed: no A/A of this host was known"
		if n.Source == contract.NoiseAA {
			source = fmt.Sprintf("A/A of %d pairs in %s", n.Pairs, n.Campaign)
			if w.st.AssumedSD() == 0 {
				source += ", expired: the target is of another release"
			}
		}
		line("Planned with launches that vary by %s a block (%s).", percent(n.SD), source)
	}
	for _, c := range w.st.Calibrations() {
		line("A/A of this campaign (%s, %s): %d pairs of candidate 0 vary by %s; ratio of the two labels %.4f; the launch that runs second differs by %s.",
			c.Scenario, c.Metric, c.Pairs, percent(c.SD), c.Ratio, effect(c.Order, c.OrderSE))
	}
	for _, o := range w.st.OrderEffects() {
		line("Order within blocks (%s, %s, against %s): the launch that runs second differs by %s over %d blocks; the order was drawn, so that this favours no side.",
			o.Scenario, o.Metric, o.Against, effect(o.Effect, o.SE), o.Blocks)
	}
	for _, l := range lines {
		w.line("%s", l)
	}
	w.halves()
}

func effect(v, se float64) string { return fmt.Sprintf("%+.2f %% ± %.2f %%", 100*v, 100*se) }

// halves is an A/A from halves of the same launches: every other block of the target against the rest. It shows the
// noise of this campaign and is no substitute for launches of its own.
func (w *writer) halves() {
	for _, s := range w.st.Contract.Scenarios {
		var logs []float64
		for _, r := range w.st.Rows(compare.PhaseBlock, "main") {
			if v, ok := r.Metrics.Get(s.Primary); ok && r.Workload.Scenario == s.Name && r.Side == w.st.Contract.Target.Entry && v > 0 {
				logs = append(logs, math.Log(v))
			}
		}
		if len(logs) < 4 {
			continue
		}
		var even, odd float64
		n := len(logs) / 2 * 2
		for i, l := range logs[:n] {
			if i%2 == 0 {
				even += l
			} else {
				odd += l
			}
		}
		w.line("A/A from halves of the same launches (%s, %s): ratio of %s's even to odd blocks %.4f. It shares launches with the verdict and only shows the noise.", s.Name, s.Primary, w.st.Contract.Target.Entry, math.Exp((even-odd)/float64(n/2)))
	}
}
