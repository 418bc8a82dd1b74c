//go:build linux

package worker_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/trace"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestTracesAreAnalysedWhereTheyLie(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const source = "../trace/testdata/graph_decode-TP-0.trace.json.gz"
	raw, err := os.ReadFile(source)
	require.NoError(t, err)
	dir := filepath.Join(r.workdir, "runs", "run", "launches", "l1")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	const name = "launches/l1/1-TP-0.trace.json.gz"
	path := filepath.Join(r.workdir, "runs", "run", name)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	sum := sha256.Sum256(raw)
	ask := worker.AnalysisRequest{Trace: worker.TraceOnHost{RunID: "run", Name: name}, SHA256: hex.EncodeToString(sum[:]), Stage: trace.Decode}
	ask.Mapping = &ask.Trace

	got, err := r.client.Analyze(t.Context(), ask, func(int64, int64) {})
	require.NoError(t, err)
	want, err := trace.Analyze(t.Context(), []string{path}, trace.Options{Labels: map[string]string{path: trace.Decode}, Mapping: []string{path}})
	require.NoError(t, err)
	want.Rename(path, name)
	a, err := json.Marshal(want)
	require.NoError(t, err)
	b, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(a), string(b))
	require.NotContains(t, string(b), r.workdir)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "its progress is gone")

	require.NoError(t, os.Symlink(path, filepath.Join(dir, "link.json")))
	for what, c := range map[string]struct {
		change func(q *worker.AnalysisRequest)
		code   fault.Code
		says   string
	}{
		"another file": {func(q *worker.AnalysisRequest) { q.SHA256 = "00" }, fault.Corrupt, "not the one that was captured"},
		"gone":         {func(q *worker.AnalysisRequest) { q.Trace.Name += "x" }, fault.NotFound, "no longer has trace"},
		"no run":       {func(q *worker.AnalysisRequest) { q.Trace.RunID = "other" }, fault.NotFound, "no longer has trace"},
		"outside":      {func(q *worker.AnalysisRequest) { q.Trace.Name = "../../../x" }, fault.InvalidInput, "not a name inside"},
		"a link":       {func(q *worker.AnalysisRequest) { q.Trace.Name = "launches/l1/link.json" }, fault.NotFound, "no regular file"},
		"the mapping":  {func(q *worker.AnalysisRequest) { q.Mapping = &worker.TraceOnHost{RunID: "run", Name: "gone"} }, fault.NotFound, "no longer has trace"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			q := ask
			c.change(&q)
			_, err := r.client.Analyze(t.Context(), q, func(int64, int64) {})
			require.Equal(t, c.code, fault.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
		})
	}
}
