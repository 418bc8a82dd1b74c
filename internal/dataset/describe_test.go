package dataset_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/dataset"
)

func line(prompt string, output int) string {
	quoted, _ := json.Marshal(prompt)
	return fmt.Sprintf(`{"prompt":%s,"output_len":%d}`+"\n", quoted, output)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	prefix := strings.Repeat("p", 64)
	s := store(t, t.TempDir(), line("one", 10)+line(prefix+" a b", 20)+line(prefix+" c d", 30)+line("one", 40), dataset.Options{})
	d, err := dataset.Describe(s, words)
	require.NoError(t, err)
	require.Equal(t, dataset.Description{Kind: "sotaloop.dataset", V: 1, Digest: s.Digest, Content: s.Content, Format: dataset.FormatJSONL, Shape: dataset.ShapePrompt,
		Rows: 4, Conversations: 3, Duplicates: 1, PromptChars: dataset.Quantiles{P50: 35.5, P95: 68}, PromptTokens: &dataset.Quantiles{P50: 2, P95: 3},
		OutputLen: dataset.Quantiles{P50: 25, P95: 38.5}, LongestChars: 68, LongestOutput: 40, LongestTokens: new(41), SharedPrefix: dataset.SharedPrefix{BlockChars: 64, Share: 128. / 142}, Parts: d.Parts, Skipped: []dataset.Skip{}}, d)
	require.Equal(t, 3, d.Parts[dataset.PartSearch]+d.Parts[dataset.PartBlocks]+d.Parts[dataset.PartUnseen])
	require.Contains(t, mustJSON(t, d), `"skipped":[]`)

	timed := store(t, t.TempDir(), private(10), dataset.Options{})
	d, err = dataset.Describe(timed, nil)
	require.NoError(t, err)
	require.Equal(t, 9.0, *d.SpanS)
	require.Equal(t, map[dataset.Part]int{dataset.PartSearch: 2, dataset.PartBlocks: 6, dataset.PartUnseen: 2}, d.Windows)
}

// shared is the definition of the shared-prefix share, done by comparing every pair.
func shared(prompts []string, block int) float64 {
	sum, total := 0, 0
	for i, p := range prompts {
		most := 0
		for k, q := range prompts {
			n := 0
			for a, b := []rune(p), []rune(q); k != i && n < len(a) && n < len(b) && a[n] == b[n]; n++ {
			}
			most = max(most, n/block*block)
		}
		sum, total = sum+most, total+len([]rune(p))
	}
	return float64(sum) / float64(total)
}

func TestSharedPrefixIsItsDefinition(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		src := rand.New(rand.NewPCG(seed, 7))
		var prompts []string
		var b strings.Builder
		for range 40 {
			p := ""
			if len(prompts) > 0 && src.IntN(3) > 0 {
				from := []rune(prompts[src.IntN(len(prompts))])
				p = string(from[:src.IntN(len(from)+1)])
			}
			for range 1 + src.IntN(30) {
				p += string([]rune("aé日😀")[src.IntN(4)])
			}
			prompts = append(prompts, p)
			b.WriteString(line(p, 1))
		}
		s := store(t, t.TempDir(), b.String(), dataset.Options{})
		for _, block := range []int{1, 4, 16} {
			got, err := dataset.SharedPrefixOf(s, block, 1<<20)
			require.NoError(t, err)
			require.Equal(t, dataset.SharedPrefix{BlockChars: block, Share: shared(prompts, block)}, got)
		}
		got, err := dataset.SharedPrefixOf(s, 1, 100)
		require.NoError(t, err)
		require.Greater(t, got.BlockChars, 1, "what does not fit is counted in larger blocks")
		require.Equal(t, shared(prompts, got.BlockChars), got.Share)
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	s := store(t, t.TempDir(), line("a\x1b[2J\n\u202eb", 1)+plain(0, 9)+line(strings.Repeat("ü", 500), 7), dataset.Options{})
	got, err := dataset.Samples(s)
	require.NoError(t, err)
	require.Equal(t, []dataset.Sample{
		{Row: 0, OutputLen: 1, Text: "a␛[2J␊⟨U+202E⟩b"},
		{Row: 5, OutputLen: 1, Text: "prompt 4"},
		{Row: 10, OutputLen: 7, Text: strings.Repeat("ü", 400), Cut: 100},
	}, got)
	one, err := dataset.Samples(store(t, t.TempDir(), line("a", 1), dataset.Options{}))
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.Equal(t, "␡⟨U+0085⟩⟨U+00A0⟩⟨U+200B⟩ é", dataset.Visible("\x7f\u0085\u00a0\u200b é"))
}
