package sim

// plan lists the kernels of a step. Padding to a captured graph size costs what the padded batch costs.
func (r roof) plan(w work) *plan {
	set, m := r.set, r.set.model
	p := &plan{count: m.Layers, host: r.hostUS(w), each: r.eachUS(w)}
	if w.prefillTokens() == 0 {
		if padded, ok := set.graphFor(w.decodes); ok {
			p.graph = true
			w.decodes = padded
		}
	}
	n := w.tokens()
	names := namesOf(set.engine)
	h := float64(m.Hidden)
	rows := w.decodes + len(w.prefills) // positions that need logits

	p.head = []kernel{
		{name: names.copyIn, op: "aten::copy_", site: "inputs", us: 1.3, cat: "gpu_memcpy", size: 8 * n},
		{name: names.embed, op: "aten::embedding", site: "embed", us: r.elementUS(float64(n)*h*4, r.smallUS()), dims: [][]int{{m.Vocab / set.tp, m.Hidden}, {n}}},
	}
	p.layer = r.layerKernels(w, n, names)
	p.tail = []kernel{
		{name: names.addNorm, op: names.addNormOp, site: "final_norm", us: r.elementUS(float64(n)*h*8, r.smallUS()), dims: [][]int{{n, m.Hidden}}},
		r.gemm("lm_head", names, rows, m.Hidden, m.Vocab/set.tp),
	}
	if set.tp > 1 {
		p.tail = append(p.tail, kernel{name: names.gather, op: "c10d::_allgather_base_", site: "lm_head", us: r.allReduceUS(float64(rows*m.Vocab/set.tp) * 2)})
	}
	p.post = []kernel{
		{name: names.argmax, op: "aten::argmax", site: "sample", us: r.elementUS(float64(rows*m.Vocab)*2, 4.5), dims: [][]int{{rows, m.Vocab}}},
		{name: names.copyOut, op: "aten::copy_", site: "sample", us: 1.4, cat: "gpu_memcpy", size: 8 * rows},
	}
	return p
}

// layerKernels is one decoder layer.
func (r roof) layerKernels(w work, n int, names kernelNames) []kernel {
	set, m := r.set, r.set.model
	q, kv := m.Heads*m.HeadDim/set.tp, max(1, m.KVHeads/set.tp)*m.HeadDim
	inter := m.Intermediate / set.tp
	h, fn := float64(m.Hidden), float64(n)
	norm := func(site string) kernel {
		return kernel{name: names.addNorm, op: names.addNormOp, site: site, us: r.elementUS(fn*h*8, r.smallUS()), dims: [][]int{{n, m.Hidden}}}
	}
	out := []kernel{norm("input_norm"), r.gemm("qkv", names, n, m.Hidden, q+2*kv)}
	out = append(out, r.normRope(n, q, kv, names)...)
	out = append(out, kernel{name: names.storeKV, op: names.storeKVOp, site: "store_kv", us: r.elementUS(fn*float64(kv)*6, r.smallUS())})
	decode, prefill := r.attentionUS(w)
	if prefill > 0 {
		out = append(out, kernel{name: attentionKernel(set.prefillAttention, true), op: names.attentionOp, site: "attention", us: prefill, dims: [][]int{{n, q}}})
	}
	if decode > 0 {
		out = append(out, kernel{name: attentionKernel(set.decodeAttention, false), op: names.attentionOp, site: "attention", us: decode, dims: [][]int{{w.decodes, q}}})
	}
	out = append(out, r.gemm("o_proj", names, n, q, m.Hidden))
	if set.tp > 1 {
		out = append(out, r.allReduce("o_proj", names, n))
	}
	out = append(out, norm("post_norm"), r.gemm("gate_up", names, n, m.Hidden, 2*inter),
		kernel{name: names.act, op: names.actOp, site: "act", us: r.elementUS(fn*float64(inter)*6, r.smallUS()), dims: [][]int{{n, 2 * inter}}},
		r.gemm("down", names, n, inter, m.Hidden))
	if set.tp > 1 {
		out = append(out, r.allReduce("down", names, n))
	}
	return out
}

// normRope is the query/key norms and the rotation: one launch, or the five that the reference makes. The floors of
// the five are those of small kernels that are bound by latency; they are why the fusion pays at decode.
func (r roof) normRope(n, q, kv int, names kernelNames) []kernel {
	fn := float64(n)
	if r.set.fusedNormRope {
		return []kernel{{name: names.fusedNormRope, op: names.fusedNormRopeOp, site: "fused_norm_rope", us: r.elementUS(fn*float64(q+kv)*4, 3.2), dims: [][]int{{n, q + 2*kv}}}}
	}
	copyName := "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#12}::operator()() const::{lambda(c10::BFloat16)#1}>(at::TensorIteratorBase&, {lambda(c10::BFloat16)#1} const&)::{lambda(int)#1}>(int, {lambda(int)#1})"
	normName := "void flashinfer::norm::RMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, unsigned int, unsigned int, unsigned int, float, float)"
	ropeName := "void flashinfer::BatchQKApplyRotaryPosIdsCosSinCacheKernel<false, 128u, 8u, 16u, __nv_bfloat16, long>(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, float*, long*, unsigned int, unsigned int)"
	return []kernel{
		{name: copyName, op: "aten::copy_", site: "qk_copy", us: r.elementUS(fn*float64(q)*4, 11.9), dims: [][]int{{n, q}, {n, q}}},
		{name: normName, op: "sgl_kernel::rmsnorm", site: "qk_norm", us: r.elementUS(fn*float64(q)*4, 20.2), dims: [][]int{{n * q / r.set.model.HeadDim, r.set.model.HeadDim}}},
		{name: copyName, op: "aten::copy_", site: "qk_copy", us: r.elementUS(fn*float64(kv)*4, 11.0), dims: [][]int{{n, kv}, {n, kv}}},
		{name: normName, op: "sgl_kernel::rmsnorm", site: "qk_norm", us: r.elementUS(fn*float64(kv)*4, 18.2), dims: [][]int{{n * kv / r.set.model.HeadDim, r.set.model.HeadDim}}},
		{name: ropeName, op: "sgl_kernel::apply_rope_pos_ids_cos_sin_cache", site: "rope", us: r.elementUS(fn*float64(q+kv)*4, 24.1), dims: [][]int{{n, q}, {n, kv}}},
	}
}

func (r roof) gemm(site string, names kernelNames, n, k, m int) kernel {
	return kernel{name: gemmName(n, m, r.set.weightBytes), op: names.gemmOp, site: site, us: r.gemmUS(n, k, m), dims: [][]int{{n, k}, {k, m}}}
}

func (r roof) allReduce(site string, names kernelNames, n int) kernel {
	bytes := float64(n*r.set.model.Hidden) * 2
	name := "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
	if r.set.customAllReduce && bytes < 512<<10 {
		name = names.oneShot
	}
	return kernel{name: name, op: names.allReduceOp, site: site, us: r.allReduceUS(bytes)}
}
