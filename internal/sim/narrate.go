package sim

import (
	"fmt"
	"os"
	"time"
)

// phase is a moment of a launch that the engines write about.
type phase int

const (
	phaseArguments phase = iota
	phaseDistributed
	phaseWeightsBegin
	phaseWeightsEnd
	phaseCache
	phaseGraphsBegin
	phaseGraphsEnd
	phasePools
	phaseListening
	phaseReady
)

// tell writes what the engine's real log says at a phase; progress is read from these lines.
func (e *engine) tell(ph phase) {
	switch e.id {
	case "vllm":
		e.tellVLLM(ph)
	case "tensorrt_llm":
		e.tellTRTLLM(ph)
	default:
		e.tellSGLang(ph)
	}
}

// elapsed is launch time so far, in the seconds that the simulation claims.
func (e *engine) elapsed() float64 { return time.Since(e.begun).Seconds() * e.cfg.StartupSpeed }

func (e *engine) availableGB() float64 { return (e.mem.free - e.mem.weights) / gib }

func (e *engine) tellSGLang(ph phase) {
	s, l, m := e.set, e.log, e.mem
	switch ph {
	case phaseArguments:
		if e.id == "sglang" {
			l.info("%s", s.sglangArgs())
		} else {
			l.info("engine args: model=%v tensor_parallel_size=%d", s.resolved["model"], s.tp)
		}
	case phaseDistributed:
		l.info("Init torch distributed begin.")
		l.info("Init torch distributed ends. elapsed=%.2f s, mem usage=0.00 GB", initSeconds/2)
	case phaseWeightsBegin:
		l.info("Load weight begin. avail mem=%.2f GB", m.free/gib)
	case phaseWeightsEnd:
		l.info("Load weight end. elapsed=%.2f s, type=Qwen3ForCausalLM, avail mem=%.2f GB, mem usage=%.2f GB.", m.weights/1e9/weightsGBps, e.availableGB(), m.weights/gib)
	case phaseCache:
		l.info("KV Cache is allocated. #tokens: %d, K size: %.2f GB, V size: %.2f GB", m.tokens, m.kv/2/gib, m.kv/2/gib)
		l.info("Memory pool end. avail mem=%.2f GB", m.rest/gib)
	case phaseGraphsBegin:
		l.info("Capture cuda graph begin. This can take up to several minutes. avail mem=%.2f GB", m.rest/gib)
		l.info("Capture cuda graph bs %v", s.graphSizes)
	case phaseGraphsEnd:
		l.info("Capture cuda graph end. Time elapsed: %.2f s. mem usage=%.2f GB. avail mem=%.2f GB.", graphSeconds*float64(len(s.graphSizes)), s.graphBytes()/gib, (m.rest-s.graphBytes())/gib)
	case phasePools:
		chunk := s.stepTokens
		if !s.chunked {
			chunk = -1
		}
		l.info("max_total_num_tokens=%d, chunked_prefill_size=%d, max_prefill_tokens=16384, max_running_requests=%d, context_len=%d, available_gpu_mem=%.2f GB", m.tokens, chunk, s.maxRunning, s.contextLen, (m.rest-s.graphBytes())/gib)
	case phaseListening:
		if e.id == "sglang" {
			e.tellUvicorn()
		}
	case phaseReady:
		if e.id == "tokenspeed" {
			l.info("ts serve ready on http://%s:%d", s.host, s.port)
			l.info("ts control server ready on http://%s:%d", s.host, s.port+1)
			return
		}
		l.access(fmt.Sprintf("127.0.0.1:%d", 40000+os.Getpid()%20000), "POST", "/generate", 200, "OK")
		l.info("The server is fired up and ready to roll!")
	}
}

func (e *engine) tellUvicorn() {
	e.log.raw("INFO:     Started server process [%d]", os.Getpid())
	e.log.raw("INFO:     Waiting for application startup.")
	e.log.raw("INFO:     Application startup complete.")
	e.log.raw("INFO:     Uvicorn running on http://%s:%d (Press CTRL+C to quit)", e.set.host, e.set.port)
}

func (e *engine) tellVLLM(ph phase) {
	s, l, m := e.set, e.log, e.mem
	switch ph {
	case phaseArguments:
		l.info("vLLM API server version 0.26.0")
		l.info("non-default args: {'model_tag': '%v', 'port': %d, 'max_num_seqs': %d}", s.resolved["model_tag"], s.port, s.maxRunning)
		l.info("Resolved architecture: Qwen3ForCausalLM")
		l.info("Using max model len %d", s.contextLen)
		if s.chunked {
			l.info("Chunked prefill is enabled with max_num_batched_tokens=%d.", s.stepTokens)
		}
	case phaseDistributed:
		l.info("Initializing a V1 LLM engine (v0.26.0) with config: tensor_parallel_size=%d, enforce_eager=%s, enable_prefix_caching=%s", s.tp, pythonLiteral(!s.graphs), pythonLiteral(s.prefixCache))
		l.info("world_size=%d rank=0 local_rank=0 backend=nccl", s.tp)
	case phaseWeightsBegin:
		l.info("Starting to load model %v...", s.resolved["model_tag"])
	case phaseWeightsEnd:
		l.info("Loading weights took %.2f seconds", m.weights/1e9/weightsGBps)
		l.info("Model loading took %.4f GiB and %.2f seconds", m.weights/gib, m.weights/1e9/weightsGBps+1)
	case phaseCache:
		l.info("Available KV cache memory: %.2f GiB", m.kv/gib)
		l.info("GPU KV cache size: %d tokens", m.tokens)
		l.info("Maximum concurrency for %d tokens per request: %.2fx", s.contextLen, float64(m.tokens)/float64(s.contextLen))
	case phaseGraphsBegin:
		l.info("Capturing CUDA graphs (decode, FULL): %d sizes", len(s.graphSizes))
	case phaseGraphsEnd:
		l.info("Graph capturing finished in %.0f secs, took %.2f GiB", graphSeconds*float64(len(s.graphSizes)), s.graphBytes()/gib)
	case phasePools:
		l.info("init engine (profile, create kv cache, warmup model) took %.2f seconds", e.elapsed())
	case phaseListening:
		l.info("Starting vLLM API server 0 on http://%s:%d", s.host, s.port)
	case phaseReady:
		e.log.raw("INFO:     Started server process [%d]", os.Getpid())
		e.log.raw("INFO:     Waiting for application startup.")
		e.log.raw("INFO:     Application startup complete.")
	}
}

func (e *engine) tellTRTLLM(ph phase) {
	s, l, m := e.set, e.log, e.mem
	switch ph {
	case phaseArguments:
		l.raw("[TensorRT-LLM] TensorRT LLM version: 1.2.1")
		l.info("Using LLM with PyTorch backend")
	case phaseDistributed:
		l.info("Set nccl_plugin to None. world size %d", s.tp)
	case phaseWeightsBegin:
		l.info("Prefetching %.2fGB checkpoint files.", m.weights*float64(s.tp)/1e9)
	case phaseWeightsEnd:
		l.info("Loading weights took %.2f seconds; model init total -- %.2fs", m.weights/1e9/weightsGBps, m.weights/1e9/weightsGBps+2)
	case phaseCache:
		l.info("[MemUsageChange] Allocated %.2f GiB for max tokens in paged KV cache (%d).", m.kv/gib, m.tokens)
	case phaseGraphsBegin:
		l.info("Creating CUDA graph instances for %d batch sizes.", len(s.graphSizes))
	case phaseGraphsEnd:
		l.info("Run generation-only CUDA graph warmup for batch size=%d, done", s.graphSizes[len(s.graphSizes)-1])
	case phasePools:
		l.info("max_seq_len=%d, max_num_requests=%d, max_num_tokens=%d, max_batch_size=%d", s.contextLen, s.maxRunning, s.stepTokens, s.maxRunning)
	case phaseReady:
		e.tellUvicorn()
	}
}

// farewell is written on an ordered stop.
func (e *engine) farewell() {
	e.log.raw("INFO:     Shutting down")
	e.log.raw("INFO:     Finished server process [%d]", os.Getpid())
}
