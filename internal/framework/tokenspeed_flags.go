package framework

// tokenSpeedFlags is read from the engine flags of TokenSpeed 0.1.1.
var tokenSpeedFlags = table{
	forbidden: words(`config ext-yaml chat-template custom-weight-loader middleware kvstore-storage-backend kvstore-storage-backend-extra-config
		init-expert-location model-update-config model-update-sdk-module model-update-engine-type engram-host-table-dir pdlb-url`),
	contract: words(`model model-path revision tokenizer tokenizer-path tokenizer-mode skip-tokenizer-init load-format trust-remote-code dtype
		quantization quantization-param-path kv-cache-dtype kv-cache-quant-method max-model-len context-length served-model-name seed
		random-seed speculative-config speculative-draft-model-path json-model-override-args hf-overrides device language-model-only
		reasoning-parser tool-call-parser preferred-sampling-params disable-any-whitespace skip-softmax-threshold layer-boundary-norm
		router-topk moe-combine-order dsa-slot-order ep-dispatch-algorithm`),
	host: words(`host port api-key app-key log-level headless prometheus-port dist-init-addr nnodes node-rank nprocs-per-node world-size
		distributed-timeout-seconds download-dir header stream-interval stream-output zmq-msgpack zmq-engine-index base-gpu-id gpu-id-step
		rl-control-port rl-control-host rl-control-api-key kv-events-config load-watch-interval disaggregation-ib-device
		enable-nan-detection engram-host-table engram-host-table-layout expert-distribution-recorder-mode data-parallel-address
		data-parallel-rpc-port metrics-reporters`),
	pinned: words(`gpu-memory-utilization`),
	search: words(`attention-backend moe-backend all2all-backend sampling-backend sampling-stream dp-sampling dp-sampling-min-bs disable-sampling-tp-sync
		load-balance-method eplb-algorithm cudagraph-capture-sizes prefill-graph-capture-sizes prefill-graph-capture-token-sizes
		prefill-graph-capture-batch-sizes chunked-prefill-size max-num-batched-tokens
		lm-head-tp-size deepseek-v4-indexer-prefill-max-logits-mb decode-context-parallel-size prefill-context-parallel-size`),
	ints: words(`max-num-seqs max-num-batched-tokens max-total-tokens max-model-len max-prefill-tokens seed tp attn-tp-size node-rank nnodes
		nprocs-per-node base-gpu-id gpu-id-step port data-parallel-rpc-port zmq-engine-index ep-num-redundant-experts prefix-granularity
		eplb-rebalance-layers-per-chunk deepseek-v4-mega-moe-max-num-tokens deepseek-v4-indexer-prefill-max-logits-mb
		speculative-eagle-topk speculative-num-draft-tokens input-logprob-chunk-tokens grammar-compile-max-retries
		prefill-graph-max-tokens weight-loader-prefetch-num-threads low-latency-max-num-tokens-per-gpu mla-chunk-multiplier
		disaggregation-bootstrap-port comm-fusion-max-num-tokens rl-control-port distributed-timeout-seconds`),
	floats: words(`gpu-memory-utilization kvstore-ratio load-watch-interval skip-softmax-threshold grammar-compile-timeout-secs
		spec-reject-draft-prob-threshold`),
	lists:   words(`cudagraph-capture-sizes prefill-graph-capture-sizes prefill-graph-capture-token-sizes prefill-graph-capture-batch-sizes`),
	objects: words(`speculative-config hf-overrides preferred-sampling-params kv-events-config`),
	roles: map[string]string{
		"tensor-parallel-size": "tp", "tp-size": "tp", "tp": "tp", "attn-tp-size": "tp", "data-parallel-size": "dp", "dp-size": "dp",
		"pipeline-parallel-size": "pp", "expert-parallel-size": "ep", "ep-size": "ep", "max-model-len": "context", "context-length": "context",
	},
}
