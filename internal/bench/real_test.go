package bench_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// TestRealAnswers replays answers of real engines (testdata/real/README.md), read byte by byte and at once.
func TestRealAnswers(t *testing.T) {
	t.Parallel()
	stream := bench.ReceiveOptions{Stream: true, IgnoreEOS: true, Keep: true}
	plain := bench.ReceiveOptions{IgnoreEOS: true, Keep: true}
	asked := func(opt bench.ReceiveOptions, in, out int) bench.ReceiveOptions {
		opt.WantIn, opt.WantOut = in, out
		return opt
	}
	logprobs := stream
	logprobs.Logprobs = true
	for _, tc := range []struct {
		file   string
		opt    bench.ReceiveOptions
		class  bench.ErrorClass
		events int  // that carry tokens
		k1     int  // tokens of the first of them, 0 where it is not known
		late   bool // an event without text came first
	}{
		{"vllm/completion", asked(plain, 12, 6), "", 0, 0, false},
		{"vllm/completion_stream", asked(stream, 12, 6), "", 6, 1, false},
		{"vllm/completion_stream_one", asked(stream, 12, 1), "", 1, 1, false},
		{"vllm/completion_stream_logprobs", asked(logprobs, 12, 3), "", 3, 1, false},
		{"vllm/completion_stream_no_usage", asked(stream, 12, 3), bench.ErrNoUsage, 3, 0, false},
		{"vllm/completion_text", asked(stream, 3, 3), "", 3, 1, false},
		{"vllm/chat", asked(plain, 3, 6), "", 0, 0, false},
		{"vllm/chat_stream", asked(stream, 3, 6), "", 6, 1, true},
		{"vllm/chat_stream_one", asked(stream, 3, 1), "", 1, 1, true},
		{"vllm/chat_stream_logprobs", asked(logprobs, 3, 3), "", 3, 1, true},
		{"vllm/too_long", asked(stream, 2148, 6), bench.ErrHTTPStatus, 0, 0, false},
		{"vllm/too_much_wanted", asked(stream, 12, 2148), bench.ErrHTTPStatus, 0, 0, false},
		{"vllm/unknown_model", asked(stream, 12, 2), bench.ErrHTTPStatus, 0, 0, false},
		{"vllm/no_tokens", asked(stream, 12, 0), bench.ErrHTTPStatus, 0, 0, false},
		{"vllm/unknown_id", asked(stream, 2, 2), bench.ErrEvent, 0, 0, false},
		{"vllm/completion_stream_interval4", asked(stream, 12, 6), "", 3, 0, false},
		{"vllm/chat_stream_interval4", asked(stream, 3, 6), "", 3, 0, true},
		{"vllm/bad_json", stream, bench.ErrHTTPStatus, 0, 0, false},
		{"vllm/unknown_path", stream, bench.ErrHTTPStatus, 0, 0, false},

		{"sglang/completion", asked(plain, 12, 6), "", 0, 0, false},
		{"sglang/completion_stream", asked(stream, 12, 6), "", 4, 0, false},
		{"sglang/completion_stream_one", asked(stream, 12, 1), "", 1, 1, false},
		{"sglang/completion_stream_logprobs", asked(logprobs, 12, 3), "", 3, 1, false},
		{"sglang/completion_stream_no_usage", asked(stream, 12, 3), bench.ErrNoUsage, 3, 0, false},
		{"sglang/completion_text", asked(stream, 3, 3), "", 3, 1, false},
		{"sglang/chat", asked(plain, 3, 6), "", 0, 0, false},
		{"sglang/chat_stream", asked(stream, 3, 6), "", 6, 1, true},
		{"sglang/chat_stream_one", asked(stream, 3, 1), "", 1, 1, true},
		{"sglang/chat_stream_logprobs", asked(logprobs, 3, 3), "", 3, 1, true},
		{"sglang/too_long", asked(stream, 2148, 6), bench.ErrHTTPStatus, 0, 0, false},
		{"sglang/too_much_wanted", asked(stream, 12, 2148), bench.ErrHTTPStatus, 0, 0, false},
		{"sglang/unknown_model", asked(bench.ReceiveOptions{Stream: true, Keep: true}, 12, 2), "", 2, 1, false}, // it serves any name
		{"sglang/no_tokens", asked(stream, 12, 0), bench.ErrHTTPStatus, 0, 0, false},
		{"sglang/completion_stream_interval4", asked(stream, 12, 6), "", 3, 0, false},
		{"sglang/chat_stream_interval4", asked(stream, 3, 6), "", 3, 0, true},
		{"sglang/generate_stream_interval4", asked(stream, 12, 5), "", 2, 1, false}, // it counts in every event
		{"sglang/bad_json", stream, bench.ErrHTTPStatus, 0, 0, false},
		{"sglang/unknown_path", stream, bench.ErrHTTPStatus, 0, 0, false},
		{"sglang/generate", asked(plain, 12, 5), "", 0, 0, false},
		{"sglang/generate_stream", asked(stream, 12, 5), "", 5, 1, false},
		{"sglang/generate_stream_logprobs", asked(logprobs, 12, 5), "", 5, 1, false},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join("testdata", "real", tc.file+".http"))
			require.NoError(t, err)
			_, done, class := bench.Receive(tc.opt, bench.Piece{Data: string(raw)})
			require.True(t, done, "its own framing says where it ends")
			require.Equal(t, tc.class, class)
			pieces := cut(string(raw), 1)
			for i := range pieces {
				pieces[i].At = bench.Offset(i * 1000)
			}
			rec, _, class := bench.Receive(tc.opt, pieces...)
			require.Equal(t, tc.class, class)
			require.Equal(t, tc.events, rec.Events)
			require.Equal(t, tc.late, rec.FirstText != rec.FirstChunk)
			require.Equal(t, rec.FirstText, rec.First)
			if tc.class == "" {
				checkRealAnswer(t, tc.opt, rec)
				require.Equal(t, tc.k1 == 0 && tc.events > 0, rec.K1Unknown)
			}
		})
	}
}

// checkRealAnswer holds what every complete answer tells.
func checkRealAnswer(t *testing.T, opt bench.ReceiveOptions, rec *bench.Record) {
	t.Helper()
	require.Equal(t, opt.WantIn, rec.In)
	require.Equal(t, opt.WantOut, rec.Out)
	require.Equal(t, "length", rec.Finish)
	require.NotEmpty(t, rec.Output)
	if rec.Events > 0 {
		require.LessOrEqual(t, rec.Events, rec.Out)
		require.Len(t, rec.Gaps, rec.Events-1)
		require.Less(t, rec.Last, rec.End)
	}
	if opt.Logprobs {
		require.Len(t, rec.Logprobs, rec.Out)
	}
}
