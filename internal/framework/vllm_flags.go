package framework

// vllmFlags is read from the flags of vLLM 0.26.0, with older spellings.
var vllmFlags = table{
	forbidden: words(`middleware tool-parser-plugin reasoning-parser-plugin logits-processors logits-processor-pattern config chat-template
		allowed-local-media-path allowed-media-domains worker-cls worker-extension-cls scheduler-cls lora-modules tool-server
		kv-transfer-config ec-transfer-config weight-transfer-config io-processor-plugin distributed-executor-backend
		model-class-overrides hf-config-path log-config-file additional-config kv-offloading-backend prompt-adapters`),
	contract: words(`model revision code-revision tokenizer tokenizer-mode tokenizer-revision skip-tokenizer-init load-format trust-remote-code
		dtype quantization kv-cache-dtype hf-overrides max-model-len seed served-model-name speculative-config runner convert task
		model-impl cpu-offload-gb enable-lora override-generation-config generation-config calculate-kv-scales rope-scaling rope-theta
		limit-mm-per-prompt device config-format model-loader-extra-config tool-call-parser reasoning-parser enable-auto-tool-choice
		response-role default-chat-template-kwargs media-io-kwargs mm-processor-kwargs structured-outputs-config guided-decoding-backend
		ignore-patterns pt-load-map-location tokens-only language-model-only kv-sharing-fast-prefill mamba-cache-philox-rounds
		cpu-offload-params offload-params lora-target-modules mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path`),
	host: words(`host port uds api-key hf-token ssl-keyfile ssl-certfile ssl-ca-certs root-path uvicorn-log-level disable-uvicorn-access-log
		disable-access-log-for-endpoints download-dir disable-log-stats enable-log-requests disable-log-requests max-log-len
		profiler-config otlp-traces-endpoint kv-events-config headless api-server-count device-ids data-parallel-address
		data-parallel-rpc-port data-parallel-rank data-parallel-start-rank data-parallel-size-local data-parallel-backend
		data-parallel-hybrid-lb data-parallel-external-lb data-parallel-multi-port-external-lb master-addr master-port node-rank nnodes
		distributed-timeout-seconds cpu-distributed-timeout-seconds stream-interval allow-credentials allowed-origins allowed-methods
		allowed-headers fingerprint-mode fingerprint-value enable-prompt-tokens-details enable-server-load-tracking
		enable-force-include-usage jit-monitor-mode jit-monitor-verbose shutdown-timeout fail-on-environ-validation enable-elastic-ep
		show-hidden-metrics-for-version collect-detailed-traces kv-cache-metrics kv-cache-metrics-sample cudagraph-metrics`),
	pinned: words(`gpu-memory-utilization kv-cache-memory-bytes num-gpu-blocks-override`),
	search: words(`attention-backend block-size cudagraph-capture-sizes cuda-graph-sizes optimization-level mamba-backend
		decode-context-parallel-size prefill-context-parallel-size`),
	ints: words(`max-num-seqs max-num-batched-tokens max-num-scheduled-tokens max-num-partial-prefills max-long-partial-prefills block-size
		long-prefill-token-threshold max-seq-len-to-capture num-gpu-blocks-override kv-cache-memory-bytes mamba-block-size
		prefix-match-unit max-log-len max-cpu-loras distributed-timeout-seconds cpu-distributed-timeout-seconds
		data-parallel-rank data-parallel-start-rank data-parallel-rpc-port max-model-len num-scheduler-steps spec-tokens
		api-server-count data-parallel-size-local max-cudagraph-capture-size max-parallel-loading-workers`),
	floats: words(`gpu-memory-utilization kv-offloading-size video-pruning-rate swap-space cpu-offload-gb mm-ipc-gpu-memory-gb
		mm-processor-cache-gb watermark`),
	lists: words(`cudagraph-capture-sizes cuda-graph-sizes`),
	objects: words(`attention-config kernel-config eplb-config ir-op-priority speculative-config diffusion-config kv-transfer-config kv-events-config
		ec-transfer-config weight-transfer-config reasoning-config structured-outputs-config profiler-config quantization-config pooler-config
		mm-processor-kwargs default-chat-template-kwargs`),
	json: map[string]schema{
		// Left out: debug_dump_path, cache_dir and traced_files name files; inductor_passes, inductor_compile_config and a
		// backend's qualified name load code.
		"compilation-config": {
			"mode": "0|1|2|3|NONE|STOCK_TORCH_COMPILE|DYNAMO_TRACE_ONCE|VLLM_COMPILE", "level": "0|1|2|3", "backend": "|eager|inductor",
			"use_inductor": KindBool, "use_cudagraph": KindBool, "full_cuda_graph": KindBool,
			"cudagraph_mode":          "NONE|PIECEWISE|FULL|FULL_DECODE_ONLY|FULL_AND_PIECEWISE|0|1|2",
			"cudagraph_capture_sizes": "ints", "max_cudagraph_capture_size": KindInt, "max_capture_size": KindInt, "cudagraph_num_of_warmups": KindInt,
			"cudagraph_copy_inputs": KindBool, "compile_sizes": "ints", "compile_ranges_endpoints": "ints", "compile_ranges_split_points": "ints",
			"use_inductor_graph_partition": KindBool, "pass_config": "switches", "ir_enable_torch_wrap": KindBool,
		},
	},
	roles: map[string]string{"tensor-parallel-size": "tp", "pipeline-parallel-size": "pp", "data-parallel-size": "dp", "max-model-len": "context"},
	short: map[string]string{
		"tp": "tensor-parallel-size", "pp": "pipeline-parallel-size", "dp": "data-parallel-size", "dcp": "decode-context-parallel-size",
		"pcp": "prefill-context-parallel-size", "ep": "enable-expert-parallel", "O": "optimization-level", "cc": "compilation-config",
		"ac": "attention-config", "sc": "speculative-config", "dc": "diffusion-config", "q": "quantization", "n": "nnodes", "r": "node-rank",
		"asc": "api-server-count", "dpn": "data-parallel-rank", "dpr": "data-parallel-start-rank", "dpl": "data-parallel-size-local",
		"dpa": "data-parallel-address", "dpp": "data-parallel-rpc-port", "dpb": "data-parallel-backend",
	},
}
