package search_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/search"
)

func written(t testing.TB, l search.Landscape, columns ...search.Column) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, l.WriteCSV(&b, columns...))
	return b.String()
}

func TestMadeTablesAreReadBack(t *testing.T) {
	t.Parallel()
	splits := map[search.Split]int{}
	for _, g := range search.Generators() {
		splits[g.Split]++
		crashed := 0
		for seed := range uint64(20) {
			made := g.Make(seed)
			require.Equal(t, made, g.Make(seed), "%s %d: the same seed gives the same table", g.Name, seed)
			require.GreaterOrEqual(t, len(made.Cells), 36, g.Name)
			require.LessOrEqual(t, len(made.Cells), 576, g.Name)
			require.Equal(t, search.StatusOK, made.Cells[0].Status, g.Name)
			csv := written(t, made, search.PriorColumn)
			_, err := search.ReadTable(strings.NewReader(csv), g.Name)
			require.NoError(t, err, g.Name)
			require.Equal(t, len(made.Cells)+1, strings.Count(csv, "\n"))
			for _, c := range made.Cells {
				if c.Status != search.StatusOK {
					crashed++
				}
			}
		}
		require.NotEqual(t, g.Make(1), g.Make(2), g.Name)
		require.Positive(t, crashed, "%s: something crashes", g.Name)
	}
	require.GreaterOrEqual(t, splits[search.Train], 3)
	require.GreaterOrEqual(t, splits[search.Test], 3)
}

func TestAPriorIsAColumnOfTheSameTable(t *testing.T) {
	t.Parallel()
	g := search.Generators()[0]
	bare, told := strings.Split(written(t, g.Make(7)), "\n"), strings.Split(written(t, g.Make(7), search.PriorColumn), "\n")
	require.Len(t, told, len(bare))
	for i := range bare {
		require.True(t, strings.HasPrefix(told[i], bare[i]), "line %d", i+1)
	}
}
