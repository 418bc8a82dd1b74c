package loop_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/sim"
)

func TestApproversAreShownWhatCouldWinABenchmarkAlone(t *testing.T) {
	t.Parallel()
	slots := 32
	c := &contract.Contract{Model: contract.Model{ID: "acme/tiny-8b"}, Scenarios: []contract.Scenario{{Name: "chat", InputLen: 1000, OutputLen: 500, NumPrompts: 160, MaxConcurrency: &slots}}}
	diff := func(file string, lines ...string) string {
		return fmt.Sprintf("diff --git a/%[1]s b/%[1]s\n--- a/%[1]s\n+++ b/%[1]s\n@@ -7,2 +7,9 @@ def f():\n context\n-gone\n+%[2]s\n", file, strings.Join(lines, "\n+"))
	}
	for line, want := range map[string]string{
		"    if x.shape[0] == 1000:":                       "names 1000, the input_len of scenario chat",
		"    if batch in (31, 32):":                        "names 32, the max_concurrency of scenario chat",
		"    if n == 1_500:":                               "names 1500, the input_len + output_len of scenario chat",
		`    if "tiny-8B" in path:`:                        `names the contract's model "tiny-8b"`,
		"    time.sleep(0.01)":                             "waits: \"time.sleep\"",
		"    __nanosleep(100);":                            "waits: \"__nanosleep(\"",
		"@functools.lru_cache(None)":                       "keeps results for later: \"lru_cache\"",
		"_answers_cache = {}":                              "keeps results for later: \"_answers_cache = {}\"",
		`    if os.environ.get("FAST"):`:                   "depends on the environment: \"os.environ\"",
		`    if req.user_agent == "x":`:                    "depends on who asks: \"user_agent\"",
		"    if req.ignore_eos:":                           "touches when an answer ends: \"ignore_eos\"",
		"    temperature = 0":                              "touches sampling: \"temperature\"",
		"    if time.time() % 2:":                          "reads the clock: \"time.time(\"",
		"    subprocess.run(cmd)":                          "reaches outside its process: \"subprocess.r\"",
		"    exec(code)":                                   "runs code that the diff does not show: \"exec(\"",
		"    x = torch.empty(7, 128, dtype=torch.float16)": "",
		"    y = model.eval()":                             "",
		"    z = self.kv_cache[layer]":                     "",
		"    w = v1000 + 0.500 + 2.1000":                   "",
	} {
		found := loop.Suspects(diff("python/sglang/a.py", line), c)
		if want == "" {
			require.Empty(t, found, line)
			continue
		}
		require.NotEmpty(t, found, line)
		require.Equal(t, want, found[0].What, line)
		require.Equal(t, 8, found[0].Line, line)
		require.Equal(t, "python/sglang/a.py", found[0].Path)
	}
	require.Equal(t, "is code that decides what is answered", loop.Suspects(diff("srt/layers/sampler.py", "x = 1"), c)[0].What)
	require.Equal(t, "is code that decides what is answered", loop.Suspects(diff("srt/managers/detokenizer_manager.py", "x = 1"), c)[0].What)
	require.Empty(t, loop.Suspects("--- a/a.py\n+++ b/a.py\n@@ -1,2 +1 @@\n-time.sleep(1)\n context\n", c), "what goes is no suspicion")
	require.Len(t, loop.Suspects(diff("a.py", strings.Repeat("time.sleep(1)\n+", 500)), c), 40, "an approver is not flooded")
	require.Empty(t, loop.Suspects(string(sim.DemoPatch()), c), "an honest patch may have none")
}
