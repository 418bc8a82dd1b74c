//go:build linux

package e2e_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// The studies besides the whole loop, each on a GPU of its own, by one server at the same time.
func TestStudies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{GPUs: 4})
	first, _ := w.stdioAgent(server.Era2026)
	first.call("list_hosts", map[string]any{"refresh": true})
	serve := "python -m sglang.launch_server --model-path " + w.layout.ModelPath + " --port 30000 --max-running-requests 2"
	slots := func(primary string) []map[string]any {
		return []map[string]any{{"name": "chat", "input_len": 64, "output_len": 12, "max_concurrency": 4, "num_prompts": 32, "warmup_waves": 1, "primary": primary}}
	}
	for gpu, c := range []struct {
		name    string
		terms   map[string]any
		search  map[string]map[string]any // by side; nil where commands are fixed
		blocks  int
		verdict string
		against string
	}{
		{name: "tune", terms: map[string]any{"study": "tune", "target": "sglang", "against": nil, "incumbent": serve, "scenarios": slots("p50_e2e_user_ms")},
			search: map[string]map[string]any{"sglang": {"max-running-requests": []any{64}}}, blocks: 6, verdict: "win", against: "sglang@incumbent-00"},
		{name: "ab", terms: map[string]any{"study": "ab", "commands": map[string]any{"sglang": serve, "vllm": "vllm serve " + w.layout.ModelPath}, "scenarios": slots("p50_e2e_user_ms")},
			blocks: 6, verdict: "loss", against: "vllm-00"},
		{name: "look", terms: map[string]any{"study": "look", "max_blocks": nil}, blocks: 2, verdict: "inconclusive", against: "vllm-00"},
		{name: "vllm as target", terms: map[string]any{"target": "vllm", "against": []string{"sglang"}, "budget_launches": 1},
			search: map[string]map[string]any{"sglang": {}, "vllm": {}}, blocks: 6, verdict: "win", against: "sglang-00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := &agent{t: t, w: w, client: first.client}
			terms := w.terms()
			maps.Copy(terms, c.terms)
			maps.DeleteFunc(terms, func(_ string, v any) bool { return v == nil })
			terms["gpus"] = []int{gpu}
			opened := a.call("open_campaign", terms)
			a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
			a.measured(c.search, c.blocks, terms["target"].(string), c.against)
			verdicts := a.call("compare_results", nil).list("verdicts")
			require.Len(t, verdicts, 1)
			require.Equal(t, c.verdict, verdicts[0].text("verdict"), "%s", verdicts[0])
			require.Equal(t, c.against, verdicts[0].text("against"))
			require.Equal(t, c.name == "look", strings.Contains(fmt.Sprint(a.call("get_campaign", nil)["warnings"]), "no verdict"))
			a.call("write_report", nil)
			a.verified(w)
			led := readLedger(t, a.runDir)
			led.nothingTwice(t, w)
			require.Equal(t, 2*c.blocks, led.count("launch.ended", "phase")["block"])
		})
	}
}

// measured captures flags as every answer asks, searches the sides that are searched, and runs the blocks.
func (a *agent) measured(search map[string]map[string]any, blocks int, target, against string) {
	a.t.Helper()
	candidates := []string{target + "-00", against}
	for range 2 {
		next := a.call("get_campaign", nil).list("allowed")[0]
		if next.text("tool") != "list_flags" {
			break
		}
		words := strings.Fields(next.text("why"))
		require.NotEmpty(a.t, a.job("list_flags", map[string]any{"framework": words[len(words)-1]}).text("version"))
	}
	require.NotEqual(a.t, "list_flags", a.call("get_campaign", nil).list("allowed")[0].text("tool"))
	for _, side := range []string{target, strings.TrimSuffix(against, "-00")} {
		space, ok := search[side]
		if !ok {
			continue
		}
		args := map[string]any{"framework": side}
		if len(space) > 0 {
			args["space"] = space
		}
		found := a.job("search_deployments", args)
		if side == target {
			candidates[0] = found.text("best")
		} else {
			candidates[1] = found.text("best")
		}
	}
	a.job("run_benchmark", map[string]any{"candidates": candidates, "blocks": blocks})
	for _, row := range readLines[answer](a.t, filepath.Join(a.runDir, "benchmark", "candidates.jsonl")) {
		require.NotEmpty(a.t, row.text("framework_version"), "%s", row)
	}
}
