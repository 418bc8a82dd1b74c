package chain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
)

var day = time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)

func note(n int) chain.Pending {
	return chain.Pending{Kind: "note.taken", V: 1, Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)), Time: day}
}

func options(t *testing.T) (string, chain.Options) {
	dir := t.TempDir()
	return filepath.Join(dir, "ledger.jsonl"), chain.Options{
		LockPath: filepath.Join(dir, "locks", "a.lock"), HeadPath: filepath.Join(dir, "head.json"), Kinds: chain.Kinds{"note.taken": 2},
	}
}

// add appends pending, whatever is there.
func add(t *testing.T, f *chain.File, pending ...chain.Pending) []chain.Entry {
	t.Helper()
	got, err := f.Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return pending, nil })
	require.NoError(t, err)
	return got
}

func open(t *testing.T, path string, o chain.Options) *chain.File {
	t.Helper()
	f, err := chain.Open(path, o)
	require.NoError(t, err)
	return f
}

func TestLinesAreAsDocumented(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	got := add(t, open(t, path, o), note(1), note(2))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	first := `{"kind":"note.taken","v":1,"seq":1,"time":"2026-11-23T10:00:00.5Z","prev":"` + strings.Repeat("0", 64) + `","payload":{"n":1}}`
	second := `{"kind":"note.taken","v":1,"seq":2,"time":"2026-11-23T10:00:00.5Z","prev":"` + chain.Sum([]byte(first)) + `","payload":{"n":2}}`
	require.Equal(t, first+"\n"+second+"\n", string(raw))
	head, err := os.ReadFile(o.HeadPath)
	require.NoError(t, err)
	require.Equal(t, `{"kind":"sotaloop.head","v":1,"seq":2,"hash":"`+chain.Sum([]byte(second))+`"}`+"\n", string(head))

	read, torn, err := chain.Read(path, o.Kinds)
	require.NoError(t, err)
	require.Zero(t, torn)
	require.Equal(t, got, read)
	require.Equal(t, chain.Head{Seq: 2, Hash: chain.Sum([]byte(second))}, chain.HeadOf(read))

	var b bytes.Buffer
	written, err := chain.Write(&b, day, note(1), note(2))
	require.NoError(t, err)
	require.Equal(t, string(raw), b.String())
	require.Equal(t, got, written)
}

func TestAFolderWithAChainHoldsNothingElse(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	add(t, open(t, path, o), note(1))
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 3, "chain, head, and the locks' folder: %v", names)
}

func TestCheckSeesEveryEntryAndMayRefuse(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	one, other := open(t, path, o), open(t, path, o)
	add(t, one, note(1))
	add(t, other, note(2))
	refusal := errors.New("no")
	_, err := one.Append(t.Context(), func(seen []chain.Entry) ([]chain.Pending, error) {
		require.Len(t, seen, 2, "the other's line is seen")
		return []chain.Pending{note(3)}, refusal
	})
	require.ErrorIs(t, err, refusal)
	require.Empty(t, add(t, one), "nothing pending writes nothing")
	seen, err := other.Entries()
	require.NoError(t, err)
	require.Len(t, seen, 2)
}

func TestWriterRefusesWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]chain.Pending{
		"no kind":        {Payload: json.RawMessage(`{}`)},
		"unknown kind":   {Kind: "note.lost"},
		"newer version":  {Kind: "note.taken", V: 3},
		"no object":      {Kind: "note.taken", Payload: json.RawMessage(`[1]`)},
		"broken":         {Kind: "note.taken", Payload: json.RawMessage(`{"a":`)},
		"duplicate key":  {Kind: "note.taken", Payload: json.RawMessage(`{"a":{"b":1,"b":2}}`)},
		"two values":     {Kind: "note.taken", Payload: json.RawMessage(`{} {}`)},
		"too deep":       {Kind: "note.taken", Payload: json.RawMessage(strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500))},
		"empty payload":  {Kind: "note.taken", Payload: json.RawMessage(``)},
		"line too large": {Kind: "note.taken", Payload: json.RawMessage(`{"a":"` + strings.Repeat("x", 64<<20) + `"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, o := options(t)
			_, err := chain.Append(t.Context(), path, o, func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{p}, nil })
			require.Error(t, err)
			require.NoFileExists(t, path)
		})
	}
}

func TestNewlinesInAPayloadDoNotBreakItsLine(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	add(t, open(t, path, o), chain.Pending{Kind: "note.taken", Payload: json.RawMessage("{\n \"a\": \"<&>\\n\"\n}")}, note(2))
	read, _, err := chain.Read(path, o.Kinds)
	require.NoError(t, err)
	require.Equal(t, `{"a":"<&>\n"}`, string(read[0].Payload))
	require.Equal(t, time.UTC, read[0].Time.Location())
	require.WithinDuration(t, time.Now(), read[0].Time, time.Minute)
}

func TestDamageIsNamedByLineAndReason(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	add(t, open(t, path, o), note(1), note(2), note(3))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
	lines[2] += "\n"
	swap := func(old, repl string) string { return strings.Replace(string(whole), old, repl, 1) }
	for name, c := range map[string]struct{ file, says string }{
		"a value edited":      {swap(`{"n":1}`, `{"n":9}`), "line 2: prev is"},
		"first line deleted":  {lines[1] + lines[2], "line 1: seq is 2, expected 1"},
		"lines swapped":       {lines[0] + lines[2] + lines[1], "line 2: seq is 3, expected 2"},
		"a line repeated":     {lines[0] + lines[0] + lines[1], "line 2: seq is 1, expected 2"},
		"another start":       {swap(chain.Genesis, strings.Repeat("1", 64)), "line 1: prev is"},
		"name in other case":  {swap(`"kind"`, `"Kind"`), `line 1: unknown field "Kind"`},
		"missing name":        {swap(`"v":1,`, ``), `line 1: missing field "v"`},
		"foreign name":        {swap(`"v":1,`, `"v":1,"w":1,`), `line 1: unknown field "w"`},
		"duplicate name":      {swap(`"v":1,`, `"v":1,"v":1,`), `line 1: duplicate key "v"`},
		"duplicate in depth":  {swap(`{"n":1}`, `{"n":[{"a":1,"a":1}]}`), `line 1: duplicate key "payload.n.a"`},
		"newer version":       {swap(`"v":1`, `"v":3`), `line 1: kind "note.taken" has version 3, this release knows up to 2: not known`},
		"version zero":        {swap(`"v":1`, `"v":0`), "versions start at 1"},
		"unknown kind":        {swap(`note.taken`, `note.lost`), `line 1: kind "note.lost": not known`},
		"local time":          {swap(`0.5Z`, `0.5+00:00`), "is not UTC"},
		"no time":             {swap(`2026-11-23T10:00:00.5Z`, `noon`), `time "noon" is not UTC`},
		"payload not object":  {swap(`{"n":1}`, `1`), "line 1: payload is not a JSON object"},
		"not JSON":            {swap(`{"kind"`, `{kind`), "line 1: not JSON"},
		"more behind":         {swap("}}\n", "}} {}\n"), "line 1: not JSON, or more behind"},
		"an empty line":       {swap("\n", "\n\n"), "line 2: the line is empty"},
		"a byte order mark":   {"\ufeff" + string(whole), "line 1: the line begins with a byte order mark"},
		"other line ends":     {strings.ReplaceAll(string(whole), "\n", "\r\n"), "line 1: the line ends in CR LF"},
		"zero bytes":          {lines[0] + strings.Repeat("\x00", 40) + "\n" + lines[2], "line 2: the line holds 40 zero bytes"},
		"zero bytes in front": {lines[0] + strings.Repeat("\x00", 7) + lines[1] + lines[2], "line 2: the line holds 7 zero bytes"},
		"a torn line inside":  {lines[0][:40] + lines[1] + lines[2], "line 1: a line that was torn off has another one behind it"},
		"lines interleaved":   {lines[0][:60] + lines[1][:60] + lines[0][60:] + lines[1][60:] + lines[2], "line 1: "},
		"a bit of a newline":  {swap("\n", "\v"), "line 1"},
		"wrong type of a seq": {swap(`"seq":1`, `"seq":"1"`), "line 1: json: cannot unmarshal string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			damaged := filepath.Join(t.TempDir(), "ledger.jsonl")
			require.NoError(t, os.WriteFile(damaged, []byte(c.file), 0o600))
			_, _, err := chain.Read(damaged, o.Kinds)
			require.ErrorIs(t, err, chain.ErrCorrupt)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, damaged)
			_, err = open(t, damaged, chain.Options{Kinds: o.Kinds}).Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) {
				return []chain.Pending{note(4)}, nil
			})
			require.ErrorIs(t, err, chain.ErrCorrupt, "nothing is appended to a damaged file")
			after, err := os.ReadFile(damaged)
			require.NoError(t, err)
			require.Equal(t, c.file, string(after))
		})
	}
}

func TestFlippedBitsAreFound(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	add(t, open(t, path, o), note(1), note(2))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	head, err := chain.ReadHead(o.HeadPath)
	require.NoError(t, err)
	for i := 0; i < len(whole)*8; i += 3 { // every byte, and each of its bits in turn
		b := bytes.Clone(whole)
		b[i/8] ^= 1 << (i % 8)
		entries, torn, err := chain.Decode(bytes.NewReader(b), nil)
		if err == nil {
			_, err = head.Check(entries)
		}
		require.Errorf(t, err, "bit %d, torn %d", i, torn)
	}
}

func TestVersionErrorsCanBeTold(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	add(t, open(t, path, o), note(1))
	_, _, err := chain.Read(path, chain.Kinds{"other": 1})
	require.ErrorIs(t, err, chain.ErrVersion)
	_, _, err = chain.Read(filepath.Join(t.TempDir(), "none"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestATornLineIsReportedThenCut(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	add(t, open(t, path, o), note(1), note(2))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	first := bytes.IndexByte(whole, '\n') + 1
	require.NoError(t, os.Remove(o.HeadPath), "its writer died before the head")
	for cut := first; cut < len(whole); cut += 7 {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o600))
		entries, torn, err := chain.Read(path, o.Kinds)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		require.Equal(t, cut-first, torn)
		again := o
		again.HeadPath = ""
		f := open(t, path, again)
		add(t, f, note(2))
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(whole), string(after), "cut at %d", cut)
	}
}

func TestHeadFile(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	f := open(t, path, o)
	add(t, f, note(1))
	h1, err := chain.ReadHead(o.HeadPath)
	require.NoError(t, err)
	add(t, f, note(2))
	h2, err := chain.ReadHead(o.HeadPath)
	require.NoError(t, err)
	entries, _, err := chain.Read(path, o.Kinds)
	require.NoError(t, err)

	ahead, err := h2.Check(entries)
	require.NoError(t, err)
	require.Zero(t, ahead)
	ahead, err = h1.Check(entries)
	require.NoError(t, err)
	require.Equal(t, 1, ahead)
	_, err = h2.Check(entries[:1])
	require.ErrorContains(t, err, "1 of 2 lines are missing: the head file names seq 2")
	_, err = chain.Head{Seq: 1, Hash: h2.Hash}.Check(entries)
	require.ErrorContains(t, err, "line 1: hashes to")

	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, whole[:len(whole)-1], 0o600))
	_, err = open(t, path, o).Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{note(9)}, nil })
	require.ErrorIs(t, err, chain.ErrCorrupt, "a line that the head names is not cut as torn")
	_, err = open(t, path, o).Entries()
	require.ErrorContains(t, err, "1 of 2 lines are missing", "readers are told too")
	_, err = f.Entries()
	require.ErrorContains(t, err, "1 of 2 lines are missing", "and those that had read it whole")
	require.NoError(t, os.Remove(path))
	_, err = open(t, path, o).Entries()
	require.ErrorContains(t, err, "2 of 2 lines are missing")
	for _, bad := range []string{`{}`, `{"kind":"sotaloop.head","v":2,"seq":1,"hash":""}`, `{"kind":"x","v":1,"seq":1,"hash":""}`, `junk`} {
		_, err := chain.ParseHead([]byte(bad))
		require.ErrorIs(t, err, chain.ErrCorrupt, bad)
	}
	_, err = chain.Open(path, chain.Options{HeadPath: "x"})
	require.Error(t, err)
}

func TestShrunkOrReplacedFileIsReadAnew(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	o.HeadPath = ""
	f := open(t, path, o)
	add(t, f, note(1), note(2))
	var b bytes.Buffer
	_, err := chain.Write(&b, day, note(7))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	seen, err := f.Entries()
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.NoError(t, os.Remove(path))
	_, err = f.Entries()
	require.ErrorIs(t, err, chain.ErrCorrupt)
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path, o := options(t)
	_, err := open(t, path, o).Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := open(t, path, o).Append(ctx, func([]chain.Entry) ([]chain.Pending, error) { return nil, errors.New("reached") })
		return nil, err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStrict(t *testing.T) {
	t.Parallel()
	type inner struct {
		A int  `json:"a"`
		B *int `json:"b,omitempty"`
	}
	type outer struct {
		inner
		List []inner          `json:"list"`
		Map  map[string]inner `json:"map,omitempty"`
		At   time.Time        `json:"at,omitzero"`
		Any  any              `json:"any,omitempty"`
	}
	for in, says := range map[string]string{
		`{"a":1,"list":[{"a":1,"b":2}],"map":{"x":{"a":1}},"at":"2026-11-23T10:00:00Z","any":{"Q":1}}`: "",
		`{"a":1,"list":null}`:                         "",
		`{"A":1,"list":[]}`:                           `unknown field "A"`,
		`{"a":1,"list":[{"A":1}]}`:                    `unknown field "list.A"`,
		`{"a":1,"list":[{}]}`:                         `missing field "list.a"`,
		`{"a":1,"list":[],"map":{"x":{"a":1,"c":1}}}`: `unknown field "map.x.c"`,
		`{"a":1,"list":[],"any":{"q":1,"q":2}}`:       `duplicate key "any.q"`,
		`{"a":1,"list":[]}]`:                          "more behind",
		`{"a":1,"list":[],"any":{"\u0071":1,"q":2}}`:  `duplicate key "any.q"`,
		` { "a" : 1 , "list" : [ ] } `:                "",
		`{"a":1,"list":[]`:                            "not JSON",
		``:                                            "not JSON",
		`{"a":1.5,"list":[]}`:                         "cannot unmarshal",
	} {
		var v outer
		err := chain.Strict([]byte(in), &v)
		if says == "" {
			require.NoError(t, err, in)
			continue
		}
		require.ErrorContains(t, err, says, in)
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	_, err := chain.Write(&b, day, note(1), note(2))
	require.NoError(f, err)
	f.Add(b.Bytes())
	f.Add([]byte("{}\n"))
	f.Add([]byte("\n[[["))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, torn, err := chain.Decode(bytes.NewReader(raw), nil)
		if err == nil {
			require.LessOrEqual(t, torn, len(raw))
			require.Equal(t, bytes.Count(raw, []byte("\n")), len(entries))
		}
	})
}
