package loop

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// A page of any table stays below 4,000 tokens of four bytes, and pages together give every row once.
func TestTablePagesAreSmallAndWhole(t *testing.T) {
	t.Parallel()
	a := &trace.Analysis{Stages: []trace.Stage{{Stage: trace.Decode}}}
	s := &a.Stages[0]
	name := "void " + fmt.Sprintf("%01000d", 7)
	at := []trace.Location{{Path: "python/sglang/srt/layers/attention/flashattention_backend.py", Line: 100, Func: "forward_extend", Share: 0.5}}
	at = append(at, at[0], at[0])
	for i := range 200 {
		share := 0.02
		if i >= 40 {
			share = 0.001
		}
		s.Kernels = append(s.Kernels, trace.Kernel{ID: fmt.Sprintf("kernel:decode:%d@0123456789abcdef", i+1), Name: name, Share: share, Locations: at})
		s.Fuse = append(s.Fuse, trace.Fuse{ID: fmt.Sprintf("fuse:decode:%d@0123456789abcdef", i+1), Why: name, Kernels: make([]string, 30), Locations: at})
		s.Overlap = append(s.Overlap, trace.Overlap{ID: fmt.Sprintf("overlap:decode:%d@0123456789abcdef", i+1), Name: name, RiskWhy: name[:200], Locations: at})
	}
	for _, c := range []struct {
		table  string
		detail bool
		want   int
	}{{"kernel", false, 40}, {"kernel", true, 200}, {"fuse", false, 200}, {"fuse", true, 200}, {"overlap", false, 200}, {"overlap", true, 200}} {
		rows := tableRows(a, AnalyzeRequest{Table: c.table, Detail: c.detail})
		require.Len(t, rows, c.want)
		seen := map[any]bool{}
		for from := 0; from < len(rows); {
			page, next := pageOf(rows, from, pageRows, tableBytes)
			if next == 0 {
				next = len(rows)
			}
			require.Greater(t, next, from)
			require.Equal(t, rows[from:next], page)
			raw, err := json.Marshal(page)
			require.NoError(t, err)
			require.Less(t, len(raw), 4*3500, "%s detail %v", c.table, c.detail)
			for _, row := range page {
				require.False(t, seen[row["id"]])
				seen[row["id"]] = true
			}
			from = next
		}
		require.Len(t, seen, c.want)
	}
	require.Equal(t, 160, smallRows(a, ""))
	require.Contains(t, tableRows(a, AnalyzeRequest{Table: "kernel", Detail: true})[0], "p99_us")
}

func TestRanksOfOneCapture(t *testing.T) {
	t.Parallel()
	st := &State{Traces: []TraceCaptured{{ID: "trace-1", Launch: "l", Stage: "decode"}, {ID: "trace-2", Launch: "l", Stage: "decode", Rank: 1}, {ID: "trace-3", Launch: "l", Stage: "prefill"}, {ID: "trace-4", Launch: "m", Stage: "decode"}}}
	require.Equal(t, []string{"trace-1", "trace-2"}, ranksOf(st, "trace-2"))
	require.Equal(t, []string{"trace-2", "trace-9", "trace-1"}, analysisArgs{Trace: "trace-2", Against: "trace-9", Ranks: []string{"trace-1", "trace-2"}}.traces())
}
