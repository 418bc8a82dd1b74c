package trace

import (
	"strings"
	"sync"
)

// The categories of kernels.
const (
	catNameGemm          = "gemm"
	catNameAttention     = "attention"
	catNameMoE           = "moe"
	catNameCommunication = "communication"
	catNameNorm          = "norm"
	catNameActivation    = "activation"
	catNameRope          = "rope"
	catNameSampling      = "sampling"
	catNameQuantization  = "quantization"
	catNameKVCache       = "kv_cache"
	catNameEmbedding     = "embedding"
	catNameReduction     = "reduction"
	catNameElementwise   = "elementwise"
	catNameMemory        = "memory"
	catNameMamba         = "mamba"
	catNameOther         = "other"
)

// Categories lists the categories of kernels.
func Categories() []string {
	return []string{
		catNameGemm, catNameAttention, catNameMoE, catNameCommunication, catNameNorm, catNameActivation, catNameRope,
		catNameSampling, catNameQuantization, catNameKVCache, catNameEmbedding, catNameReduction, catNameElementwise,
		catNameMemory, catNameMamba, catNameOther,
	}
}

// classifier holds the phrases as words; it is made once and never changed.
type classifier struct {
	strong, scoped, plain, late, functors, inductor []classRule
	grouped, expert                                 []string
	operators                                       map[string]string // PyTorch's, by whole name
	extend                                          string            // the bare name of SGLang's Triton prefill attention
}

// classifierOnce makes the classifier when it is first needed.
var classifierOnce = sync.OnceValue(newClassifier)

// categorize names the category of GPU work. The name decides; a grouped GEMM is MoE where its operator
// or Python location says so, and a kernel whose name says nothing is what its operator is.
func categorize(cat category, name, op string, at []Location) string {
	if cat == catMemcpy || cat == catMemset {
		return catNameMemory
	}
	c := classifierOnce()
	if cat == catOp {
		for _, text := range []string{words(name), parseSymbol(name).function} {
			if got, ok := c.operators[text]; ok {
				return got
			}
		}
	}
	got := c.byName(name)
	if got == catNameOther && op != "" {
		got = c.byName(op)
	}
	if got == catNameGemm && c.isExperts(name, op, at) {
		return catNameMoE
	}
	return got
}

// byName classifies by the words of a name: the function's own words before those of its namespaces,
// both before those of its template arguments, which say much that is not about the kernel.
func (c *classifier) byName(name string) string {
	if got := c.inductorName(name); got != "" {
		return got
	}
	if strings.HasPrefix(name, "Memcpy ") || strings.HasPrefix(name, "Memset ") {
		return catNameMemory
	}
	s := parseSymbol(withoutConstraint(name))
	if s.function == c.extend && s.scope == " " {
		return catNameAttention
	}
	if got := first(c.strong, s.function); got != "" {
		if got == catNameGemm && has(s.scope, c.expert) {
			return catNameMoE
		}
		return got
	}
	if got := first(c.scoped, s.scope); got != "" {
		return got
	}
	if got := first(c.plain, s.function); got != "" {
		return c.refine(got, s)
	}
	if got := first(c.late, s.scope); got != "" {
		return got
	}
	if got := first(c.strong, s.templates); got != "" {
		return got
	}
	if got := first(c.plain, s.templates); got != "" {
		return got
	}
	return catNameOther
}

// withoutConstraint drops a return type that only says when a template applies
// ("std::enable_if<((8)>(0))&&…, void>::type vllm::fused_add_rms_norm_kernel<…>"): its signs are no brackets.
func withoutConstraint(name string) string {
	if strings.HasPrefix(name, "std::enable_if<") {
		if _, function, ok := strings.Cut(name, ">::type "); ok {
			return function
		}
	}
	return name
}

// refine looks at the functor of PyTorch's generic elementwise and reduction kernels.
func (c *classifier) refine(got string, s symbol) string {
	if got != catNameElementwise && got != catNameReduction {
		return got
	}
	if better := first(c.functors, s.templates); better != "" && (got == catNameElementwise || better == catNameSampling) {
		return better
	}
	return got
}

// inductorName classifies TorchInductor's names, which list the fused operators:
// triton_{poi,red,per,tem}_fused_<ops>_<n>, on a CPU [graph_<n>_]cpp_fused_<ops>_<n>. Empty for other names.
func (c *classifier) inductorName(name string) string {
	rest, ok := strings.CutPrefix(name, "triton_")
	if at := strings.Index(name, "cpp_fused_"); at == 0 || at > 0 && strings.HasPrefix(name, "graph_") {
		rest, ok = name[at:], true
	}
	if !ok {
		return ""
	}
	kind, ops, ok := strings.Cut(rest, "_fused_")
	text := words(ops)
	if !ok {
		if kind, ok = strings.CutSuffix(rest, "_fused"); !ok {
			return ""
		}
	}
	if strings.Contains(text, " rsqrt ") && has(text, []string{" mean ", " pow ", " var ", " sum "}) {
		return catNameNorm
	}
	if got := first(c.inductor, text); got != "" {
		return got
	}
	switch kind {
	case "poi":
		return catNameElementwise
	case "red", "per", "mix":
		return catNameReduction
	case "tem":
		return catNameGemm
	}
	return ""
}

// isExperts tells a grouped GEMM that multiplies by experts' weights.
func (c *classifier) isExperts(name, op string, at []Location) bool {
	if !has(words(name), c.grouped) {
		return false
	}
	if has(words(op), c.expert) {
		return true
	}
	for _, l := range at {
		if has(words(l.Path+" "+l.Func), c.expert) {
			return true
		}
	}
	return false
}

// isCompute tells the categories that keep the GPU's arithmetic busy, as opposed to moving data.
func isCompute(category string) bool {
	switch category {
	case catNameCommunication, catNameMemory, catNameKVCache, catNameElementwise, catNameOther:
		return false
	}
	return true
}
