package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// familyAlpha is the error rate that all comparisons of a family share.
const familyAlpha = 0.05

// assumedSD of a block's log-ratio, where neither the sample nor an A/A of the host says one.
const assumedSD = 0.015

// Verdicts gives one verdict per scenario and comparison side: the SLA first, then the interval of the mean log-ratio
// of the primary metric over blocks. Comparisons that the rows do not allow are in Result.Refused, the others are
// unaffected. An error means that there is nothing to compare, or that the terms are unusable.
func Verdicts(rows []Row, t Terms) (Result, error) {
	if math.IsNaN(t.Delta) || t.Delta < 0 || t.Delta >= 1 {
		return Result{}, fault.New(fault.InvalidInput, "delta %v is not a ratio between 0 and 1", t.Delta).At("delta", fmt.Sprint(t.Delta))
	}
	s, err := gather(rows, t)
	if err != nil {
		return Result{}, err
	}
	scenarios := s.scenarios(t)
	m := t.M
	if m == 0 {
		m = max(1, len(scenarios)*len(s.against))
	}
	res := Result{
		Verdicts: []Verdict{}, Refused: []Refusal{}, Warnings: []string{}, Provenance: ProvenanceUnverified, Method: stats.Method,
		M: m, Alpha: familyAlpha / float64(m), Delta: t.Delta, Looks: append([]int{}, t.Looks...),
	}
	if t.Campaign {
		res.Provenance = ProvenanceCampaign
	}
	for i := range rows {
		if rows[i].Mark != "" {
			res.Mark = rows[i].Mark
		}
	}
	missing := map[string]bool{}
	for _, scenario := range scenarios {
		for _, against := range s.against {
			c := comparison{sides: &s, terms: t, scenario: scenario, against: against, alpha: res.Alpha, reading: newReading(!t.Campaign), missing: missing}
			v, refused := c.run()
			for i := range refused {
				refused[i].Scenario, refused[i].Against = scenario, against
			}
			res.Refused = append(res.Refused, refused...)
			if len(refused) == 0 {
				res.Verdicts = append(res.Verdicts, v)
			}
		}
	}
	if !t.Campaign {
		res.Warnings = append(res.Warnings, slices.Concat(simulatedWarning(rows), otherPhases(rows, t))...)
	}
	res.Warnings = append(res.Warnings, resultWarnings(res, missing)...)
	return res, nil
}

// Err is the first refusal as a fault, nil when nothing was refused.
func (r Result) Err() error {
	if len(r.Refused) == 0 {
		return nil
	}
	f := r.Refused[0]
	return fault.New(fault.RuleViolation, "%s against %s: %s", f.Scenario, f.Against, f.What).ByRule(f.Rule).At(f.Field, f.Got, f.Want).
		Hint("measure both sides alike, or leave the rows of the other measurement out")
}

func resultWarnings(res Result, missing map[string]bool) []string {
	var out []string
	if len(missing) > 0 {
		out = append(out, "not declared on every row, so not checked: "+strings.Join(sortedKeys(missing), ", "))
	}
	for _, r := range res.Refused {
		out = append(out, fmt.Sprintf("%s: %s against %s is not compared: %s", r.Rule, r.Scenario, r.Against, r.What))
	}
	return out
}

// comparison is the work on one scenario and one comparison side.
type comparison struct {
	sides    *sides
	terms    Terms
	scenario string
	against  string
	alpha    float64
	reading  *reading
	missing  map[string]bool // of the whole result
	warnings []string
}

func (c *comparison) run() (Verdict, []Refusal) {
	target, looseA := c.sides.of(c.sides.target, c.scenario)
	other, looseB := c.sides.of(c.against, c.scenario)
	if loose := looseA + looseB; loose > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("%d rows carry no block and cannot be paired", loose))
	}
	switch {
	case len(target)+looseA == 0:
		return Verdict{}, []Refusal{c.absent(c.sides.target)}
	case len(other)+looseB == 0:
		return Verdict{}, []Refusal{c.absent(c.against)}
	case len(target) == 0 || len(other) == 0:
		return c.undecided("no blocks: rows without a block number cannot be paired"), nil
	}
	facts := comparable(target, other, c.terms)
	paired := pairUp(target, other, c.terms)
	if refused := append(facts.refused, paired.refused...); len(refused) > 0 {
		return Verdict{}, refused
	}
	if !c.terms.Campaign {
		for _, field := range slices.Concat(facts.missing, undeclared(paired.pairs)) {
			c.missing[field] = true
		}
	} else if len(facts.missing) > 0 {
		c.warnings = append(c.warnings, "not declared on every row: "+strings.Join(facts.missing, ", "))
	}
	c.warnings = append(c.warnings, append(facts.allowed, paired.warnings...)...)
	metric, err := primary(c.terms, c.scenario, target[0])
	if err != nil {
		return Verdict{}, []Refusal{{Rule: RuleSameWorkload, Field: "workload.max_concurrency", Got: bound(target[0].Workload.MaxConcurrency), Want: unbounded, What: err.Error()}}
	}
	return c.decide(metric, paired.pairs)
}

func (c *comparison) absent(side string) Refusal {
	return Refusal{Rule: RuleEverySide, Field: "workload.scenario", Got: "no rows", Want: "rows of " + side,
		What: fmt.Sprintf("scenario %q was not measured on %s", c.scenario, side)}
}

// decide gives the verdict over usable blocks: those up to the last look reached.
func (c *comparison) decide(metric string, pairs []pair) (Verdict, []Refusal) {
	if len(pairs) == 0 {
		return c.undecided("no usable blocks"), nil
	}
	pairs = c.looked(pairs)
	if refused := c.outputs(metric, pairs); refused != nil {
		return Verdict{}, []Refusal{*refused}
	}
	v := c.verdict(metric, pairs)
	sample := c.sample(metric, pairs)
	if lost := len(pairs) - len(sample); lost > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("%d of %d blocks have no %s on both sides and are not in the ratio", lost, len(pairs), metric))
	}
	d, err := c.decision(sample)
	if err == nil {
		c.fill(&v, d)
	} else {
		v.Verdict, v.Reason = stats.Inconclusive, metric+" was not measured on both sides of any block"
		c.needs(&v)
	}
	c.edges(&v, pairs)
	c.slaFirst(&v, pairs)
	if !c.terms.Campaign {
		c.warnings = append(c.warnings, restsOnFailures(&v, pairs)...)
	}
	c.effort(&v)
	v.Others = c.others(metric, pairs)
	v.Warnings = append(append(v.Warnings, c.warnings...), c.reading.warnings()...)
	return v, nil
}

// looked cuts blocks after the last look reached, and at the most the exact test takes.
func (c *comparison) looked(pairs []pair) []pair {
	if n := len(pairs); n > stats.MaxN {
		c.warnings = append(c.warnings, fmt.Sprintf("the exact test takes %d blocks: the first %d of %d are used", stats.MaxN, stats.MaxN, n))
		pairs = pairs[:stats.MaxN]
	}
	at := 0
	for _, look := range c.terms.Looks {
		if look <= len(pairs) {
			at = look
		}
	}
	if at > 0 && at < len(pairs) {
		c.warnings = append(c.warnings, fmt.Sprintf("the last %d of %d blocks are not looked at yet", len(pairs)-at, len(pairs)))
		pairs = pairs[:at]
	}
	return pairs
}

// sample gives the oriented log-ratios: above 0 is better for the target.
func (c *comparison) sample(metric string, pairs []pair) []float64 {
	var out []float64
	for _, p := range pairs {
		a, okA := c.bounded(p.target, metric)
		b, okB := c.bounded(p.other, metric)
		if !okA || !okB || a <= 0 || b <= 0 {
			continue
		}
		out = append(out, oriented(metric)*math.Log(a/b))
	}
	return out
}

func oriented(metric string) float64 {
	if contract.LowerIsBetter(metric) {
		return -1
	}
	return 1
}

func (c *comparison) decision(sample []float64) (stats.Decision, error) {
	return stats.Decide(sample, stats.Thresholds{Delta: math.Log1p(c.terms.Delta), Alpha: c.alpha, Looks: c.terms.Looks, AssumedSD: c.sd()})
}

// sd is the standard deviation of a block's log-ratio that is taken where blocks do not say one.
func (c *comparison) sd() float64 {
	if c.terms.AssumedSD > 0 {
		return c.terms.AssumedSD
	}
	return assumedSD
}

// sdSource says where sd comes from.
func (c *comparison) sdSource() string {
	if c.terms.AssumedSD > 0 {
		return "aa"
	}
	return "assumed"
}

// outputs refuses metrics that mean nothing when one side generates more, and warns about the others.
func (c *comparison) outputs(metric string, pairs []pair) *Refusal {
	var logs []float64
	for _, p := range pairs {
		a, okA := meanOutput(p.target)
		b, okB := meanOutput(p.other)
		if okA && okB && a > 0 && b > 0 {
			logs = append(logs, math.Log(a/b))
		}
	}
	if len(logs) == 0 || math.Abs(math.Expm1(stats.Mean(logs))) <= 0.01 {
		return nil
	}
	what := fmt.Sprintf("metrics.mean_output_tokens differs by %+.1f %%", 100*math.Expm1(stats.Mean(logs)))
	if !needsEqualOutput(metric) {
		c.warnings = append(c.warnings, what+": end-to-end times, request rates and makespans are not compared")
		return nil
	}
	return &Refusal{Rule: RuleSameOutput, Field: "metrics.mean_output_tokens", Got: fmt.Sprintf("%.4g", math.Exp(stats.Mean(logs))), Want: "1 within 1 %", What: what + ": " + metric + " is not compared"}
}

// others gives every other metric measured on both sides of every block, with intervals and without verdicts.
func (c *comparison) others(metric string, pairs []pair) []Measured {
	out := []Measured{}
	for _, name := range MetricNames() {
		if name == metric || slices.Contains([]string{"success_rate", "sla_attainment", "window_s", "mean_input_tokens"}, name) {
			continue
		}
		sample := newComparison(c).sample(name, pairs)
		if len(sample) < len(pairs) {
			continue
		}
		iv, err := stats.SignFlipInterval(sample, c.alpha)
		if err != nil {
			continue
		}
		ratio, interval := unoriented(name, stats.Mean(sample), iv.Lo, iv.Hi)
		out = append(out, Measured{Metric: name, Ratio: ratio, Interval: interval, Blocks: len(sample)})
	}
	return out
}

// newComparison reads without stand-ins, so that no metric is shown under another's name.
func newComparison(c *comparison) *comparison {
	return &comparison{reading: newReading(false), terms: c.terms}
}

// unoriented turns a mean log-ratio and its limits into the ratio of candidate over against.
func unoriented(metric string, mean, lo, hi float64) (ratio float64, interval *[2]float64) {
	sign := oriented(metric)
	if sign < 0 {
		lo, hi = hi, lo
	}
	if !math.IsInf(lo, 0) && !math.IsInf(hi, 0) {
		interval = &[2]float64{math.Exp(sign * lo), math.Exp(sign * hi)}
	}
	return math.Exp(sign * mean), interval
}
