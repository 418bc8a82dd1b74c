package framework_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	cases := []struct {
		of   contract.Framework
		text string
		want map[string]any
	}{
		{contract.SGLang, "python -m sglang.launch_server --model-path Qwen/Qwen3-8B --host 0.0.0.0 --port 30000 --tp 2 --chunked-prefill-size 8192 --enable-mixed-chunk",
			map[string]any{"tp": 2.0, "chunked-prefill-size": 8192.0, "enable-mixed-chunk": true}},
		{contract.SGLang, "sglang serve \\\n  --model-path m \\\r\n  --cuda-graph-bs 1 2 4 8 --attention-backend=fa3 --mem-fraction-static 0.82 --trust-remote-code",
			map[string]any{"cuda-graph-bs": []any{1.0, 2.0, 4.0, 8.0}, "attention-backend": "fa3", "mem-fraction-static": 0.82}},
		{contract.SGLang, "sglang serve --cuda-graph-bs 8 --chunked-prefill-size -1 --tool-call-parser qwen25 --reasoning-parser qwen3 --speculative-algorithm EAGLE",
			map[string]any{"cuda-graph-bs": []any{8.0}, "chunked-prefill-size": -1.0}},
		{contract.VLLM, "vllm serve Qwen/Qwen3-8B -tp 2 -O3 --max-num-seqs 256 --no-enable-prefix-caching --max-num-batched-tokens 8k -dp=2",
			map[string]any{"tensor-parallel-size": 2.0, "optimization-level": 3.0, "max-num-seqs": 256.0, "enable-prefix-caching": false, "max-num-batched-tokens": "8k", "data-parallel-size": 2.0}},
		{contract.VLLM, `vllm serve m --compilation-config '{"mode": 3}' --max_model_len 4096 -q fp8`, map[string]any{"compilation-config": `{"mode": 3}`}},
		{contract.VLLM, `vllm serve m -cc.mode=3 --compilation-config.pass-config.fuse_norm_quant true --async-scheduling`,
			map[string]any{"compilation-config": map[string]any{"mode": 3.0, "pass_config": map[string]any{"fuse_norm_quant": "true"}}, "async-scheduling": true}},
		{contract.VLLM, "python3 -m vllm.entrypoints.openai.api_server --model m --enforce-eager", map[string]any{"enforce-eager": true}},
		{contract.VLLM, "python -m vllm.entrypoints.cli.main serve m --max-num-seqs 8 --block-size 16 m2", map[string]any{"max-num-seqs": 8.0, "block-size": 16.0}},
		{contract.TensorRTLLM, "trtllm-serve serve m --backend pytorch --tp_size 4 --max_batch_size 128 --kv_cache_free_gpu_memory_fraction 0.75 --max_seq_len 12288",
			map[string]any{"tp-size": 4.0, "max-batch-size": 128.0, "kv-cache-free-gpu-memory-fraction": 0.75}},
		{contract.TokenSpeed, `ts serve "m" --max-num-seqs '64' --moe-backend ""`, map[string]any{"max-num-seqs": 64.0, "moe-backend": ""}},
		{contract.SGLang, "--page-size 16", map[string]any{"page-size": 16.0}},
		{contract.SGLang, "", map[string]any{}},
		{contract.SGLang, "--page-size 9007199254740993 --max-running-requests 007 --schedule-conservativeness inf", // what a float would change stays text
			map[string]any{"page-size": "9007199254740993", "max-running-requests": "007", "schedule-conservativeness": "inf"}},
	}
	for _, c := range cases {
		got, err := framework.ParseCommand(c.of, c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
	}
}

func TestParseCommandRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"vllm serve m --max-num-seqs $(id)":    `"$"`,
		"vllm serve m --max-num-seqs \"$N\"":   `"$"`,
		"vllm serve m --max-num-seqs \"`id`\"": "\"`\"",
		"vllm serve m; rm -rf /":               `";"`,
		"vllm serve m > log":                   `">"`,
		"vllm serve m | tee log":               `"|"`,
		"vllm serve m &":                       `"&"`,
		"(vllm serve m)":                       `"("`,
		"vllm serve 'm":                        "not closed",
		"vllm serve m --":                      "no flag name",
		"vllm serve m --=x":                    "no flag name",
		"vllm serve m -zz 3":                   "short flag",
		"vllm serve m --max-num-seqs 3\x00":    "NUL",
		"vllm serve m --middleware evil.C":     "loads code",
		"vllm serve m --config x.yaml":         "loads code",
		"vllm serve m --kv-transfer-config.kv_connector_module_path evil": "loads code",
		"vllm serve m --kv_transfer_config {}":                            "loads code",
	} {
		_, err := framework.ParseCommand(contract.VLLM, text)
		require.ErrorContains(t, err, says, text)
		require.NotEqual(t, fault.Internal, fault.CodeOf(err), text)
	}
	_, err := framework.ParseCommand("nonsense", "x")
	require.Error(t, err)
}

// TestQuoting cuts words as a POSIX shell does.
func TestQuoting(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`'a b'`: "a b", `"a b"`: "a b", `a\ b`: "a b", `"a\"b"`: `a"b`, `'a\b'`: `a\b`, `"a\b"`: `a\b`, `a'b'"c"`: "abc", `"a\\b"`: `a\b`,
		`'$x;|&'`: "$x;|&", `"a;b"`: "a;b", `""`: "", `a\$b`: "a$b", "'a\nb'": "a\nb", "\"a\\\nb\"": "ab", `{"a":1}`: "{a:1}",
	} {
		got, err := framework.ParseCommand(contract.VLLM, "vllm serve m --moe-backend "+text)
		require.NoError(t, err, text)
		require.Equal(t, map[string]any{"moe-backend": want}, got, text)
	}
}
