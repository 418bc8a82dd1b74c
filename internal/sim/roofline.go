package sim

import "math"

// chunk is a part of one prompt: n new tokens after ctx that are in the cache.
type chunk struct{ n, ctx int }

// work is what one step computes.
type work struct {
	decodes   int // sequences that get one token each
	decodeCtx int // sum of their lengths
	prefills  []chunk
}

func (w work) prefillTokens() int {
	n := 0
	for _, c := range w.prefills {
		n += c.n
	}
	return n
}

func (w work) tokens() int { return w.decodes + w.prefillTokens() }

// kernel is one launch. Sites name the place in the source that launches it; see sites.go.
type kernel struct {
	name string
	op   string // CPU operator around the launch
	site string
	us   float64
	cat  string // kernel unless set: gpu_memcpy
	dims [][]int
	size int // bytes of a copy
}

// plan is the kernels of one step. Layers repeat the same list.
type plan struct {
	head  []kernel // before the layers
	layer []kernel
	count int      // layers
	tail  []kernel // after them
	post  []kernel // after the step's annotation: sampling, copies
	graph bool     // replayed, not launched one by one
	host  float64  // µs of exposed host work before the first launch
	each  float64  // µs of host work for a launch
}

// efficiency is how near an engine's kernels come to the data sheet, and what its host code adds to a step.
// The figures are of the size seen in public profiles of dense models on one H100; nobody's ranking.
type efficiency struct {
	memory   float64 // share of the bandwidth, GEMM at decode
	compute  float64 // share of the FLOPS, GEMM at prefill
	small    float64 // µs floor of an elementwise kernel
	hostUS   float64 // exposed host time of a step
	serialUS float64 // the same without overlapped scheduling
	launchUS float64 // host time of one launch, Python included
}

func efficiencyOf(engine string) efficiency {
	switch engine {
	case "vllm":
		return efficiency{0.867, 0.62, 2.1, 430, 950, 26}
	case "tensorrt_llm":
		return efficiency{0.866, 0.64, 2.0, 390, 850, 23}
	case "tokenspeed":
		return efficiency{0.862, 0.61, 2.2, 350, 900, 27}
	}
	return efficiency{0.880, 0.62, 2.0, 160, 950, 28}
}

// attentionCost is a backend's share of bandwidth (decode) and FLOPS (prefill), and its floor in µs.
type attentionCost struct{ memory, compute, base float64 }

func attentionOf(backend string) attentionCost {
	switch backend {
	case "flashinfer":
		return attentionCost{0.74, 0.52, 6.2}
	case "triton":
		return attentionCost{0.52, 0.30, 9.5}
	case "flex_attention":
		return attentionCost{0.38, 0.25, 14}
	case "torch_native":
		return attentionCost{0.20, 0.12, 32}
	}
	return attentionCost{0.76, 0.60, 5.6} // fa3 and what has its kernels
}

// roof computes kernel times of one engine on one GPU.
type roof struct {
	gpu GPU
	eff efficiency
	set *settings
}

func newRoof(gpu GPU, set *settings) roof {
	return roof{gpu: gpu, eff: efficiencyOf(set.engine), set: set}
}

// gemmUS is max(compute, memory) plus a launch floor, for (n×k)·(k×m).
func (r roof) gemmUS(n, k, m int) float64 {
	flops := 2 * float64(n) * float64(k) * float64(m)
	bytes := float64(k)*float64(m)*r.set.weightBytes + float64(n)*float64(k+m)*2
	compute := flops / (r.gpu.TFLOPS * 1e6 * r.set.computeScale * r.eff.compute)
	memory := bytes / (r.gpu.TBps * 1e6 * r.eff.memory)
	return math.Max(compute, memory) + 1.4
}

// elementUS is a kernel that streams bytes once.
func (r roof) elementUS(bytes, floor float64) float64 {
	return floor + bytes/(r.gpu.TBps*1e6*0.72)
}

// attentionUS is attention of one layer: decode reads the cache, prefill multiplies.
func (r roof) attentionUS(w work) (decode, prefill float64) {
	m := r.set.model
	kv := max(1, m.KVHeads/r.set.tp)
	if w.decodes > 0 {
		a := attentionOf(r.set.decodeAttention)
		bytes := 2 * float64(kv*m.HeadDim) * r.set.kvBytes * float64(w.decodeCtx)
		decode = a.base + bytes/(r.gpu.TBps*1e6*a.memory)
	}
	if len(w.prefills) > 0 {
		a := attentionOf(r.set.prefillAttention)
		flops := 0.0
		for _, c := range w.prefills {
			flops += 4 * float64(m.Heads/r.set.tp*m.HeadDim) * float64(c.n) * (float64(c.ctx) + float64(c.n)/2)
		}
		prefill = a.base + flops/(r.gpu.TFLOPS*1e6*a.compute)
	}
	return decode, prefill
}

// allReduceUS is one sum over the ranks: a one-shot kernel for small messages, a ring for large ones.
func (r roof) allReduceUS(bytes float64) float64 {
	p := float64(r.set.tp)
	if r.set.customAllReduce && bytes < 512<<10 {
		return 7.5 + bytes*(p-1)/(r.gpu.LinkGBps*1e3*0.5)
	}
	return 14 + 2*(p-1)/p*bytes/(r.gpu.LinkGBps*1e3*0.7)
}

// hostUS is the exposed host time of a step; several decode steps for one decision share it.
func (r roof) hostUS(w work) float64 {
	host := r.eff.hostUS
	if !r.set.overlap {
		host = r.eff.serialUS
	}
	if len(w.prefills) == 0 && r.set.decodeSteps > 1 {
		host /= float64(r.set.decodeSteps)
	}
	return host
}

// eachUS is the host time of one launch. Prefill is compiled or captured in pieces where graphs are on, which
// takes most of Python out of the way.
func (r roof) eachUS(w work) float64 {
	each := r.eff.launchUS
	if r.set.compiled {
		each *= 0.6
	}
	if r.set.graphs && len(w.prefills) > 0 {
		each *= 0.4
	}
	return each
}

// smallUS is the floor of the elementwise kernels that torch.compile can improve.
func (r roof) smallUS() float64 {
	if r.set.compiled {
		return r.eff.small * 0.85
	}
	return r.eff.small
}

// gapUS is the idle time between two kernels of one stream.
func gapUS(graph bool) float64 {
	if graph {
		return 0.7
	}
	return 1.1
}

// moment is when a kernel is launched and runs, in µs from the step's start.
type moment struct{ launch, start, us float64 }

// timeline plays a plan: launches one after the other on the host (or one for the whole graph), kernels one after the
// other on the stream, none before its launch. visit may be nil; layer is -1 outside the layers. stretch multiplies
// kernel times. It returns when the host has launched the last kernel before post, and when the GPU is done.
func (r roof) timeline(p *plan, stretch float64, visit func(k *kernel, layer int, m moment)) (hostUS, endUS float64) {
	host, gpu, gap := p.host, 0.0, gapUS(p.graph)
	run := func(list []kernel, layer int, graph bool) {
		for i := range list {
			k := &list[i]
			launched := host
			if !graph {
				host += p.each
			}
			start := math.Max(gpu+gap, launched+3)
			us := k.us * stretch
			if visit != nil {
				visit(k, layer, moment{launched, start, us})
			}
			gpu = start + us
		}
	}
	run(p.head, -1, p.graph)
	for i := range p.count {
		run(p.layer, i, p.graph)
	}
	run(p.tail, -1, p.graph)
	hostUS = host
	if p.graph {
		hostUS += 60 // the replay's own call
		host = hostUS
	}
	run(p.post, -1, false)
	return hostUS, gpu
}

// stepUS is how long a step takes from its start to the next one's.
func (r roof) stepUS(p *plan) float64 {
	_, end := r.timeline(p, 1, nil)
	return end
}
