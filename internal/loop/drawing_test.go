package loop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func words(s string) int { return len(strings.Fields(s)) }

// has stores a dataset on the test's host and gives its digest. tokens says that a tokenizer counted it.
func (h *host) has(t *testing.T, line string, n int, opt dataset.Options, tokens func(string) int) string {
	t.Helper()
	var text strings.Builder
	for i := range n {
		text.WriteString(strings.NewReplacer("$i", fmt.Sprint(i), "$n", fmt.Sprint(i%5+3), "$w", strings.Repeat(" word", i%9)).Replace(line) + "\n")
	}
	set, err := dataset.Store(t.TempDir(), strings.NewReader(text.String()), opt)
	require.NoError(t, err)
	d, err := dataset.Describe(set, tokens)
	require.NoError(t, err)
	if tokens != nil {
		d.Tokenizer = "sha256:70c"
	}
	var raw bytes.Buffer
	require.NoError(t, set.WriteIndex(&raw))
	path := "/data/" + set.Digest
	answer, err := json.Marshal(map[string]any{"description": d, "index": map[string]any{"path": path, "sha256": contract.Digest(raw.Bytes()), "size": raw.Len()}})
	require.NoError(t, err)
	var stored worker.DatasetStored
	require.NoError(t, json.Unmarshal(answer, &stored))
	if h.files == nil {
		h.files, h.sets = map[string][]byte{}, map[string]worker.DatasetStored{}
	}
	h.files[path], h.sets[set.Digest] = raw.Bytes(), stored
	return set.Digest
}

const (
	promptRow  = `{"prompt":"row $i$w","output_len":$n}`
	messageRow = `{"messages":[{"role":"user","content":"row $i$w"}],"output_len":$n}`
	timedRow   = `{"prompt":"row $i$w","output_len":$n,"timestamp":$i}`
)

func on(digest string, edit func(*contract.Scenario)) loop.OpenRequest {
	slots := 2
	s := contract.Scenario{Name: "chat", Kind: contract.KindText, Dataset: digest, NumPrompts: 24, MaxConcurrency: &slots}
	if edit != nil {
		edit(&s)
	}
	r := request()
	r.Scenarios = []contract.Scenario{s}
	return r
}

func TestOpeningOnADataset(t *testing.T) {
	t.Parallel()
	h := newHost()
	counted, plain := h.has(t, promptRow, 4500, dataset.Options{}, words), h.has(t, messageRow, 4500, dataset.Options{Private: true}, nil)
	home := t.TempDir()
	l := newLoop(t, home, h)

	out, err := l.Open(t.Context(), on(counted, nil))
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, "/v1/completions", c.Endpoint)
	require.Equal(t, "p50_tpot_ms", c.Scenarios[0].Primary, "answers end by themselves")
	require.Equal(t, 6, c.Scenarios[0].InputLen)
	require.Equal(t, 5, c.Scenarios[0].OutputLen)
	d := c.Datasets[0]
	require.Equal(t, counted, d.Digest)
	require.Equal(t, 4500, d.Rows)
	require.Equal(t, "conversation", d.By)
	require.Equal(t, 10+7, c.LongestSequence())
	require.Contains(t, strings.Join(out.Assumed, "\n"), "the medians of its dataset")
	index, err := os.ReadFile(filepath.Join(out.RunDir, "datasets", strings.Replace(counted, ":", "-", 1)+".index.jsonl.gz"))
	require.NoError(t, err)
	require.Equal(t, d.Index, contract.Digest(index))
	require.Contains(t, readFile(t, filepath.Join(out.RunDir, "ledger.jsonl")), `"datasets":[{"name":"datasets/sha256-`)

	out, err = l.Open(t.Context(), on(plain, func(s *contract.Scenario) { s.Kind, s.IgnoreEOS = contract.KindChat, true }))
	require.NoError(t, err)
	c, err = contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, "/v1/chat/completions", c.Endpoint)
	require.Equal(t, "output_token_throughput", c.Scenarios[0].Primary)
	require.True(t, c.Private())
	require.Empty(t, c.Datasets[0].Content)
	require.Contains(t, strings.Join(out.Warnings, "\n"), "is private")
	require.Contains(t, strings.Join(out.Assumed, "\n"), "since nobody counted tokens")
}

func TestOpeningRefusesWhatADatasetCannotDo(t *testing.T) {
	t.Parallel()
	h := newHost()
	prompts, messages := h.has(t, promptRow, 4500, dataset.Options{}, nil), h.has(t, messageRow, 4500, dataset.Options{}, nil)
	timed, small := h.has(t, timedRow, 4500, dataset.Options{}, nil), h.has(t, promptRow, 400, dataset.Options{}, nil)
	other := h.has(t, promptRow, 2999, dataset.Options{}, nil)
	swapped := h.sets[other]
	swapped.Index = h.sets[prompts].Index
	h.sets[other] = swapped
	l := newLoop(t, t.TempDir(), h)
	rate, replay := 3.0, func(s *contract.Scenario) { s.Arrival, s.MaxConcurrency = contract.ArrivalReplay, nil }
	endpoint := func(r loop.OpenRequest, path string) loop.OpenRequest { r.Endpoint = path; return r }
	mixed := on(prompts, nil)
	mixed.Scenarios = append(mixed.Scenarios, on(messages, func(s *contract.Scenario) { s.Name, s.Kind = "two", contract.KindChat }).Scenarios...)
	for name, c := range map[string]struct {
		r    loop.OpenRequest
		code fault.Code
		says string
	}{
		"absent":                  {on("sha256:"+strings.Repeat("0", 64), nil), fault.NotFound, "dataset add"},
		"text at a chat":          {endpoint(on(prompts, nil), "/v1/chat/completions"), fault.InvalidInput, "kind text is sent to /v1/completions"},
		"chat at completions":     {endpoint(on(messages, func(s *contract.Scenario) { s.Kind = contract.KindChat }), "/v1/completions"), fault.InvalidInput, "kind chat is sent to"},
		"messages as text":        {on(messages, nil), fault.InvalidInput, "give kind chat"},
		"both kinds":              {mixed, fault.InvalidInput, "two campaigns"},
		"a replay without times":  {on(prompts, replay), fault.InvalidInput, "needs timestamps"},
		"a replay at a rate":      {on(timed, func(s *contract.Scenario) { replay(s); s.RequestRate = &rate }), fault.InvalidInput, "at their own times"},
		"a replay of random ids":  {on("", func(s *contract.Scenario) { replay(s); s.Kind, s.InputLen, s.OutputLen = contract.KindRandom, 8, 8 }), fault.InvalidInput, "needs the timestamps"},
		"too few":                 {on(small, nil), fault.InvalidInput, "give a dataset of at least"},
		"too few, with the way":   {on(small, nil), fault.InvalidInput, "reuse: blocks"},
		"too few for one block":   {on(small, func(s *contract.Scenario) { s.Reuse, s.NumPrompts = contract.ReuseBlocks, 300 }), fault.InvalidInput, "too small"},
		"another word for reuse":  {on(prompts, func(s *contract.Scenario) { s.Reuse = "rows" }), fault.InvalidInput, "reuse: blocks"},
		"an index of another set": {on(other, nil), fault.Corrupt, "not that of dataset"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.Open(t.Context(), c.r)
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, c.code, f.Code, "%v", err)
			require.Contains(t, f.Error()+" "+strings.Join(f.Hints, " "), c.says)
		})
	}
	_, err := l.Open(t.Context(), on(small, func(s *contract.Scenario) { s.Reuse = contract.ReuseBlocks }))
	require.NoError(t, err, "what the refusal offers is enough")
	_, err = l.Open(t.Context(), on(timed, func(s *contract.Scenario) { replay(s); s.NumPrompts = 26 }))
	require.NoError(t, err)
}

// TestPointsDrawApart holds which part each phase sends, and that nothing that is measured after an approval, or in blocks,
// has been the search's.
func TestPointsDrawApart(t *testing.T) {
	t.Parallel()
	h := newHost()
	digest := h.has(t, promptRow, 4000, dataset.Options{Private: true}, nil)
	l := newLoop(t, t.TempDir(), h)
	out, err := l.Open(t.Context(), on(digest, nil))
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	st := &loop.State{Contract: c}
	ix, err := dataset.ReadIndex(bytes.NewReader(h.files["/data/"+digest]))
	require.NoError(t, err)
	division, err := dataset.Divide(ix, dataset.ByConversation)
	require.NoError(t, err)
	drawn := map[string][]int{}
	for _, x := range []struct {
		name, phase, point string
		block              int
		part               dataset.Part
	}{
		{"search", "search", "chat", 0, dataset.PartSearch}, {"preflight", "search", "preflight", 0, dataset.PartSearch},
		{"block 0", "block", "chat", 0, dataset.PartBlocks}, {"block 17", "block", "chat", 17, dataset.PartBlocks},
		{"revalidate", "revalidate", "chat", 3, dataset.PartBlocks}, {"equality", "revalidate", "equality", 0, dataset.PartUnseen},
	} {
		p, _, ok := st.PlannedPoint(worker.Launch{Phase: x.phase, Block: x.block}, x.point)
		require.True(t, ok, x.name)
		require.Equal(t, x.part, p.Rows.Draw.Part, x.name)
		require.False(t, p.Spec.KeepOutputs || p.Spec.WantLogprobs, "text of a private dataset is not asked for")
		require.Empty(t, p.Spec.Rows, "a plan names rows and does not hold them")
		got, err := division.Draw(p.Rows.Draw)
		require.NoError(t, err, x.name)
		require.Len(t, got.Rows, p.Spec.Scenario.NumPrompts)
		drawn[x.name] = append(got.Rows, got.Warmup...)
	}
	for a, rows := range drawn {
		for b, others := range drawn {
			if a != b && !(strings.HasPrefix(a, "block") && b == "revalidate" || strings.HasPrefix(b, "block") && a == "revalidate" || a == "preflight" && b == "search" || b == "preflight" && a == "search") {
				require.False(t, slices.ContainsFunc(rows, func(n int) bool { return slices.Contains(others, n) }), "%s and %s share a row", a, b)
			}
		}
	}
}
