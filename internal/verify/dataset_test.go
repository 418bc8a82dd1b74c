package verify_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/verify"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// keptSets are the datasets of fixtures by the digest of their index, which a private one's key decides.
var keptSets sync.Map //nolint:gochecknoglobals // a fixture's edit has only the contract to say which set it used

func indexBytes(t *testing.T, ix *dataset.Index) []byte {
	t.Helper()
	var raw bytes.Buffer
	require.NoError(t, ix.WriteIndex(&raw))
	return raw.Bytes()
}

// withDataset makes the fixture's scenario send rows of a dataset.
func withDataset(t *testing.T, private bool) (edit func(*contract.Contract), set *dataset.Set) {
	t.Helper()
	var text strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&text, `{"prompt":"secret row %d","output_len":%d}`+"\n", i, 2+i%5)
	}
	set, err := dataset.Store(t.TempDir(), strings.NewReader(text.String()), dataset.Options{Private: private})
	require.NoError(t, err)
	division, err := dataset.Divide(set.Index, dataset.ByConversation)
	require.NoError(t, err)
	d := contract.Dataset{Digest: set.Digest, Content: set.Content, Index: contract.Digest(indexBytes(t, set.Index)), Private: private, Shape: "prompt", Rows: set.Len(), Conversations: set.Len(),
		By: string(dataset.ByConversation), Parts: map[string]int{}}
	for part, n := range division.Sizes() {
		d.Parts[string(part)] = n
	}
	keptSets.Store(d.Index, set)
	return func(c *contract.Contract) {
		s := &c.Scenarios[0]
		s.Kind, s.Dataset, s.IgnoreEOS = contract.KindText, set.Digest, false
		c.Datasets = []contract.Dataset{d}
	}, set
}

func setOf(c *contract.Contract) *dataset.Set {
	for _, d := range c.Datasets {
		if set, ok := keptSets.Load(d.Index); ok {
			return set.(*dataset.Set)
		}
	}
	return nil
}

// indexes are those that go with a contract.
func (b *builder) indexes(c *contract.Contract) [][]byte {
	if set := setOf(c); set != nil {
		return [][]byte{indexBytes(b.t, set.Index)}
	}
	return nil
}

// ofDataset makes records those of the rows that their point draws.
func (b *builder) ofDataset(rec *bench.Recording, pt worker.Point) {
	if pt.Rows == nil {
		return
	}
	set := setOf(b.state().Contract)
	division, err := dataset.Divide(set.Index, pt.Rows.By)
	require.NoError(b.t, err)
	drawn, err := division.Draw(pt.Rows.Draw)
	require.NoError(b.t, err)
	evidence := bench.Drawn(set.Evidence(drawn))
	rec.Header.Drawn, rec.Header.Keyed = &evidence, set.Private()
	for _, r := range rec.Records {
		r.WantIn, r.WantOut = 0, set.OutputLen(drawn.Rows[r.Index])
	}
}

func TestACampaignOnADatasetVerifiesWithoutText(t *testing.T) {
	t.Parallel()
	for name, private := range map[string]bool{"public": false, "private": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edit, set := withDataset(t, private)
			dir, _ := build(t, 2, edit)
			res := check(t, dir, verify.Options{})
			require.Nil(t, res.First, "%+v", res.First)
			told := map[string]string{}
			for _, c := range res.Checks {
				told[c.Name] = c.What
			}
			require.Contains(t, told["datasets"], "1 datasets with 1200 rows; draws are made again from their indexes, without text")

			res = check(t, dir, verify.Options{Datasets: []string{set.Path()}})
			require.Nil(t, res.First, "%+v", res.First)
			bare := filepath.Join(t.TempDir(), "bare.jsonl")
			raw, err := os.ReadFile(set.Path())
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(bare, raw, 0o600))
			res = check(t, dir, verify.Options{Datasets: []string{bare}})
			if private {
				require.Contains(t, res.First.What, "no key lies beside")
			} else {
				require.Nil(t, res.First)
			}
			require.NoError(t, os.WriteFile(bare, bytes.Replace(raw, []byte("row 7"), []byte("row 8"), 1), 0o600))
			res = check(t, dir, verify.Options{Datasets: []string{bare}})
			require.Contains(t, res.First.What, "is no dataset of this campaign")
		})
	}
}

// TestForgedDrawsAreFound: other rows than the contract's seed draws, rows of another part, text in private records, and a
// contract that makes a dataset look larger, or public.
func TestForgedDrawsAreFound(t *testing.T) {
	t.Parallel()
	edit, set := withDataset(t, true)
	dir, _ := build(t, 2, edit)
	n, plan := 0, planOf(t, dir, "blocks")
	records := "benchmark/records/sglang-00.block-0.chat.zst"
	rewritten := func(change func(*bench.Recording)) func([]byte) []byte {
		return func(raw []byte) []byte {
			rec, err := bench.ReadRecords(bytes.NewReader(raw))
			require.NoError(t, err)
			change(rec)
			var b bytes.Buffer
			require.NoError(t, bench.WriteRecords(&b, rec))
			return b.Bytes()
		}
	}
	for name, c := range map[string]struct {
		file   string
		change func([]byte) []byte
		says   string
	}{
		"another part in the plan": {plan, func(raw []byte) []byte {
			return bytes.ReplaceAll(raw, []byte(`"part":"blocks"`), []byte(`"part":"search"`))
		}, "part"},
		"another block's rows": {plan, func(raw []byte) []byte {
			return bytes.Replace(raw, []byte(`"block":1,"part"`), []byte(`"block":0,"part"`), 1)
		}, "block"},
		"other rows were sent":       {records, rewritten(func(r *bench.Recording) { r.Header.Drawn.Digest = set.Digest }), "drawn"},
		"nothing says what was sent": {records, rewritten(func(r *bench.Recording) { r.Header.Drawn = nil }), "drawn"},
		"digests are not keyed":      {records, rewritten(func(r *bench.Recording) { r.Header.Keyed = false }), "keyed_digests"},
		"another row's length":       {records, rewritten(func(r *bench.Recording) { r.Records[3].WantOut++ }), "its row for"},
		"private text is kept":       {records, rewritten(func(r *bench.Recording) { r.Records[3].Output = "secret" }), "holds its output"},
		"private tokens are kept":    {records, rewritten(func(r *bench.Recording) { r.Records[3].Logprobs = []bench.TokenLogprob{{Token: "secret"}} }), "holds its output"},
		"another index":              {"datasets/rows.index.jsonl.gz", func([]byte) []byte { _, other := withDataset(t, true); return indexBytes(t, other.Index) }, "the contract's digest is"},
	} {
		if n++; sample > 1 && n%4 != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forged := filepath.Join(t.TempDir(), campaignID)
			require.NoError(t, os.CopyFS(forged, os.DirFS(dir)))
			before, err := os.ReadFile(filepath.Join(forged, filepath.FromSlash(c.file)))
			require.NoError(t, err)
			forge(t, forged, replaced(t, forged, c.file, c.change))
			after, err := os.ReadFile(filepath.Join(forged, filepath.FromSlash(c.file)))
			require.NoError(t, err)
			require.NotEqual(t, before, after, "the forgery changes nothing")
			res := check(t, forged, verify.Options{})
			require.NotNil(t, res.First)
			problems := ""
			for _, x := range res.Checks {
				problems += x.Problem + "\n"
			}
			require.Contains(t, problems, c.says, "first: %+v", res.First)
		})
	}
}
