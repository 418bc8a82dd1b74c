package bench_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

func TestChunk(t *testing.T) {
	t.Parallel()
	none := func(c bench.Chunk) bench.Chunk {
		for _, n := range []*int{&c.In, &c.Out, &c.Cached} {
			if *n == 0 {
				*n = -1
			}
		}
		return c
	}
	for _, tc := range []struct {
		name, in string
		want     bench.Chunk
	}{
		{"completion", `{"id":"c","choices":[{"index":0,"text":" hi","logprobs":null,"finish_reason":null}],"usage":null}`, bench.Chunk{Choices: true, Text: " hi"}},
		{"empty text", `{"choices":[{"text":"","finish_reason":"length"}]}`, bench.Chunk{Choices: true, Finish: "length"}},
		{"escapes", `{"choices":[{"text":"a\"\\\u00e9\ud83d\ude00\n"}]}`, bench.Chunk{Choices: true, Text: "a\"\\é😀\n"}},
		{"chat role only", `{"choices":[{"delta":{"role":"assistant","content":""}}]}`, bench.Chunk{Choices: true}},
		{"chat reasoning", `{"choices":[{"delta":{"reasoning_content":"hm","content":null}}]}`, bench.Chunk{Choices: true, Text: "hm"}},
		{"tool call", `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{"}}]}}]}`, bench.Chunk{Choices: true, Text: "f{"}},
		{"usage only", `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}}`, bench.Chunk{In: 7, Out: 5, Cached: 3}},
		{"usage without details", `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":null}}`, bench.Chunk{In: 7, Out: 5}},
		{"token ids", `{"choices":[{"text":"","token_ids":[5,6]}]}`, bench.Chunk{Choices: true, Tokens: 2}},
		{"generate", `{"text":"abc","output_ids":[1,2,3],"meta_info":{"id":"x","finish_reason":null,"prompt_tokens":9,"completion_tokens":3,"cached_tokens":1}}`,
			bench.Chunk{Choices: true, Text: "abc", Tokens: 3, In: 9, Out: 3, Cached: 1}},
		{"generate end", `{"text":"abc","meta_info":{"finish_reason":{"type":"length","length":3},"prompt_tokens":9,"completion_tokens":3}}`, bench.Chunk{Choices: true, Text: "abc", Finish: "length", In: 9, Out: 3}},
		{"error object", `{"error":{"message":"boom","code":400}}`, bench.Chunk{Failed: true}},
		{"error null", `{"error":null,"choices":[{"text":"a"}]}`, bench.Chunk{Choices: true, Text: "a"}},
		{"old error", `{"object":"error","message":"boom"}`, bench.Chunk{Failed: true}},
		{"second choice is ignored", `{"choices":[{"text":"a"},{"text":"b"}]}`, bench.Chunk{Choices: true, Text: "a"}},
		{"odd types", `{"choices":{"a":1},"usage":[1],"text":null,"error":null}`, bench.Chunk{Choices: true}},
		{"white space", " { \"choices\" : [ { \"text\" : \"a\" } ] } \n", bench.Chunk{Choices: true, Text: "a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := bench.ParseChunk([]byte(tc.in))
			require.NoError(t, err)
			require.Equal(t, none(tc.want), got)
		})
	}
	for _, bad := range []string{"", "null", "[]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"choices":[{"text":"a`, `{"choices":[{]}`, `{"a":1}{`, `{"a" 1}`, `"x"`, `{"text":"\u12"}`} {
		_, err := bench.ParseChunk([]byte(bad))
		require.Error(t, err, bad)
	}
}

// FuzzChunk holds that every JSON object is read, and its text as encoding/json reads it.
func FuzzChunk(f *testing.F) {
	for _, seed := range []string{`{"choices":[{"text":"a\u00e9","finish_reason":"stop"}],"usage":{"completion_tokens":3}}`, `{"text":"a","meta_info":{"finish_reason":{"type":"x"}}}`, `{"error":{"m":[1,{"a":"]"}]}}`, `{"a":[]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _ = bench.ParseChunk(in)
		var object map[string]any
		if json.Unmarshal(in, &object) != nil || object == nil {
			return
		}
		plain, err := json.Marshal(object) // without double keys
		require.NoError(t, err)
		got, err := bench.ParseChunk(plain)
		require.NoError(t, err, "%s", plain)
		if choices, ok := object["choices"].([]any); ok && len(choices) > 0 {
			if first, ok := choices[0].(map[string]any); ok && object["text"] == nil && first["delta"] == nil && first["message"] == nil {
				text, _ := first["text"].(string)
				require.Equal(t, text, got.Text)
			}
		}
	})
}
