package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// probed adds a probe's row.
func (w *written) probed(launch, probe string, makespan float64, status compare.Status) *written {
	r := compare.Row{Framework: "sglang", Side: "sglang", CandidateID: "sglang-01", Status: status, Phase: "search", LaunchID: launch,
		Workload: compare.Workload{Scenario: probe}, Metrics: compare.Metrics{"makespan_s": makespan}}
	return w.add("point.measured", loop.PointMeasured{Key: launch + "/" + probe, Point: probe, Use: "probe", Row: r})
}

func TestAProbeIsABurstOfTheScenariosOwnRequests(t *testing.T) {
	t.Parallel()
	s := opened(t).state()
	l := worker.Launch{ID: "sglang-01.search", Phase: "search"}
	p, use, ok := s.PlannedPoint(l, "probe.2.chat")
	require.True(t, ok)
	require.Equal(t, "probe", use)
	require.EqualValues(t, "burst", p.Spec.Scenario.Arrival)
	require.Equal(t, []int{20, 4, 8}, []int{p.Spec.Scenario.InputLen, p.Spec.Scenario.OutputLen, p.Spec.Scenario.NumPrompts})
	require.NoError(t, p.Spec.Validate())
	first, _, _ := s.PlannedPoint(l, "probe.1.chat")
	require.NotEqual(t, first.Spec.Seed, p.Spec.Seed, "no probe repeats another's prompts")
	main, _, _ := s.PlannedPoint(l, "chat")
	require.NotEqual(t, first.Spec.Seed, main.Spec.Seed)
	for _, id := range []string{"probe.0.chat", "probe.x.chat", "probe.1.other", "probe.1", "probe."} {
		_, _, ok := s.PlannedPoint(l, id)
		require.False(t, ok, id)
	}
	_, _, ok = s.PlannedPoint(worker.Launch{ID: "b", Phase: "block"}, "probe.1.chat")
	require.False(t, ok, "blocks are not screened")
}

// A plan may have gates on probes of its own launch. A gate that waits for something else, or in a block, is not the
// contract's point.
func TestGatesThatAPlanMayHave(t *testing.T) {
	t.Parallel()
	s := opened(t).state()
	gate := func(phase string, on ...string) *worker.Gate {
		main, _, _ := s.PlannedPoint(worker.Launch{Phase: phase}, "chat")
		main.Gate = &worker.Gate{Points: on, AtMost: 1}
		got, _, ok := s.PlannedPoint(worker.Launch{Phase: phase, Points: []worker.Point{main}}, "chat")
		require.True(t, ok)
		return got.Gate
	}
	require.NotNil(t, gate("search", "probe.1.chat"))
	require.Nil(t, gate("search", "chat"))
	require.Nil(t, gate("block", "probe.1.chat"))
}

func TestASkippedPointFollowsFromItsProbes(t *testing.T) {
	t.Parallel()
	l := worker.Launch{ID: "sglang-01.search", Phase: "search"}
	point := worker.Point{ID: "chat", Gate: &worker.Gate{Points: []string{"probe.1.chat", "probe.2.chat"}, AtMost: 3}}
	for name, c := range map[string]struct {
		second  float64
		status  compare.Status
		skipped bool
	}{
		"fast enough": {4, "ok", false}, "too slow": {5, "ok", true}, "failed": {4, "failed", true},
	} {
		s := opened(t).probed(l.ID, "probe.1.chat", 2, "ok").probed(l.ID, "probe.2.chat", c.second, c.status).state()
		require.Equal(t, c.skipped, s.Skipped(l, point), name)
		require.True(t, s.Skipped(worker.Launch{ID: "another"}, point), "another launch's probes are no promise")
	}
	require.False(t, opened(t).state().Skipped(l, worker.Point{ID: "chat"}), "without a gate nothing is skipped")
}
