package loop_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// aaPair adds both launches of a pair: a is x better than b, and whichever runs second is 1 % slower.
func (w *written) aaPair(n int, x float64) *written {
	at := time.Date(2026, 11, 23, 10, 2*n, 0, 0, time.UTC)
	for i, label := range []string{"a", "b"} {
		second := (n+i)%2 == 1
		started, gain := at, x/2
		if label == "b" {
			gain = -gain
		}
		if second {
			started, gain = at.Add(time.Minute), gain-0.01
		}
		block := n
		r := compare.Row{Framework: "sglang", Side: "sglang", CandidateID: "sglang-00", Status: compare.StatusOK, Phase: compare.PhaseAA, Block: &block, StartedAt: &started,
			LaunchID: fmt.Sprintf("sglang-00.aa-%d%s", n, label), Workload: compare.Workload{Scenario: "chat"}, Metrics: compare.Metrics{"output_token_throughput": 1000 * math.Exp(gain)}}
		w.add("point.measured", loop.PointMeasured{Key: r.LaunchID + "/chat", Point: "chat", Use: "main", Row: r})
	}
	return w
}

// spread are log-ratios with mean 0 and a standard deviation of 2 %, by hand: squares 8 · 0.0175² / 7.
var spread = []float64{0.0187083, -0.0187083, 0.0187083, -0.0187083, 0.0187083, -0.0187083, 0.0187083, -0.0187083}

func TestAnAACountsItsPairs(t *testing.T) {
	t.Parallel()
	w := opened(t).flags("sglang", "vllm").searched("sglang", "vllm")
	require.Empty(t, w.state().Calibrations())
	for n := range 8 {
		w.aaPair(n, spread[n/2*2]*float64(1-2*(n/2%2))) // in both orders alike, so that the order is told from the rest
	}
	found := w.state().Calibrations()
	require.Len(t, found, 1)
	c := found[0]
	require.Equal(t, 8, c.Pairs)
	require.InDelta(t, math.Expm1(-0.01), c.Order, 1e-6, "the second launch loses 1 %%")
	require.InDelta(t, 0.0187083*math.Sqrt(8.0/6/2)/2, c.OrderSE, 1e-6)
	require.InDelta(t, math.Sqrt((8*0.0187083*0.0187083+8*0.01*0.01)/7), c.SD, 1e-6, "chance and order add up")
	require.InDelta(t, 1, c.Ratio, 1e-9)
	require.Equal(t, loop.PhaseBlocks, w.state().Phase(), "an A/A is no block")
	// what is void or alone is left out
	w.add("point.measured", loop.PointMeasured{Key: "alone", Point: "chat", Use: "main", Row: compare.Row{Phase: compare.PhaseAA, Block: new(8), LaunchID: "sglang-00.aa-8a",
		StartedAt: new(time.Now()), Workload: compare.Workload{Scenario: "chat"}, Metrics: compare.Metrics{"output_token_throughput": 1}}})
	require.Equal(t, found, w.state().Calibrations())
}

// onHost makes the hand-written campaign one of the harness's host, so that a contract opened there can find its A/A.
func onHost(t *testing.T, home string, change func(*contract.Contract)) *written {
	t.Helper()
	l := newLoop(t, home, newHost())
	r := request()
	r.Plan = true
	out, err := l.Open(t.Context(), r)
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	w := &written{t: t, c: terms()}
	w.c.Host, w.c.Target = c.Host, c.Target
	if change != nil {
		change(w.c)
	}
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	return w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest}).flags("sglang", "vllm").searched("sglang", "vllm")
}

func planned(t *testing.T, home string) (*contract.Contract, string) {
	t.Helper()
	r := request()
	r.Plan = true
	out, err := newLoop(t, home, newHost()).Open(t.Context(), r)
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	return c, strings.Join(out.Warnings, "\n")
}

func TestAPlanSaysWhatItsBlocksCanFind(t *testing.T) {
	t.Parallel()
	c, warnings := planned(t, t.TempDir())
	require.Equal(t, contract.NoiseAssumed, c.Noise.Source)
	require.Equal(t, 0.015, c.Noise.SD)
	require.Len(t, c.Noise.Looks, len(c.Blocks.Looks))
	for i, look := range c.Noise.Looks {
		require.Equal(t, c.Blocks.Looks[i], look.Blocks)
		require.Greater(t, look.MDE, c.Delta)
	}
	require.Contains(t, warnings, "vary by 1.50 % a block (assumed)")
	require.Contains(t, warnings, "run_benchmark with aa: true")
	require.Contains(t, warnings, "% of the projected cost")
}

func TestALaterContractPlansWithTheHostsAA(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	w := onHost(t, home, nil)
	for n := range 8 {
		w.aaPair(n, 2*spread[n])
	}
	w.in(home)
	c, warnings := planned(t, home)
	require.Equal(t, contract.NoiseAA, c.Noise.Source)
	require.Equal(t, campaignID, c.Noise.Campaign)
	require.Equal(t, 8, c.Noise.Pairs)
	require.Greater(t, c.Noise.SD, 0.03)
	require.Contains(t, warnings, "A/A of 8 pairs in "+campaignID)
	require.NotContains(t, warnings, "aa: true")
}

func TestAnAAExpires(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*contract.Contract){
		"driver":        func(c *contract.Contract) { c.Host.Driver = "older" },
		"boot":          func(c *contract.Contract) { c.Host.BootID = "before" },
		"governor":      func(c *contract.Contract) { c.Host.Clocks["cpu.governor"] = "powersave" },
		"power limit":   func(c *contract.Contract) { c.Host.Clocks["gpu0.power.limit"] = "350.00" },
		"no clocks":     func(c *contract.Contract) { c.Host.Clocks = nil },
		"GPU":           func(c *contract.Contract) { c.Host.GPUs = []int{7} },
		"host":          func(c *contract.Contract) { c.Host.Name = "other" },
		"simulated":     func(c *contract.Contract) { c.Host.Simulated = !c.Host.Simulated },
		"another entry": func(c *contract.Contract) { c.Target.Entry = "sglang-dev" },
	} {
		home := t.TempDir()
		w := onHost(t, home, change)
		for n := range 8 {
			w.aaPair(n, 2*spread[n])
		}
		w.in(home)
		c, _ := planned(t, home)
		require.Equal(t, contract.NoiseAssumed, c.Noise.Source, name)
	}
	home := t.TempDir()
	few := onHost(t, home, nil)
	for n := range 5 {
		few.aaPair(n, 2*spread[n])
	}
	few.in(home)
	c, _ := planned(t, home)
	require.Equal(t, contract.NoiseAssumed, c.Noise.Source, "five pairs plan nothing")
}

func TestAnotherReleaseEndsAnAA(t *testing.T) {
	t.Parallel()
	w := &written{t: t, c: terms()}
	w.c.Noise = &contract.Noise{SD: 0.04, Source: contract.NoiseAA, Looks: []contract.LookMDE{}, Release: "0.5.1 abc"}
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest})
	require.Zero(t, w.state().AssumedSD(), "the release in use is not known yet")
	w.add("help.captured", loop.HelpCaptured{Entry: "sglang", Version: framework.Version{Version: "0.5.1", Commit: "abc"}})
	require.Equal(t, 0.04, w.state().AssumedSD())
	w.add("help.captured", loop.HelpCaptured{Entry: "sglang", Version: framework.Version{Version: "0.5.2", Commit: "abc"}})
	require.Zero(t, w.state().AssumedSD())
}

func TestAnAANeedsCandidateZero(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	out, err := l.Open(t.Context(), request())
	require.NoError(t, err)
	_, err = l.Benchmark(t.Context(), loop.BenchmarkRequest{Campaign: out.Campaign, AA: true})
	require.ErrorContains(t, err, "candidate 0 of sglang has not been tried yet")
}
