package sim

import "fmt"

// kernelNames are what an engine's kernels and operators are called.
type kernelNames struct {
	copyIn, copyOut, embed, argmax, gather string
	addNorm, addNormOp                     string
	act, actOp                             string
	storeKV, storeKVOp                     string
	fusedNormRope, fusedNormRopeOp         string
	attentionOp, gemmOp                    string
	oneShot, allReduceOp                   string
}

func namesOf(engine string) kernelNames {
	n := kernelNames{
		copyIn:          "Memcpy HtoD (Pinned -> Device)",
		copyOut:         "Memcpy DtoH (Device -> Pinned)",
		embed:           "void at::native::(anonymous namespace)::indexSelectSmallIndex<c10::BFloat16, long, unsigned int, 2, 2, -2>(at::cuda::detail::TensorInfo<c10::BFloat16, unsigned int>, at::cuda::detail::TensorInfo<c10::BFloat16 const, unsigned int>, at::cuda::detail::TensorInfo<long const, unsigned int>, int, int, unsigned int, long)",
		argmax:          "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<c10::BFloat16, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4>>(at::native::ReduceOp<c10::BFloat16, at::native::ArgMaxOps<float>, unsigned int, long, 4, 4>)",
		gather:          "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
		addNorm:         "void flashinfer::norm::FusedAddRMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, unsigned int, unsigned int, unsigned int, float, float)",
		addNormOp:       "sgl_kernel::fused_add_rmsnorm",
		act:             "void flashinfer::activation::act_and_mul_kernel<__nv_bfloat16, &(float silu<float>(float const&))>(__nv_bfloat16*, __nv_bfloat16 const*, int)",
		actOp:           "sgl_kernel::silu_and_mul",
		storeKV:         "void store_kvcache<512l, 256l>(void*, void*, void const*, void const*, long const*, long, long, unsigned int)",
		storeKVOp:       "sgl_kernel::store_kv_cache",
		fusedNormRope:   "void fusedQKNormRopeKernel<128, true>(__nv_bfloat16*, int, int, int, float, __nv_bfloat16 const*, __nv_bfloat16 const*, float const*, long const*, int)",
		fusedNormRopeOp: "sgl_kernel::fused_qk_norm_rope",
		attentionOp:     "sgl_kernel::fwd",
		gemmOp:          "aten::mm",
		oneShot:         "void sglang::cross_device_reduce_1stage<__nv_bfloat16, 2>(sglang::RankData*, sglang::RankSignals, sglang::Signal*, __nv_bfloat16*, int, int)",
		allReduceOp:     "sglang::all_reduce",
	}
	switch engine {
	case "vllm":
		n.addNorm = "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0"
		n.addNormOp, n.actOp = "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0", "triton_poi_fused_mul_silu_slice_1"
		n.act = "triton_poi_fused_mul_silu_slice_1"
		n.storeKV = "void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, __nv_bfloat16, (vllm::Fp8KVCacheDataType)0>(__nv_bfloat16 const*, __nv_bfloat16 const*, __nv_bfloat16*, __nv_bfloat16*, long const*, long, long, long, long, long, int, int, int, float const*, float const*)"
		n.storeKVOp = "_C_cache_ops::reshape_and_cache_flash"
		n.fusedNormRope = "void tensorrt_llm::kernels::fusedQKNormRopeKernel<c10::BFloat16, c10::BFloat16, 128, false>(void*, int, int, int, float, void const*, void const*, void const*, long const*, int)"
		n.fusedNormRopeOp, n.attentionOp = "_C::fused_qk_norm_rope", "_vllm_fa3_C::fwd"
		n.oneShot = "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*, vllm::RankSignals, vllm::Signal*, __nv_bfloat16*, int, int)"
		n.allReduceOp = "vllm::all_reduce"
	case "tensorrt_llm":
		n.addNormOp, n.actOp = "trtllm::flashinfer_fused_add_rmsnorm", "trtllm::flashinfer_silu_and_mul"
		n.storeKV = "void tensorrt_llm::kernels::applyBiasRopeUpdateKVCacheV2<__nv_bfloat16, __nv_bfloat16, 128, false, true>(tensorrt_llm::kernels::QKVPreprocessingParams<__nv_bfloat16>)"
		n.storeKVOp, n.attentionOp = "trtllm::attention", "trtllm::attention"
		n.fusedNormRope = "void tensorrt_llm::kernels::fusedQKNormRopeKernel<128, false>(__nv_bfloat16*, int, int, int, float, __nv_bfloat16 const*, __nv_bfloat16 const*, float, int const*, int)"
		n.fusedNormRopeOp = "trtllm::fused_qk_norm_rope"
		n.oneShot = "void tensorrt_llm::kernels::ar_fusion::allreduce_fusion_kernel_oneshot_lamport<(tensorrt_llm::kernels::ar_fusion::AllReduceFusionPattern)0, __nv_bfloat16, 2, true, false>(tensorrt_llm::kernels::ar_fusion::AllReduceFusionParams)"
		n.allReduceOp = "trtllm::allreduce"
	case "tokenspeed":
		n.addNormOp, n.actOp = "tokenspeed_kernel::fused_add_rmsnorm", "tokenspeed_kernel::silu_and_mul"
		n.fusedNormRopeOp, n.storeKVOp = "tokenspeed_kernel::fused_qk_norm_rope", "tokenspeed_kernel::store_kv_cache"
		n.fusedNormRope = "_fused_qk_norm_rope_kernel"
		n.attentionOp, n.allReduceOp = "tokenspeed_kernel::mha_fwd", "tokenspeed::all_reduce"
	}
	return n
}

// gemmName is cuBLAS's name for a product of n rows and m columns on Hopper; elem is the weight's size in bytes.
func gemmName(n, m int, elem float64) string {
	kind := "tst"
	if elem < 2 {
		kind = "qqtst"
	}
	switch {
	case n <= 8:
		return fmt.Sprintf("nvjet_sm90_%s_64x8_64x16_4x1_v_bz_TNT", kind)
	case n <= 64 && m > 16384:
		return fmt.Sprintf("nvjet_sm90_%s_128x64_64x10_1x2_h_bz_TNT", kind)
	case n <= 64:
		return fmt.Sprintf("nvjet_sm90_%s_64x64_64x13_1x2_h_bz_splitK_TNT", kind)
	case n <= 256:
		return fmt.Sprintf("nvjet_sm90_%s_128x128_64x6_2x1_v_bz_TNT", kind)
	}
	return fmt.Sprintf("nvjet_sm90_%s_128x256_64x4_2x1_v_bz_coopA_TNT", kind)
}

// attentionKernel is a backend's kernel for prefill or decode.
func attentionKernel(backend string, prefill bool) string {
	switch backend {
	case "flashinfer":
		if prefill {
			return "void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<(flashinfer::MaskMode)1, 128u, 2u, 4u, 8u, 8u, 4u, 1u, (flashinfer::PosEncodingMode)0, __nv_bfloat16, __nv_bfloat16, __nv_bfloat16, float, int, flashinfer::DefaultAttention<false, false, false, false>>, flashinfer::PagedParams>(flashinfer::PagedParams)"
		}
		return "void flashinfer::BatchDecodeWithPagedKVCacheKernel<(flashinfer::PosEncodingMode)0, 2u, 1u, 8u, 16u, 4u, 4u, flashinfer::DefaultAttention<false, false, false, false>, flashinfer::DecodeParams>(flashinfer::DecodeParams)"
	case "triton":
		if prefill {
			return "_fwd_kernel"
		}
		return "_fwd_grouped_kernel_stage1"
	case "flex_attention":
		return "triton_tem_fused_flex_attention_0"
	case "torch_native":
		return "fmha_cutlassF_bf16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::bfloat16_t, cutlass::arch::Sm80, true, 64, 128, 128, true, true>::Params)"
	}
	return "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1>>, cute::tuple<cute::C<128>, cute::C<128>, cute::C<128>>, 128, cutlass::bfloat16_t, float, cutlass::arch::Sm90, true, false, false, true, true, false, false, false, true, true, false, false>, flash::CollectiveEpilogueFwd<cute::tuple<cute::C<128>, cute::C<128>, cute::C<128>>, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1>>, cutlass::bfloat16_t, cutlass::arch::Sm90, 256, true, true, false, false>, flash::VarlenDynamicPersistentTileScheduler<128, 256, 128, false, true, true>>>>(flash::FlashAttnFwdSm90<>::Params)"
}
