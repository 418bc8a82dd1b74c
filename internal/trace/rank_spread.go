package trace

import (
	"cmp"
	"fmt"
	"slices"
)

// rankGap is the difference between ranks below which none is a straggler.
const rankGap = 0.02

// Spreads compares the ranks of each stage that was seen on several; the stages may come from several analyses.
func Spreads(stages []Stage) []Spread {
	list := []Spread{}
	for _, name := range stageNames {
		compute, communication := map[int]float64{}, map[int]float64{}
		for _, s := range stages {
			if s.Stage != name {
				continue
			}
			for _, c := range s.Categories {
				switch c.Category {
				case catNameCommunication:
					communication[s.Rank] += c.TotalUS
				case catNameMemory:
				default:
					compute[s.Rank] += c.TotalUS
				}
			}
		}
		if len(compute) > 1 {
			list = append(list, newSpread(name, compute, communication))
		}
	}
	return list
}

// newSpread describes the ranks of one stage.
func newSpread(stage string, compute, communication map[int]float64) Spread {
	for rank := range compute {
		communication[rank] += 0
	}
	s := Spread{Stage: stage, ComputeUS: byRank(compute), CommunicationUS: byRank(communication), Straggler: -1}
	fast, slow := extremes(s.ComputeUS)
	s.ComputeSkew = skew(fast, slow)
	if s.ComputeSkew >= rankGap {
		s.Straggler = slow.Rank
	}
	least, most := extremes(s.CommunicationUS)
	s.CommunicationSkew = skew(least, most)
	s.WaitingUS = most.TotalUS - least.TotalUS
	s.Finding = s.finding(least, most)
	return s
}

// finding says in a sentence what the spread means.
func (s Spread) finding(least, most RankTime) string {
	switch {
	case s.Straggler >= 0:
		return fmt.Sprintf("rank %d computes %.1f %% longer than the fastest rank", s.Straggler, 100*s.ComputeSkew)
	case s.CommunicationSkew >= 0.2:
		return fmt.Sprintf("ranks compute alike, but rank %d spends %.0f us more in communication than rank %d: it waits for a rank that launches late", most.Rank, s.WaitingUS, least.Rank)
	}
	return "ranks are balanced"
}

// byRank lists times in order of rank.
func byRank(times map[int]float64) []RankTime {
	list := make([]RankTime, 0, len(times))
	for rank, us := range times {
		list = append(list, RankTime{rank, us})
	}
	slices.SortFunc(list, func(x, y RankTime) int { return cmp.Compare(x.Rank, y.Rank) })
	return list
}

// extremes gives the ranks with the least and the most time.
func extremes(list []RankTime) (least, most RankTime) {
	by := func(x, y RankTime) int { return cmp.Compare(x.TotalUS, y.TotalUS) }
	return slices.MinFunc(list, by), slices.MaxFunc(list, by)
}

// skew is most over least minus 1.
func skew(least, most RankTime) float64 {
	if least.TotalUS == 0 {
		return 0
	}
	return most.TotalUS/least.TotalUS - 1
}
