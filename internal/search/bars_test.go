package search_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/internal/stats"
)

// firstTest is the first seed of tables that nothing was tuned on; seeds below belong to tuning, of train generators.
const firstTest = 1001

// maker makes a table of a seed.
type maker struct {
	name string
	make func(seed uint64) (search.Landscape, error)
}

func makers(split search.Split) []maker {
	var out []maker
	for _, g := range search.Generators() {
		if g.Split == split {
			out = append(out, maker{g.Name, func(seed uint64) (search.Landscape, error) { return g.Make(seed), nil }})
		}
	}
	return out
}

// outcome is how a strategy did on tables: means over all replays, and the tenth percentile of the share.
type outcome struct{ share, p10, launches, hours, crashes float64 }

// plan is what is replayed.
type plan struct {
	strategy search.Strategy
	launches int
	prior    bool
	tables   int
	seeds    int
}

func (p plan) on(tb testing.TB, m maker) outcome {
	tb.Helper()
	var columns []search.Column
	if p.prior {
		columns = append(columns, search.PriorColumn)
	}
	var o outcome
	var shares []float64
	for i := range p.tables {
		made, err := m.make(firstTest + uint64(i))
		require.NoError(tb, err)
		table, err := search.ReadTable(strings.NewReader(written(tb, made, columns...)), m.name)
		require.NoError(tb, err)
		for seed := range p.seeds {
			run := table.Replay(p.strategy, p.launches, uint64(seed)+1)
			require.LessOrEqual(tb, len(run.Trials), p.launches, "%s %s", m.name, p.strategy)
			shares = append(shares, run.Share)
			o.launches += float64(len(run.Trials))
			o.hours += run.Spent.Hours()
			o.crashes += float64(run.Crashes())
		}
	}
	n := float64(len(shares))
	return outcome{stats.Mean(shares), stats.Quantile(shares, 0.1), o.launches / n, o.hours / n, o.crashes / n}
}

// over is the mean over makers.
func (p plan) over(tb testing.TB, all []maker) outcome {
	tb.Helper()
	var o outcome
	n := float64(len(all))
	for _, m := range all {
		one := p.on(tb, m)
		o.share, o.p10, o.launches = o.share+one.share/n, o.p10+one.p10/n, o.launches+one.launches/n
		o.hours, o.crashes = o.hours+one.hours/n, o.crashes+one.crashes/n
	}
	return o
}

func TestAutoKeepsItsPlaceOnTestTables(t *testing.T) {
	t.Parallel()
	all := makers(search.Test)
	small := plan{strategy: search.Auto, launches: 10, tables: 3, seeds: 1}
	bare := small.over(t, all)
	small.prior = true
	told := small.over(t, all)
	small.strategy, small.prior = search.Product, false
	product := small.over(t, all)
	small.strategy = search.Random
	random := small.over(t, all)
	t.Logf("auto with a prior %+v, without %+v, product %+v, random %+v", told, bare, product, random)
	require.GreaterOrEqual(t, told.share, 0.98)
	require.GreaterOrEqual(t, bare.share, 0.95)
	require.Greater(t, told.share, bare.share)
	require.Greater(t, bare.share, max(product.share, random.share)+0.01)
	require.LessOrEqual(t, told.hours, 0.55*product.hours)
	for _, tier := range search.Tiers {
		small.strategy = search.Strategy(tier)
		require.Greater(t, bare.share, small.over(t, all).share, tier)
	}
}

// TestTheScatterOfAPriorIsSeenThrough: a prior that is wrong by 8 % in every single cell, and nowhere else, costs little,
// since what levels and pairs have in common is nearly free of it.
func TestTheScatterOfAPriorIsSeenThrough(t *testing.T) {
	t.Parallel()
	for _, m := range makers(search.Train) {
		if m.name == "bumps" {
			o := plan{strategy: search.Auto, launches: 10, prior: true, tables: 12, seeds: 1}.on(t, m)
			require.GreaterOrEqual(t, o.share, 0.993)
			return
		}
	}
	require.Fail(t, "no such generator")
}

// BenchmarkBars measures the bars of the search on tables that nothing was tuned on. Its time means nothing.
func BenchmarkBars(b *testing.B) {
	all := makers(search.Test)
	product := plan{search.Product, 10, false, 24, 1}.over(b, all)
	for _, c := range []struct {
		name string
		plan plan
	}{
		{"prior/10-launches/bar-0.99-at-0.5-of-product", plan{search.Auto, 10, true, 24, 2}},
		{"bare/10-launches/bar-0.95", plan{search.Auto, 10, false, 24, 2}},
		{"bare/24-launches/bar-0.985", plan{search.Auto, 24, false, 24, 1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var o outcome
			for b.Loop() {
				o = c.plan.over(b, all)
			}
			b.ReportMetric(o.share, "share")
			b.ReportMetric(o.p10, "p10-share")
			b.ReportMetric(o.launches, "launches")
			b.ReportMetric(o.hours/product.hours, "hours/product")
		})
	}
}

// BenchmarkNext is one step of Auto after 20 launches, on all of 4,096 cells and on a space that is too large for that.
func BenchmarkNext(b *testing.B) {
	for _, c := range []struct {
		name          string
		knobs, levels int
	}{{"4096-cells", 6, 4}, {"60466176-cells", 10, 6}} {
		space := search.Space{Base: map[string]any{}, Prior: func(f map[string]any) (float64, bool) { return 10 + float64(len(f)), true }}
		for k := range c.knobs {
			knob := search.Knob{Name: fmt.Sprintf("knob%d", k)}
			for v := range c.levels {
				knob.Values = append(knob.Values, v)
			}
			space.Base[knob.Name] = 0
			space.Knobs = append(space.Knobs, knob)
		}
		var trials []search.Trial
		for i := range 20 {
			score := 10 * (1 + 0.02*float64(i%7))
			trials = append(trials, search.Trial{Flags: map[string]any{"knob0": i % c.levels, "knob1": i / c.levels % c.levels, "knob2": i % 3}, Status: search.StatusOK, Score: &score})
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				require.False(b, search.Next(trials, space, search.Budget{Launches: 24, Seed: 1}, search.Auto).Done)
			}
		})
	}
}

// TestComparison writes testdata/comparison.md, which docs/SEARCH.md quotes: every strategy on tables of every test
// generator. It takes minutes and runs with UPDATE=1 only.
func TestComparison(t *testing.T) {
	if os.Getenv("UPDATE") == "" || testing.Short() {
		t.Skip("UPDATE=1 writes testdata/comparison.md anew; it takes minutes")
	}
	all := append(makers(search.Test), maker{"simulated-sglang", sim.Landscape})
	var b strings.Builder
	b.WriteString("| table | strategy | prior | share | p10 | launches | host-hours | crashes |\n|---|---|---|---|---|---|---|---|\n")
	line := func(m maker, p plan, prior string) {
		if m.name == "simulated-sglang" {
			p.tables = 12
		}
		o := p.on(t, m)
		fmt.Fprintf(&b, "| %s | %s, %d | %s | %.3f | %.3f | %.1f | %.2f | %.1f |\n", m.name, p.strategy, p.launches, prior, o.share, o.p10, o.launches, o.hours, o.crashes)
	}
	for _, m := range all {
		line(m, plan{search.Auto, 10, true, 64, 3}, "yes")
		line(m, plan{search.Auto, 10, false, 64, 3}, "")
		line(m, plan{search.Auto, 24, false, 64, 1}, "")
		line(m, plan{search.Product, 10, false, 64, 3}, "")
		line(m, plan{search.Random, 10, false, 64, 3}, "")
		for _, tier := range search.Tiers {
			line(m, plan{search.Strategy(tier), 1000, false, 64, 3}, "")
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join("testdata", "comparison.md"), []byte(b.String()), 0o644)) //nolint:gosec // documentation
}
