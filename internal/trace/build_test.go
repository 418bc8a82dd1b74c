package trace_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// m is a JSON object.
type m = map[string]any

// events makes synthetic traces.
type events struct{ list []m }

func (e *events) add(cat, name string, pid, tid any, ts, dur float64, args m) {
	e.list = append(e.list, m{"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": args})
}

// kernel adds GPU work on a stream of device 0.
func (e *events) kernel(name string, stream int, ts, dur float64, corr int) {
	e.add("kernel", name, 0, stream, ts, dur, m{"stream": stream, "correlation": corr})
}

// launch adds a launch on thread 1.
func (e *events) launch(ts float64, corr int) {
	e.add("cuda_runtime", "cudaLaunchKernel", 1, 1, ts, 4, m{"correlation": corr})
}

// step adds a step annotation on thread 1.
func (e *events) step(name string, ts, dur float64) {
	e.add("user_annotation", name, 1, 1, ts, dur, m{})
}

// write writes the trace under a name and returns its path.
func (e *events) write(t *testing.T, name string) string {
	t.Helper()
	text, err := json.Marshal(m{"traceEvents": e.list})
	require.NoError(t, err)
	return writeFile(t, name, text)
}

// writeFile writes bytes to a file of a fresh directory.
func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// analyze analyses paths with every row shown.
func analyze(t *testing.T, paths ...string) *trace.Analysis {
	t.Helper()
	a, err := trace.Analyze(t.Context(), paths, trace.Options{})
	require.NoError(t, err)
	return a
}

// stagesOf maps each kernel to its stage.
func stagesOf(a *trace.Analysis) map[string]string {
	out := map[string]string{}
	for _, s := range a.Stages {
		for _, k := range s.Kernels {
			out[k.Name] = s.Stage
		}
	}
	return out
}

// kernelNamed finds a kernel row.
func kernelNamed(t *testing.T, a *trace.Analysis, name string) trace.Kernel {
	t.Helper()
	for _, s := range a.Stages {
		for _, k := range s.Kernels {
			if k.Name == name {
				return k
			}
		}
	}
	require.Failf(t, "no such kernel", "%q", name)
	return trace.Kernel{}
}

// stageNamed finds a stage.
func stageNamed(t *testing.T, a *trace.Analysis, name string) trace.Stage {
	t.Helper()
	for _, s := range a.Stages {
		if s.Stage == name {
			return s
		}
	}
	require.Failf(t, "no such stage", "%q", name)
	return trace.Stage{}
}
