//go:build linux

package e2e_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// metricsOfNoise are the figures whose noise between launches the field report tells.
var metricsOfNoise = []string{"output_token_throughput", "p50_ttft_ms", "p50_tpot_ms", "p50_itl_ms", "p50_e2e_ms"}

// An engine against itself, launch by launch: what this host calls a difference where there is none.
func TestCPUSame(t *testing.T) {
	w, dir := newCPUWorld(t, "same")
	a, _ := w.stdioAgent(server.Era2026)
	a.patience = time.Hour
	a.call("list_hosts", map[string]any{"refresh": true})
	serve := "python -m sglang.launch_server --model-path " + cpuModel
	terms := cpuTerms()
	delete(terms, "budget_launches")
	terms["study"], terms["key"], terms["against"], terms["max_blocks"], terms["commands"] = "ab", "field", []string{"sglang-again"}, 6, map[string]string{"sglang": serve, "sglang-again": serve}
	opened := a.call("open_campaign", terms)
	a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
	for _, entry := range []string{"sglang", "sglang-again"} {
		a.job("list_flags", map[string]any{"framework": entry})
	}
	a.job("run_benchmark", map[string]any{"candidates": []string{"sglang-00", "sglang-again-00"}, "blocks": 6})
	verdict := a.call("compare_results", nil).list("verdicts")[0]
	noise := map[string]map[string]float64{}
	for _, metric := range metricsOfNoise {
		noise[metric] = spread(a.blockFigures("sglang", metric), a.blockFigures("sglang-again", metric))
	}
	a.call("write_report", nil)
	a.verified(w)
	keep(t, dir, "same", map[string]any{"run_dir": a.runDir, "verdict": verdict, "noise": noise})
	require.NotContains(t, []string{"win", "loss"}, verdict.text("verdict"), "an engine differs from itself: %s", verdict)
}

// spread tells the noise between two series of launches: the mean and the standard deviation of the log-ratios block by
// block, and the coefficient of variation over all launches.
func spread(one, other []float64) map[string]float64 {
	var ratios, all []float64
	for i := range min(len(one), len(other)) {
		ratios = append(ratios, math.Log(one[i]/other[i]))
		all = append(all, one[i], other[i])
	}
	mean, sd := moments(ratios)
	level, deviation := moments(all)
	return map[string]float64{"mean_log_ratio": mean, "sd_log_ratio": sd, "cv": deviation / level, "median": median(all), "blocks": float64(len(ratios))}
}

// moments are the mean and the sample standard deviation.
func moments(values []float64) (mean, sd float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sd += (v - mean) * (v - mean) / float64(len(values)-1)
	}
	return mean, math.Sqrt(sd)
}
