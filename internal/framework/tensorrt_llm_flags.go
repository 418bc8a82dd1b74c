package framework

// tensorRTFlags is read from the options of trtllm-serve 1.0 to 1.2.
var tensorRTFlags = table{
	forbidden: words(`config extra-llm-api-options custom-module-dirs custom-tokenizer chat-template extra-encoder-options extra-visual-gen-options`),
	contract: words(`backend tokenizer model revision trust-remote-code max-seq-len max-input-len max-beam-width kv-cache-dtype
		reasoning-parser tool-parser media-io-kwargs skip-tokenizer-init served-model-name`),
	host: words(`host port log-level metadata-server-config-file server-role fail-fast-on-attention-window-too-large otlp-traces-endpoint
		disagg-cluster-uri gpus-per-node`),
	pinned: words(`free-gpu-memory-fraction kv-cache-free-gpu-memory-fraction kv-cache-free-gpu-mem-fraction`),
	search: words(`context-parallel-size cp-size`),
	ints:   words(`max-batch-size max-num-tokens max-beam-width max-seq-len tp-size pp-size ep-size cp-size cluster-size num-postprocess-workers`),
	floats: words(`free-gpu-memory-fraction kv-cache-free-gpu-memory-fraction kv-cache-free-gpu-mem-fraction`),
	roles: map[string]string{
		"tp-size": "tp", "tp": "tp", "tensor-parallel-size": "tp", "pp-size": "pp", "pp": "pp", "pipeline-parallel-size": "pp",
		"ep-size": "ep", "ep": "ep", "moe-expert-parallel-size": "ep", "max-seq-len": "context", "backend": "backend",
	},
}
