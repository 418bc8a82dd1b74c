package framework_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/framework"
)

func TestLastError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ log, want string }{
		"empty":   {"", ""},
		"healthy": {"INFO: all fine\n0 errors\nlog_level='error'\n", ""},
		"traceback": {"INFO starting\nTraceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    raise ValueError('a: b')\nValueError: head size 80 is not supported\n",
			"ValueError: head size 80 is not supported"},
		"dotted class": {"Traceback (most recent call last):\ntorch.AcceleratorError: CUDA error: misaligned address\nCUDA kernel errors might be asynchronously reported\n", "torch.AcceleratorError: CUDA error: misaligned address"},
		"vLLM: the cause above its consequences": {
			"(EngineCore pid=811) ERROR 11-23 10:00:08 [core.py:1330] EngineCore failed to start.\n" +
				"(EngineCore pid=811) ERROR 11-23 10:00:08 [core.py:1330] Traceback (most recent call last):\n" +
				"(EngineCore pid=811) ERROR 11-23 10:00:08 [core.py:1330]   File \"/v/core.py\", line 9, in run\n" +
				"(EngineCore pid=811) ERROR 11-23 10:00:08 [core.py:1330] AssertionError: num_kv_heads must divide\n" +
				"(APIServer pid=700) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n",
			"AssertionError: num_kv_heads must divide"},
		"SGLang: a child": {
			"[2026-11-23 10:00:08 TP0] Scheduler hit an exception: Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nKeyError: 'rope_scaling'\n\n[2026-11-23 10:00:09] Received sigquit from a child process. It usually means the child failed.\n",
			"KeyError: 'rope_scaling'"},
		"TokenSpeed: the engine's line":  {"[engine] RuntimeError: boom\n_ChildExitedDuringStartup: engine subprocess exited with rc=1 during startup; see [engine] log lines above for the cause\n", "RuntimeError: boom"},
		"only a consequence":             {"RuntimeError: Engine core initialization failed. See root cause above.\n", "RuntimeError: Engine core initialization failed. See root cause above."},
		"argparse":                       {"usage: x [-h]\nx: error: argument --a: invalid choice: 'b'\n", "x: error: argument --a: invalid choice: 'b'"},
		"click":                          {"Usage: x\n\nError: No such option: --a\n", "Error: No such option: --a"},
		"a C++ end":                      {"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n", "terminate called after throwing an instance of 'std::bad_alloc'"},
		"killed":                         {"loading\nKilled\n", "Killed"},
		"colours":                        {"\x1b[31mERROR\x1b[0m 11-23 10:00:08 [x.py:1] \x1b[1mValueError: bad\x1b[0m\n", "ValueError: bad"},
		"carriage returns":               {"Loading 10%\rLoading 20%\r\nValueError: bad\r\n", "ValueError: bad"},
		"hidden characters":              {"ValueError: a\u202eb\x00c\x07\n", "ValueError: abc"},
		"no exception inside a sentence": {"see the ValueError: docs\nRuntimeWarning: x\nerror: it broke\n", "error: it broke"},
	} {
		require.Equal(t, c.want, framework.LastError(c.log), name)
	}
	long := framework.LastError("ValueError: " + strings.Repeat("é", 400))
	require.LessOrEqual(t, len(long), 300)
	require.True(t, strings.HasPrefix(long, "ValueError: é"))
}

// TestLastErrorFindsTheCause in every realistic log.
func TestLastErrorFindsTheCause(t *testing.T) {
	t.Parallel()
	for _, c := range failureLogs {
		got := framework.LastError(c.log)
		require.NotEmpty(t, got, c.log)
		require.Contains(t, c.log, got)
		if !strings.Contains(got, "Engine core initialization failed") {
			continue
		}
		require.NotContains(t, c.log, "\nValueError: ")
	}
}
