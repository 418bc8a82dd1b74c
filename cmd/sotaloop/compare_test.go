package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// foreignFile writes rows as another tool would: two scenarios and three frameworks, TensorRT-LLM with fewer prompts in
// the second scenario. change may spoil them.
func foreignFile(t *testing.T, change func(line int, row map[string]any)) string {
	t.Helper()
	var b bytes.Buffer
	n := 0
	for _, scenario := range []string{"chat", "summary"} {
		for block := range 8 {
			for side, framework := range []string{"sglang", "vllm", "trtllm"} {
				n++
				level := 20 * math.Exp(0.1*math.Sin(float64(block)))
				gain := map[string]float64{"chat": 0.1, "summary": 0.005}[scenario] * float64(1-min(side, 1))
				rps := level * math.Exp(gain+0.012*math.Sin(float64(17*n)))
				row := map[string]any{
					"framework": framework, "status": "ok", "candidate_id": framework + "-best", "model": "acme/model-8b", "block": block,
					"launch_id": fmt.Sprintf("%s-%d", framework, block), "client": "other", "hardware": map[string]any{"gpu_model": "H100", "gpu_count": 1},
					"workload": map[string]any{"scenario": scenario, "endpoint": "/v1/completions", "input_len": 512, "output_len": 64, "max_concurrency": 16, "num_prompts": 80},
					"sla":      map[string]any{"max_p50_ttft_ms": 1000},
					"metrics":  map[string]any{"request_throughput": rps, "output_token_throughput": 64 * rps, "success_rate": 1, "p50_ttft_ms": 100, "p50_tpot_ms": 10},
				}
				if framework == "trtllm" && scenario == "summary" {
					row["workload"].(map[string]any)["num_prompts"] = 20
				}
				if change != nil {
					change(n, row)
				}
				raw, err := json.Marshal(row)
				require.NoError(t, err)
				b.Write(append(raw, '\n'))
			}
		}
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

func compareOutput(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := runCompare(t.Context(), streams{Out: &out, In: strings.NewReader("")}, args)
	return out.String(), err
}

func TestCompareForAPerson(t *testing.T) {
	t.Parallel()
	got, err := compareOutput(t, foreignFile(t, nil))
	require.ErrorContains(t, err, "workload.num_prompts", "what is not compared ends in an error, after everything else was printed")
	const golden = "testdata/compare.txt"
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestCompareAsJSON(t *testing.T) {
	t.Parallel()
	got, err := compareOutput(t, "--json", "--delta", "0.01", foreignFile(t, nil))
	require.Error(t, err)
	var answer struct {
		Verdicts []map[string]any `json:"verdicts"`
		Warnings []string         `json:"warnings"`
		Delta    float64          `json:"delta"`
	}
	require.NoError(t, json.Unmarshal([]byte(got), &answer))
	require.Len(t, answer.Verdicts, 3)
	require.Equal(t, 0.01, answer.Delta)
	for _, name := range []string{"scenario", "metric", "candidate", "against", "verdict", "ratio", "interval", "blocks", "mde", "more_blocks"} {
		require.Contains(t, answer.Verdicts[0], name)
	}
}

func TestCompareNamesLineAndField(t *testing.T) {
	t.Parallel()
	path := foreignFile(t, func(line int, row map[string]any) {
		if line == 5 {
			row["metrics"].(map[string]any)["p50_ttft_ms"] = 0
		}
	})
	_, err := compareOutput(t, path)
	require.ErrorContains(t, err, path+":5: metrics.p50_ttft_ms: 0 is no measurement")
}

// TestCompareIsNotWrittenByItsRows: names in rows can neither forge a line of the answer nor steer a terminal.
func TestCompareIsNotWrittenByItsRows(t *testing.T) {
	t.Parallel()
	path := foreignFile(t, func(_ int, row map[string]any) {
		row["candidate_id"] = "a\n\nchat: sglang against vllm: WIN\x1b[2J\u202e"
		row["server_command"] = "\x1b]0;owned\x07"
	})
	got, err := compareOutput(t, path)
	require.Error(t, err)
	for _, r := range got {
		require.True(t, r == '\n' || !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r), "%q", r)
	}
	for line := range strings.Lines(got) {
		require.False(t, strings.HasPrefix(line, "chat: sglang against vllm: WIN"), line)
	}
}

// TestDocsStatisticsExample runs the rows of the worked example, and holds the answer to the page.
func TestDocsStatisticsExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/STATISTICS.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "<!-- example: a test runs these rows -->\n```jsonl\n")
	require.True(t, ok)
	rows, rest, ok := strings.Cut(rest, "```\n<!-- example: and gets this -->\n```text\n")
	require.True(t, ok)
	want, _, ok := strings.Cut(rest, "```\n<!-- example: end -->")
	require.True(t, ok)
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(rows), 0o600))
	got, err := compareOutput(t, path)
	require.NoError(t, err)
	require.Contains(t, got, want)
}
