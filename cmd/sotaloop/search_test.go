package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func searchOut(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := runSearch(t.Context(), streams{In: strings.NewReader(""), Out: &out, Err: &errs}, args)
	return out.String(), err
}

func TestATableThatWasMadeIsReplayed(t *testing.T) {
	t.Parallel()
	csv, err := searchOut(t, "table", "--generator", "peaks", "--seed", "3", "--prior")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "t.csv")
	require.NoError(t, os.WriteFile(path, []byte(csv), 0o600))
	for _, strategy := range []string{"auto", "random", "baseline_first_bounded_product", "auto_benchmark_tier2"} {
		out, err := searchOut(t, "replay", path, "--strategy", strategy, "--budget", "6", "--seeds", "2", "--json")
		require.NoError(t, err, strategy)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		for _, field := range []string{"strategy", "budget", "seeds", "mean_share", "p10_share", "mean_launches", "mean_host_hours", "mean_best_launched"} {
			require.Contains(t, got, field, strategy)
		}
		require.LessOrEqual(t, got["mean_launches"], 6.0)
	}
}

func TestSearchRefusesByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "two verbs"},
		{[]string{"table", "--generator", "nothing"}, `unknown generator "nothing"`},
		{[]string{"table", "file.csv"}, "writes to standard output"},
		{[]string{"table", "--seed", "-1"}, "seed"},
		{[]string{"replay"}, "one table"},
		{[]string{"replay", "t.csv", "--strategy", "best"}, `unknown strategy "best"`},
		{[]string{"replay", "t.csv", "--budget", "0"}, "budget 0"},
		{[]string{"replay", "no-such-table.csv"}, "no-such-table.csv"},
	} {
		_, err := searchOut(t, c.args...)
		require.ErrorContains(t, err, c.want, "%v", c.args)
	}
}
