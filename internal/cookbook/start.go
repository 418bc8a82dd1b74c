package cookbook

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// Start is where a search of one framework begins: base flags and knobs that the host at hand can take.
type Start struct {
	Base    map[string]any `json:"base"`
	Knobs   []Knob         `json:"knobs"`
	Dropped []string       `json:"dropped,omitempty"` // what the host rules out, and why
}

// Start gives a framework's beginning on a host. Sizes follow the GPUs: tensor parallelism over all of them;
// expert-parallel sizes that cannot be laid out, and kernels of another generation, are dropped and named. A framework
// that the entry lacks or calls unsupported is a fault with the reason.
func (e Entry) Start(fw contract.Framework, h contract.Host) (Start, error) {
	known, err := framework.Of(fw)
	if err != nil {
		return Start{}, err
	}
	side, ok := e.Frameworks[fw]
	if !ok {
		return Start{}, fault.New(fault.NotFound, "the cookbook's entry %q says nothing of %s", e.ID, fw).At("framework", string(fw))
	}
	if side.State == StateUnsupported {
		return Start{}, fault.New(fault.InvalidInput, "%s does not serve %s: %s", fw, e.ID, side.Reason).At("framework", string(fw))
	}
	gpus := max(1, len(h.GPUs))
	out := Start{Base: map[string]any{}, Knobs: []Knob{}}
	drop := func(flag string, v any, why string) bool {
		if why != "" {
			out.Dropped = append(out.Dropped, fmt.Sprintf("%s %s: %s", flag, framework.Render(v), why))
		}
		return why != ""
	}
	for _, name := range slices.Sorted(maps.Keys(side.Base)) {
		v := side.Base[name]
		switch known.Role(name) {
		case "tp":
			if v = gpus; gpus == 1 {
				continue
			}
		case "ep":
			if drop(name, v, Layout(fw, map[string]any{name: v}, gpus)) {
				continue
			}
		}
		if !drop(name, v, otherGeneration(v, h)) {
			out.Base[name] = v
		}
	}
	for _, k := range side.Knobs() {
		kept := Knob{Flag: k.Flag}
		for _, v := range k.Values {
			if !drop(k.Flag, v, cmp.Or(layoutWith(fw, known, out.Base, k.Flag, v, gpus), otherGeneration(v, h))) {
				kept.Values = append(kept.Values, v)
			}
		}
		if len(kept.Values) > 0 {
			out.Knobs = append(out.Knobs, kept)
		}
	}
	return out, nil
}

// hopper is the generation that FlashAttention 3 is built for, by the names of its GPUs.
var hopper = regexp.MustCompile(`(?i)\bG?H(100|200|800|20)\b`)

// otherGeneration says why a value needs another generation of GPU than the host's; a host that names no GPU is not
// judged.
func otherGeneration(v any, h contract.Host) string {
	if v == "fa3" && h.GPUModel != "" && !hopper.MatchString(h.GPUModel) {
		return "runs on Hopper, not on " + h.GPUModel
	}
	return ""
}

// layoutWith judges one value of a knob together with the base. A flag without a role decides no layout.
func layoutWith(fw contract.Framework, known framework.Framework, base map[string]any, flag string, v any, gpus int) string {
	switch known.Role(flag) {
	case "tp", "pp", "dp", "ep":
	default:
		return ""
	}
	flags := maps.Clone(base)
	flags[flag] = v
	return Layout(fw, flags, gpus)
}

// contractFlags are the names of the contract's terms per framework; "" where a framework has no flag for one.
var contractFlags = map[contract.Framework]struct{ context, kv, dtype, remote, tool, reasoning string }{
	contract.SGLang:      {"context-length", "kv-cache-dtype", "dtype", "trust-remote-code", "tool-call-parser", "reasoning-parser"},
	contract.VLLM:        {"max-model-len", "kv-cache-dtype", "dtype", "trust-remote-code", "tool-call-parser", "reasoning-parser"},
	contract.TensorRTLLM: {"max_seq_len", "kv_cache_dtype", "", "trust_remote_code", "tool_parser", "reasoning_parser"},
	contract.TokenSpeed:  {"max-model-len", "kv-cache-dtype", "dtype", "trust-remote-code", "", "reasoning-parser"},
}

// ContractFlags are the flags of the contract's class with which a framework would serve the entry: context, KV cache and
// weight types other than auto, remote code, parsers, and the side's own terms. A search may not set them; they say what
// a contract, or the engineer's own command, has to say.
func (e Entry) ContractFlags(fw contract.Framework) map[string]any {
	names, side, out := contractFlags[fw], e.Frameworks[fw], map[string]any{}
	set := func(name string, v any, said bool) {
		if name != "" && said {
			out[name] = v
		}
	}
	set(names.context, e.MaxContext, e.MaxContext > 0)
	set(names.kv, e.KVDtype, e.KVDtype != "auto")
	set(names.dtype, e.Dtype, e.Dtype != "auto")
	set(names.remote, true, e.RemoteCode)
	set(names.tool, side.Parsers.Tool, side.Parsers.Tool != "")
	set(names.reasoning, side.Parsers.Reasoning, side.Parsers.Reasoning != "")
	maps.Copy(out, side.Terms)
	return out
}
