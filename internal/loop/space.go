package loop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// knob is one search knob with the values worth a launch.
type knob struct {
	name   string
	values []any
}

// defaultKnobs are what a side is searched over where the caller names no space: few knobs of high impact on a single
// node, the ones each project's tuning guide begins with. Layout, precision and memory fractions are not among them:
// they are the contract's, or pinned. A build's captured help decides which of them exist.
func defaultKnobs(fw contract.Framework) []knob {
	switch fw {
	case contract.SGLang:
		return []knob{
			{"attention-backend", []any{"fa3", "flashinfer", "triton"}}, {"chunked-prefill-size", []any{2048, 4096, 8192, 16384}},
			{"max-running-requests", []any{64, 256, 1024}}, {"cuda-graph-max-bs", []any{64, 256, 512}}, {"enable-mixed-chunk", []any{true}},
			{"num-continuous-decode-steps", []any{1, 2, 4}}, {"schedule-conservativeness", []any{0.3, 1.0}},
		}
	case contract.VLLM:
		return []knob{
			{"max-num-batched-tokens", []any{2048, 4096, 8192, 16384}}, {"max-num-seqs", []any{64, 256, 1024}}, {"async-scheduling", []any{true}},
			{"block-size", []any{"16", "32", "64"}}, {"long-prefill-token-threshold", []any{0, 2048}}, {"stream-interval", []any{1, 2, 4}},
		}
	case contract.TensorRTLLM:
		return []knob{{"max-batch-size", []any{64, 256, 1024}}, {"max-num-tokens", []any{2048, 4096, 8192, 16384}}, {"num-postprocess-workers", []any{0, 2, 4}}}
	case contract.TokenSpeed:
		return []knob{{"attention-backend", []any{"fa3", "flashinfer", "triton"}}, {"chunked-prefill-size", []any{2048, 4096, 8192, 16384}}, {"max-num-seqs", []any{64, 256, 1024}}}
	}
	return nil
}

// defaultSpace is what of the default knobs this build's help knows as search knobs and takes values for.
func defaultSpace(fw framework.Framework, help *framework.Help, base map[string]any) map[string][]any {
	out := map[string][]any{}
	for _, k := range defaultKnobs(fw.Type()) {
		flag, ok := help.Find(k.name)
		if _, fixed := base[k.name]; !ok || fixed || fw.Class(flag) != framework.ClassSearch {
			continue
		}
		values := slices.DeleteFunc(slices.Clone(k.values), func(v any) bool { return flag.Accepts(v) != nil })
		if len(values) > 0 {
			out[flagName(flag)] = values
		}
	}
	return out
}

// flagName is a flag's name as answers and ledgers write it.
func flagName(f framework.Flag) string { return strings.TrimLeft(f.Name, "-") }

// canonical spells every flag as the captured help does, so that one flag has one name in a campaign and two spellings
// of it cannot hold two values. A name that the help lacks stays as it is: a rule refuses it.
func canonical[V any](field string, m map[string]V, help *framework.Help) (map[string]V, error) {
	out, said := map[string]V{}, map[string]string{}
	for _, name := range sortedKeys(m) {
		as := strings.TrimLeft(name, "-")
		if flag, ok := help.Find(as); ok {
			as = flagName(flag)
		}
		if other, twice := said[as]; twice {
			return nil, fault.New(fault.InvalidInput, "%q and %q are one flag", other, name).At(field+"."+name, name, as).Hint("give it once, as %s", as)
		}
		out[as], said[as] = m[name], name
	}
	return out, nil
}

// spelled rewrites a search's arguments by the captured help and fills in a space where the caller gave none: the
// cookbook's of the contract, else the product's own.
func (a searchArgs) spelled(c *contract.Contract, fw framework.Framework, help *framework.Help) (searchArgs, error) {
	var err error
	if a.Base, err = canonical("base_flags", a.Base, help); err != nil {
		return a, err
	}
	if a.Space, err = canonical("space", a.Space, help); err != nil {
		return a, err
	}
	for _, name := range sortedKeys(a.Space) {
		if len(a.Space[name]) == 0 {
			return a, fault.New(fault.InvalidInput, "space %q lists no value", name).At("space."+name, "[]").Hint("list the values to try, or leave %s out", name)
		}
	}
	if len(a.Space) == 0 {
		a.Default = true
		if start, _, ok := cooked(c, fw.Type()); ok {
			a.Base, a.Space, _ = cookedSpace(start, fw, help, a.Base)
		}
	}
	if len(a.Space) == 0 { // also where this build knows nothing of what the cookbook names
		a.Space = defaultSpace(fw, help, a.Base)
	}
	return a, nil
}

// spaceText says a space in a line.
func spaceText(space map[string][]any) string {
	var out []string
	for _, name := range sortedKeys(space) {
		out = append(out, fmt.Sprintf("%s %v", name, space[name]))
	}
	return strings.Join(out, ", ")
}
