package framework

import (
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// All is every framework.
var All = []Framework{sglang{&sglangFlags}, vllm{&vllmFlags}, tensorRTLLM{&tensorRTFlags}, tokenSpeed{&tokenSpeedFlags}}

// Of finds a framework by its canonical name.
func Of(t contract.Framework) (Framework, error) {
	for _, f := range All {
		if f.Type() == t {
			return f, nil
		}
	}
	return nil, fault.New(fault.InvalidInput, "unknown framework %q", t).At("framework", string(t), contract.Frameworks...)
}

// EagerFlags are the flags that turn CUDA graphs off, for a mapping trace.
func EagerFlags(t contract.Framework) (map[string]any, error) {
	switch t {
	case contract.SGLang:
		return map[string]any{"disable-cuda-graph": true}, nil
	case contract.VLLM, contract.TokenSpeed:
		return map[string]any{"enforce-eager": true}, nil
	case contract.TensorRTLLM:
		return nil, fault.New(fault.InvalidInput, "TensorRT-LLM turns CUDA graphs off by a YAML file only").Hint("capture the formal trace without mapping")
	}
	_, err := Of(t)
	return nil, err
}
