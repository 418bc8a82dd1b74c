package trace

import "slices"

// classRule names a category and the phrases that tell it.
type classRule struct {
	category string
	phrases  []string
}

// first gives the category of the first rule with a phrase in text, else "".
func first(rules []classRule, text string) string {
	for _, r := range rules {
		if has(text, r.phrases) {
			return r.category
		}
	}
	return ""
}

// rule makes a rule from phrases as one reads them.
func rule(category string, phrases ...string) classRule {
	r := classRule{category: category}
	for _, p := range phrases {
		r.phrases = append(r.phrases, words(p))
	}
	return r
}

// newClassifier puts the rules in order of precedence. The phrases were collected from kernel names of
// SGLang, vLLM, TensorRT-LLM, TokenSpeed, FlashInfer, FlashAttention, FlashMLA, DeepGEMM, DeepEP, NCCL,
// cuBLAS, cuDNN, CUTLASS, Triton and TorchInductor; testdata/kernels.tsv holds the corpus.
func newClassifier() *classifier {
	strong, plain := append(servingRules(), mathRules()...), plainRules()
	return &classifier{
		strong: strong,
		// Namespaces that outweigh a plain word of the function ("vllm::moe::sum", "deep_ep::…::copy").
		scoped:    pick(strong, catNameCommunication, catNameSampling, catNameMamba, catNameAttention, catNameMoE),
		plain:     plain,
		late:      pick(strong, catNameRope, catNameGemm, catNameNorm, catNameQuantization, catNameActivation),
		functors:  functorRules(pick(strong, catNameActivation), pick(plain, catNameEmbedding)),
		inductor:  inductorRules(pick(strong, catNameCommunication, catNameAttention, catNameMoE)),
		grouped:   rule("", "group", "grouped", "bmm", "ptr_array", "group_problem_shape", "m_grouped", "masked", "contiguous").phrases,
		extend:    words("_fwd_kernel"),
		operators: operatorNames(),
		expert:    rule("", "moe", "expert", "experts", "fused_moe", "ep_moe", "fusedmoe").phrases,
	}
}

// pick gives the rules of some categories, in their order.
func pick(rules []classRule, categories ...string) []classRule {
	var out []classRule
	for _, r := range rules {
		if slices.Contains(categories, r.category) {
			out = append(out, r)
		}
	}
	return out
}

// servingRules tell the kernels that only serving frameworks have.
func servingRules() []classRule {
	return []classRule{
		rule(catNameCommunication,
			"nccl", "rccl", "nccldevkernel", "ncclkernel", "ncclsymk", "nccl symk", "allreduce", "all_reduce", "allgather", "all_gather",
			"reducescatter", "reduce_scatter", "alltoall", "all_to_all", "alltoallv", "a2a", "all2all", "cross_device_reduce", "cross_device",
			"nvshmem", "nvshmemi", "deep_ep", "mscclpp", "mooncake", "lamport", "multimem", "symm_mem", "sendrecv", "send_recv",
			"quickreduce", "quick_reduce", "ar_fusion", "userbuffers", "ub_allreduce", "notify_dispatch", "dispatch_layout", "moe_comm",
			"ar_oneshot", "ar_twoshot", "one_shot_ar", "internode", "intranode", "barrier_all", "put_signal", "ipc_barrier", "pplx_kernels",
			"nixl", "rsag", "low_latency_dispatch", "low_latency_combine", "ep_dispatch", "ep_combine", "reduce_from_peers"),
		rule(catNameSampling,
			"sampling", "sample", "sampler", "argmax", "arg_max", "multinomial", "gumbel", "top_p", "min_p", "topk_topp", "top_k_top_p",
			"renorm", "renorm_prob", "mask_logits", "logits_mask", "penalties", "penalty", "bitmask", "token_bitmask", "verify_tree", "build_tree",
			"build_efficient_tree", "tree_speculative", "rejection", "log_softmax", "logprob", "logprobs", "temperature", "temperatures", "exponential",
			"accept_draft", "accept_bonus", "draft_tokens", "vocab_mask", "recovered_tokens", "bad_words", "logit_bias", "log_soft_max", "logits_processor", "ban_bad_words", "stop_words"),
		rule(catNameMamba,
			"mamba", "mamba2", "ssm", "ssd", "ssu", "selective_scan", "selective_state", "causal_conv1d", "conv1d", "delta_rule", "gdn", "gated_delta", "kda", "flashkda",
			"chunk_scan", "chunk_state", "state_passing", "bmm_chunk", "chunk_cumsum", "chunk_local_cumsum", "chunk_global_cumsum", "chunk_fwd", "chunk_bwd",
			"recompute_w_u", "kkt", "solve_tril", "wkv", "rwkv", "linear_attn", "linear_attention", "lightning_attn", "lightning_attention",
			"fused_recurrent", "gated_linear_attn", "chunk_gla", "merge_16x16", "gla_fwd", "retention", "short_conv", "mixer2_gated"),
		rule(catNameAttention, "fwd_grouped", "batch_prefill", "batch_decode", "flash_attn", "with_kv_cache", "with_paged_kv"),
		rule(catNameRope, "rope", "mrope", "rotary", "rotary_embedding", "apply_rope", "yarn", "rot_emb"),
		rule(catNameKVCache,
			"reshape_and_cache", "concat_and_cache", "and_cache", "set_kv", "set_mla_kv", "set_paged_kv", "get_k_and_s", "set_k_and_s", "store_kv", "store_cache", "kv_buffer",
			"append_paged_kv", "append_kv", "copy_kv", "write_kv", "update_kv", "save_kv", "load_kv", "move_kv", "swap_kv", "quant_kv", "kv_cache_quant",
			"gather_kv", "transfer_kv", "kv_transfer", "copy_all_layer_kv", "copy_blocks", "swap_blocks", "transfer_kernel_impl",
			"write_req_to_token", "slot_mapping", "slot_mappings", "req_to_token", "get_last_loc", "alloc_extend", "alloc_decode", "gather_cache", "gather_and_maybe_dequant_cache",
			"dequantize_k_cache", "quantize_k_cache", "k_cache", "v_cache", "update_paged_kv", "paged_kv_cache_update", "cache_update",
			"kv_cache_scales", "mla_kv_cache", "convert_fp8_kv", "upconvert_and_copy", "cp_gather", "kv_block", "store_kvcache", "kvcache_copy",
			"write_cache", "save_partial_states", "kv_insert", "rearrange_kv", "shuffle_kv", "kv_cache", "reshape_cache", "load_cache", "index_cache", "hicache",
			"cache_loc", "cache_locs", "transfer_page", "owned_pages", "virtual_slots"),
		rule(catNameQuantization, "quant_mla"), // of MLA's inputs
		rule(catNameAttention,
			"attention", "attn", "fmha", "mha", "mqa", "gqa", "mla", "sdpa", "flash", "xqa", "fattn", "flashattn", "flashattention", "flashmla", "flash_mla",
			"batch_prefill", "batch_decode", "single_prefill", "single_decode", "paged_kv", "pagedkv", "merge_state", "merge_states", "merge_attn",
			"fwd_grouped", "fwd_kernel_stage1", "fwd_kernel_stage2", "fwd_kernel_unified", "decode_att", "splitkv", "split_kv", "nsa", "dsa", "indexer",
			"mqa_logits", "varlen_num_blocks", "mla_metadata", "prefix_prefill", "unified_attention", "kv_indices", "block_sparse_attn", "sparse_mla",
			"topk_transform", "scheduler_metadata", "page_table", "cascade", "mmha", "masked_multihead", "multihead", "qkv_attn", "fwd_kernel_no_stage", "attn_fwd",
			"kv_splits", "num_kv_splits", "fmhca", "context_mha", "reduce_segments", "paged_mqa", "paged_prefill", "paged_decode", "clean_logits"),
		rule(catNameMoE,
			"moe", "moes", "kmoe", "fmoe", "group_gemm_starts", "preprocess_topk", "expert", "experts", "topk_gating", "topkgating", "gating", "grouped_topk", "topk_softmax", "topk_sigmoid", "fused_gate",
			"router", "routing", "matmul_ogs", "ep_scatter", "ep_gather", "src2dst", "pre_reorder", "post_reorder", "compute_m_range", "expand_input_rows",
			"permute_rows", "unpermute", "compute_strides", "v3_topk", "mega_moe", "token_permutation", "hash_topk", "topk_gating_softmax", "biased_topk",
			"moe_align", "moe_sum", "finalize_moe", "fused_experts", "routed", "p_matmul_ogs", "fused_topk", "combine_topk", "expt_data", "ragged_tensor",
			"reorder_topk", "seg_indptr", "bitmatrix", "do_activation", "deepep", "masked_m", "topk_sum", "gateup_input"),
	}
}

// mathRules tell the kernels of a model's arithmetic. Pairs of activation and multiplication go before
// GEMMs, whose names they may carry ("silu_mul_fp8_quant_deep_gemm").
func mathRules() []classRule {
	return []classRule{
		rule(catNameActivation,
			"act_and_mul", "silu_and_mul", "gelu_and_mul", "silu_mul", "gelu_mul", "swiglu_mul", "gelu_tanh_and_mul", "swigluoai", "swiglu_oai", "swiglustep",
			"mul_and_silu", "silu_and_clamp", "activation_and_mul", "clamp_silu_mul", "relu2", "fatrelu", "swiglu_quant", "sigmoid_mul", "silu_mul_quant"),
		rule(catNameGemm,
			"gemm", "gemms", "gemv", "gemvx", "sgemm", "hgemm", "dgemm", "igemm", "cgemm", "matmul", "mm", "bmm", "addmm", "baddbmm", "nvjet", "marlin", "machete",
			"cijk", "splitk", "split_k", "splitkreduce", "split_kreduce", "cublas", "cublaslt", "w8a8", "w4a16", "w4a8", "w8a16", "w4a4", "convolution", "conv", "conv2d", "conv3d", "convolve",
			"fprop", "dgrad", "wgrad", "scaled_mm", "matvec", "dot_kernel", "qmm", "lora_shrink", "lora_expand", "lora", "gemmk1", "gemv2t", "gemvn", "gemvnsp",
			"implicit_gemm", "llmm1", "llgemm", "wvsplitk", "wv_split_k", "mul_mat", "linear_kernel", "fused_linear", "tinygemm", "bgmv", "sgmv", "hadamard_gemm", "gett",
			"ggml_mul_mat", "einsum", "skinny", "packed_linear", "xmma", "deepgemm", "tensorop"),
		rule(catNameNorm,
			"norm", "rmsnorm", "layernorm", "ln_fwd", "rms", "groupnorm", "batchnorm", "l2norm", "qknorm", "norms", "layer_norm", "rms_norm", "normalization", "add_rms", "batch_norm"),
		rule(catNameQuantization,
			"quant", "quantize", "quantized", "quantization", "dequant", "dequantize", "requant", "requantize", "cvt_fp16_to_fp4", "cvt_fp16_to_fp8", "fp16_to_fp4", "to_fp4", "to_fp8",
			"scaled_fp8", "scaled_fp4", "scaled_int8", "scale_interleave", "scale_swizzle", "blockscale", "block_scale", "ue8m0", "per_token_group", "per_token_cast", "cast_to_fp8",
			"segmented_max_reduction", "quant8", "qdq", "mxfp4", "mxfp8", "nvfp4", "convert_fp8", "swizzle_scale", "swizzle_sf", "sf_layout", "transpose_scale", "absmax", "amax", "hadamard",
			"quantize_q8", "dynamic_scaled", "int8_quant", "compute_scale", "scale_matrix", "invoke_quantization", "fp8_cast"),
		rule(catNameActivation,
			"silu", "gelu", "relu", "swiglu", "sigmoid", "activation", "swish", "geglu", "mish", "hardswish", "leaky_relu", "softplus", "act", "glu", "elu"),
	}
}

// plainRules tell kernels by words that say little: they yield to what namespaces say.
func plainRules() []classRule {
	return []classRule{
		rule(catNameEmbedding,
			"embedding", "embeddings", "index_select", "indexselect", "index_select_large_index", "index_select_small_index", "vectorized_gather", "vocab", "lookup", "embed", "masked_input"),
		rule(catNameReduction,
			"topk", "top_k", "sort", "radix", "radixsort", "scan", "cumsum", "cumprod", "softmax", "soft_max", "bitonic", "prefix_sum", "histogram", "nonzero", "unique", "bincount",
			"logsumexp", "count_nonzero", "segmented_sort", "searchsorted", "compact"),
		rule(catNameMemory,
			"memcpy", "memcpy32", "memset", "d2dcpy", "copy", "fill", "cat", "cat_array", "concat", "transpose", "nchw_to_nhwc", "nhwc_to_nchw", "permute", "pad", "unpad", "copybuffer", "copy_buffer", "fillbuffer", "fill_buffer",
			"index_elementwise", "index_put", "gather", "scatter", "zero", "zeros", "dma", "contiguous", "slice", "stack", "repeat_interleave", "roll", "flip", "pack", "unpack", "copies",
			"reshape", "batch_memcpy", "batch_mem_op", "write_zeros", "expand", "narrow", "index_kernel", "take", "masked_select", "shuffle", "assign"),
		rule(catNameReduction, "reduce", "reduction", "sum", "mean", "max", "min", "prod", "var", "argmin", "any", "all", "aminmax"),
		rule(catNameElementwise,
			"elementwise", "pointwise", "add", "mul", "sub", "div", "arange", "where", "clamp", "pow", "rsqrt", "sqrt", "cast", "triu", "tril", "neg", "compare", "bitwise", "logical", "increment",
			"abs", "exp", "log", "tanh", "cos", "sin", "lerp", "residual", "scale", "bias", "linspace", "masked_fill", "binary", "unary", "convert", "addcmul", "add_bias", "softcap"),
	}
}

// functorRules tell PyTorch's generic kernels by the functor among their template arguments.
func functorRules(activation, embedding []classRule) []classRule {
	return slices.Concat(
		[]classRule{rule(catNameSampling, "arg_max_ops", "argmax", "exponential", "arg_max")}, activation,
		[]classRule{rule(catNameMemory, "copy", "fill", "fill_functor", "index_put", "index_kernel", "gpu_index_kernel")}, embedding,
	)
}

// inductorRules tell TorchInductor's kernels by the operators they fuse.
func inductorRules(serving []classRule) []classRule {
	return append(serving,
		rule(catNameNorm, "native_layer_norm", "layer_norm", "rms_norm", "native_group_norm", "native_batch_norm", "rmsnorm"),
		rule(catNameGemm, "mm", "bmm", "addmm", "convolution", "scaled_mm"),
		rule(catNameActivation, "silu", "gelu", "relu", "swiglu", "sigmoid"),
		rule(catNameEmbedding, "embedding"),
		rule(catNameSampling, "argmax", "multinomial", "exponential"),
		rule(catNameReduction, "softmax", "cumsum", "sort", "topk"),
	)
}
