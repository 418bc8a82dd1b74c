//go:build linux

package worker_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// TestNoSecretLeavesTheHost plays an engine that says its secret wherever it can. The value has no known shape: only the
// host can know it.
func TestNoSecretLeavesTheHost(t *testing.T) {
	t.Parallel()
	const secret = "correct/horse battery+staple Zwirn"
	r := newRig(t, map[string]string{"TOY_SECRET": secret})
	chatty, dies, shown := r.launch("chatty", []string{"blab"}, point("p1")), r.launch("dies", []string{"blab", "exit"}), r.launch("shown", []string{"blab-trace"})
	shown.Captures = captures()[:1]
	st := r.run(r.plan("run", chatty, dies, shown))

	var out strings.Builder
	raw, err := json.Marshal(st)
	require.NoError(t, err)
	out.Write(raw)
	logs := 0
	for _, e := range st.Events {
		for _, f := range e.Files {
			text := r.fetch("run", f.Name)
			if f.Role == "log" {
				logs++
				require.NotContains(t, string(text), "\x1b")
				require.NotContains(t, string(text), "\u202e")
			}
			if f.Role == "records" {
				rec, err := bench.ReadRecords(bytes.NewReader(text))
				require.NoError(t, err)
				text, err = json.Marshal(rec)
				require.NoError(t, err)
				require.Contains(t, string(text), "cannot fetch with [redacted:toy_secret]")
			}
			out.Write(text)
		}
	}
	require.Equal(t, 3, logs)
	for _, form := range []string{secret, "battery", "horse+battery", "correct%2F", "Y29ycmVjdC9ob3Jz", "Zwirn"} {
		require.NotContains(t, out.String(), form)
	}
	require.Contains(t, out.String(), "--api-key [redacted:toy_secret]")
	require.Contains(t, out.String(), "part [redacted:toy_secret] cleared back", "split over two writes")

	kept := event(t, st, worker.EventCaptureFailed)
	require.Empty(t, kept.Files)
	require.Contains(t, kept.Failure.Reason, "the trace holds a secret (toy_secret) and stays on the host")
}
