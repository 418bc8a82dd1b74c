package loop

import (
	"slices"

	"github.com/sotaloop/sotaloop/internal/compare"
)

// CacheHit is what the sides of a scenario's verdicts found in their prefix caches.
type CacheHit struct {
	Scenario string
	Sides    []SideCacheHit
}

// SideCacheHit is the mean over a candidate's launches of the share of prompt tokens found in the prefix cache; nil where
// a server did not tell.
type SideCacheHit struct {
	Candidate string
	Rate      *float64
}

// CacheHits gives the measured hit rates of the rows that a verdict rests on, for scenarios that send rows of a dataset:
// random prompts share nothing.
func (s *State) CacheHits(v VerdictTaken) []CacheHit {
	use := useMain
	if v.Family == familyUnseen {
		use = useUnseen
	}
	var out []CacheHit
	for _, x := range v.Result.Verdicts {
		i := slices.IndexFunc(out, func(h CacheHit) bool { return h.Scenario == x.Scenario })
		if i < 0 {
			out, i = append(out, CacheHit{Scenario: x.Scenario}), len(out)
		}
		for _, candidate := range []string{x.Candidate, x.Against} {
			if slices.ContainsFunc(out[i].Sides, func(h SideCacheHit) bool { return h.Candidate == candidate }) {
				continue
			}
			if rate, sent := s.cacheHit(v, use, x.Scenario, candidate); sent {
				out[i].Sides = append(out[i].Sides, SideCacheHit{candidate, rate})
			}
		}
	}
	return slices.DeleteFunc(out, func(h CacheHit) bool { return len(h.Sides) == 0 })
}

// cacheHit is one candidate's; sent is false where its rows were not of a dataset.
func (s *State) cacheHit(v VerdictTaken, use, scenario, candidate string) (rate *float64, sent bool) {
	sum, n := 0.0, 0
	for _, r := range s.Rows(compare.Phase(v.Phase), use) {
		if r.Workload.Scenario != scenario || r.CandidateID != candidate || r.Workload.DatasetPath == "" || r.Status != compare.StatusOK {
			continue
		}
		share, told := r.Metrics.Get(compare.PrefixCacheHit)
		if !told {
			return nil, true
		}
		sent, sum, n = true, sum+share, n+1
	}
	if n == 0 {
		return nil, sent
	}
	mean := sum / float64(n)
	return &mean, true
}

// hitRates renders a scenario's rates for an answer, by candidate; null where the server did not tell.
func hitRates(hits []CacheHit, scenario string) map[string]any {
	out := map[string]any{}
	for _, h := range hits {
		for _, side := range h.Sides {
			if h.Scenario != scenario {
				continue
			}
			out[side.Candidate] = nil
			if side.Rate != nil {
				out[side.Candidate] = round(*side.Rate)
			}
		}
	}
	return out
}
