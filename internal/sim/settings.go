package sim

// settings are an engine's launch arguments after its own rules have been applied: what the model of time,
// memory and scheduling needs, in one vocabulary for all engines.
type settings struct {
	engine string // canonical framework type
	model  Model
	served []string // model names the API answers to
	host   string
	port   int

	tp       int
	firstGPU int // within the visible ones

	weightBytes  float64 // a weight's size
	computeScale float64 // FLOPS over the data sheet's bf16
	kvBytes      float64 // a cache element's size

	memFraction    float64
	maxRunning     int  // sequences in a step
	stepTokens     int  // tokens in a step with prefill
	chunked        bool // a prompt may be split over steps
	mixed          bool // decode and prefill share steps
	maxTotalTokens int  // upper limit of the cache, 0 for what fits
	contextLen     int

	graphs      bool
	graphSizes  []int // captured decode batch sizes, ascending
	overlap     bool  // CPU scheduling is hidden behind the GPU
	compiled    bool  // torch.compile
	decodeSteps int   // decode steps for each scheduling decision

	prefillAttention string
	decodeAttention  string
	fusedNormRope    bool
	customAllReduce  bool

	prefixCache    bool
	streamInterval int
	cacheReport    bool
	metrics        bool
	skipTokenizer  bool

	profilerDir  string // vLLM: where captures go; empty: no profiler endpoints
	profileSteps int    // vLLM: max_iterations; 0 until stopped
	withStack    bool
	recordShapes bool
	seed         uint64

	resolved map[string]any // arguments as server_info shows them
}

// graphFor is the captured size that a decode batch is padded to; ok is false when it has to run eagerly.
func (s *settings) graphFor(batch int) (padded int, ok bool) {
	if !s.graphs {
		return 0, false
	}
	for _, size := range s.graphSizes {
		if size >= batch {
			return size, true
		}
	}
	return 0, false
}

// captureSizes are the usual batch sizes up to limit: 1, 2, 4, then multiples of 8, 16 from 256 and 32 from 512.
func captureSizes(limit int) []int {
	out := []int{}
	for _, n := range []int{1, 2, 4} {
		if n <= limit {
			out = append(out, n)
		}
	}
	for n := 8; n <= limit; {
		out = append(out, n)
		switch {
		case n >= 512:
			n += 32
		case n >= 256:
			n += 16
		default:
			n += 8
		}
	}
	if len(out) == 0 || out[len(out)-1] != limit {
		out = append(out, limit)
	}
	return out
}
