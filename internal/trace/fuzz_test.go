package trace_test

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// FuzzAnalyze reads arbitrary bytes: no panic, and where there is a result its parts add up.
func FuzzAnalyze(f *testing.F) {
	for _, seed := range []string{
		`{"traceEvents":[` + kernelText("1", "5") + `]}`, `[` + kernelText("1.25", "5e1") + `,{}]`, `{"distributedInfo":{"rank":1},"traceEvents":[`,
		`{"traceEvents":[{"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":1,"dur":9,"args":{"External id":1,"Input type":["float"]}}]}`,
		`{"traceEvents":[{"ph":"X","cat":"user_annotation","name":"step[DECODE bs=1]","pid":1,"tid":1,"ts":1,"dur":9},{"ph":"X","cat":"cuda_runtime","name":"cudaGraphLaunch","pid":1,"tid":1,"ts":2,"dur":1,"args":{"correlation":1}},{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":3,"dur":1,"args":{"correlation":1,"graph id":1,"graph node id":2}}]}`,
		`{"traceEvents":[{"ph":"X","cat":"cpu_op","name":"a","pid":1,"tid":1,"ts":1,"dur":9},{"ph":"X","cat":"cpu_op","name":"a","pid":1,"tid":1,"ts":4,"dur":9},{"ph":"X","cat":"user_annotation","name":"r","pid":1,"tid":1,"ts":5,"dur":2},{"ph":"X","cat":"user_annotation","name":"step[DECODE]","pid":1,"tid":1,"ts":0,"dur":6}]}`,
		"\x1f\x8b\x08\x00", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x-TP-0.trace.json")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		a, err := trace.Analyze(t.Context(), []string{path}, trace.Options{Strip: true, Mapping: []string{path}, Server: trace.Server{Model: "m", TP: 2, Quantization: "fp8"}})
		if err != nil {
			return
		}
		var sum float64
		for _, s := range a.Stages {
			var rows float64
			for _, k := range s.Kernels {
				rows += k.TotalUS
				require.GreaterOrEqual(t, k.TotalUS, 0.0)
			}
			require.InEpsilon(t, s.TotalUS+1, rows+1, 1e-9)
			require.LessOrEqual(t, s.BusyUS, s.TotalUS+1e-6)
			require.LessOrEqual(t, s.OutsideUS, s.WallUS+1e-6)
			sum += s.TotalUS
		}
		require.InEpsilon(t, a.Files[0].TotalUS+1, sum+1, 1e-9)
		_, err = json.Marshal(a) // no NaN or infinity anywhere
		require.NoError(t, err)
		require.False(t, math.IsNaN(sum))
		_, err = json.Marshal(trace.Diff(a, a))
		require.NoError(t, err)
		require.NoError(t, trace.WriteMarkdown(io.Discard, a))
		require.NoError(t, trace.WriteHTML(io.Discard, a))
	})
}
