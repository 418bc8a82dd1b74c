//go:build linux

package worker_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func captures() []worker.Capture {
	vocab := bench.TokenRange{Lo: 10, Hi: 500}
	return []worker.Capture{
		{ID: "c-prefill", Stage: "prefill", InputLen: 16, OutputLen: 8, Batch: 4, Warmup: 1, Steps: 2, Vocab: vocab},
		{ID: "c-decode", Stage: "decode", InputLen: 16, OutputLen: 8, Batch: 4, Warmup: 1, Steps: 2, Vocab: vocab},
	}
}

func TestCaptures(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	l := r.launch("l1", nil)
	l.Captures = captures()
	st := r.run(r.plan("run", l))
	require.Equal(t, "run.started launch.started launch.ready capture.done capture.done launch.stopped run.done", kinds(st), "%+v", st.Events)
	for i, want := range []struct{ name, requests string }{
		{"launches/l1/captures/c-prefill/17-TP-0-prefill-3.trace.json.gz", `{"requests": 4}`}, // 1 to warm up, 3 steps
		{"launches/l1/captures/c-decode/17-TP-0-decode-3.trace.json.gz", `{"requests": 12}`},  // 4 to warm up, 4 at once
	} {
		files := st.Events[3+i].Files
		require.Len(t, files, 1)
		require.Equal(t, want.name, files[0].Name)
		z, err := gzip.NewReader(bytes.NewReader(r.fetch("run", files[0].Name)))
		require.NoError(t, err)
		text, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Contains(t, string(text), want.requests)
	}
}

func TestCaptureFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	none, torn, refused, no := r.launch("none", []string{"no-trace"}), r.launch("torn", []string{"torn-trace"}), r.launch("refused", nil), r.launch("no", nil)
	refused.Protocol.Profile.Start.Body = "{}"
	no.Protocol.Profile.Start = nil
	p := r.plan("run", none, torn, refused, no)
	p.TraceWait = 400 * time.Millisecond
	for i := range p.Launches {
		p.Launches[i].Captures = captures()[:1]
	}
	st := r.run(p)
	reasons := map[string]string{}
	for _, e := range st.Events {
		if e.Kind == worker.EventCaptureFailed {
			require.Equal(t, worker.FailCapture, e.Failure.Class)
			reasons[e.Launch] = e.Failure.Reason
		}
	}
	require.Contains(t, reasons["none"], "no trace that matches *-prefill-*.trace.json.gz appeared: the folder is empty")
	require.Contains(t, reasons["torn"], "is still incomplete after 400ms")
	require.Contains(t, reasons["refused"], "start the profiler: POST /start_profile: status 400")
	require.Contains(t, reasons["no"], "no profiler endpoint")
}
