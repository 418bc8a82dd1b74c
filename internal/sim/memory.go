package sim

import "math"

// Sizes of what a process holds besides weights and cache, from logs of real launches of 8B models on H100.
const (
	gib           = float64(1 << 30)
	contextBytes  = 0.70 * gib // CUDA context, NCCL, library workspaces
	graphFixed    = 0.25 * gib
	graphEach     = 0.0075 * gib // a captured batch size
	logitsPerElem = 4.0
)

// weightsOn is the bytes of weights on each rank.
func (s *settings) weightsOn() float64 {
	m := s.model
	embeddings := float64(m.Vocab*m.Hidden) * 2 // embeddings stay in 16 bit
	if !m.TieEmbeddings {
		embeddings *= 2
	}
	return (m.layerParams()*float64(m.Layers)*s.weightBytes + embeddings) / float64(s.tp)
}

// activations is the peak of a step at the largest batch the settings allow.
func (s *settings) activations() float64 {
	m := s.model
	tokens := float64(s.stepTokens)
	perToken := float64(m.Hidden)*12 + 6*float64(m.Intermediate)/float64(s.tp)
	logits := math.Min(float64(s.maxRunning), 256) * float64(m.Vocab) / float64(s.tp) * logitsPerElem
	return tokens*perToken + logits
}

// graphBytes is what capturing the decode graphs takes.
func (s *settings) graphBytes() float64 {
	if !s.graphs {
		return 0
	}
	return graphFixed + graphEach*float64(len(s.graphSizes))
}

// kvPerToken is the bytes of cache for a token on each rank.
func (s *settings) kvPerToken() float64 {
	m := s.model
	m.KVHeads = max(1, m.KVHeads/s.tp)
	return m.kvBytesPerToken(s.kvBytes)
}

// budget is how an engine divides a GPU's memory, in bytes on each rank.
type budget struct {
	total, free float64 // before the launch; free excludes the process's own context
	weights     float64
	kv          float64 // cache pool; ≤ 0: none fits
	tokens      int
	rest        float64 // left for activations and graphs
	need        float64 // what they take
}

// fits tells whether the launch survives its first step and its graph capture.
func (b budget) fits() bool { return b.need <= b.rest }

// used is what the process holds when it serves.
func (b budget) used() float64 { return contextBytes + b.weights + math.Max(b.kv, 0) + b.need }

// memoryBudget divides the memory of the fullest of the GPUs.
//   - SGLang, TokenSpeed: the fraction holds weights and cache; activations and graphs take from the rest.
//   - vLLM: the fraction of the whole GPU holds weights, measured activations and cache; graphs take from the rest.
//   - TensorRT-LLM: the fraction of what is free after weights and activations is cache.
func memoryBudget(s *settings, gpu GPU, usedMiB float64) budget {
	b := budget{total: gpu.bytes(), weights: s.weightsOn()}
	b.free = b.total - usedMiB*(1<<20) - contextBytes
	switch s.engine {
	case "vllm":
		b.kv = s.memFraction*b.total - contextBytes - b.weights - s.activations()
		b.need, b.rest = s.graphBytes(), b.free-(s.memFraction*b.total-contextBytes)
	case "tensorrt_llm":
		left := b.free - b.weights - s.activations()
		b.kv = s.memFraction * left
		b.need, b.rest = s.graphBytes(), left-b.kv
	default:
		b.kv = s.memFraction*b.free - b.weights
		b.need, b.rest = s.activations()+s.graphBytes(), (1-s.memFraction)*b.free
	}
	b.tokens = int(math.Max(0, b.kv/s.kvPerToken()))
	if s.maxTotalTokens > 0 && b.tokens > s.maxTotalTokens {
		b.tokens = s.maxTotalTokens
		b.kv = float64(b.tokens) * s.kvPerToken()
	}
	return b
}
