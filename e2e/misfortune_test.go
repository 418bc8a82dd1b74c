//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// What people, files and machines get wrong before anything is measured: each refusal says what is wrong and what to do,
// and once it is put right the same call works.
func TestWhatIsWrongIsSaidAndCanBePutRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	a, _ := w.stdioAgent(server.Era2026)
	with := func(key string, value any) map[string]any {
		terms := w.terms()
		terms[key] = value
		return terms
	}
	look := func() answer {
		a.t.Helper()
		return a.call("list_hosts", map[string]any{"refresh": true}).list("hosts")[0]
	}

	a.refused("open_campaign", with("host", "simhots"), "simhots", "simhost")
	a.refused("open_campaign", with("model", "Qwen3-80B"), "model_gap", "Qwen3-80B")
	a.refused("open_campaign", with("gpus", []int{7}), "7", "list_hosts")
	a.refused("open_campaign", with("max_blocks", 3), "fair.decidable")
	a.refused("open_campaign", with("sla", map[string]any{"max_p99_ttft_ms": 5}), "max_p99_ttft_ms", "num_prompts")
	a.refused("open_campaign", with("target", "sglng"), "sglng", "sglang")
	a.refused("get_campaign", map[string]any{"campaign": "nope"}, "nope", "open_campaign")

	// hosts.yaml is broken, and put right.
	good, err := os.ReadFile(w.config("hosts.yaml"))
	require.NoError(t, err)
	w.write("hosts.yaml", strings.Replace(string(good), "device: cuda", "device: quantum", 1))
	a.refused("list_hosts", nil, "hosts.yaml:4:", "quantum", "cuda")
	w.write("hosts.yaml", strings.Replace(string(good), "    gpus: [", "    gpus: ]", 1))
	a.refused("open_campaign", w.terms(), "hosts.yaml:5:")
	w.write("hosts.yaml", strings.ReplaceAll(string(good), "workdir:", "workdri:"))
	a.refused("list_hosts", nil, "hosts.yaml:6:", "workdri", "workdir")
	w.write("hosts.yaml", string(good))
	require.Equal(t, "ok", look().text("state"))

	// An engine's executable is missing.
	w.writeHosts(fmt.Sprintf("      gone: {type: vllm, venv: %q}\n", w.home+"/no-venv"))
	a.refused("open_campaign", with("against", []string{"gone"}), "gone", "no-venv", "env_gap")
	require.Contains(t, look().String(), "no-venv")
	w.writeHosts("")

	// Nobody answers.
	w.door.shut()
	require.Equal(t, "unreachable", look().text("state"))
	a.refused("open_campaign", w.terms(), "host_unreachable", "simhost")
	w.door.open()
	require.Equal(t, "ok", look().text("state"))

	// Another machine answers under the host's name.
	known, err := os.ReadFile(w.config("known_hosts"))
	require.NoError(t, err)
	w.door.shut()
	w.door.open()
	w.write("known_hosts", w.strangersKey(string(known)))
	require.Contains(t, look().text("problem"), "key")
	a.refused("open_campaign", w.terms(), "host_key", "known_hosts")
	w.write("known_hosts", string(known))

	// Nothing of this was kept, and everything works.
	require.Empty(t, a.call("get_campaign", nil).list("items"))
	a.open(w, with("budget_launches", 1))
	a.refused("search_deployments", map[string]any{"framework": "sglang"}, "flow.help-first", "list_flags")
	for _, entry := range []string{"sglang", "vllm"} {
		a.job("list_flags", map[string]any{"framework": entry})
	}
	a.refused("search_deployments", map[string]any{"framework": "sglang", "space": map[string]any{"max-runing-requests": []any{4}}}, "flow.unknown-flag", "max-running-requests")
	a.refused("search_deployments", map[string]any{"framework": "sglang", "space": map[string]any{"max-running-requests": []any{"many"}}}, "max-running-requests", "many")
	a.refused("search_deployments", map[string]any{"framework": "sglang", "base_flags": map[string]any{"model-path": "/elsewhere"}}, "flow.flag-class", "model-path")
	a.refused("search_deployments", map[string]any{"framework": "lmdeploy"}, "lmdeploy", "sglang")
	a.refused("run_benchmark", map[string]any{"candidates": []string{"sglang-00", "vllm-00"}}, "sglang")
	a.refused("compare_results", nil, "flow.blocks-first")
	a.refused("write_report", nil, "flow.rows-first")

	// Somebody else works on the GPU.
	c, err := w.host.Config()
	require.NoError(t, err)
	c.Busy = []sim.BusyGPU{{Index: 0, PID: 4711, Name: "python train.py", MemoryMiB: 30000, UtilizePct: 98}}
	require.NoError(t, w.host.SetConfig(c))
	require.Equal(t, true, look().list("gpus")[0]["busy"])
	args := map[string]any{"framework": "sglang"}
	a.failing("search_deployments", args, "busy", "train.py")
	c.Busy = nil
	require.NoError(t, w.host.SetConfig(c))
	require.Equal(t, "sglang-00", a.job("search_deployments", args).text("best"))

	// An engine's streams break off in the measured load: a result, kept with its reason, and no more than that.
	c.Fault = "vllm:truncate-stream=12"
	require.NoError(t, w.host.SetConfig(c))
	args = map[string]any{"framework": "vllm"}
	require.Equal(t, "done", a.wait(a.call("search_deployments", args).text("job")).text("state"))
	a.refused("search_deployments", args, "framework_failed", "truncated", "write_report")
	kept := a.call("get_campaign", map[string]any{"section": "candidates"}).list("items")[1]
	require.Equal(t, "failed", kept.text("status"), "%s", kept)
	require.Contains(t, kept.text("reason"), "truncated")
	c.Fault = ""
	require.NoError(t, w.host.SetConfig(c))
	require.Equal(t, "none", a.call("write_report", nil).text("verdict"))
	a.verified(w)
	require.Equal(t, map[string]int{"sglang-00.search": 1, "vllm-00.search": 1}, readLedger(t, a.runDir).count("launch.ended", "launch"))
}

// failing makes a call whose job fails, and checks that its end and the next call say why.
func (a *agent) failing(tool string, args map[string]any, words ...string) {
	a.t.Helper()
	out, refused := a.try(tool, args)
	if !refused {
		require.Equal(a.t, "running", out.text("state"), "%s: %s", tool, out)
		end := a.wait(out.text("job"))
		require.Equal(a.t, "failed", end.text("state"), "%s: %s", tool, end)
		for _, word := range words {
			require.Contains(a.t, end.String(), word)
		}
		out, refused = a.try(tool, args)
		require.True(a.t, refused, "%s: %s", tool, out)
	}
	a.clear(out, words...)
}

// What breaks while blocks are measured: the connection, the worker, the trust in the host's key, the host's disk. The
// campaign goes on each time, by itself or with the same call once more, and ends with each block measured once.
func TestWhatBreaksOnTheWayIsMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{})
	disk := w.smallDisk()
	a, _ := w.stdioAgent(server.Era2026)
	terms := w.terms()
	terms["budget_launches"] = 1
	a.open(w, terms)
	for _, entry := range []string{"sglang", "vllm"} {
		a.job("list_flags", map[string]any{"framework": entry})
		a.job("search_deployments", map[string]any{"framework": entry})
	}
	blocks := map[string]any{"candidates": []string{"sglang-00", "vllm-00"}}
	job := a.call("run_benchmark", blocks).text("job")

	w.happens("launch.started .block-0")
	w.door.shut()
	a.until(job, func(out answer) bool { return strings.Contains(out.text("doing"), "cannot be reached") })
	w.door.open()
	w.happens("launch.started .block-1")

	worker := w.processes(" worker run --dir ")
	require.Len(t, worker, 1)
	worker[0].end()
	a.until(job, func(out answer) bool { return strings.Contains(fmt.Sprint(out["log"]), "the worker was lost") })

	known, err := os.ReadFile(w.config("known_hosts"))
	require.NoError(t, err)
	w.write("known_hosts", w.strangersKey(string(known)))
	w.door.shut()
	w.door.open()
	a.failing("run_benchmark", blocks, "is changed", "known_hosts")
	w.write("known_hosts", string(known))

	if disk != nil {
		a.call("run_benchmark", blocks)
		w.happens("launch.started .block-4")
		disk.fill()
		a.failing("run_benchmark", blocks, "no space left on device", "free space", "call again")
		disk.empty()
	}
	require.Len(t, a.job("run_benchmark", blocks).list("rows"), 12)
	require.Equal(t, "loss", a.call("compare_results", nil).list("verdicts")[0].text("verdict"))
	a.call("write_report", nil)
	a.verified(w)
	led := readLedger(t, a.runDir)
	led.factsOnce(t)
	require.Equal(t, map[string]int{"search": 2, "block": 12}, led.count("launch.ended", "phase"))
	require.Equal(t, 1, led.count("run.ended", "state")["lost"])
}
