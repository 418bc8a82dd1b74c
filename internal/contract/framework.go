package contract

// Framework is a type of serving engine, by its canonical name.
type Framework string

// The frameworks.
const (
	SGLang      Framework = "sglang"
	VLLM        Framework = "vllm"
	TensorRTLLM Framework = "tensorrt_llm"
	TokenSpeed  Framework = "tokenspeed"
)

// Frameworks lists the canonical names.
var Frameworks = []string{string(SGLang), string(VLLM), string(TensorRTLLM), string(TokenSpeed)}
