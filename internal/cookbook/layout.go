package cookbook

import (
	"fmt"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// layoutRules say per framework what sizes a layout may have: in words, and whether an expert-parallel size has to divide
// the tensor-parallel size alone or all ranks that serve one model.
var layoutRules = map[contract.Framework]struct {
	words   string
	overAll bool
}{
	contract.SGLang:      {"tensor × pipeline × data = GPUs (data parallel without attention parallelism makes replicas); the expert-parallel size divides the tensor-parallel size", false},
	contract.VLLM:        {"tensor × pipeline × data = GPUs; experts are spread over tensor × data ranks by a switch, without a size of their own", true},
	contract.TensorRTLLM: {"tensor × pipeline = GPUs; the expert-parallel size divides the tensor-parallel size, the rest splits inside experts", false},
	contract.TokenSpeed:  {"tensor × pipeline × data = GPUs; the expert-parallel size divides tensor × data, the switch sets it to that", true},
}

// LayoutRule says in words what sizes a framework's layout may have.
func LayoutRule(fw contract.Framework) string { return layoutRules[fw].words }

// Layout says why flags cannot be laid out on a number of GPUs of one host, "" where they can. Flags that name no size
// leave the layout to the launch, which takes all GPUs for tensor parallelism.
func Layout(fw contract.Framework, flags map[string]any, gpus int) string {
	known, err := framework.Of(fw)
	if err != nil {
		return err.Error()
	}
	size, problem := framework.Sizes(known, flags, gpus)
	if problem != "" {
		return problem
	}
	if product := size["tp"] * size["pp"] * size["dp"]; product != gpus {
		return fmt.Sprintf("tensor %d × pipeline %d × data %d = %d, not the %d GPUs", size["tp"], size["pp"], size["dp"], product, gpus)
	}
	over := size["tp"]
	if layoutRules[fw].overAll {
		over *= size["dp"]
	}
	if over%size["ep"] != 0 {
		return fmt.Sprintf("expert-parallel size %d does not divide %d", size["ep"], over)
	}
	return ""
}
