package bench_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

func TestSSE(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		want     []bench.Event
		rest     string
	}{
		{"plain", "data: a\n\ndata: b\n\n", []bench.Event{{"", "a"}, {"", "b"}}, ""},
		{"crlf", "data: a\r\n\r\ndata: b\r\n\r\n", []bench.Event{{"", "a"}, {"", "b"}}, ""},
		{"cr only", "data: a\r\rdata: b\r\r", []bench.Event{{"", "a"}, {"", "b"}}, ""},
		{"no space", "data:a\n\n", []bench.Event{{"", "a"}}, ""},
		{"one space only is cut", "data:  a\n\n", []bench.Event{{"", " a"}}, ""},
		{"comments and pings", ": ping\n\n:\ndata: a\n: x\n\n", []bench.Event{{"", "a"}}, ""},
		{"lines add up", "data: a\ndata: b\ndata\n\n", []bench.Event{{"", "a\nb\n"}}, ""},
		{"names", "event: error\ndata: a\n\ndata: b\n\n", []bench.Event{{"error", "a"}, {"", "b"}}, ""},
		{"a name alone is no event", "event: x\n\ndata: b\n\n", []bench.Event{{"", "b"}}, ""},
		{"other fields", "id: 1\nretry: 5\nfoo: bar\ndata: a\n\n", []bench.Event{{"", "a"}}, ""},
		{"byte order mark", "\xef\xbb\xbfdata: a\n\n", []bench.Event{{"", "a"}}, ""},
		{"empty data is an event", "data:\n\n", []bench.Event{{"", ""}}, ""},
		{"closing mark without its end", "data: a\n\ndata: [DONE]", []bench.Event{{"", "a"}}, "[DONE]"},
		{"closing mark without blank line", "data: a\n\ndata: [DONE]\n", []bench.Event{{"", "a"}}, "[DONE]"},
		{"cut event", "data: {\"a\":", nil, `{"a":`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for size := 1; size <= len(tc.in); size++ {
				var pieces [][]byte
				for rest := []byte(tc.in); len(rest) > 0; rest = rest[min(size, len(rest)):] {
					pieces = append(pieces, rest[:min(size, len(rest))])
				}
				events, rest, err := bench.ParseSSE(pieces...)
				require.NoError(t, err)
				require.Equal(t, tc.want, events, "pieces of %d", size)
				require.Equal(t, tc.rest, rest, "pieces of %d", size)
			}
		})
	}
}

func TestSSERefusesEndlessEvents(t *testing.T) {
	t.Parallel()
	_, _, err := bench.ParseSSE([]byte("data: "), bytes.Repeat([]byte("x"), 17<<20))
	require.ErrorContains(t, err, "16 MiB")
	line := "data: " + strings.Repeat("x", 1<<20) + "\n"
	_, _, err = bench.ParseSSE([]byte(strings.Repeat(line, 17)))
	require.ErrorContains(t, err, "16 MiB")
}

// FuzzSSE holds that how the bytes are cut makes no difference, and that no input breaks the parser.
func FuzzSSE(f *testing.F) {
	for _, seed := range []string{"data: a\n\n", "data: a\r\n\r\n: c\r\rdata: b\ndata: c\n\ndata: [DONE]\n\n", "event: error\ndata:{}\n\n", "\xef\xbb\xbfdata: x"} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		whole, wholeRest, err := bench.ParseSSE(in)
		require.NoError(t, err)
		if cut < 0 || cut > len(in) {
			cut = len(in) / 2
		}
		parts, partsRest, err := bench.ParseSSE(in[:cut], in[cut:])
		require.NoError(t, err)
		require.Equal(t, whole, parts)
		require.Equal(t, wholeRest, partsRest)
	})
}
