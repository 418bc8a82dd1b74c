package bench_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

func poisson(rate float64, n int) contract.Scenario {
	return contract.Scenario{Arrival: contract.ArrivalPoisson, RequestRate: &rate, NumPrompts: n}
}

func pick(in []bench.Arrival, role bench.Role) []bench.Arrival {
	return slices.DeleteFunc(slices.Clone(in), func(a bench.Arrival) bool { return a.Role != role })
}

// TestPoissonArrivals is a Kolmogorov–Smirnov test of the gaps against the exponential distribution, at 0.1 % over ten
// fixed seeds.
func TestPoissonArrivals(t *testing.T) {
	t.Parallel()
	const rate = 50.0
	for seed := range uint64(10) {
		var gaps []float64
		last := time.Duration(math.MinInt64)
		for _, a := range bench.OpenSchedule(poisson(rate, 1), seed, 40*time.Second, 10*time.Second, 500) {
			require.GreaterOrEqual(t, a.At, last, "in order of time")
			if last > math.MinInt64 {
				gaps = append(gaps, (a.At - last).Seconds())
			}
			last = a.At
		}
		slices.Sort(gaps)
		n, d := float64(len(gaps)), 0.0
		for i, gap := range gaps {
			f := 1 - math.Exp(-rate*gap)
			d = max(d, math.Abs(f-float64(i)/n), math.Abs(float64(i+1)/n-f))
		}
		require.Less(t, d, 1.95/math.Sqrt(n), "seed %d, %d gaps", seed, len(gaps))
	}
}

func TestArrivalsOfTheWindowDependOnTheSeedOnly(t *testing.T) {
	t.Parallel()
	s := poisson(20, 100)
	short := bench.OpenSchedule(s, 1, 10*time.Second, 1*time.Second, 5)
	long := bench.OpenSchedule(s, 1, 10*time.Second, 9*time.Second, 5)
	require.Equal(t, pick(short, bench.RoleWindow), pick(long, bench.RoleWindow), "the lead's length does not move them")
	require.Equal(t, pick(short, bench.RoleTail), pick(long, bench.RoleTail))
	lead := pick(long, bench.RoleLead)
	require.Equal(t, pick(short, bench.RoleLead), lead[len(lead)-len(pick(short, bench.RoleLead)):], "the leads agree where both are")
	require.NotEqual(t, pick(short, bench.RoleWindow), pick(bench.OpenSchedule(s, 2, 10*time.Second, time.Second, 5), bench.RoleWindow))
	for i, a := range pick(long, bench.RoleWindow) {
		require.Equal(t, i, a.Index)
		require.GreaterOrEqual(t, a.At, time.Duration(0))
		require.Less(t, a.At, 10*time.Second)
	}
}

func TestConstantArrivals(t *testing.T) {
	t.Parallel()
	s := poisson(4, 10)
	s.Arrival = contract.ArrivalConstant
	all := bench.OpenSchedule(s, 1, 2500*time.Millisecond, time.Second, 3)
	require.Len(t, pick(all, bench.RoleWindow), 10)
	require.Len(t, pick(all, bench.RoleLead), 4)
	for i := 1; i < len(all); i++ {
		require.Equal(t, 250*time.Millisecond, all[i].At-all[i-1].At, "one gap throughout")
	}
}

func TestOpenWindowLength(t *testing.T) {
	t.Parallel()
	require.Equal(t, time.Minute, bench.OpenWindow(poisson(10, 100), bench.WindowRule{}))
	require.Equal(t, 300*time.Second, bench.OpenWindow(poisson(10, 3000), bench.WindowRule{}))
	require.Equal(t, 10*time.Second, bench.OpenWindow(poisson(10, 100), bench.WindowRule{Min: time.Second}))
	constant := poisson(3, 10)
	constant.Arrival = contract.ArrivalConstant
	require.InDelta(t, (10.0 / 3), bench.OpenWindow(constant, bench.WindowRule{Min: time.Second}).Seconds(), 1e-8)
	require.InDelta(t, 60.0, bench.OpenWindow(constant, bench.WindowRule{}).Seconds(), 1e-8)
}

func TestVocabulary(t *testing.T) {
	t.Parallel()
	r := bench.TokenRange{Lo: 5, Hi: 15, Exclude: []int{5, 8, 9, 14, 9, 3, 99}}
	require.Equal(t, 6, r.Size())
	var ids []int
	require.NoError(t, json.Unmarshal([]byte(bench.Prompt(r, 1, 0, 20000)), &ids))
	count := map[int]int{}
	for _, id := range ids {
		count[id]++
	}
	require.Len(t, count, 6)
	for _, id := range []int{6, 7, 10, 11, 12, 13} {
		require.InDelta(t, 20000/6, count[id], 300, "id %d", id)
	}
	require.Equal(t, bench.Prompt(r, 1, 4, 50), bench.Prompt(r, 1, 4, 50))
	require.NotEqual(t, bench.Prompt(r, 1, 4, 50), bench.Prompt(r, 1, 5, 50))
	require.NotEqual(t, bench.Prompt(r, 1, 4, 50), bench.Prompt(r, 2, 4, 50))
}

func TestMixSeed(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for _, phase := range []string{"search", "blocks"} {
		for _, scenario := range []string{"chat", "summarization"} {
			for block := range 12 {
				seed := bench.MixSeed(42, phase, scenario, block)
				require.False(t, seen[seed])
				seen[seed] = true
			}
		}
	}
	require.Equal(t, bench.MixSeed(42, "a", "b", 1)^42, bench.MixSeed(7, "a", "b", 1)^7)
	require.Equal(t, uint64(0xf234e2a0135f4c4d), bench.MixSeed(0, "blocks", "chat", 1), "draws of stored campaigns must not change")
}

// TestDrawsArePinned holds the very draws: a campaign's blocks must get them from any later build.
func TestDrawsArePinned(t *testing.T) {
	t.Parallel()
	require.Equal(t, "[29047,43163,9983,22946,9682]", bench.Prompt(bench.TokenRange{Lo: 100, Hi: 50000}, 1, 0, 5))
	window := pick(bench.OpenSchedule(poisson(10, 10), 1, time.Second, time.Second, 0), bench.RoleWindow)
	require.InDelta(t, 21.559843, window[0].At.Seconds()*1e3, 1e-5)
}
