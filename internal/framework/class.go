package framework

import (
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// names is a set of flags by key.
type names map[string]bool

// words reads a set from text: one word a flag, without dashes in front.
func words(text string) names {
	out := names{}
	for _, w := range strings.Fields(text) {
		out[w] = true
	}
	return out
}

// table is what an adapter knows of its flags by name: classes that the help does not tell, the kinds that it does not
// show, and what a flag decides beyond itself. A flag that stands nowhere here is judged by its words, then by its kind.
type table struct {
	forbidden, contract, host, pinned, search names
	ints, floats, lists, objects              names
	json                                      map[string]schema // JSON flags that are knobs, with the keys that may be given
	roles                                     map[string]string
	short                                     map[string]string // one-dash names a pasted command may hold
}

// The words of a flag's name that tell its class where no table lists it: engines add flags with every release, and a
// new one must not become a knob because its value is a number or a switch.
var (
	// codeWords are parts of names of flags that load code or name files: forbidden where the value is free text.
	codeWords = words(`path paths file files filename dir dirs folder directory url urls uri uris plugin plugins module modules
		middleware hook hooks cls class script loader connector processor processors callback template yaml socket uds sock`)
	// hostWords: address, ports, logs, metrics, keys, processes.
	hostWords = words(`host hostname port ports addr address ip rpc rank ranks nnodes node nodes master ray grpc http http2 h11 uvicorn
		fastapi cors ssl tls cert certs key keys password secret auth log logs logging logger metrics metric trace traces tracing
		otlp telemetry prometheus debug dump crash profile profiling profiler nvtx nsight watchdog endpoint endpoints bootstrap disagg
		disaggregation supervisor encoder canary header headers origins labels label buckets warmup warmups swagger docs offline
		sleep checksum`)
	// contractWords: weights, precision, what is computed and answered.
	contractWords = words(`model models tokenizer detokenizer revision dtype quant quantization quantize modelopt torchao precision
		fp4 fp8 mxfp4 nvfp4 int8 fp16 fp32 fp64 tf32 bf16 bf16x3 stochastic speculative speculation spec draft drafter eagle eagle3
		mtp ngram medusa lora loras weight weights checkpoint ckpt load safetensors hf gguf embedding embeddings embeds pooler pooling seed
		logprob logprobs logits sampling sampler temperature mm multimodal image video audio asr vision media reasoning thinking
		tool tools chat context override overrides rope yarn sliding numerics deterministic invariant truncate hidden rl
		dllm diffusion offload generation task beam lm finetune adapter adapters return echo`)
)

// ParseHelp reads a help, and gives its flags what the table knows of them.
func (t *table) ParseHelp(text string) (Help, error) {
	h, err := parseHelp(text)
	return t.refine(h), err
}

// ParseVersion reads what VersionCommand printed.
func (*table) ParseVersion(text string) (Version, error) { return parseVersion(text) }

// Class applies the table: named flags first (the worst class of any of a flag's names wins), then words, then kind. An
// unlisted boolean, number or enumeration is a knob; an unlisted free string or JSON is unlisted.
func (t *table) Class(f Flag) FlagClass {
	if IsVariable(f.Name) {
		return classOfVariable(f.Name)
	}
	keys := make([]string, 0, 1+len(f.Aliases))
	for _, n := range append([]string{f.Name}, f.Aliases...) {
		k, _, _ := strings.Cut(key(n), ".") // --compilation-config.mode belongs to its JSON flag
		keys = append(keys, k)
	}
	for _, c := range []struct {
		set   names
		class FlagClass
	}{{t.forbidden, ClassForbidden}, {t.contract, ClassContract}, {t.host, ClassHost}, {t.pinned, ClassPinned}, {t.search, ClassSearch}} {
		for _, k := range keys {
			if c.set[k] {
				return c.class
			}
		}
	}
	for _, k := range keys {
		if _, ok := t.json[k]; ok {
			return ClassSearch
		}
	}
	return classByWords(keys, f.Kind)
}

// classOfVariable is a knob where an adapter names the variable; what loads code is forbidden, and the others are the host's.
func classOfVariable(name string) FlagClass {
	for _, of := range []contract.Framework{contract.SGLang, contract.VLLM, contract.TensorRTLLM, contract.TokenSpeed} {
		for _, v := range Variables(of) {
			if v.Name == name {
				return ClassSearch
			}
		}
	}
	if IsLoader(strings.TrimPrefix(name, VariablePrefix)) {
		return ClassForbidden
	}
	return ClassHost
}

func classByWords(keys []string, kind string) FlagClass {
	free := kind != KindBool && kind != KindInt && kind != KindFloat && kind != KindEnum
	word := func(set names) bool {
		for _, k := range keys {
			for part := range strings.SplitSeq(k, "-") {
				if set[part] {
					return true
				}
			}
		}
		return false
	}
	switch {
	case free && word(codeWords):
		return ClassForbidden
	case word(contractWords):
		return ClassContract
	case word(hostWords):
		return ClassHost
	case free:
		return ClassUnlisted
	}
	return ClassSearch
}

// refine gives a help's flags the kinds that the table knows, and JSON knobs their keys.
func (t *table) refine(h Help) Help {
	for i := range h.Flags {
		f := &h.Flags[i]
		for _, n := range append([]string{f.Name}, f.Aliases...) {
			t.refineBy(f, key(n))
		}
		if f.Kind == KindString && f.Default == "" {
			f.Kind = kindByName(key(f.Name))
		}
	}
	return h
}

func (t *table) refineBy(f *Flag, k string) {
	if s, ok := t.json[k]; ok && f.Kind != KindBool {
		f.Kind, f.Keys = KindJSON, s
	}
	if f.Kind != KindString && f.Kind != KindInt {
		return
	}
	switch {
	case t.floats[k]:
		f.Kind = KindFloat
	case t.lists[k]:
		f.Kind = KindList
	case t.objects[k]:
		f.Kind = KindJSON
	case t.ints[k]:
		f.Kind = KindInt
	}
}

// kindByName guesses that a value is a number where the help does not say and no table knows the flag. A wrong guess
// lets numbers through only, which name no file and no code.
func kindByName(k string) string {
	parts := strings.Split(k, "-")
	switch parts[len(parts)-1] {
	case "ratio", "fraction", "threshold", "utilization", "timeout", "conservativeness":
		return KindFloat
	case "size", "len", "length", "steps", "interval", "num", "count", "splits", "bs", "iterations", "depth", "retries":
		return KindInt
	}
	switch parts[0] {
	case "max", "min", "num":
		return KindInt
	}
	return KindString
}

// Role says what a flag decides beyond itself: tp, pp, dp, ep, context, backend, or "".
func (t *table) Role(name string) string {
	k := key(name)
	if long, ok := t.short[strings.TrimLeft(name, "-")]; ok {
		k = long
	}
	return t.roles[k]
}
