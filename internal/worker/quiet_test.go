package worker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestDisturbed(t *testing.T) {
	t.Parallel()
	f := func(v float64) *float64 { return &v }
	for name, x := range map[string]struct {
		q    worker.Quiet
		want []string
	}{
		"nothing else":                       {worker.Quiet{}, nil},
		"a monitoring daemon":                {worker.Quiet{ForeignCPUShare: 0.04, PSICPU: f(90)}, nil},
		"an engine that is its own pressure": {worker.Quiet{ForeignCPUShare: 0.01, PSICPU: f(99), PSIMemory: f(0.2)}, nil},
		"another job beside, and room":       {worker.Quiet{ForeignCPUShare: 0.24, PSICPU: f(3)}, nil},
		"another job beside, no room": {worker.Quiet{ForeignCPUShare: 0.08, PSICPU: f(40)},
			[]string{"tasks waited for a CPU in 40 % of the window, with foreign CPU load 8 % of the host"}},
		"a burner":                {worker.Quiet{ForeignCPUShare: 0.5}, []string{"foreign CPU load 50 % of the host"}},
		"beside the leased cores": {worker.Quiet{ForeignCPUShare: 0.9, ForeignCoreShare: f(0.02), PSICPU: f(99)}, nil},
		"on the leased cores":     {worker.Quiet{ForeignCPUShare: 0.9, ForeignCoreShare: f(0.12)}, []string{"foreign CPU load 12 % of the engine's cores"}},
		"swapping":                {worker.Quiet{PSIMemory: f(20)}, []string{"every task waited for memory in 20 % of the window"}},
		"a process on the GPU":    {worker.Quiet{ForeignGPU: []string{"pid 1 (x) on gpu 0"}}, []string{"foreign processes on our GPUs: pid 1 (x) on gpu 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, x.want, x.q.Disturbed(worker.DefaultQuietLimits()))
		})
	}
}
