package framework

// sglangFlags is read from the flags of SGLang 0.5.15.post1, with older spellings.
var sglangFlags = table{
	forbidden: words(`config chat-template completion-template custom-weight-loader enable-custom-logit-processor forward-hooks tool-server
		warmups radix-cache-backend hicache-storage-backend hicache-storage-backend-extra-config enable-lmcache lmcache-config-file
		export-metrics-to-file export-metrics-to-file-dir msprobe-dump-config delete-ckpt-after-loading init-expert-location deepep-config
		modelexpress-config speculative-adaptive-config dllm-algorithm-config debug-tensor-dump-output-folder debug-tensor-dump-input-file
		debug-tensor-dump-layers model-checksum weight-loader-disable-mmap`),
	contract: words(`model-path model revision tokenizer-path tokenizer-mode tokenizer-backend skip-tokenizer-init load-format trust-remote-code
		dtype quantization quantization-param-path kv-cache-dtype json-model-override-args context-length is-embedding enable-multimodal
		model-impl model-config-parser model-loader-extra-config served-model-name speculative-draft-model-path speculative-draft-model
		device random-seed cpu-offload-gb lora-paths enable-lora hf-chat-template-name kt-method preferred-sampling-params
		reasoning-parser tool-call-parser sampling-defaults constrained-json-whitespace-pattern constrained-json-disable-any-whitespace
		enable-mis prefill-only-disable-kv-cache language-only encoder-only ep-dispatch-algorithm mamba-cache-philox-rounds
		lora-target-modules enable-hisparse kt-cpuinfer kt-threadpool-count kt-num-gpu-experts kt-max-deferred-experts-per-token`),
	host: words(`host port nccl-port nccl-init-addr dist-init-addr dist-timeout nnodes node-rank api-key admin-api-key log-level log-level-http
		log-requests log-requests-level log-requests-target file-storage-path fastapi-root-path ssl-keyfile ssl-certfile ssl-ca-certs
		ssl-keyfile-password base-gpu-id gpu-id-step download-dir show-time-cost enable-metrics crash-dump-folder decode-log-interval
		stream-interval stream-output incremental-streaming-output batch-notify-size stream-response-default-include-usage
		enable-cache-report enable-streaming-session enable-session-radix-cache trace-modules kv-events-config use-ray
		tokenizer-metrics-custom-labels-header tokenizer-metrics-allowed-custom-labels collect-tokens-histogram
		mooncake-ib-device disaggregation-ib-device elastic-ep-backend elastic-ep-rejoin enable-elastic-expert-backup
		encoder-urls encoder-register-urls bucket-time-to-first-token bucket-inter-token-latency bucket-e2e-request-latency
		generation-tokens-buckets gc-warning-threshold-secs load-snapshot-publish-interval enable-forward-pass-metrics
		expert-distribution-recorder-mode expert-distribution-recorder-buffer-size enable-expert-distribution-metrics`),
	pinned: words(`mem-fraction-static schedule-policy`),
	search: words(`attention-backend prefill-attention-backend decode-attention-backend sampling-backend fp8-gemm-backend fp4-gemm-backend
		bf16-gemm-backend fp8-gemm-runner-backend fp4-gemm-runner-backend cuda-graph-bs cuda-graph-bs-decode cuda-graph-bs-prefill
		piecewise-cuda-graph-tokens load-balance-method tokenizer-worker-num detokenizer-worker-num enable-dynamic-batch-tokenizer
		dynamic-batch-tokenizer-batch-size dynamic-batch-tokenizer-batch-timeout enable-tokenizer-batch-encode
		disable-tokenizer-batch-decode numa-node gc-threshold enable-dp-lm-head eplb-algorithm mamba-scheduler-strategy
		dsa-paged-mqa-logits-backend enable-fused-qk-norm-rope attn-cp-size attention-context-parallel-size dcp-size decode-context-parallel-size enable-prefill-context-parallel
		enable-dsa-prefill-context-parallel enable-nsa-prefill-context-parallel`),
	ints: words(`max-total-tokens max-prefill-tokens chunked-prefill-size context-length prefill-max-requests default-priority-value
		priority-scheduling-preemption-threshold nccl-port dist-timeout node-rank nnodes base-gpu-id gpu-id-step random-seed port
		grpc-http-sidecar-port speculative-eagle-topk speculative-num-draft-tokens decoupled-spec-rank speculative-ngram-max-trie-depth
		speculative-ngram-min-bfs-breadth speculative-ngram-max-bfs-breadth speculative-ngram-capacity
		speculative-ngram-external-sam-budget speculative-ngram-external-corpus-max-tokens ep-num-redundant-experts
		eplb-rebalance-num-iterations eplb-rebalance-layers-per-chunk mamba-cache-philox-rounds int8-mamba-ckpt-size cpu-offload-gb
		offload-num-in-group offload-prefetch-step kt-cpuinfer kt-num-gpu-experts kt-max-deferred-experts-per-token
		disaggregation-bootstrap-port disaggregation-decode-extra-slots optimistic-prefill-retries encoder-bootstrap-port
		remote-instance-weight-loader-seed-instance-service-port weight-loader-prefetch-num-threads engine-info-bootstrap-port
		prefill-delayer-max-delay-passes asr-max-buffer-seconds asr-max-concurrent-sessions sm-group-num ep tp dp pp
		cuda-graph-max-bs-decode cuda-graph-max-bs-prefill piecewise-cuda-graph-max-tokens`),
	floats: words(`mem-fraction-static schedule-conservativeness swa-full-tokens-ratio watchdog-timeout soft-watchdog-timeout
		gc-warning-threshold-secs speculative-accept-threshold-acc speculative-accept-threshold-single hicache-ratio
		eplb-min-rebalancing-utilization-threshold mamba-full-memory-ratio prefill-delayer-token-usage-low-watermark
		prefill-delayer-queue-min-ratio prefill-delayer-max-delay-ms`),
	lists: words(`cuda-graph-bs cuda-graph-bs-decode cuda-graph-bs-prefill piecewise-cuda-graph-tokens numa-node gc-threshold`),
	objects: words(`cuda-graph-config hisparse-config hierarchical-sparse-attention-extra-config kv-events-config model-loader-extra-config
		json-model-override-args preferred-sampling-params`),
	roles: map[string]string{
		"tensor-parallel-size": "tp", "tp-size": "tp", "tp": "tp", "data-parallel-size": "dp", "dp-size": "dp", "dp": "dp",
		"pipeline-parallel-size": "pp", "pp-size": "pp", "pp": "pp", "expert-parallel-size": "ep", "ep-size": "ep", "ep": "ep",
		"context-length": "context",
	},
}
