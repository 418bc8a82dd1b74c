package dataset_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// words stands for a tokenizer.
func words(s string) int { return len(strings.Fields(s)) }

func read(text string, opt dataset.Options) ([]dataset.Row, []dataset.Skip, error) {
	r, err := dataset.NewReader(strings.NewReader(text), opt)
	if err != nil {
		return nil, nil, err
	}
	var rows []dataset.Row
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, r.Skipped(), nil
		}
		if err != nil {
			return rows, r.Skipped(), err
		}
		rows = append(rows, row)
	}
}

func normalise(t testing.TB, text string, opt dataset.Options) (*dataset.Index, string) {
	t.Helper()
	r, err := dataset.NewReader(strings.NewReader(text), opt)
	require.NoError(t, err)
	var out bytes.Buffer
	ix, err := dataset.Normalise(&out, r)
	require.NoError(t, err)
	return ix, out.String()
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"fields are sorted", `{"prompt":"a","output_len":3,"conversation":"c"}`, `{"conversation":"c","output_len":3,"prompt":"a"}`},
		{"spaces go, text stays", " {\t\"output_len\" : 3, \"prompt\":\"  a <b> é\u2028 \" } \r\n\n", "{\"output_len\":3,\"prompt\":\"  a <b> é\u2028 \"}"},
		{"escapes", `{"prompt":"\u0041\/\b\u000c\n\r\t\"\\\ud83d\ude00","output_len":1}`, `{"output_len":1,"prompt":"A/\u0008\u000c\n\r\t\"\\😀"}`},
		{"numbers of the extra body stay", `{"extra_request_body":{"top_p":0.90,"a":{"y":[1,null,true],"b":{}}},"prompt":"a","output_len":1}`, `{"extra_request_body":{"a":{"b":{},"y":[1,null,true]},"top_p":0.90},"output_len":1,"prompt":"a"}`},
		{"an empty extra body is none", `{"extra_request_body":{},"prompt":"a","output_len":1}`, `{"output_len":1,"prompt":"a"}`},
		{"timestamps are shortest decimals", `{"timestamp":1.50e1,"prompt":"a","output_len":1}`, `{"output_len":1,"prompt":"a","timestamp":15}`},
		{"minus zero", `{"timestamp":-0,"prompt":"a","output_len":1}`, `{"output_len":1,"prompt":"a","timestamp":0}`},
		{"messages", `{"messages":[{"role":"system","content":"s"},{"content":[{"type":"text","text":"q"}],"role":"user"}],"output_len":1}`, `{"messages":[{"content":"s","role":"system"},{"content":[{"text":"q","type":"text"}],"role":"user"}],"output_len":1}`},
		{"tools", `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"role":"tool","tool_call_id":"1","content":"r"}],"output_len":1}`,
			`{"messages":[{"content":"q","role":"user"},{"content":null,"role":"assistant","tool_calls":[{"id":"1"}]},{"content":"r","role":"tool","tool_call_id":"1"}],"output_len":1}`},
		{"a byte order mark", "\ufeff" + `{"prompt":"a","output_len":1}`, `{"output_len":1,"prompt":"a"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ix, got := normalise(t, tc.in, dataset.Options{})
			require.Equal(t, tc.want+"\n", got)
			again, same := normalise(t, got, dataset.Options{})
			require.Equal(t, got, same, "normal text is its own normal form")
			require.Equal(t, ix.Digest, again.Digest)
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const ok = `{"prompt":"a","output_len":1}` + "\n"
	q := func(messages string) string { return `{"output_len":1,"messages":` + messages + `}` }
	share := func(turns string) string { return "[\n {\"id\":\"x\",\"conversations\":" + turns + "}\n]" }
	for _, tc := range []struct{ name, in, where, what, field string }{
		{"bad UTF-8", ok + "{\"prompt\":\"a\xff\"}", "line 2, column 13", "is not UTF-8", ""},
		{"half a pair", `{"prompt":"\ud83d","output_len":1}`, "line 1, column 12", "surrogate", ""},
		{"halves in the wrong order", `{"prompt":"\ude00\ud83d","output_len":1}`, "line 1, column 12", "surrogate", ""},
		{"no JSON", ok + "hello", "line 2, column 1", "is not JSON here", ""},
		{"neither object nor array", "hello", "line 1, column 1", "is not JSON here", ""},
		{"two values", `{"prompt":"a","output_len":1}{}`, "line 1, column 30", "more than one value", ""},
		{"an object over lines", "{\n\"prompt\":\"a\"}", "line 1", "is not JSON here", ""},
		{"a raw control character", "{\"prompt\":\"a\x01\"}", "line 1, column 13", "control character", ""},
		{"a bad escape", `{"prompt":"\x"}`, "line 1, column 12", "escape", ""},
		{"a bad number", `{"output_len":01}`, "line 1, column 15", "number", ""},
		{"a huge number", `{"prompt":"a","output_len":1,"extra_request_body":{"x":1e999}}`, "column 56", "number", ""},
		{"nesting", `{"a":` + strings.Repeat("[", 100), "line 1", "deeper than 64", ""},
		{"a number", ok + "7", "line 2", "a number, not an object", ""},
		{"duplicate keys", `{"prompt":"a","output_len":1,"prompt":"b"}`, "column 30", "twice", ""},
		{"deep duplicate keys, escaped", `{"prompt":"a","output_len":1,"extra_request_body":{"a":1,"\u0061":2}}`, "column 58", "twice", ""},
		{"unknown field", `{"prompt":"a","output_len":1,"promt":"b"}`, "line 1", `unknown field: "promt"`, ""},
		{"empty prompt", `{"prompt":" \n","output_len":1}`, "column 11", "is empty", "prompt"},
		{"no prompt", `{"output_len":1}`, "line 1", "is missing", "prompt"},
		{"prompt of another type", `{"prompt":["a"],"output_len":1}`, "column 11", "is an array", "prompt"},
		{"no output_len", ok + `{"prompt":"a"}`, "line 2", "is missing", "output_len"},
		{"zero", `{"prompt":"a","output_len":0}`, "column 28", `"0"`, "output_len"},
		{"negative", `{"prompt":"a","output_len":-5}`, "column 28", `"-5"`, "output_len"},
		{"not whole", `{"prompt":"a","output_len":1.5}`, "column 28", `"1.5"`, "output_len"},
		{"a string of digits", `{"prompt":"a","output_len":"5"}`, "column 28", "whole number", "output_len"},
		{"too many", `{"prompt":"a","output_len":99999999999}`, "column 28", "whole number", "output_len"},
		{"negative time", `{"prompt":"a","output_len":1,"timestamp":-1}`, "line 1", "negative", "timestamp"},
		{"no time", `{"prompt":"a","output_len":1,"timestamp":"now"}`, "line 1", "is a string", "timestamp"},
		{"unsorted", `{"prompt":"a","output_len":1,"timestamp":2}` + "\n" + `{"prompt":"a","output_len":1,"timestamp":1}`, "line 2", "earlier", "timestamp"},
		{"times on some", ok + `{"prompt":"a","output_len":1,"timestamp":1}`, "line 2", "some rows only", "timestamp"},
		{"both", `{"prompt":"a","messages":[],"output_len":1}`, "line 1", "beside prompt", "messages"},
		{"rows of both", ok + q(`[{"role":"user","content":"a"}]`), "line 2", "rows before have prompt", "messages"},
		{"no messages", q(`[]`), "line 1", "is empty", "messages"},
		{"messages of another type", q(`"a"`), "line 1", "is a string", "messages"},
		{"assistant first", q(`[{"role":"assistant","content":"a"}]`), "line 1", "cannot begin", "messages[0].role"},
		{"two users", q(`[{"role":"user","content":"a"},{"role":"user","content":"b"}]`), "line 1", "cannot follow user", "messages[1].role"},
		{"late system", q(`[{"role":"user","content":"a"},{"role":"system","content":"b"}]`), "line 1", "cannot follow user", "messages[1].role"},
		{"the answer at the end", q(`[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]`), "line 1", "without a question", "messages[1].role"},
		{"unknown role", q(`[{"role":"wizard","content":"a"}]`), "line 1", `"wizard"`, "messages[0].role"},
		{"empty content", q(`[{"role":"user","content":""}]`), "line 1", "is empty", "messages[0].content"},
		{"no content", q(`[{"role":"user"}]`), "line 1", "is empty", "messages[0].content"},
		{"an image", q(`[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]`), "line 1", "no text", "messages[0].content[0]"},
		{"a field of a message", q(`[{"role":"user","content":"a","mood":1}]`), "line 1", `"mood"`, "messages[0]"},
		{"conversation", `{"prompt":"a","output_len":1,"conversation":7}`, "line 1", "is a number", "conversation"},
		{"extra", `{"prompt":"a","output_len":1,"extra_request_body":[]}`, "line 1", "is an array", "extra_request_body"},
		{"a long line", ok + `{"prompt":"` + strings.Repeat("a", 300_000) + `","output_len":1}`, "line 2", "longer than 200000 bytes", ""},
		{"nothing", "", "nothing usable", "empty", ""},
		{"spaces", " \n\n ", "nothing usable", "empty", ""},
		{"compressed", "\x1f\x8b\x08", "", "compressed", ""},

		{"an empty array", "[ ]", "nothing usable", "no rows", ""},
		{"strings in the array", `["a"]`, "element 1 (line 1, column 2)", "not an object", ""},
		{"no comma", `[{"id":"x","conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]} {}]`, "element 2", "without a comma", ""},
		{"a comma too many", `[{"id":"x","conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]},]`, "element 2", "not an object", ""},
		{"something behind", `[] x`, "line 1, column 4", "follows the array", ""},
		{"cut off", share(`[{"from":"human","value":"a"`)[:30], "line 2", "not complete", ""},
		{"cut between elements", `[{"id":"x","conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`, "line 1", "not complete", ""},
		{"bad UTF-8 in an element", "[\n {\"id\":\n\"\xff\"}]", "element 1 (line 3, column 2)", "UTF-8", ""},
		{"no conversations", `[{"id":"x"}]`, "element 1", "is missing", "conversations"},
		{"one turn", share(`[{"from":"human","value":"a"}]`), "element 1 (line 2,", "no question with an answer", "conversations"},
		{"answer first", share(`[{"from":"gpt","value":"a"}]`), "element 1", "cannot begin", "conversations[0].from"},
		{"two questions", share(`[{"from":"human","value":"a"},{"from":"human","value":"a"}]`), "element 1", "cannot follow user", "conversations[1].from"},
		{"unknown speaker", share(`[{"from":"wizard","value":"a"}]`), "element 1", `"wizard"`, "conversations[0].from"},
		{"no value", share(`[{"from":"human"}]`), "element 1", "lacks from or value", "conversations[0]"},
		{"empty value", share(`[{"from":"human","value":" "}]`), "element 1", "is empty", "conversations[0].value"},
		{"system for a prompt", share(`[{"from":"system","value":"s"},{"from":"human","value":"a"},{"from":"gpt","value":"b"}]`), "element 1", "system turn", "conversations"},
		{"duplicate keys of a turn", share(`[{"from":"human","from":"gpt","value":"a"}]`), "element 1", "twice", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(tc.in, dataset.Options{Count: words, MaxLine: 200_000})
			f, isFault := fault.As(err)
			require.True(t, isFault, "%v", err)
			require.Equal(t, fault.InvalidInput, f.Code)
			hints := strings.Join(f.Hints, " ")
			require.NotEmpty(t, hints, "says what to do")
			require.Contains(t, f.Error(), tc.where)
			require.Contains(t, f.Error()+" "+hints, tc.what)
			require.Equal(t, tc.field, f.Field)
		})
	}
}

func TestBothFormatsGiveTheSameRows(t *testing.T) {
	t.Parallel()
	share, err := os.ReadFile("testdata/sharegpt.json")
	require.NoError(t, err)
	lines, err := os.ReadFile("testdata/rows.jsonl")
	require.NoError(t, err)
	a, text := normalise(t, string(share), dataset.Options{Count: words})
	b, _ := normalise(t, string(lines), dataset.Options{})
	require.Equal(t, `{"conversation":"a1","output_len":9,"prompt":"What is a mutex?"}`+"\n"+`{"conversation":"7","output_len":3,"prompt":"Grüße, 😀"}`+"\n", text)
	require.Equal(t, a.RowDigest(0), b.RowDigest(1))
	require.Equal(t, a.RowDigest(1), b.RowDigest(0))
	require.Equal(t, a.Content, b.Content, "whatever the order")
	require.NotEqual(t, a.Digest, b.Digest, "the order counts")
	c, _ := normalise(t, text, dataset.Options{})
	require.Equal(t, a.Digest, c.Digest, "the format does not")
	require.Equal(t, dataset.FormatShareGPT, a.Format)
}

// TestDigestsStay holds digests that contracts may name already.
func TestDigestsStay(t *testing.T) {
	t.Parallel()
	ix, _ := normalise(t, `{"prompt":"a","output_len":1}`, dataset.Options{})
	require.Equal(t, "sha256:2b301ba0250b70fcb798804a18674c91a267891d532cfa3328c3ca49334f33b5", ix.RowDigest(0))
	require.Equal(t, "sha256:d49efb1749a84fca5a5177128314503ff0131aff683e6ce82f45af906a656c21", ix.Digest)
	require.Equal(t, "sha256:7b489f24e36f6a626bc3057cd489cffdf01b13fc061cf00d5696d68aabca65e2", ix.Content)
}

func TestAllTurns(t *testing.T) {
	t.Parallel()
	share, err := os.ReadFile("testdata/sharegpt.json")
	require.NoError(t, err)
	rows, _, err := read(string(share), dataset.Options{OutputLen: 50, Turns: dataset.TurnsAll})
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.JSONEq(t, `[{"role":"user","content":"What is a mutex?"},{"role":"assistant","content":"A lock that one thread holds at a time."},{"role":"user","content":"And a semaphore?\n\"Briefly\"."}]`, string(rows[1].Messages))
	require.Equal(t, dataset.ShapeMessages, rows[0].Shape())
	require.Equal(t, "user\nWhat is a mutex?\n", rows[0].Text())
	for _, r := range rows {
		require.Equal(t, 50, r.OutputLen)
		again, _, err := read(string(r.Line()), dataset.Options{})
		require.NoError(t, err, "what ShareGPT becomes is a valid line")
		require.Equal(t, r, again[0])
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	const text = `[{"id":"a","conversations":[]},
{"id":"b","conversations":[{"from":"gpt","value":"x"}]},
{"id":"c","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"two words"}]},
{"id":"d","conversations":[{"from":"human","value":"q"}]}]`
	rows, skipped, err := read(text, dataset.Options{Count: words, Skip: true})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, 2, rows[0].OutputLen)
	require.Equal(t, []dataset.Skip{{Reason: dataset.ReasonTurns, Rows: 2, First: 1}, {Reason: dataset.ReasonRoles, Rows: 1, First: 2}}, skipped)

	_, _, err = read(`{"prompt":"","output_len":1}`, dataset.Options{Skip: true})
	require.ErrorContains(t, err, "nothing usable: every row was passed over")
	_, _, err = read(`{"prompt":"a","output_len":1,"output_len":2}`, dataset.Options{Skip: true})
	require.ErrorContains(t, err, "twice", "what two readers would read differently is never passed over")
	long := `{"prompt":"` + strings.Repeat("a", 200_000) + `","output_len":1}` + "\n" + `{"prompt":"b","output_len":1}`
	rows, skipped, err = read(long, dataset.Options{Skip: true, MaxLine: 100})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, []dataset.Skip{{Reason: dataset.ReasonTooLong, Rows: 1, First: 1}}, skipped)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, _, err := read(`[]`, dataset.Options{})
	require.ErrorContains(t, err, "no output_len")
	_, _, err = read(`{}`, dataset.Options{Turns: "some"})
	require.ErrorContains(t, err, "valid: first, all")
	rows, _, err := read(`{"prompt":"a"}`, dataset.Options{OutputLen: 9})
	require.NoError(t, err)
	require.Equal(t, 9, rows[0].OutputLen)
	_, _, err = read(strings.Repeat(`{"prompt":"a","output_len":1}`+"\n", 3), dataset.Options{MaxRows: 2})
	require.ErrorContains(t, err, "more than 2 rows")
	_, _, err = read(`{"prompt":"a","output_len":1,"my secret":1}`, dataset.Options{Private: true})
	require.NotContains(t, err.Error(), "secret", "of a private dataset nothing is quoted")
}

// endless gives one line or element over and over.
type endless struct {
	text string
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	e.left--
	return copy(p, e.text), nil
}

func TestReadingStreams(t *testing.T) {
	t.Parallel()
	const element = `{"id":"x","conversations":[{"from":"human","value":"a } ] \" b"},{"from":"gpt","value":"b"}]},`
	for _, tc := range []struct{ head, text string }{{"", `{"prompt":"a","output_len":1}` + "\n"}, {"[", element}} {
		const n = 20_000
		src := &endless{tc.text, n}
		r, err := dataset.NewReader(io.MultiReader(strings.NewReader(tc.head), src), dataset.Options{Count: words})
		require.NoError(t, err)
		_, err = r.Next()
		require.NoError(t, err)
		require.Greater(t, src.left, n/2, "the first row is there long before the end is read")
	}
}

func FuzzReader(f *testing.F) {
	share, err := os.ReadFile("testdata/sharegpt.json")
	require.NoError(f, err)
	lines, err := os.ReadFile("testdata/rows.jsonl")
	require.NoError(f, err)
	for _, seed := range []string{string(share), string(lines), `{"messages":[{"role":"user","content":"a"}],"output_len":1,"timestamp":1e3,"extra_request_body":{"a":[1]}}`, "[{}]", "{\"prompt\":\"\\ud83d\\ude00\"}"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, all bool) {
		opt := dataset.Options{Count: words, Skip: true, MaxLine: 1 << 16}
		if all {
			opt.Turns = dataset.TurnsAll
		}
		rows, _, err := read(text, opt)
		if err != nil {
			_, isFault := fault.As(err)
			require.True(t, isFault, "%v", err)
			return
		}
		require.NotEmpty(t, rows)
		var out bytes.Buffer
		for _, r := range rows {
			out.Write(append(r.Line(), '\n'))
		}
		again, _, err := read(out.String(), dataset.Options{})
		require.NoError(t, err, "the canonical form is valid")
		require.Equal(t, rows, again, "and means the same")
	})
}
