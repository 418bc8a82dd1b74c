package dataset_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// plain makes rows of prompts that differ, without conversations.
func plain(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"prompt":"prompt %d","output_len":1}`+"\n", i)
	}
	return b.String()
}

// talks makes conversations of one to five rows, some of which repeat a prompt of another.
func talks(n int, src *rand.Rand) string {
	var b strings.Builder
	for c := range n {
		for k := range 1 + src.IntN(5) {
			prompt := fmt.Sprintf("talk %d, turn %d", c, k)
			if src.IntN(10) == 0 {
				prompt = fmt.Sprintf("hello %d", src.IntN(20))
			}
			fmt.Fprintf(&b, `{"prompt":%q,"output_len":1,"conversation":"c%d"}`+"\n", prompt, c)
		}
	}
	return b.String()
}

// trace makes rows with timestamps, a tenth of which share an instant with the row before.
func trace(n int, src *rand.Rand) string {
	var b strings.Builder
	at := 0.0
	for i := range n {
		if src.IntN(10) > 0 {
			at += src.Float64()
		}
		fmt.Fprintf(&b, `{"prompt":"p%d","output_len":1,"timestamp":%g,"conversation":"c%d"}`+"\n", i, at, i/3+src.IntN(2))
	}
	return b.String()
}

func divide(t testing.TB, text string, by dataset.By) (*dataset.Division, []dataset.Row) {
	t.Helper()
	ix, lines := normalise(t, text, dataset.Options{})
	d, err := dataset.Divide(ix, by)
	require.NoError(t, err)
	rows, _, err := read(lines, dataset.Options{})
	require.NoError(t, err)
	return d, rows
}

// sides gives each row's part by its text.
func sides(d *dataset.Division, rows []dataset.Row, of func(dataset.Row) string) map[string]dataset.Part {
	out := map[string]dataset.Part{}
	for _, p := range dataset.Parts {
		for _, i := range d.Rows(p) {
			out[of(rows[i])] = p
		}
	}
	return out
}

func TestSharesAreBinomial(t *testing.T) {
	t.Parallel()
	const n = 20_000
	d, _ := divide(t, plain(0, n), dataset.ByConversation)
	for p, share := range map[dataset.Part]float64{dataset.PartSearch: 0.2, dataset.PartBlocks: 0.6, dataset.PartUnseen: 0.2} {
		sigma := math.Sqrt(n * share * (1 - share))
		require.InDelta(t, n*share, d.Sizes()[p], 4*sigma, string(p))
	}
	require.Zero(t, d.Left())
}

func TestDivisionIsStable(t *testing.T) {
	t.Parallel()
	text := func(r dataset.Row) string { return r.Prompt }
	d, rows := divide(t, plain(0, 1000), dataset.ByConversation)
	was := sides(d, rows, text)
	require.Len(t, was, 1000)
	d, rows = divide(t, plain(500, 3000)+plain(0, 500), dataset.ByConversation)
	now := sides(d, rows, text)
	for prompt, p := range was {
		require.Equal(t, p, now[prompt], "adding and moving rows changes no side")
	}
	// Whoever changes the hash moves rows between the parts of contracts that exist.
	initials := ""
	for i := range 30 {
		initials += string(was[fmt.Sprintf("prompt %d", i)][:1])
	}
	require.Equal(t, "bbbbbbbubbsbusbbbbbubbubbbbbbb", initials)
}

func TestConversationsStayTogether(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		d, rows := divide(t, talks(300, rand.New(rand.NewPCG(seed, 0))), dataset.ByConversation)
		conversation, prompt := map[string]dataset.Part{}, map[string]bool{}
		total := d.Left()
		for _, p := range dataset.Parts {
			total += len(d.Rows(p))
			for _, i := range d.Rows(p) {
				if was, known := conversation[rows[i].Conversation]; known {
					require.Equal(t, was, p)
				}
				conversation[rows[i].Conversation] = p
				require.False(t, prompt[rows[i].Prompt], "a prompt is drawn from one row only")
				prompt[rows[i].Prompt] = true
			}
		}
		require.Equal(t, len(rows), total, "every row has its place")
	}
}

func TestLaterTurnsFollowTheFirst(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"q%d"}],"output_len":1}`+"\n", i)
		fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"q%d"},{"role":"assistant","content":"a"},{"role":"user","content":"and?"}],"output_len":1}`+"\n", i)
	}
	d, rows := divide(t, b.String(), dataset.ByConversation)
	for _, p := range dataset.Parts {
		got := d.Rows(p)
		require.Zero(t, len(got)%2)
		for k := 0; k < len(got); k += 2 {
			require.Equal(t, got[k]+1, got[k+1], rows[got[k]].Text())
		}
	}
}

func TestWindowsOfTimeAreDisjoint(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		d, rows := divide(t, trace(1000, rand.New(rand.NewPCG(seed, 0))), dataset.ByTime)
		last, began := -1.0, map[string]bool{}
		for _, p := range dataset.Parts {
			part := d.Rows(p)
			require.NotEmpty(t, part)
			require.Greater(t, *rows[part[0]].At, last, "windows do not touch")
			for _, i := range part {
				require.False(t, began[rows[i].Conversation], "nothing continues from an earlier window")
			}
			for _, i := range part {
				began[rows[i].Conversation] = true
			}
			last = *rows[part[len(part)-1]].At
		}
		sizes := d.Sizes()
		require.InDelta(t, 200, sizes[dataset.PartSearch], 10)
		require.InDelta(t, 600, sizes[dataset.PartBlocks], 10)
		require.Equal(t, 1000, sizes[dataset.PartSearch]+sizes[dataset.PartBlocks]+sizes[dataset.PartUnseen]+d.Left())
	}
}

func TestDivideRefuses(t *testing.T) {
	t.Parallel()
	ix, _ := normalise(t, plain(0, 3), dataset.Options{})
	_, err := dataset.Divide(ix, dataset.ByTime)
	require.ErrorContains(t, err, "timestamps")
	_, err = dataset.Divide(ix, "colour")
	require.ErrorContains(t, err, "valid: conversation, time")
	one, _ := normalise(t, `{"prompt":"a","output_len":1,"timestamp":1}`, dataset.Options{})
	d, err := dataset.Divide(one, dataset.ByTime)
	require.NoError(t, err)
	require.Equal(t, 1, d.Sizes()[dataset.PartUnseen])
}

func TestSuffices(t *testing.T) {
	t.Parallel()
	d, _ := divide(t, plain(0, 1000), dataset.ByConversation) // about 600 for blocks
	need := dataset.Need{Scenario: "chat", Prompts: 80, Warmup: 20, Draws: map[dataset.Part]int{dataset.PartSearch: 1, dataset.PartBlocks: 5, dataset.PartUnseen: 1}}
	require.NoError(t, d.Suffices(need))
	need.Draws[dataset.PartBlocks] = 12
	err := d.Suffices(need)
	f, _ := fault.As(err)
	require.ErrorContains(t, err, fmt.Sprintf("blocks has %d rows and needs 1200", d.Sizes()[dataset.PartBlocks]))
	require.Equal(t, "give a dataset of at least 2110 rows", f.Hints[0])
	require.Contains(t, f.Hints[1], "reuse: blocks")
	require.Regexp(t, `lower the prompts of a draw to \d\d$`, f.Hints[2])

	bigger, _ := divide(t, plain(0, 2110), dataset.ByConversation)
	require.NoError(t, bigger.Suffices(need), "the number that was named is enough")
	var most int
	_, err = fmt.Sscanf(f.Hints[2], "or lower the prompts of a draw to %d", &most)
	require.NoError(t, err)
	less := need
	less.Prompts = most
	require.NoError(t, d.Suffices(less))

	need.Reuse = dataset.ReuseBlocks
	require.NoError(t, d.Suffices(need))
	need.Prompts = 5000
	f, _ = fault.As(d.Suffices(need))
	require.Len(t, f.Hints, 2, "reuse is not offered where it does not help")
	for _, bad := range []dataset.Need{{}, {Prompts: 1, Reuse: "all"}, {Prompts: 1, Draws: map[dataset.Part]int{"x": 1}}, {Prompts: 1, Draws: map[dataset.Part]int{dataset.PartSearch: -1}}} {
		require.Error(t, d.Suffices(bad))
	}
}

func TestNeedOf(t *testing.T) {
	t.Parallel()
	rate, slots := 10.0, 8
	draws := map[dataset.Part]int{dataset.PartBlocks: 8}
	closed := contract.Scenario{Name: "c", NumPrompts: 80, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots}
	require.Equal(t, dataset.Need{Scenario: "c", Prompts: 80, Warmup: 80, Draws: draws}, dataset.NeedOf(closed, 0, draws, dataset.ReuseNone))
	constant := contract.Scenario{Name: "k", NumPrompts: 80, Arrival: contract.ArrivalConstant, RequestRate: &rate}
	require.Equal(t, 600, dataset.NeedOf(constant, 0, draws, dataset.ReuseNone).Prompts, "a minute at 10/s")
	poisson := contract.Scenario{Name: "p", NumPrompts: 80, Arrival: contract.ArrivalPoisson, RequestRate: &rate}
	got := dataset.NeedOf(poisson, 90*time.Second, draws, dataset.ReuseBlocks)
	require.Equal(t, dataset.Need{Scenario: "p", Prompts: 1050, Warmup: 256, Draws: draws, Reuse: dataset.ReuseBlocks}, got)
}

// TestDraws holds what every side of a block relies on.
func TestDraws(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		src := rand.New(rand.NewPCG(seed, 1))
		text := talks(400, src)
		d, rows := divide(t, text, dataset.ByConversation)
		other, _ := divide(t, text, dataset.ByConversation)
		for _, p := range dataset.Parts {
			a := dataset.Draw{Seed: seed, Phase: string(p), Scenario: "chat", Part: p, Prompts: 1 + src.IntN(20), Warmup: src.IntN(8)}
			in := map[int]bool{}
			for _, i := range d.Rows(p) {
				in[i] = true
			}
			blocks := 0
			for d.Suffices(dataset.Need{Prompts: a.Prompts, Warmup: a.Warmup, Draws: map[dataset.Part]int{p: blocks + 1}}) == nil {
				blocks++
			}
			require.Positive(t, blocks)
			seen := map[string]bool{}
			for a.Block = range blocks {
				got, err := d.Draw(a)
				require.NoError(t, err, "what suffices can be drawn")
				same, err := other.Draw(a)
				require.NoError(t, err)
				require.Equal(t, got, same, "every side has the same")
				require.Len(t, got.Rows, a.Prompts)
				require.Len(t, got.Warmup, a.Warmup)
				warm := map[string]bool{}
				for _, i := range append(slices.Clone(got.Rows), got.Warmup...) {
					require.True(t, in[i], "never from another part")
					require.False(t, seen[rows[i].Prompt], "never twice")
					seen[rows[i].Prompt] = true
				}
				for _, i := range got.Warmup {
					warm[rows[i].Conversation] = true
				}
				turn := map[string]int{}
				for _, i := range got.Rows {
					require.False(t, warm[rows[i].Conversation], "no warm-up of a measured conversation")
					before, known := turn[rows[i].Conversation]
					require.True(t, !known || before < i, "turns keep their order")
					turn[rows[i].Conversation] = i
				}
			}
		}
	}
}

func TestDrawsDependOnTheirNames(t *testing.T) {
	t.Parallel()
	d, _ := divide(t, plain(0, 2000), dataset.ByConversation)
	a := dataset.Draw{Seed: 1, Phase: "block", Scenario: "chat", Part: dataset.PartBlocks, Prompts: 50, Warmup: 5}
	small, err := d.Draw(dataset.Draw{Seed: 1, Phase: "block", Scenario: "chat", Part: dataset.PartBlocks, Prompts: 6, Warmup: 2})
	require.NoError(t, err)
	require.Equal(t, dataset.Drawn{Rows: []int{290, 1724, 92, 1655, 1617, 1104}, Warmup: []int{428, 1902}}, small, "as the page on datasets has it: draws of frozen contracts stay")
	first, err := d.Draw(a)
	require.NoError(t, err)
	for _, change := range []func(*dataset.Draw){
		func(a *dataset.Draw) { a.Seed = 2 }, func(a *dataset.Draw) { a.Phase = "revalidate" },
		func(a *dataset.Draw) { a.Scenario = "code" }, func(a *dataset.Draw) { a.Block = 1 },
	} {
		b := a
		change(&b)
		got, err := d.Draw(b)
		require.NoError(t, err)
		require.NotEqual(t, first.Rows, got.Rows)
	}
	a.Block, a.Reuse = 100, dataset.ReuseBlocks
	reused, err := d.Draw(a)
	require.NoError(t, err)
	require.Equal(t, first, reused, "every block has the first one's rows")
	a.Reuse = dataset.ReuseNone
	_, err = d.Draw(a)
	require.ErrorContains(t, err, "too small")
	for _, change := range []func(*dataset.Draw){
		func(a *dataset.Draw) { a.Part = "" }, func(a *dataset.Draw) { a.Block = -2 }, func(a *dataset.Draw) { a.Prompts = 0 }, func(a *dataset.Draw) { a.Warmup = -1 },
	} {
		b := a
		change(&b)
		_, err := d.Draw(b)
		require.Error(t, err)
	}
}

func TestDrawsByTime(t *testing.T) {
	t.Parallel()
	d, rows := divide(t, trace(1000, rand.New(rand.NewPCG(3, 3))), dataset.ByTime)
	a := dataset.Draw{Seed: 1, Phase: "block", Scenario: "replay", Part: dataset.PartBlocks, Prompts: 60, Warmup: 10}
	last := -1.0
	for a.Block = range 8 {
		got, err := d.Draw(a)
		require.NoError(t, err)
		require.Len(t, got.Rows, 60)
		require.Len(t, got.Warmup, 10)
		for _, i := range slices.Concat(got.Warmup, got.Rows) {
			require.GreaterOrEqual(t, *rows[i].At, last)
			last = *rows[i].At
		}
	}
	a.Block = 8
	_, err := d.Draw(a)
	require.ErrorContains(t, err, "too small")

	same := strings.Repeat(`{"prompt":"a","output_len":1,"timestamp":1}`+"\n", 3)
	d, _ = divide(t, same, dataset.ByTime)
	_, err = d.Draw(dataset.Draw{Part: dataset.PartUnseen, Prompts: 1, Warmup: 1})
	require.ErrorContains(t, err, "repeats a prompt")
}

func TestPartsAreWhole(t *testing.T) {
	t.Parallel()
	d, _ := divide(t, plain(0, 100), dataset.ByConversation)
	require.ElementsMatch(t, dataset.Parts, slices.Collect(maps.Keys(d.Sizes())))
}
