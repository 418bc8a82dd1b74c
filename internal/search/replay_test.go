package search_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

// landscape is a full-factorial table: additive effects of very unequal size, saturating ordinal knobs, interactions,
// and a level that crashes.
func landscape(seed uint64, prior bool) string {
	g := rand.New(rand.NewPCG(seed, 99))
	shape := [][]int{{4, 2, 2, 5}, {5, 3, 2, 2}, {3, 2, 3, 2, 2}, {6, 4, 3}}[g.IntN(4)]
	effects := make([][]float64, len(shape))
	wrong := make([][]float64, len(shape))
	for k, n := range shape {
		scale := []float64{0.01, 0.03, 0.12, 0.2}[g.IntN(4)]
		for j := range n {
			e := scale * g.NormFloat64()
			if n >= 4 {
				e = scale * (1 - math.Exp(-0.8*float64(j)))
			}
			effects[k], wrong[k] = append(effects[k], e), append(wrong[k], 0.03*g.NormFloat64())
		}
	}
	bad := g.IntN(len(shape))
	var b strings.Builder
	for k := range shape {
		fmt.Fprintf(&b, "knob%d,", k)
	}
	b.WriteString("status,score")
	if prior {
		b.WriteString(",prior")
	}
	at := make([]int, len(shape))
	for {
		s, w := 0.0, 0.055*g.NormFloat64()
		b.WriteString("\n")
		for k, j := range at {
			s, w = s+effects[k][j], w+wrong[k][j]
			fmt.Fprintf(&b, "%d,", 1<<j)
		}
		s += 0.01 * g.NormFloat64()
		if at[bad] == shape[bad]-1 && seed%2 == 0 {
			b.WriteString("oom,")
		} else {
			fmt.Fprintf(&b, "ok,%.5f", 10*math.Exp(s))
		}
		if prior {
			fmt.Fprintf(&b, ",%.5f", 10*math.Exp(s+w))
		}
		k := len(at) - 1
		for ; k >= 0; k-- {
			if at[k]++; at[k] < shape[k] {
				break
			}
			at[k] = 0
		}
		if k < 0 {
			return b.String() + "\n"
		}
	}
}

func shareOf(t *testing.T, s search.Strategy, launches int, prior bool) (share, launched, hours float64) {
	t.Helper()
	const tables = 8
	for seed := range uint64(tables) {
		table, err := search.ReadTable(strings.NewReader(landscape(seed, prior)), "table")
		require.NoError(t, err)
		got, err := table.ReplaySeeds(t.Context(), s, launches, 3)
		require.NoError(t, err)
		share, launched, hours = share+got.MeanShare/tables, launched+got.MeanLaunches/tables, hours+got.MeanHostHours/tables
	}
	return share, launched, hours
}

func TestAutoIsWorthItsLaunches(t *testing.T) {
	t.Parallel()
	random, _, _ := shareOf(t, search.Random, 10, false)
	product, _, full := shareOf(t, search.Product, 10, false)
	auto, launches, hours := shareOf(t, search.Auto, 10, false)
	t.Logf("10 launches: auto %.3f in %.1f launches and %.2f h, random %.3f, product %.3f in %.2f h", auto, launches, hours, random, product, full)
	require.GreaterOrEqual(t, auto, 0.95)
	require.Greater(t, auto, random)
	require.Greater(t, auto, product)
	require.LessOrEqual(t, launches, 10.0)
	require.Less(t, hours, 0.75*full)

	told, _, toldHours := shareOf(t, search.Auto, 10, true)
	t.Logf("with a prior: %.3f in %.2f h", told, toldHours)
	require.GreaterOrEqual(t, told, 0.98)
	require.Greater(t, told, auto)
}

func TestReplayIsDeterministic(t *testing.T) {
	t.Parallel()
	table, err := search.ReadTable(strings.NewReader(landscape(3, true)), "table")
	require.NoError(t, err)
	for _, s := range strategies {
		a, b := table.Replay(s, 6, 4), table.Replay(s, 6, 4)
		require.Equal(t, a, b, s)
		require.LessOrEqual(t, a.Share, 1.0)
		require.NotEqual(t, a, table.Replay(s, 6, 5), s)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = table.ReplaySeeds(stopped, search.Auto, 6, 50)
	require.ErrorIs(t, err, context.Canceled)
}

func TestBadTablesAreNamed(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{
		"":                                        "t:1",
		"a,b\n1,2\n":                              "t:1: header",
		"status,score\nok,1\n":                    "t:1: header",
		"a,status,score,x\n1,ok,1,1\n":            "t:1: header",
		"a,status,score\n":                        "t:2: no rows",
		"a,status,score\n1,oom,\n":                `t:2: candidate 0 is "oom"`,
		"a,status,score\n1,ok,1\n1,ok,2\n":        "t:3: combination",
		"a,status,score\n1,ok,1\n2,ok,\n":         `t:3: score: ""`,
		"a,status,score\n1,ok,1\n2,ok,0\n":        `t:3: score: "0"`,
		"a,status,score\n1,ok,1\n2,ok,NaN\n":      "t:3: score",
		"a,status,score\n1,ok,1\n2,oom,3\n":       `t:3: score: "3" beside status "oom"`,
		"a,status,score\n1,ok,1\n2,,3\n":          "t:3: status: missing",
		"a,status,score\n1,ok,1\n2,ok\n":          "wrong number of fields",
		"a,status,score,prior\n1,ok,1,\n2,ok,1,x": "t:3: prior",
	} {
		_, err := search.ReadTable(strings.NewReader(table), "t")
		require.ErrorContains(t, err, want, table)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(landscape(1, true))
	f.Add("a,status,score\n1,ok,1\n2,oom,\n")
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 4096 {
			return
		}
		table, err := search.ReadTable(strings.NewReader(raw), "table")
		if err != nil {
			return
		}
		run := table.Replay(search.Auto, 3, 1)
		require.LessOrEqual(t, len(run.Trials), 3)
		require.LessOrEqual(t, run.Share, 1.0)
	})
}
