package stats_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/stats"
)

// oracle is what testdata/oracle.py found by brute force and by SciPy.
type oracle struct {
	SignFlip []struct {
		Name      string
		X         []float64
		Mean      float64
		P         [][2]float64
		Intervals []struct {
			Alpha  float64
			Limits *[2]float64
		}
	} `json:"sign_flip"`
	TwoLooks []struct {
		X                  []float64
		Alpha              float64
		Looks              []int
		Critical, Spent, P float64
		Rejected           bool
	} `json:"two_looks"`
	Student struct {
		Quantile, CDF [][3]float64
	}
	MDE       [][5]float64
	Quantiles []struct {
		X  []float64
		At [][2]float64
	}
	Slopes []struct {
		X, Y     []float64
		Slope, P float64
	}
	Kolmogorov []struct {
		X    []float64
		D, P float64
	}
}

func known(t *testing.T) oracle {
	t.Helper()
	raw, err := os.ReadFile("testdata/oracle.json")
	require.NoError(t, err)
	var o oracle
	require.NoError(t, json.Unmarshal(raw, &o))
	return o
}

// near holds two numbers to be equal but for rounding.
func near(t *testing.T, want, got, relative float64, format string, args ...any) {
	t.Helper()
	require.InDeltaf(t, 0, (got-want)/max(math.Abs(want), math.SmallestNonzeroFloat64), relative, "want %v, got %v: "+format, append([]any{want, got}, args...)...)
}

func TestSignFlipEqualsBruteForce(t *testing.T) {
	t.Parallel()
	cases := known(t).SignFlip
	require.Greater(t, len(cases), 25)
	for _, c := range cases {
		for _, p := range c.P {
			got, err := stats.SignFlipP(c.X, p[0])
			require.NoError(t, err)
			near(t, p[1], got, 1e-12, "p of theta %v in %s", p[0], c.Name)
		}
		size := 0.0
		for _, v := range c.X {
			size = max(size, math.Abs(v))
		}
		for _, want := range c.Intervals {
			got, err := stats.SignFlipInterval(c.X, want.Alpha)
			require.NoError(t, err)
			if want.Limits == nil {
				require.True(t, math.IsInf(got.Lo, -1) && math.IsInf(got.Hi, 1), "%s at %v: %+v", c.Name, want.Alpha, got)
				continue
			}
			require.GreaterOrEqual(t, got.Level, 1-want.Alpha, c.Name)
			for i, limit := range []float64{got.Lo, got.Hi} {
				require.InDelta(t, want.Limits[i]/max(size, math.SmallestNonzeroFloat64), limit/max(size, math.SmallestNonzeroFloat64), 1e-9,
					"limit %d of %s at %v", i, c.Name, want.Alpha)
			}
		}
	}
}

// TestTwoLooksEqualEnumeration: the package rejects at the second look exactly where an enumeration of all patterns
// does, at the same critical p.
func TestTwoLooksEqualEnumeration(t *testing.T) {
	t.Parallel()
	rejected := 0
	for i, c := range known(t).TwoLooks {
		d, err := stats.Decide(c.X, stats.Thresholds{Alpha: c.Alpha, Looks: c.Looks})
		require.NoError(t, err)
		decided := d.Verdict == stats.Win || d.Verdict == stats.Loss
		require.Equal(t, c.Rejected, decided, "plan %d: %+v, %+v", i, c, d)
		require.InDelta(t, 1-c.Critical, d.Level, 1e-12, "plan %d", i)
		require.LessOrEqual(t, c.Spent, c.Alpha, "plan %d", i)
		if decided {
			rejected++
		}
	}
	require.Greater(t, rejected, 5, "plans that reject nothing show nothing")
}

func TestStudentEqualsSciPy(t *testing.T) {
	t.Parallel()
	o := known(t).Student
	for _, c := range o.Quantile { // near 0, where the distribution is all but straight, to eight places
		require.InDelta(t, 0, (stats.StudentQuantile(c[0], c[1])-c[2])/max(math.Abs(c[2]), 1), 1e-8, "quantile %v, df %v: want %v", c[0], c[1], c[2])
	}
	for _, c := range o.CDF {
		near(t, c[2], stats.StudentCDF(c[0], c[1]), 1e-8, "P(T ≤ %v), df %v", c[0], c[1])
	}
}

func TestMDEEqualsSciPy(t *testing.T) {
	t.Parallel()
	for _, c := range known(t).MDE {
		near(t, c[4], stats.MDE(int(c[0]), c[1], c[2], c[3]), 1e-9, "n %v, sd %v, alpha %v, delta %v", c[0], c[1], c[2], c[3])
	}
}

func TestQuantileEqualsNumPy(t *testing.T) {
	t.Parallel()
	for _, c := range known(t).Quantiles {
		for _, at := range c.At {
			require.InDelta(t, at[1], stats.Quantile(c.X, at[0]), 1e-12, "q %v of %v", at[0], c.X)
		}
	}
}

func TestSlopeEqualsSciPy(t *testing.T) {
	t.Parallel()
	for _, c := range known(t).Slopes {
		s, err := stats.SlopeTest(c.X, c.Y)
		require.NoError(t, err)
		near(t, c.Slope, s.PerX, 1e-9, "slope of %d", len(c.X))
		near(t, c.P, s.P, 1e-6, "p of %d", len(c.X))
	}
}

func TestKolmogorovEqualsSciPy(t *testing.T) {
	t.Parallel()
	exponential := func(x float64) float64 { return -math.Expm1(-x) }
	for _, c := range known(t).Kolmogorov {
		d, p, err := stats.Kolmogorov(c.X, exponential)
		require.NoError(t, err)
		near(t, c.D, d, 1e-9, "distance of %d", len(c.X))
		tolerance := 0.02 // SciPy's p is exact, ours asymptotic
		if c.P < 0.2 {
			tolerance = 0.005
		}
		require.InDelta(t, c.P, p, tolerance, "p of %d", len(c.X))
	}
}

// TestDecisionsAreWhole holds what every decision has to be, on every sample of the oracle.
func TestDecisionsAreWhole(t *testing.T) {
	t.Parallel()
	for _, c := range known(t).SignFlip {
		for _, looks := range [][]int{nil, {8}, {8, 12}, {6, 8}} {
			d, err := stats.Decide(c.X, stats.Thresholds{Delta: 0.03, Alpha: 0.05, Looks: looks, AssumedSD: 0.015})
			require.NoError(t, err, c.Name)
			require.False(t, math.IsNaN(d.Lo) || math.IsNaN(d.Hi) || math.IsNaN(d.Estimate) || math.IsNaN(d.MDE) || math.IsNaN(d.SD), "%s, looks %v: %+v", c.Name, looks, d)
			slack := 1e-9 * math.Abs(d.Estimate)
			require.True(t, d.Lo <= d.Estimate+slack && d.Estimate <= d.Hi+slack, "%s, looks %v: %+v", c.Name, looks, d)
			require.Equal(t, d.Verdict == stats.Inconclusive, d.More != 0, "%s, looks %v: %+v", c.Name, looks, d)
			mirrored := make([]float64, len(c.X))
			for i, v := range c.X {
				mirrored[i] = -v
			}
			m, err := stats.Decide(mirrored, stats.Thresholds{Delta: 0.03, Alpha: 0.05, Looks: looks, AssumedSD: 0.015})
			require.NoError(t, err, c.Name)
			opposite := map[stats.Verdict]stats.Verdict{stats.Win: stats.Loss, stats.Loss: stats.Win, stats.Equivalent: stats.Equivalent, stats.Inconclusive: stats.Inconclusive}
			require.Equal(t, opposite[d.Verdict], m.Verdict, "%s, looks %v: the other side's view", c.Name, looks)
		}
	}
}
