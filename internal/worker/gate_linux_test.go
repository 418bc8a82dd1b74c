//go:build linux

package worker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestAGateOpensForProbesThatPromiseEnough(t *testing.T) {
	t.Parallel()
	measured := map[string]float64{"a": 2, "b": 8, "c": 16}
	for name, c := range map[string]struct {
		gate worker.Gate
		open bool
	}{
		"the geometric mean is the limit": {worker.Gate{Points: []string{"a", "b"}, AtMost: 4}, true},
		"just above":                      {worker.Gate{Points: []string{"a", "b"}, AtMost: 3.999}, false},
		"all probes count":                {worker.Gate{Points: []string{"a", "b", "c"}, AtMost: 4}, false},
		"one probe failed":                {worker.Gate{Points: []string{"a", "gone"}, AtMost: 1e9}, false},
	} {
		require.Equal(t, c.open, c.gate.Open(func(p string) (float64, bool) { v, ok := measured[p]; return v, ok }), name)
	}
}

// burst is a probe.
func burst(id string, gate *worker.Gate) worker.Point {
	p := point(id)
	p.Gate, p.Spec.Scenario.Arrival, p.Spec.Scenario.MaxConcurrency, p.Spec.Scenario.NumPrompts = gate, contract.ArrivalBurst, nil, 4
	return p
}

func TestPointsBehindAShutGateAreSkipped(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	behind := func(id string, atMost float64) worker.Point {
		p := point(id)
		p.Gate = &worker.Gate{Points: []string{"probe-1", "probe-2"}, AtMost: atMost}
		return p
	}
	st := r.run(r.plan("run-gate", r.launch("l1", nil, burst("probe-1", nil), burst("probe-2", &worker.Gate{Points: []string{"probe-1"}, AtMost: 600}),
		behind("open", 600), behind("shut", 1e-9), point("after"))))
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	require.Equal(t, "run.started launch.started launch.ready point.done point.done point.done point.skipped point.done launch.stopped run.done", kinds(st))
	require.Equal(t, "shut", event(t, st, worker.EventPointSkipped).Point)

	for name, bad := range map[string]worker.Gate{
		"itself": {Points: []string{"x"}, AtMost: 1}, "a later point": {Points: []string{"later"}, AtMost: 1}, "nothing": {AtMost: 1}, "no limit": {Points: []string{"probe-1"}},
	} {
		x := point("x")
		x.Gate = &bad
		err := r.client.Start(t.Context(), r.plan("run-bad", r.launch("l1", nil, burst("probe-1", nil), x, point("later"))), nil)
		require.ErrorContains(t, err, "gate of point", name)
	}
}
