package compare

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// RankBySeed is the order of the seed: request throughput before output tokens, instead of the primary metric.
const RankBySeed = "request_throughput"

// RankTerms is how candidates are put in order.
type RankTerms struct {
	Delta     float64 // within it, the order is a tie
	RankBy    string  // empty: the scenario's primary metric; RankBySeed
	SLA       contract.SLA
	Scenarios []contract.Scenario
	Campaign  bool // SLA and metrics are read strictly, as in Terms
}

// Standing is one candidate in one scenario: medians over its launches, and its place.
type Standing struct {
	Scenario  string             `json:"scenario"`
	Framework contract.Framework `json:"framework"`
	Side      string             `json:"side"`
	Candidate string             `json:"candidate"`
	Status    Status             `json:"status"`
	Passed    bool               `json:"sla_passed"`
	Reason    string             `json:"reason"` // why it cannot win, empty when it can
	Rank      int                `json:"rank"`   // from 1 within the scenario; 0: not ranked
	Tied      bool               `json:"tied"`   // shares its rank: within the threshold
	Primary   string             `json:"primary"`
	Metrics   Metrics            `json:"metrics"`
	Launches  int                `json:"launches"`
	Searched  bool               `json:"search_score"` // only search rows exist: not a result
	Row       *Row               `json:"-"`            // one of its rows, for commands and artifacts
}

// Rank puts every candidate in order, scenario by scenario: ok, SLA passed, primary metric, goodput, output tokens/s,
// lower p50 TTFT, lower p50 TPOT, fewer GPUs; what was not measured is last. A search score never stands beside a block's rows.
func Rank(rows []Row, t RankTerms) []Standing {
	var all []Standing
	for _, group := range candidates(rows) {
		all = append(all, summarise(group, t))
	}
	slices.SortStableFunc(all, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), a.compare(b, t.RankBy))
	})
	numberRanks(all, t.Delta)
	return all
}

// Winners gives the best standing per framework and scenario. There is no winner across scenarios, and no row that
// fails its SLA wins, however fast.
func Winners(standings []Standing) []Standing {
	seen, out := map[string]bool{}, []Standing{}
	for _, s := range standings {
		key := string(s.Framework) + "\x00" + s.Scenario
		if s.Rank > 0 && !seen[key] {
			seen[key] = true
			out = append(out, s)
		}
	}
	return out
}

// Failed gives the standings that cannot win.
func Failed(standings []Standing) []Standing {
	return slices.DeleteFunc(slices.Clone(standings), func(s Standing) bool { return s.Rank > 0 })
}

// candidates groups rows by scenario, side and candidate. Where a candidate has rows of blocks, its search rows are
// left out; those of revalidations, A/A and cross-checks are never ranked.
func candidates(rows []Row) [][]*Row {
	var order []string
	groups, blocks := map[string][]*Row{}, map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if slices.Contains([]Phase{PhaseAA, PhaseRevalidate, PhaseCross}, r.Phase) {
			continue
		}
		key := strings.Join([]string{r.Scenario(), r.SideName(), r.CandidateID}, "\x00")
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], r)
		blocks[key] = blocks[key] || !r.Phase.Searching()
	}
	var out [][]*Row
	for _, key := range order {
		group := groups[key]
		if blocks[key] {
			group = slices.DeleteFunc(group, func(r *Row) bool { return r.Phase.Searching() })
		}
		out = append(out, group)
	}
	return out
}

func summarise(group []*Row, t RankTerms) Standing {
	r := group[0]
	s := Standing{
		Scenario: r.Scenario(), Framework: r.Framework, Side: r.SideName(), Candidate: r.CandidateID, Status: StatusOK,
		Metrics: Metrics{}, Launches: len(group), Searched: r.Phase.Searching(), Row: r,
	}
	s.Primary, _ = primary(Terms{Scenarios: t.Scenarios}, s.Scenario, r)
	tally := Tally{Why: []string{}}
	rd := newReading(!t.Campaign)
	values := map[string][]float64{}
	for _, r := range group {
		limits := r.SLA.Limits
		if t.Campaign || t.SLA != nil {
			limits = t.SLA
		}
		if why := r.Void(); why != "" && r.Status != StatusSkipped {
			tally.Failed++
			tally.Why = append(tally.Why, why)
			continue
		}
		if passed, why := rd.passes(r, limits); passed {
			tally.Passed++
		} else {
			tally.Failed++
			tally.Why = append(tally.Why, why...)
		}
		if r.Status == StatusOK || len(group) == 1 {
			s.Status = cmp.Or(r.Status, s.Status)
			for name := range r.Metrics {
				if v, ok := r.Metrics.Get(name); ok {
					values[name] = append(values[name], v)
				}
			}
			if v, ok := rd.value(r, s.Primary); ok && len(values[s.Primary]) == 0 {
				values[s.Primary] = append(values[s.Primary], v)
			} else if !ok && s.Primary == contract.MaxRateUnderSLA && r.Rate != nil && r.Rate.Edge == bench.RateAtLeast {
				values[s.Primary] = append(values[s.Primary], *r.Rate.Pass) // at least that: never ranked too high
			}
		}
	}
	for name, v := range values {
		s.Metrics[name] = stats.Quantile(v, 0.5)
	}
	if len(values) == 0 {
		s.Status = r.Status
	}
	s.Passed = s.Status == StatusOK && agreed(tally) == keeps
	if !s.Passed {
		slices.Sort(tally.Why)
		s.Reason = strings.Join(slices.Compact(tally.Why), "; ")
	}
	return s
}

// compare orders two standings of one scenario, the better first.
func (s Standing) compare(o Standing, rankBy string) int {
	keys := []string{s.Primary, "goodput_rps", "output_token_throughput", "p50_ttft_ms", "p50_tpot_ms"}
	if rankBy == RankBySeed {
		keys = []string{"request_throughput", "output_token_throughput", "p50_ttft_ms", "p50_tpot_ms"}
	}
	order := cmp.Or(truth(o.Status == StatusOK)-truth(s.Status == StatusOK), truth(o.Passed)-truth(s.Passed))
	for _, key := range keys {
		order = cmp.Or(order, cmp.Compare(worth(o.Metrics, key), worth(s.Metrics, key)))
	}
	return cmp.Or(order, cmp.Compare(gpus(s.Row), gpus(o.Row)), cmp.Compare(s.Side, o.Side), cmp.Compare(s.Candidate, o.Candidate))
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// worth is a metric with its sign turned so that more is better; not measured is worst.
func worth(m Metrics, metric string) float64 {
	v, ok := m.Get(metric)
	if !ok {
		return math.Inf(-1)
	}
	return oriented(metric) * v
}

func gpus(r *Row) int {
	if r.Hardware.GPUCount == nil {
		return math.MaxInt
	}
	return *r.Hardware.GPUCount
}

// numberRanks numbers passing standings; one within the threshold of the first of its rank shares it.
func numberRanks(all []Standing, delta float64) {
	head := -1 // the first standing of the current rank
	place := 0 // within the scenario
	for i := range all {
		s := &all[i]
		if head >= 0 && all[head].Scenario != s.Scenario {
			head, place = -1, 0
		}
		if !s.Passed {
			continue
		}
		place++
		if head >= 0 && closeTo(all[head], *s, delta) {
			s.Rank, s.Tied, all[head].Tied = all[head].Rank, true, true
			continue
		}
		head, s.Rank = i, place
	}
}

func closeTo(a, b Standing, delta float64) bool {
	x, okX := a.Metrics.Get(a.Primary)
	y, okY := b.Metrics.Get(b.Primary)
	return okX && okY && a.Primary == b.Primary && math.Abs(math.Log(x/y)) <= math.Log1p(delta)+1e-12
}
