package stats_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/stats"
)

// Percentage points of Student's t as printed in Fisher & Yates' and NIST's tables.
func TestStudentQuantileMatchesThePublishedTable(t *testing.T) {
	t.Parallel()
	table := []struct{ p, df, want float64 }{
		{0.95, 1, 6.314}, {0.975, 1, 12.706}, {0.995, 1, 63.657}, {0.9995, 1, 636.619}, {0.80, 1, 1.376},
		{0.975, 2, 4.303}, {0.975, 5, 2.571}, {0.95, 7, 1.895}, {0.975, 7, 2.365}, {0.995, 7, 3.499}, {0.80, 7, 0.896},
		{0.975, 10, 2.228}, {0.80, 10, 0.879}, {0.975, 11, 2.201}, {0.995, 11, 3.106}, {0.80, 11, 0.876},
		{0.975, 30, 2.042}, {0.975, 120, 1.980}, {0.975, 1e6, 1.960}, {0.80, 1e6, 0.842},
	}
	for _, c := range table {
		require.InDelta(t, c.want, stats.StudentQuantile(c.p, c.df), 0.00051, "p %v, df %v", c.p, c.df)
		require.InDelta(t, -c.want, stats.StudentQuantile(1-c.p, c.df), 0.00051, "p %v, df %v", 1-c.p, c.df)
	}
}

func TestStudentQuantileInvertsTheDistribution(t *testing.T) {
	t.Parallel()
	for _, df := range []float64{0.5, 1, 2, 3.7, 9, 100} {
		for p := 0.01; p < 1; p += 0.07 {
			require.InDelta(t, p, stats.StudentCDF(stats.StudentQuantile(p, df), df), 1e-12, "p %v, df %v", p, df)
		}
	}
	// df = 1 is Cauchy's and df = 2 has a closed form.
	require.InDelta(t, 0.75, stats.StudentCDF(1, 1), 1e-14)
	require.InDelta(t, 0.5+2/(2*math.Sqrt(2+4)), stats.StudentCDF(2, 2), 1e-14)
}

func TestStudentAtTheEdges(t *testing.T) {
	t.Parallel()
	require.True(t, math.IsInf(stats.StudentQuantile(1, 3), 1))
	require.True(t, math.IsInf(stats.StudentQuantile(0, 3), -1))
	require.Zero(t, stats.StudentQuantile(0.5, 3))
	require.True(t, math.IsNaN(stats.StudentQuantile(0.9, 0)))
	require.True(t, math.IsNaN(stats.StudentQuantile(1.1, 3)))
	require.Equal(t, 1.0, stats.StudentCDF(math.Inf(1), 3))
	require.Equal(t, 0.0, stats.StudentCDF(math.Inf(-1), 3))
	require.True(t, math.IsNaN(stats.StudentCDF(1, -1)))
}
