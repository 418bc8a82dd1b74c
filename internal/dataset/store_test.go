package dataset_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func store(t testing.TB, dir, text string, opt dataset.Options) *dataset.Set {
	t.Helper()
	s, err := dataset.Store(dir, strings.NewReader(text), opt)
	require.NoError(t, err)
	return s
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestStoreAndOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := store(t, dir, plain(0, 10), dataset.Options{})
	require.Equal(t, []string{strings.Replace(s.Digest, ":", "-", 1) + ".jsonl"}, files(t, dir))
	require.False(t, s.Private())
	require.Nil(t, s.OutputKey())
	again := store(t, dir, plain(0, 10), dataset.Options{})
	require.Equal(t, s.Digest, again.Digest)
	require.Len(t, files(t, dir), 1)

	opened, err := dataset.Open(dir, s.Digest)
	require.NoError(t, err)
	require.Equal(t, s.Path(), opened.Path())
	require.Equal(t, s.Content, opened.Content)
	rows, err := opened.Rows([]int{7, 0})
	require.NoError(t, err)
	require.Equal(t, "prompt 7", rows[0].Prompt)
	require.Equal(t, opened.RowDigest(7), rows[0].Digest())
	_, err = opened.Rows([]int{10})
	require.ErrorContains(t, err, "no row 10 among 10")
}

func TestNothingIsHalfWritten(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]io.Reader{
		"bad row":    strings.NewReader(plain(0, 10) + "{"),
		"cut":        strings.NewReader("[{"),
		"empty":      strings.NewReader(""),
		"disk error": io.MultiReader(strings.NewReader(plain(0, 10)), iotest.ErrReader(errors.New("cable"))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := dataset.Store(dir, src, dataset.Options{Private: true, Count: words})
			require.Error(t, err)
			require.Empty(t, files(t, dir))
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := store(t, dir, plain(0, 10), dataset.Options{})
	_, err := dataset.Open(dir, "sha256:../x")
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	_, err = dataset.Open(dir, "sha256:"+strings.Repeat("0", 64))
	require.Equal(t, fault.NotFound, fault.CodeOf(err))

	raw, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.Path(), []byte(strings.Replace(string(raw), "prompt 3", "prompt X", 1)), 0o600))
	_, err = s.Rows([]int{3})
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
	_, err = dataset.Open(dir, s.Digest)
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
	require.NoError(t, os.WriteFile(s.Path(), raw[:len(raw)-1], 0o600))
	_, err = s.Rows([]int{3})
	require.NoError(t, err)
	_, err = dataset.Describe(s, nil)
	require.NoError(t, err, "a row has no line break of its own")
	require.NoError(t, os.WriteFile(s.Path(), raw[:50], 0o600))
	_, err = dataset.Open(dir, s.Digest)
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
}

const secret = "XYZZY"

// private is rows whose every text holds a word to look for.
func private(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"conversation":"XYZZY%d","extra_request_body":{"XYZZY":"XYZZY"},"messages":[{"role":"user","content":"XYZZY \u001b[2J%d"}],"output_len":5,"timestamp":%d}`+"\n", i, i, i)
	}
	return b.String()
}

// TestPrivateLeavesNoText looks for text in everything of a private dataset that has a JSON form, or is an error.
func TestPrivateLeavesNoText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := store(t, dir, private(100), dataset.Options{Private: true})
	require.True(t, s.Private())
	sealed, err := s.Seal([]int{0, 1, 99}, words)
	require.NoError(t, err)
	description, err := dataset.Describe(s, words)
	require.NoError(t, err)
	require.True(t, description.Private)
	division, err := dataset.Divide(s.Index, dataset.ByTime)
	require.NoError(t, err)
	drawn, err := division.Draw(dataset.Draw{Part: dataset.PartBlocks, Prompts: 5})
	require.NoError(t, err)
	short := division.Suffices(dataset.Need{Scenario: "s", Prompts: 500, Draws: map[dataset.Part]int{dataset.PartBlocks: 5}})
	require.Error(t, short)
	rows, err := s.Rows([]int{0})
	require.NoError(t, err)
	require.Equal(t, sealed[0].Row.String(), s.RowDigest(0))
	for _, v := range []any{s, s.Index, sealed, description, division, drawn, short, s.Evidence(drawn)} {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotContains(t, string(raw), secret)
		require.NotContains(t, string(raw), rows[0].Digest(), "a plain digest could be guessed at")
	}
	require.Contains(t, mustJSON(t, sealed), `"row":"hmac-sha256:`)
	for _, bad := range []string{`{"XYZZY":1}`, `{"prompt":"a","XYZZY":1}`, `{"XYZZY":1,"XYZZY":2}`, `XYZZY`, `{"prompt":"XYZZY","output_len":"XYZZY"}`,
		`{"prompt":"a","output_len":1,"timestamp":"XYZZY"}`, `{"messages":[{"role":"XYZZY","content":"a"}],"output_len":1}`,
		`{"messages":[{"role":"user","XYZZY":"a"}],"output_len":1}`, `[{"conversations":[{"from":"XYZZY","value":"XYZZY"}]}]`, `[XYZZY]`} {
		_, err := dataset.Store(dir, strings.NewReader(bad), dataset.Options{Private: true, Count: words})
		f, isFault := fault.As(err)
		require.True(t, isFault, bad)
		require.NotContains(t, fmt.Sprintf("%v %+v", err, *f), secret)
	}
	samples, err := dataset.Samples(s)
	require.NoError(t, err)
	_, err = json.Marshal(samples)
	require.ErrorContains(t, err, "never encoded")
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// TestSealedHasNoPlaceForText holds the type itself: numbers and keyed digests only.
func TestSealedHasNoPlaceForText(t *testing.T) {
	t.Parallel()
	allowed := map[reflect.Type]bool{}
	for _, v := range []any{0, new(int), new(float64), dataset.KeyedDigest{}, new(dataset.KeyedDigest)} {
		allowed[reflect.TypeOf(v)] = true
	}
	for f := range reflect.TypeFor[dataset.Sealed]().Fields() {
		require.True(t, allowed[f.Type], "%s could hold text", f.Name)
	}
	var k dataset.KeyedDigest
	for _, bad := range []string{"", "text", "hmac-sha256:" + strings.Repeat("x", 64), "sha256:" + strings.Repeat("0", 64)} {
		require.Error(t, k.UnmarshalText([]byte(bad)))
	}
	want := dataset.Keyed([]byte("k"), "row", "a")
	require.NoError(t, k.UnmarshalText([]byte(want.String())))
	require.Equal(t, want, k)
	require.NotEqual(t, want, dataset.Keyed([]byte("k"), "prompt", "a"))
	require.NotEqual(t, want, dataset.Keyed([]byte("l"), "row", "a"))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	s := store(t, dir, private(3), dataset.Options{Private: true})
	key, err := os.ReadFile(s.Path() + ".key")
	require.NoError(t, err)
	require.Len(t, key, 32)
	again := store(t, dir, private(3), dataset.Options{})
	require.True(t, again.Private(), "once private, always private")
	opened, err := dataset.Open(dir, s.Digest)
	require.NoError(t, err)
	a, err := s.Seal([]int{0}, nil)
	require.NoError(t, err)
	b, err := opened.Seal([]int{0}, nil)
	require.NoError(t, err)
	require.Equal(t, a, b, "the same key, the same digests")
	require.Equal(t, s.OutputKey(), opened.OutputKey())
	require.NotEqual(t, key, s.OutputKey())
	other := store(t, elsewhere, private(3), dataset.Options{Private: true})
	c, err := other.Seal([]int{0}, nil)
	require.NoError(t, err)
	require.NotEqual(t, a, c, "another store has another key")

	require.NoError(t, os.WriteFile(filepath.Clean(s.Path()+".key"), key[:5], 0o600))
	_, err = dataset.Open(dir, s.Digest)
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
	public := store(t, t.TempDir(), plain(0, 1), dataset.Options{})
	_, err = public.Seal([]int{0}, nil)
	require.ErrorContains(t, err, "not private")
}
