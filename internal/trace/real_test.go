package trace_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// truth is what PyTorch's profiler sums, by trace and kernel.
type truth struct {
	Kernels map[string]map[string]struct {
		Launches int
		US       float64
	}
}

func TestSumsEqualPyTorchs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/truth.json")
	require.NoError(t, err)
	var want truth
	require.NoError(t, json.Unmarshal(text, &want))
	require.Len(t, want.Kernels, 6)
	for name, kernels := range want.Kernels {
		path := filepath.Join("testdata", name+".trace.json.gz")
		us, launches := map[string]float64{}, map[string]int{}
		for _, s := range analyze(t, path).Stages {
			for _, k := range s.Kernels {
				us[k.Name] += k.TotalUS
				launches[k.Name] += k.Launches
			}
		}
		require.Len(t, us, len(kernels), path)
		for k, w := range kernels {
			require.Equal(t, w.Launches, launches[k], "%s: %s", path, k)
			require.InEpsilon(t, w.US, us[k], 1e-6, "%s: %s", path, k)
		}
	}
}

func TestGraphReplaysAreAttributedToTheirLaunch(t *testing.T) {
	t.Parallel()
	a := analyze(t, "testdata/graph_decode-TP-0.trace.json.gz")
	s := stageNamed(t, a, trace.Decode) // from the file's name
	require.Equal(t, 5, s.GraphReplays)
	gemm := kernelNamed(t, a, "nvjet_sm90_tst_64x8_64x16_4x1_v_bz_NNT")
	require.Equal(t, "graph_launch", gemm.LocationSource)
	copies := kernelNamed(t, a, "Memcpy HtoD (Pinned -> Device)")
	require.Equal(t, "trace", copies.LocationSource)
	require.Equal(t, "aten::copy_", copies.CPUOp)
	require.InDelta(t, 0.83, s.MappedShare, 0.01) // the copies; replayed kernels have no source of their own
	require.Less(t, s.BusyUS, s.TotalUS)          // two streams overlap
	require.Equal(t, []int{3, 5, 28}, []int{s.Layers.Period, s.Layers.Passes, s.Layers.PerPass})
}

func TestRanksAreCompared(t *testing.T) {
	t.Parallel()
	a := analyze(t, "testdata/tp2_prefill-TP-0.trace.json.gz", "testdata/tp2_prefill-TP-1.trace.json.gz")
	require.Len(t, a.Stages, 2)
	require.Equal(t, []int{0, 1}, []int{a.Stages[0].Rank, a.Stages[1].Rank})
	require.NotEqual(t, a.Stages[0].Digest, a.Stages[1].Digest)
	require.Len(t, a.Ranks, 1)
	spread := a.Ranks[0]
	require.Equal(t, -1, spread.Straggler) // both compute alike
	require.InDelta(t, 60404.05-4649.755, spread.WaitingUS, 0.01)
	require.Contains(t, spread.Finding, "rank 1 spends")
	require.Equal(t, "NVIDIA H200", a.Files[0].Device)
}

func TestIdsCarryPlaceAndDigest(t *testing.T) {
	t.Parallel()
	path := "testdata/tp2_decode-TP-0.trace.json.gz"
	digest, err := trace.DigestPrefix(path)
	require.NoError(t, err)
	shown, err := trace.Analyze(t.Context(), []string{path}, trace.Options{MinShare: 0.05})
	require.NoError(t, err)
	s := shown.Stages[0]
	require.Less(t, len(s.Kernels), s.KernelsTotal)
	require.Equal(t, "kernel:decode:3@"+digest, s.Kernels[2].ID)
	hidden := "kernel:decode:8@" + digest // below MinShare, but citable
	row, ok := shown.Row(hidden)
	require.True(t, ok)
	require.Equal(t, "kernel", row.Table)
	require.Less(t, row.Share, 0.05)
	_, ok = shown.Row("kernel:decode:99@" + digest)
	require.False(t, ok)
	for _, o := range s.Overlap {
		got, ok := shown.Row(o.ID)
		require.True(t, ok)
		require.Equal(t, "overlap", got.Table)
	}
	require.NotEmpty(t, s.Idle.Causes)
	got, ok := shown.Row(s.Idle.Causes[0].ID)
	require.True(t, ok)
	require.Equal(t, s.Idle.Causes[0].TotalUS, got.TotalUS)
}

func TestExposedCopyIsHeadroom(t *testing.T) {
	t.Parallel()
	s := analyze(t, "testdata/overlap_exposed-TP-0.trace.json.gz").Stages[0]
	require.NotEmpty(t, s.Overlap)
	top := s.Overlap[0]
	require.Equal(t, "Memcpy HtoD (Pinned -> Device)", top.Name)
	require.Equal(t, "headroom", top.Verdict)
	require.Zero(t, top.HiddenUS)
	require.InDelta(t, 19583.357, top.ExclusiveUS, 0.01)
}

// The trace holds the model's 28 layers, 57 norms a step, and every source line.
func TestLayersFusionsAndSourcesOfAModel(t *testing.T) {
	t.Parallel()
	s := stageNamed(t, analyze(t, "testdata/decode_64-TP-0.trace.json.gz"), trace.Decode)
	require.Equal(t, 28, s.Layers.PerPass)
	require.Equal(t, 5, s.Layers.Passes)
	require.InDelta(t, 1, s.MappedShare, 0.001)
	require.Equal(t, "transformers/models/qwen2/modeling_qwen2.py", s.Kernels[0].Locations[0].Path)
	require.Equal(t, "aten::mm", s.Kernels[0].CPUOp)
	states := map[string]string{}
	for _, f := range s.Fuse {
		states[f.Pattern] = f.State + " " + f.Why
	}
	require.Contains(t, states["RMSNorm in one kernel"], "missed its parts follow each other 285 times")
	var idle, total float64
	for _, c := range s.Idle.Causes {
		idle += c.TotalUS
	}
	require.InDelta(t, s.Idle.IdleUS, idle, 0.01)
	for _, k := range s.Kernels {
		total += k.TotalUS
	}
	require.InDelta(t, s.TotalUS, total, 0.01)
	require.False(t, math.IsNaN(s.Share))
}

// A model of 12 layers whose trace has no Python stacks and no step annotations.
func TestLayersWithoutStacks(t *testing.T) {
	t.Parallel()
	s := stageNamed(t, analyze(t, "testdata/llama_prefill_nostack-TP-0.trace.json.gz"), trace.Prefill)
	require.Equal(t, 12, s.Layers.PerPass)
	require.Positive(t, s.Layers.Passes)
}
