package framework

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// fullestGPU is the share of a GPU's memory that weights may take at most: the KV cache, activations and graphs need the
// rest.
const fullestGPU = 0.95

// Unfit says why a launch with these flags cannot come up under a contract, "" where nothing is known against it: a layout
// of more GPUs than there are, weights that do not fit the GPUs of that layout, or what the framework itself refuses. null
// removes a flag.
func Unfit(fw Framework, flags map[string]any, c *contract.Contract) string {
	size, _ := Sizes(fw, flags, c.GPUCount()) // a value that is no size is the flag's to refuse
	if need := size["tp"] * size["pp"] * size["dp"]; need > c.GPUCount() {
		return fmt.Sprintf("the layout needs %d GPUs, the contract has %d", need, c.GPUCount())
	}
	weights, memory := float64(c.Model.Bytes)/float64(size["tp"]*size["pp"])/(1<<30), float64(c.Host.GPUMemory)/1024
	if weights > 0 && memory > 0 && weights > fullestGPU*memory {
		return fmt.Sprintf("the weights take %.0f GiB of each GPU, which has %.0f", weights, memory)
	}
	return Conflict(fw.Type(), flags, c.MaxContext)
}

// Sizes reads the parallel layout of flags: how many GPUs tensor, pipeline, data and expert parallelism (tp, pp, dp, ep)
// take. Flags that name no size leave the layout to the launch, which takes all GPUs for tensor parallelism; null removes a
// flag. problem names the first value that is no size, which counts as not said.
func Sizes(fw Framework, flags map[string]any, gpus int) (size map[string]int, problem string) {
	size = map[string]int{"tp": 1, "pp": 1, "dp": 1, "ep": 1}
	laidOut := false
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		role := fw.Role(name)
		if _, sized := size[role]; !sized || flags[name] == nil {
			continue
		}
		n, err := strconv.Atoi(Render(flags[name]))
		if err != nil || n < 1 {
			problem = cmp.Or(problem, fmt.Sprintf("%s %v is no size", name, flags[name]))
			continue
		}
		size[role] = n
		laidOut = laidOut || role != "ep"
	}
	if !laidOut {
		size["tp"] = gpus
	}
	return size, problem
}

// Conflict says why a framework refuses flags that it takes one by one, "" where it does not. It knows what the frameworks
// check themselves before they load anything, so that no launch is spent on it:
// vLLM (config/scheduler.py, 0.26.0) wants a step's tokens to hold every sequence, and the longest sequence where prefill is
// not chunked; SGLang (srt/server_args.py, 0.5.15.post1) wants the prefill chunk to be whole pages.
func Conflict(t contract.Framework, flags map[string]any, maxContext int) string {
	number := func(name string) (int, bool) { return sizeOf(flags, name) }
	switch t {
	case contract.VLLM:
		tokens, ok := number("max-num-batched-tokens")
		if !ok {
			return ""
		}
		if seqs, said := number("max-num-seqs"); said && tokens < seqs {
			return fmt.Sprintf("max-num-batched-tokens %d is below max-num-seqs %d", tokens, seqs)
		}
		if flagOf(flags, "enable-chunked-prefill") == false && tokens < maxContext {
			return fmt.Sprintf("max-num-batched-tokens %d is below the context of %d tokens, and prefill is not chunked", tokens, maxContext)
		}
	case contract.SGLang:
		chunk, said := number("chunked-prefill-size")
		page, paged := number("page-size")
		if said && paged && chunk > 0 && page > 1 && chunk%page != 0 {
			return fmt.Sprintf("chunked-prefill-size %d is no whole number of pages of %d", chunk, page)
		}
	}
	return ""
}

// flagOf is a flag's value under any spelling of its name.
func flagOf(flags map[string]any, name string) any {
	for k, v := range flags {
		if key(k) == name {
			return v
		}
	}
	return nil
}

// sizeOf is a flag's whole number.
func sizeOf(flags map[string]any, name string) (int, bool) {
	v := flagOf(flags, name)
	if v == nil {
		return 0, false
	}
	n, err := strconv.Atoi(Render(v))
	return n, err == nil
}
