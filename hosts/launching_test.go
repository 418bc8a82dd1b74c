package hosts_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
)

// TestLaunchingIsWhatDecidesAMeasurement edits an entry as a person, or a cheat, would.
func TestLaunchingIsWhatDecidesAMeasurement(t *testing.T) {
	t.Parallel()
	fresh := func() hosts.HostEntry {
		return hosts.HostEntry{SSH: "a", Device: "cuda", Env: map[string]string{"NCCL_DEBUG": "1"}, Secrets: []string{"B", "A"}, Engines: map[string]hosts.EngineEntry{
			"sglang": {Type: "sglang", Venv: "/v/s", Checkout: "/c", Env: map[string]string{"X": "1"}}, "vllm": {Type: "vllm", Venv: "/v/v"}, "other": {Type: "vllm", Venv: "/v/o"}}}
	}
	was := fresh().Launching("sglang", "vllm")
	require.Equal(t, map[string]string{"device": "cuda", "secrets": "A,B", "env.NCCL_DEBUG": "1", "engines.sglang.type": "sglang", "engines.sglang.venv": "/v/s", "engines.sglang.env.X": "1",
		"engines.vllm.type": "vllm", "engines.vllm.venv": "/v/v"}, was)
	for name, x := range map[string]struct {
		edit func(*hosts.HostEntry)
		same bool
	}{
		"a variable of the host":   {func(e *hosts.HostEntry) { e.Env["NCCL_DEBUG"] = "2" }, false},
		"one more":                 {func(e *hosts.HostEntry) { e.Env["LD_PRELOAD"] = "/x.so" }, false},
		"a variable of an engine":  {func(e *hosts.HostEntry) { delete(e.Engines["sglang"].Env, "X") }, false},
		"another environment":      {func(e *hosts.HostEntry) { e.Engines["vllm"] = hosts.EngineEntry{Type: "vllm", Venv: "/v/slow"} }, false},
		"a command instead":        {func(e *hosts.HostEntry) { e.Engines["vllm"] = hosts.EngineEntry{Type: "vllm", Command: "/v/v"} }, false},
		"an engine taken away":     {func(e *hosts.HostEntry) { delete(e.Engines, "vllm") }, false},
		"another secret":           {func(e *hosts.HostEntry) { e.Secrets = []string{"A"} }, false},
		"another order of secrets": {func(e *hosts.HostEntry) { e.Secrets = []string{"A", "B"} }, true},
		"another address":          {func(e *hosts.HostEntry) { e.SSH = "b" }, true},
		"another workdir":          {func(e *hosts.HostEntry) { e.Workdir = "/w" }, true},
		"an engine of no side":     {func(e *hosts.HostEntry) { delete(e.Engines, "other") }, true},
		"a model more":             {func(e *hosts.HostEntry) { e.Models = map[string]string{"m": "/m"} }, true},
		"how tests are run, a path": {func(e *hosts.HostEntry) {
			e.Engines["sglang"] = hosts.EngineEntry{Type: "sglang", Venv: "/v/s", Checkout: "/d", Env: map[string]string{"X": "1"}, TestRunner: []string{"x"}}
		}, true},
	} {
		e := fresh()
		x.edit(&e)
		require.Equal(t, x.same, maps.Equal(was, e.Launching("sglang", "vllm")), name)
	}
}
