package loop

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// The A/A of a host: pairs of launches of one candidate. There is no second store: the newest campaign of the home whose
// ledger holds an unexpired one is where a later contract finds it.
const (
	aaPairs    = 8     // pairs of launches of candidate 0
	aaLeast    = 6     // pairs that have to count for a standard deviation to be used
	aaShare    = 0.15  // of a campaign's projected cost: an A/A below it is proposed
	aaAssumed  = 0.015 // standard deviation of a block's log-ratio where no A/A is known
	mostLedger = 50    // campaigns looked through for an A/A
)

// Calibration is what an A/A found in one scenario.
type Calibration struct {
	Scenario string  `json:"scenario"`
	Metric   string  `json:"metric"`
	Pairs    int     `json:"pairs"`
	SD       float64 `json:"sd"`    // of a pair's log-ratio
	Ratio    float64 `json:"ratio"` // of the two labels, which were drawn: 1 but for chance
	// Order is what the launch that ran second gains over the first, as ratio − 1, with its standard error; negative: it
	// loses. Blocks are in random order, so that it costs precision and favours no side.
	Order   float64 `json:"order_effect"`
	OrderSE float64 `json:"order_effect_se"`
}

// aaLaunch names a launch of an A/A; label is a or b.
func aaLaunch(candidate string, pair int, label string) string {
	return fmt.Sprintf("%s.aa-%d%s", candidate, pair, label)
}

// Calibrations gives what the campaign's own A/A found, scenario by scenario; empty without one.
func (s *State) Calibrations() []Calibration {
	out := []Calibration{}
	rows := s.Rows(compare.PhaseAA, useMain)
	for _, sc := range s.Contract.Scenarios {
		pairs := map[int][]compare.Row{}
		for _, r := range rows {
			if v, ok := r.Metrics.Get(sc.Primary); ok && v > 0 && r.Workload.Scenario == sc.Name && r.Block != nil && r.StartedAt != nil && r.Void() == "" {
				pairs[*r.Block] = append(pairs[*r.Block], r)
			}
		}
		if c, ok := calibrate(sc, pairs); ok {
			out = append(out, c)
		}
	}
	return out
}

// calibrate sums complete pairs up; false with fewer than two.
func calibrate(sc contract.Scenario, pairs map[int][]compare.Row) (Calibration, bool) {
	var logs []float64
	var second []bool
	for _, n := range slices.Sorted(maps.Keys(pairs)) {
		p := pairs[n]
		if len(p) != 2 {
			continue
		}
		slices.SortFunc(p, func(a, b compare.Row) int { return compareText(a.LaunchID, b.LaunchID) })
		x := math.Log(p[0].Metrics[sc.Primary] / p[1].Metrics[sc.Primary])
		if contract.LowerIsBetter(sc.Primary) {
			x = -x
		}
		logs, second = append(logs, x), append(second, p[0].StartedAt.After(*p[1].StartedAt))
	}
	if len(logs) < 2 {
		return Calibration{}, false
	}
	c := Calibration{Scenario: sc.Name, Metric: sc.Primary, Pairs: len(logs), SD: stats.SD(logs), Ratio: math.Exp(stats.Mean(logs))}
	effect, se := orderOf(logs, second)
	c.Order, c.OrderSE = effect, se
	return c, true
}

// orderOf gives the order effect of log-ratios as ratio − 1; 0 with error 0 where one order does not occur.
func orderOf(logs []float64, second []bool) (effect, se float64) {
	effect, se = stats.OrderEffect(logs, second)
	if math.IsNaN(effect) || math.IsNaN(se) {
		return 0, 0
	}
	return math.Expm1(effect), se
}

// OrderEffect is what running second in a block did to one comparison of a campaign.
type OrderEffect struct {
	Scenario, Metric, Against string
	Blocks                    int
	Effect, SE                float64 // as Calibration's
}

// OrderEffects gives the order effect of every comparison with blocks in both orders.
func (s *State) OrderEffects() []OrderEffect {
	full, _ := s.blockNumbers()
	rows := s.firstBlocks(len(full))
	out := []OrderEffect{}
	for _, sc := range s.Contract.Scenarios {
		at := map[string]map[int]compare.Row{}
		for _, r := range rows {
			if v, ok := r.Metrics.Get(sc.Primary); !ok || v <= 0 || r.Workload.Scenario != sc.Name || r.StartedAt == nil {
				continue
			}
			if at[r.Side] == nil {
				at[r.Side] = map[int]compare.Row{}
			}
			at[r.Side][*r.Block] = r
		}
		for _, side := range s.Contract.Against {
			if e, ok := orderBetween(sc, at[s.Contract.Target.Entry], at[side.Entry]); ok {
				e.Against = side.Entry
				out = append(out, e)
			}
		}
	}
	return out
}

func orderBetween(sc contract.Scenario, target, other map[int]compare.Row) (OrderEffect, bool) {
	var logs []float64
	var second []bool
	for _, n := range slices.Sorted(maps.Keys(target)) {
		a, b := target[n], other[n]
		if b.StartedAt == nil {
			continue
		}
		x := math.Log(a.Metrics[sc.Primary] / b.Metrics[sc.Primary])
		if contract.LowerIsBetter(sc.Primary) {
			x = -x
		}
		logs, second = append(logs, x), append(second, a.StartedAt.After(*b.StartedAt))
	}
	effect, se := orderOf(logs, second)
	return OrderEffect{Scenario: sc.Name, Metric: sc.Primary, Blocks: len(logs), Effect: effect, SE: se}, se > 0
}

// release is version and commit of a side's engine, as its captured help says.
func (s *State) release(entry string) string {
	v := s.Help[baseEntry(entry)].Version
	return fmt.Sprintf("%s %s", v.Version, v.Commit)
}

// noise is the standard deviation that the campaign's A/A gives for later contracts: the largest of its scenarios.
func (s *State) noise() (contract.Noise, bool) {
	var out contract.Noise
	for _, c := range s.Calibrations() {
		if c.Pairs >= aaLeast && c.SD >= out.SD {
			out.SD, out.Pairs = c.SD, c.Pairs
		}
	}
	if out.Pairs == 0 {
		return out, false
	}
	var last time.Time
	for _, r := range s.Rows(compare.PhaseAA, useMain) {
		if r.StartedAt != nil && r.StartedAt.After(last) {
			last = *r.StartedAt
		}
	}
	out.Source, out.Campaign, out.Taken, out.Release = contract.NoiseAA, s.Contract.Campaign, &last, s.release(s.Contract.Target.Entry)
	return out, true
}

// sameMachine says whether an A/A of a holds on b: same device, driver and boot, since a boot resets clocks, and the same
// settings of clocks, which change without one.
func sameMachine(a, b contract.Host) bool {
	return a.Name == b.Name && a.Device == b.Device && a.Simulated == b.Simulated && a.GPUModel == b.GPUModel && slices.Equal(a.GPUs, b.GPUs) &&
		slices.Equal(a.Cores, b.Cores) && a.Driver == b.Driver && a.BootID == b.BootID && maps.Equal(a.Clocks, b.Clocks)
}

// findNoise looks for an unexpired A/A of the contract's host and target, the newest first, else assumes.
func (l *Loop) findNoise(c *contract.Contract) contract.Noise {
	out := contract.Noise{SD: aaAssumed, Source: contract.NoiseAssumed}
	names, err := l.Campaigns()
	if err != nil {
		return out
	}
	for _, name := range names[:min(len(names), mostLedger)] {
		camp, err := l.campaign(name)
		if err != nil {
			continue
		}
		st, err := camp.state()
		if err != nil || st.Contract.Target.Entry != c.Target.Entry || !sameMachine(st.Contract.Host, c.Host) {
			continue
		}
		if found, ok := st.noise(); ok && (out.Taken == nil || found.Taken.After(*out.Taken)) {
			out = found
		}
	}
	return out
}

// planNoise fills in what the contract's looks can find.
func (l *Loop) planNoise(c *contract.Contract) {
	if c.Study == contract.StudyLook {
		return // no verdict, no plan of one
	}
	noise := l.findNoise(c)
	alpha := 0.05 / float64(max(1, c.Blocks.Comparisons))
	for _, n := range c.Blocks.Looks {
		mde := math.Expm1(stats.MDE(n, noise.SD, alpha, math.Log1p(c.Delta)))
		noise.Looks = append(noise.Looks, contract.LookMDE{Blocks: n, MDE: mde})
	}
	c.Noise = &noise
}

// noiseWarnings say how well the planned blocks can decide, and what an A/A would cost where none is known.
func noiseWarnings(c *contract.Contract) []string {
	if c.Noise == nil {
		return nil
	}
	text := []string{fmt.Sprintf("launches are expected to vary by %.2f %% a block (%s)", 100*c.Noise.SD, noiseSource(c.Noise))}
	for _, look := range c.Noise.Looks {
		text = append(text, fmt.Sprintf("%d blocks find a gain of %.2f %% four times in five", look.Blocks, 100*look.MDE))
	}
	out := []string{strings.Join(text, "; ")}
	total, launches := gpuHours(c.Cost), 2*aaPairs
	if c.Noise.Source != contract.NoiseAssumed || total == 0 {
		return out
	}
	one := 0.0
	for _, cost := range c.Cost {
		if cost.Phase == "blocks" {
			one = cost.GPUHours / float64(cost.Launches)
		}
	}
	share := float64(launches) * one / total
	advice := "more than 15 %, so only where it is asked for"
	if share <= aaShare {
		advice = "worth it before the blocks"
	}
	return append(out, fmt.Sprintf("no A/A of this host is known: run_benchmark with aa: true measures one in %d launches, %.0f %% of the projected cost (%s)", launches, 100*share, advice))
}

func noiseSource(n *contract.Noise) string {
	if n.Source != contract.NoiseAA {
		return "assumed"
	}
	return fmt.Sprintf("A/A of %d pairs in %s", n.Pairs, n.Campaign)
}

// AssumedSD is the standard deviation that a verdict takes where its blocks say none: the A/A that the contract found, as
// long as the target is still of the release it was measured with; 0 for what package compare assumes.
func (s *State) AssumedSD() float64 {
	n := s.Contract.Noise
	if n == nil || n.Source != contract.NoiseAA || n.Release != s.release(s.Contract.Target.Entry) {
		return 0
	}
	return n.SD
}
