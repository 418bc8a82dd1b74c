package trace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// Seven steps of one kernel each; before the kernel of step n the host is n+1 times 10 us late.
func TestIdleByStep(t *testing.T) {
	t.Parallel()
	var events []string
	at := 1000
	for n := range 7 {
		launch := at + 10*(n+1)
		events = append(events,
			fmt.Sprintf(`{"ph":"X","cat":"user_annotation","name":"step[DECODE bs=1]","pid":1,"tid":1,"ts":%d,"dur":%d}`, at, 10*(n+1)+5),
			fmt.Sprintf(`{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":%d,"dur":1,"args":{"correlation":%d}}`, launch, n+1),
			fmt.Sprintf(`{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":%d,"dur":50,"args":{"correlation":%d,"stream":7}}`, launch, n+1))
		at = launch + 50
	}
	path := filepath.Join(t.TempDir(), "x-TP-0.trace.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"traceEvents":[`+strings.Join(events, ",")+`]}`), 0o600))
	a, err := trace.Analyze(t.Context(), []string{path}, trace.Options{})
	require.NoError(t, err)
	idle := a.Stages[0].Idle
	require.InDelta(t, 20+30+40+50+60+70, idle.HostUS, 1e-9, "before the first kernel nothing is known")
	require.Len(t, idle.Steps, 5)
	for i, s := range idle.Steps {
		require.Equal(t, 6-i, s.Step)
		require.InDelta(t, 10*(7-i), s.HostUS, 1e-9)
		require.InDelta(t, s.HostUS, s.IdleUS, 1e-9)
	}
	require.InDelta(t, 0, idle.Steps[0].DependencyUS+idle.Steps[0].SyncUS+idle.Steps[0].UnknownUS, 1e-9)
	var b strings.Builder
	require.NoError(t, trace.WriteMarkdown(&b, a))
	require.Contains(t, b.String(), "Of 7 steps, 38.6 us a step on average")
}
