package bench_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// misdeed is a bad answer on the bare connection; keep says that the connection goes on. gone is closed at the end.
type misdeed func(c net.Conn, gone <-chan struct{}) (keep bool)

// say is a bad answer after which the connection goes on.
func say(answer string) misdeed {
	return func(c net.Conn, _ <-chan struct{}) bool {
		_, err := io.WriteString(c, answer)
		return err == nil
	}
}

// cutOff is a bad answer after which the server closes the connection.
func cutOff(answer string) misdeed {
	return func(c net.Conn, _ <-chan struct{}) bool {
		_, _ = io.WriteString(c, answer)
		return false
	}
}

// hang is the beginning of an answer after which nothing comes any more.
func hang(answer string) misdeed {
	return func(c net.Conn, gone <-chan struct{}) bool {
		_, _ = io.WriteString(c, answer)
		<-gone
		return false
	}
}

// goodAnswer is four tokens, one an event.
func goodAnswer() string {
	return streamHead + text("a") + text("b") + text("c") + event(`{"choices":[{"text":"d","finish_reason":"length"}]}`) + usage(8, 4) + event("[DONE]") + finish
}

// badly serves: every fourth request is answered by the misdeed, the others well.
func badly(t *testing.T, bad misdeed) bench.Target {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone, turns := make(chan struct{}), make(chan int, 1)
	turns <- 0
	t.Cleanup(func() { close(gone); _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go badConnection(c, bad, turns, gone)
		}
	}()
	return bench.Target{BaseURL: "http://" + l.Addr().String(), Path: bench.PathCompletions, Model: "m"}
}

func badConnection(c net.Conn, bad misdeed, turns chan int, gone <-chan struct{}) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		n := <-turns + 1
		turns <- n
		if n%4 != 0 {
			_, _ = io.WriteString(c, goodAnswer())
		} else if !bad(c, gone) {
			return
		}
	}
}

func compressed(answer string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, answer)
	_ = z.Close()
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.String())
}

func answered(code int, name, field string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\nContent-Length: 4\r\n\r\nwait", code, name, field)
}

// TestBadServers holds that whatever a server does is classified, counted and visible in the point, and that it costs no
// other request anything: five of twenty requests are answered badly.
func TestBadServers(t *testing.T) {
	t.Parallel()
	good := goodAnswer()
	for _, tc := range []struct {
		name    string
		bad     misdeed
		class   bench.ErrorClass // empty: the requests succeed
		says    string           // in the record's error
		status  string
		warning string // of the point
	}{
		{name: "stalls in the middle", bad: hang(streamHead + text("a")), class: bench.ErrTimeout, says: "behind 1 content events"},
		{name: "never answers", bad: hang(""), class: bench.ErrTimeout, says: "no byte came in"},
		{name: "closes in the middle", bad: cutOff(streamHead + text("a")), class: bench.ErrTruncated},
		{name: "ends without a finish reason", bad: say(streamHead + text("a") + finish), class: bench.ErrTruncated},
		{name: "a head without end", bad: cutOff("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 80<<10)), class: bench.ErrTruncated, says: "head exceeds"},
		{name: "malformed event", bad: say(streamHead + event("{oops") + finish), class: bench.ErrBadEvent, says: "{oops"},
		{name: "an event beyond all bounds", bad: cutOff(streamHead + inChunk("data: "+strings.Repeat("x", 17<<20))), class: bench.ErrBadEvent, says: "exceeds 16 MiB"},
		{name: "an error inside", bad: say(streamHead + text("a") + event(`{"error":{"message":"out of pages"}}`) + finish), class: bench.ErrEvent, says: "out of pages"},
		{name: "no event stream", bad: say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n"), class: bench.ErrNotSSE},
		{name: "usage of another prompt", bad: say(strings.Replace(good, usage(8, 4), usage(9, 4), 1)), class: bench.ErrWrongLength, says: "9 prompt tokens of 8 sent"},
		{name: "usage of another length", bad: say(strings.Replace(good, usage(8, 4), usage(8, 3), 1)), class: bench.ErrWrongLength, says: "3 tokens of 4 asked for"},
		{name: "usage against ids", bad: say(streamHead + event(`{"choices":[{"text":"a","token_ids":[1,2,3]}]}`) + event(`{"choices":[{"text":"d","token_ids":[4,5],"finish_reason":"length"}]}`) + usage(8, 4) + event("[DONE]") + finish),
			class: bench.ErrWrongUsage, says: "5 token ids came and usage counts 4"},
		{name: "no usage", bad: say(strings.Replace(good, usage(8, 4), "", 1)), class: bench.ErrNoUsage},
		{name: "429", bad: say(answered(429, "Too Many Requests", "Retry-After: 1")), class: bench.ErrHTTPStatus, says: "429 Too Many Requests: wait", status: "429"},
		{name: "500", bad: say(answered(500, "Oops", "X: y")), class: bench.ErrHTTPStatus, says: "500 Oops: wait", status: "500"},
		{name: "redirect", bad: say(answered(307, "Moved", "Location: http://127.0.0.1:1/Else")), class: bench.ErrRedirect, says: `to "http://127.0.0.1:1/Else", which is not followed`, status: "307"},
		{name: "compressed", bad: say(compressed("data: [DONE]\n\n")), class: bench.ErrEncoded, says: `"gzip"`},
		{name: "an event twice", bad: say(strings.Replace(good, text("b"), text("b")+text("b"), 1)), warning: "5 requests had more content events than tokens"},
		{name: "an empty event", bad: say(strings.Replace(good, text("b"), text("b")+text(""), 1)), warning: "5 events carried neither token"},
		{name: "everything in one huge chunk", bad: say(streamHead + inChunk(strings.Repeat(": filler\n\n", 200_000)+
			"data: {\"choices\":[{\"text\":\"abcd\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n") + finish)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			spec := closed(20, 1)
			spec.RequestTimeout = 10 * time.Second
			if tc.class == bench.ErrTimeout {
				spec.RequestTimeout = 300 * time.Millisecond
			}
			point, err := bench.Run(t.Context(), badly(t, tc.bad), spec, nil)
			require.NoError(t, err)
			require.Equal(t, bench.StatusOK, point.Status, point.Reason)
			c := point.Counts
			require.Equal(t, 20, c.OK+c.Failed+c.Unfinished)
			require.Zero(t, c.Retried)
			if tc.class == "" {
				require.Empty(t, c.Errors)
			} else {
				require.Equal(t, map[string]int{string(tc.class): 5}, c.Errors)
				require.Equal(t, 15, c.OK)
			}
			if tc.status != "" {
				require.Equal(t, map[string]int{tc.status: 5}, c.Statuses)
			}
			require.Contains(t, strings.Join(point.Warnings, "\n"), tc.warning)
			require.NoError(t, point.Recording.Check())
			for _, r := range point.Recording.Records {
				if !r.OK() {
					require.Contains(t, r.Error, tc.says)
				}
			}
		})
	}
}

// TestARetryIsNeverHidden: a connection closed before a byte of the answer came looks like one that was closed while it
// rested, so that its request is sent once more, and only once; records, counts, audit and warnings say so.
func TestARetryIsNeverHidden(t *testing.T) {
	t.Parallel()
	point, err := bench.Run(t.Context(), badly(t, cutOff("")), closed(20, 1), nil)
	require.NoError(t, err)
	require.Equal(t, 20, point.Counts.OK)
	require.Equal(t, 6, point.Counts.Retried, "each sending counts at the server: every fourth of 26")
	require.Equal(t, 6, point.Audit.Retries)
	require.Contains(t, strings.Join(point.Warnings, "\n"), "6 requests were sent twice")
	retried := 0
	for _, r := range point.Recording.Records {
		if r.Retried {
			retried++
		}
	}
	require.Equal(t, 6, retried)

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	sendings := make(chan struct{}, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				if request, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, request.Body)
					sendings <- struct{}{}
				}
				_ = c.Close()
			}()
		}
	}()
	point, err = bench.Run(t.Context(), bench.Target{BaseURL: "http://" + l.Addr().String(), Path: bench.PathCompletions}, closed(20, 1), nil)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"reset": 20}, point.Counts.Errors)
	require.Len(t, sendings, 40, "once more, and no more")
}

// TestALateLossIsNoRetry: what is lost long after it was sent was lost by a server that may have worked on it.
func TestALateLossIsNoRetry(t *testing.T) {
	t.Parallel()
	late := func(net.Conn, <-chan struct{}) bool {
		time.Sleep(1100 * time.Millisecond) // longer than bench's keepAliveRace
		return false
	}
	spec := closed(5, 1)
	point, err := bench.Run(t.Context(), badly(t, late), spec, nil)
	require.NoError(t, err)
	require.Zero(t, point.Counts.Retried)
	require.Equal(t, map[string]int{"reset": 1}, point.Counts.Errors)
}
