package dataset_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/dataset"
)

// unpacked is an index's lines; packed packs lines again.
func unpacked(t testing.TB, ix *dataset.Index) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, ix.WriteIndex(&b))
	z, err := gzip.NewReader(&b)
	require.NoError(t, err)
	raw, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(raw)
}

func packed(t testing.TB, lines string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, lines)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return &b
}

// TestAnIndexDrawsAsItsDatasetDoes holds what verify relies on: without text, the same rows.
func TestAnIndexDrawsAsItsDatasetDoes(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]dataset.Options{"public": {}, "private": {Private: true}} {
		for by, text := range map[dataset.By]string{dataset.ByConversation: talks(400, rand.New(rand.NewPCG(1, 2))), dataset.ByTime: trace(600, rand.New(rand.NewPCG(3, 4)))} {
			t.Run(name+" "+string(by), func(t *testing.T) {
				t.Parallel()
				s := store(t, t.TempDir(), text, opt)
				ix, err := dataset.ReadIndex(packed(t, unpacked(t, s.Index)))
				require.NoError(t, err)
				require.Equal(t, s.Len(), ix.Len())
				whole, err := dataset.Divide(s.Index, by)
				require.NoError(t, err)
				bare, err := dataset.Divide(ix, by)
				require.NoError(t, err)
				require.Equal(t, whole.Sizes(), bare.Sizes())
				for _, p := range dataset.Parts {
					a := dataset.Draw{Seed: 7, Phase: "block", Scenario: "chat", Part: p, Prompts: 10, Warmup: 4, Block: 1}
					want, err := whole.Draw(a)
					require.NoError(t, err)
					got, err := bare.Draw(a)
					require.NoError(t, err)
					require.Equal(t, want, got)
					require.Equal(t, s.Evidence(want), ix.Evidence(got))
					require.NotEqual(t, s.Evidence(want).Digest, s.Evidence(dataset.Drawn{Rows: want.Warmup, Warmup: want.Rows}).Digest)
					rows, err := s.Rows(got.Rows)
					require.NoError(t, err)
					for i, n := range got.Rows {
						require.Equal(t, rows[i].OutputLen, ix.OutputLen(n))
					}
				}
			})
		}
	}
}

func TestPrivateIndexCannotBeGuessedAt(t *testing.T) {
	t.Parallel()
	text := private(20)
	public, sealed := store(t, t.TempDir(), text, dataset.Options{}), store(t, t.TempDir(), text, dataset.Options{Private: true})
	other := store(t, t.TempDir(), text, dataset.Options{Private: true})
	require.Equal(t, public.Digest, sealed.Digest)
	open, closed := unpacked(t, public.Index), unpacked(t, sealed.Index)
	require.NotContains(t, closed, secret)
	require.NotEqual(t, closed, unpacked(t, other.Index), "each key gives its own")
	for _, line := range strings.Split(open, "\n")[1:] {
		for _, field := range strings.Split(line, `"`) {
			if len(field) >= 32 {
				require.NotContains(t, closed, field, "a plain digest could be guessed at")
			}
		}
	}
	again, err := dataset.Open(strings.TrimSuffix(sealed.Path(), "/"+strings.Replace(sealed.Digest, ":", "-", 1)+".jsonl"), sealed.Digest)
	require.NoError(t, err)
	require.Equal(t, closed, unpacked(t, again.Index), "the key stays")
}

func TestReadIndexRefuses(t *testing.T) {
	t.Parallel()
	good := unpacked(t, store(t, t.TempDir(), trace(10, rand.New(rand.NewPCG(5, 6))), dataset.Options{}).Index)
	lines := strings.SplitAfter(good, "\n")
	first := lines[1][strings.Index(lines[1], `"row":"`)+7:][:64]
	for name, text := range map[string]string{
		"empty":              "",
		"no rows":            lines[0],
		"a row too few":      strings.Join(lines[:10], ""),
		"a row too many":     good + lines[10],
		"another digest":     strings.Replace(good, first, strings.Repeat("0", 64), 1),
		"rows out of order":  lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""),
		"newer":              strings.Replace(good, `"v":1`, `"v":2`, 1),
		"another kind":       strings.Replace(good, "dataset-index", "records", 1),
		"no such dataset":    strings.Replace(good, `"digest":"sha256:`, `"digest":"sha256:zz`, 1),
		"text":               strings.Replace(good, `"row":`, `"text":"hello","row":`, 1),
		"a field twice":      strings.Replace(good, `"row":`, `"row":"","row":`, 1),
		"a short digest":     strings.Replace(good, first, first[:62], 1),
		"no digest":          strings.Replace(good, first, strings.Repeat("g", 64), 1),
		"no length":          strings.Replace(good, `"output_len":`, `"output_len":-`, 1),
		"untimed":            strings.Replace(good, `"timed":true`, `"timed":false`, 1),
		"unknown shape":      strings.Replace(good, `"shape":"prompt"`, `"shape":"picture"`, 1),
		"keyed with content": strings.Replace(good, `"keyed":false`, `"keyed":true`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, good, text, "the test changes nothing")
			_, err := dataset.ReadIndex(packed(t, text))
			require.Error(t, err)
		})
	}
	_, err := dataset.ReadIndex(strings.NewReader(good))
	require.Error(t, err, "not packed")
}

// FuzzReadIndex reads an index that anybody may have written: what is accepted can be divided and drawn from, and is
// written as it was read.
func FuzzReadIndex(f *testing.F) {
	for _, opt := range []dataset.Options{{}, {Private: true}} {
		f.Add(unpacked(f, store(f, f.TempDir(), trace(6, rand.New(rand.NewPCG(5, 6))), opt).Index))
		f.Add(unpacked(f, store(f, f.TempDir(), plain(0, 6), opt).Index))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		ix, err := dataset.ReadIndex(packed(t, lines))
		if err != nil {
			return
		}
		again, err := dataset.ReadIndex(packed(t, unpacked(t, ix)))
		require.NoError(t, err)
		require.NoError(t, again.Same(ix))
		for _, by := range []dataset.By{dataset.ByConversation, dataset.ByTime} {
			d, err := dataset.Divide(ix, by)
			if err != nil {
				require.Equal(t, dataset.ByTime, by)
				continue
			}
			for _, p := range dataset.Parts {
				if most := d.Most(map[dataset.Part]int{p: 1}, dataset.ReuseNone); most > 0 {
					got, err := d.Draw(dataset.Draw{Part: p, Prompts: most, Warmup: min(most, 256)})
					require.NoError(t, err, "what suffices can be drawn")
					require.Len(t, got.Rows, most)
				}
			}
		}
	})
}
