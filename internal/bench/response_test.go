package bench_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

func inChunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

func event(data string) string { return inChunk("data: " + data + "\n\n") }

func text(s string) string { return event(`{"choices":[{"text":"` + s + `","finish_reason":null}]}`) }

func usage(in, out int) string {
	return event(fmt.Sprintf(`{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, in, out))
}

const finish = "0\r\n\r\n"

func TestTimesOfOneRequest(t *testing.T) {
	t.Parallel()
	closing := event(`{"choices":[{"text":"","finish_reason":"length"}]}`)
	done := event("[DONE]")
	us := func(n int64) bench.Offset { return bench.Offset(n * 1000) }
	for _, tc := range []struct {
		name   string
		opt    bench.ReceiveOptions
		pieces []bench.Piece
		want   bench.Record
		class  bench.ErrorClass
	}{
		{
			"one token an event", bench.ReceiveOptions{Stream: true, IgnoreEOS: true, WantIn: 4, WantOut: 3},
			[]bench.Piece{{us(10), streamHead}, {us(20), text("a")}, {us(50), text("b")}, {us(90), text("c") + closing}, {us(95), usage(4, 3) + done + finish}},
			bench.Record{FirstChunk: us(20), FirstText: us(20), First: us(20), Last: us(90), End: us(95), In: 4, Out: 3, K1: 1, Events: 3, Gaps: bench.Gaps{30, 40}, Finish: "length"}, "",
		},
		{
			"a role-only delta is no token", bench.ReceiveOptions{Stream: true, WantOut: 2},
			[]bench.Piece{{us(10), streamHead + event(`{"choices":[{"delta":{"role":"assistant","content":""}}]}`)}, {us(20), event(`{"choices":[{"delta":{"content":"a"}}]}`)},
				{us(30), event(`{"choices":[{"delta":{"content":"b"}}]}`) + event(`{"choices":[{"delta":{},"finish_reason":"stop"}]}`) + usage(4, 2) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(20), First: us(20), Last: us(30), End: us(30), In: 4, Out: 2, K1: 1, Events: 2, Gaps: bench.Gaps{10}, Finish: "stop"}, "",
		},
		{
			"several tokens an event: k1 unknown", bench.ReceiveOptions{Stream: true, IgnoreEOS: true, WantIn: 4, WantOut: 6},
			[]bench.Piece{{us(10), streamHead + text("a b c")}, {us(40), text("d e f")}, {us(50), closing + usage(4, 6) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(10), First: us(10), Last: us(40), End: us(50), In: 4, Out: 6, K1: 1, K1Unknown: true, Events: 2, Gaps: bench.Gaps{30}, Finish: "length"}, "",
		},
		{
			"usage in every event: k1 known, empty text counted by its rise", bench.ReceiveOptions{Stream: true, IgnoreEOS: true, WantOut: 6},
			[]bench.Piece{{us(10), streamHead + event(`{"choices":[{"text":""}],"usage":{"prompt_tokens":4,"completion_tokens":2}}`)}, {us(30), event(`{"choices":[{"text":"x"}],"usage":{"prompt_tokens":4,"completion_tokens":6}}`)},
				{us(40), event(`{"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":6}}`) + usage(4, 6) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(30), First: us(10), Last: us(30), End: us(40), In: 4, Out: 6, K1: 2, Events: 2, Gaps: bench.Gaps{20}, Finish: "length"}, "",
		},
		{
			"the total with the finish reason is no token", bench.ReceiveOptions{Stream: true, WantOut: 2},
			[]bench.Piece{{us(10), streamHead + text("a")}, {us(20), text("b")}, {us(30), event(`{"choices":[{"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":2}}`) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(10), First: us(10), Last: us(20), End: us(30), In: 4, Out: 2, K1: 1, Events: 2, Gaps: bench.Gaps{10}, Finish: "stop"}, "",
		},
		{
			"generate: everything so far, counted by its meta", bench.ReceiveOptions{Stream: true, WantOut: 3, Keep: true},
			[]bench.Piece{{us(10), streamHead + event(`{"text":"a","meta_info":{"prompt_tokens":4,"completion_tokens":1,"finish_reason":null}}`)},
				{us(25), event(`{"text":"a bc","meta_info":{"prompt_tokens":4,"completion_tokens":3,"finish_reason":{"type":"length"}}}`) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(10), First: us(10), Last: us(25), End: us(25), In: 4, Out: 3, K1: 1, Events: 2, Gaps: bench.Gaps{15}, Finish: "length", Output: "a bc"}, "",
		},
		{
			"until the connection ends, without a closing mark", bench.ReceiveOptions{Stream: true, WantOut: 1, Leaves: true},
			[]bench.Piece{{us(10), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"}, {us(20), "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}\n\n"}},
			bench.Record{FirstChunk: us(20), FirstText: us(20), First: us(20), Last: us(20), End: us(20), In: 4, Out: 1, K1: 1, Events: 1, Finish: "stop"}, "",
		},
		{
			"not streamed: no first token", bench.ReceiveOptions{WantOut: 2, IgnoreEOS: true, Keep: true},
			[]bench.Piece{{us(10), "HTTP/1.1 200 OK\r\nContent-Length: 137\r\n\r\n{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"a b\"},\"finish_reason\":\"length\"}]"}, {us(30), `,"usage":{"prompt_tokens":4,"completion_tokens":2}}`}},
			bench.Record{FirstChunk: bench.Never, FirstText: bench.Never, First: bench.Never, Last: bench.Never, End: us(30), In: 4, Out: 2, Finish: "length", Output: "a b"}, "",
		},
		{
			"fewer tokens than asked for", bench.ReceiveOptions{Stream: true, IgnoreEOS: true, WantOut: 3},
			[]bench.Piece{{us(10), streamHead + text("a") + closing + usage(4, 1) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(10), First: us(10), Last: us(10), End: us(10), In: 4, Out: 1, K1: 1, Events: 1, Finish: "length"}, bench.ErrWrongLength,
		},
		{
			"another prompt length than sent", bench.ReceiveOptions{Stream: true, WantIn: 5, WantOut: 1},
			[]bench.Piece{{us(10), streamHead + text("a") + closing + usage(4, 1) + done + finish}},
			bench.Record{FirstChunk: us(10), FirstText: us(10), First: us(10), Last: us(10), End: us(10), In: 4, Out: 1, K1: 1, Events: 1, Finish: "length"}, bench.ErrWrongLength,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, _, class := bench.Receive(tc.opt, tc.pieces...)
			require.Equal(t, tc.class, class)
			require.Len(t, got.Digest, 64)
			tc.want.Role, tc.want.Sched, tc.want.Sent, tc.want.Outcome = bench.RoleWindow, bench.Never, bench.Never, bench.OutcomeDropped
			tc.want.WantIn, tc.want.WantOut, tc.want.HTTPStatus, tc.want.Digest = tc.opt.WantIn, tc.opt.WantOut, 200, got.Digest
			require.Equal(t, &tc.want, got)
		})
	}
}

func TestBrokenResponses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		class    bench.ErrorClass
	}{
		{"nothing", "", bench.ErrReset},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", bench.ErrTruncated},
		{"not http", "hello\r\n\r\n", bench.ErrTruncated},
		{"status", "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait", bench.ErrHTTPStatus},
		{"status until close", "HTTP/1.1 500 Oops\r\n\r\nTraceback", bench.ErrHTTPStatus},
		{"redirect is not followed", "HTTP/1.1 307 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", bench.ErrRedirect},
		{"a body that was compressed unasked", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\b\x00", bench.ErrEncoded},
		{"an error that was compressed", "HTTP/1.1 500 Oops\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\b\x00", bench.ErrHTTPStatus},
		{"usage falls", streamHead + event(`{"choices":[{"text":"a"}],"usage":{"prompt_tokens":4,"completion_tokens":5}}`) + event(`{"choices":[{"text":"b","finish_reason":"stop"}]}`) + usage(4, 2) + event("[DONE]") + finish, bench.ErrWrongUsage},
		{"more ids than usage", streamHead + event(`{"choices":[{"text":"a","token_ids":[1,2]}]}`) + event(`{"choices":[{"text":"b","token_ids":[3],"finish_reason":"stop"}]}`) + usage(4, 2) + event("[DONE]") + finish, bench.ErrWrongUsage},
		{"no body allowed", "HTTP/1.1 204 No Content\r\n\r\n", bench.ErrHTTPStatus},
		{"not sse", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n", bench.ErrNotSSE},
		{"empty stream", streamHead + finish, bench.ErrNotSSE},
		{"empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", bench.ErrNotSSE},
		{"bad event", streamHead + event("{oops"), bench.ErrBadEvent},
		{"error event", streamHead + text("a") + event(`{"error":{"message":"out of memory"}}`), bench.ErrEvent},
		{"named error", streamHead + inChunk("event: error\ndata: boom\n\n"), bench.ErrEvent},
		{"aborted", streamHead + event(`{"choices":[{"text":"","finish_reason":"abort"}]}`), bench.ErrEvent},
		{"connection lost", streamHead + text("a"), bench.ErrTruncated},
		{"ended early", streamHead + text("a") + finish, bench.ErrTruncated},
		{"ended inside an event", streamHead + text("a") + inChunk("data: {\"choices\"") + finish, bench.ErrTruncated},
		{"bad chunk size", streamHead + "zz\r\n", bench.ErrTruncated},
		{"chunk longer than its size", streamHead + "2\r\nabc\r\n", bench.ErrTruncated},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", bench.ErrTruncated},
		{"no usage", streamHead + text("a") + event(`{"choices":[{"text":"","finish_reason":"stop"}]}`) + event("[DONE]") + finish, bench.ErrNoUsage},
		{"tokens without events", streamHead + event(`{"choices":[{"text":"","finish_reason":"stop"}]}`) + usage(4, 2) + event("[DONE]") + finish, bench.ErrNoToken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 7, len(tc.in) + 1} {
				_, _, class := bench.Receive(bench.ReceiveOptions{Stream: true, WantOut: 2, Leaves: true}, cut(tc.in, size)...)
				require.Equal(t, tc.class, class, "pieces of %d", size)
			}
		})
	}
}

func TestInterimResponseIsSkipped(t *testing.T) {
	t.Parallel()
	in := "HTTP/1.1 100 Continue\r\n\r\n" + streamHead + text("a") + event(`{"choices":[{"text":"","finish_reason":"stop"}]}`) + usage(4, 1) + event("[DONE]") + "0\r\nTrailer: x\r\n\r\n"
	for _, size := range []int{1, 5, len(in)} {
		rec, done, class := bench.Receive(bench.ReceiveOptions{Stream: true, WantOut: 1}, cut(in, size)...)
		require.Empty(t, class)
		require.True(t, done)
		require.Equal(t, 1, rec.Out)
	}
}

func TestLogprobsAndKeyedDigest(t *testing.T) {
	t.Parallel()
	end := usage(4, 2) + event("[DONE]") + finish
	completions := streamHead + event(`{"choices":[{"text":"a","logprobs":{"tokens":["a"],"token_logprobs":[-0.5]}}]}`) +
		event(`{"choices":[{"text":"b","finish_reason":"stop","logprobs":{"tokens":["b"],"token_logprobs":[-1]}}]}`) + end
	chat := streamHead + event(`{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.5,"top_logprobs":[]}]}}]}`) +
		event(`{"choices":[{"delta":{"content":"b"},"finish_reason":"stop","logprobs":{"content":[{"token":"b","logprob":-1}]}}]}`) + end
	generate := streamHead + event(`{"text":"a","meta_info":{"prompt_tokens":4,"completion_tokens":1,"output_token_logprobs":[[-0.5,7,"a"]]}}`) +
		event(`{"text":"ab","meta_info":{"prompt_tokens":4,"completion_tokens":2,"finish_reason":{"type":"stop"},"output_token_logprobs":[[-0.5,7,"a"],[-1,8,"b"]]}}`) + event("[DONE]") + finish
	want := []bench.TokenLogprob{{Token: "a", Logprob: -0.5}, {Token: "b", Logprob: -1}}
	var digests []string
	for _, in := range []string{completions, chat, generate} {
		rec, _, class := bench.Receive(bench.ReceiveOptions{Stream: true, Logprobs: true}, bench.Piece{Data: in})
		require.Empty(t, class)
		require.Equal(t, want, rec.Logprobs)
		digests = append(digests, rec.Digest)
	}
	require.Equal(t, "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603", digests[0], "sha256 of ab")
	require.Equal(t, digests[0], digests[1])
	require.Equal(t, digests[0], digests[2])
	keyed, _, _ := bench.Receive(bench.ReceiveOptions{Stream: true, Key: []byte("k")}, bench.Piece{Data: completions})
	require.NotEqual(t, digests[0], keyed.Digest)
	require.Empty(t, keyed.Output)
}

// cut gives the text in pieces, at least one.
func cut(in string, size int) []bench.Piece {
	pieces := []bench.Piece{{}}
	for ; len(in) > 0; in = in[min(size, len(in)):] {
		pieces = append(pieces, bench.Piece{Data: in[:min(size, len(in))]})
	}
	return pieces
}

// FuzzResponse holds that what net/http reads as a complete answer is read the same, however it is cut, and that no
// input breaks the reader.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(streamHead+text("a")+usage(1, 1)+event("[DONE]")+finish), 5)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), 1)
	f.Add([]byte("HTTP/1.1 200 OK\n\nabc"), 1)
	f.Add([]byte("HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size < 1 || size > len(in)+1 {
			size = len(in) + 1
		}
		opt := bench.ReceiveOptions{Stream: true, Leaves: true, Keep: true}
		parts, _, class := bench.Receive(opt, cut(string(in), size)...)
		whole, _, wholeClass := bench.Receive(opt, bench.Piece{}, bench.Piece{Data: string(in)})
		require.Equal(t, wholeClass, class)
		require.Equal(t, whole.Output, parts.Output)
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), nil)
		if err != nil || response.StatusCode < 200 || response.StatusCode == 200 || response.ProtoMajor != 1 || strings.Contains(string(in), "\r\n ") {
			return
		}
		if _, err := io.ReadAll(response.Body); err == nil && response.ContentLength >= 0 {
			require.Equal(t, bench.ErrHTTPStatus, class)
		}
	})
}
