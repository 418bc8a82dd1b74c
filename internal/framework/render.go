package framework

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// exe is an executable of the engine on its host.
func exe(e Engine, name string) string {
	switch {
	case e.Venv != "":
		return path.Join(e.Venv, "bin", name)
	case e.Command != "":
		return path.Join(e.Command, name)
	}
	return name
}

// flags renders a candidate's flags in name order. Every flag must be in the captured help, fit its type and be a search
// knob (or pinned, at one value): what the contract and the worker decide is rendered by the adapter itself. Without a
// captured help, a flag is spelled as the framework spells its own.
func flags(t *table, s Spec, underscores bool) ([]string, error) {
	if err := checkWords(s); err != nil {
		return nil, err
	}
	var out []string
	given := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		v := s.Flags[name]
		if IsVariable(name) {
			continue
		}
		f, err := t.known(s, name, v, underscores)
		if err != nil {
			return nil, err
		}
		if other, twice := given[key(f.Name)]; twice {
			return nil, fault.New(fault.InvalidInput, "%q and %q are the same flag", other, name).At(name, name, other).Hint("give it once")
		}
		given[key(f.Name)] = name
		switch c := t.Class(f); c {
		case ClassContract, ClassHost, ClassForbidden:
			return nil, fault.New(fault.RuleViolation, "--%s is a %s flag", f.bare(), c).ByRule("flow.flag-class").At(name, name)
		}
		if err := f.Accepts(v); err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "value %q of --%s", Render(v), f.bare()).At(name, Render(v), f.Choices...)
		}
		out = append(out, render(f, v)...)
	}
	return out, nil
}

// known finds a flag in the captured help, or where there is none makes it up from its name and value.
func (t *table) known(s Spec, name string, v any, underscores bool) (Flag, error) {
	k := key(name)
	if long, ok := t.short[strings.TrimLeft(name, "-")]; ok {
		k = long
	}
	if s.Help != nil {
		if f, ok := s.Help.Find(k); ok {
			return f, nil
		}
		return Flag{}, fault.New(fault.RuleViolation, "flag %q is not in the captured help of %s", name, s.Engine.Entry).ByRule("flow.unknown-flag").
			At(name, name, s.Help.Nearest(k, 3)...)
	}
	if optionName.FindString("--"+k) != "--"+k {
		return Flag{}, fault.New(fault.InvalidInput, "%q is no flag name", name).At(name, name)
	}
	f := Flag{Name: "--" + k, Kind: kindOfValue(v)}
	if underscores {
		f.Name = "--" + strings.ReplaceAll(k, "-", "_")
	}
	if keys, ok := t.json[k]; ok {
		f.Kind, f.Keys = KindJSON, keys
	}
	return f, nil
}

// bare is the name without dashes in front.
func (f Flag) bare() string { return strings.TrimLeft(f.Name, "-") }

// kindOfValue is what a value tells of a flag that no help describes.
func kindOfValue(v any) string {
	switch v.(type) {
	case nil, bool:
		return KindBool
	case []any:
		return KindList
	case map[string]any:
		return KindJSON
	}
	if isNumber(Render(v)) {
		return KindFloat
	}
	return KindString
}

// checkWords refuses words of the contract that a command line would read as something else.
func checkWords(s Spec) error {
	given := map[string]string{"model_path": s.ModelPath, "served_model": s.ServedName}
	if c := s.Contract; c != nil {
		given["precision"], given["quantization"], given["kv_dtype"], given["tokenizer"] = c.Precision, c.Quantization, c.KVDtype, c.Model.Tokenizer
		if c.Speculation != "" { // a side that left it out in silence would not be what the contract says
			return fault.New(fault.InvalidInput, "no framework is launched with speculation %q yet", c.Speculation).At("speculation", c.Speculation).
				Hint("open the campaign without speculation")
		}
	}
	for field, v := range given {
		if strings.HasPrefix(v, "-") || strings.ContainsFunc(v, unicode.IsControl) || !utf8.ValidString(v) {
			return fault.New(fault.InvalidInput, "%s %q begins with a dash or holds a control character", field, v).At(field, v)
		}
	}
	return nil
}

// render writes one flag as arguments; false and null leave it out, or negate it where it can be.
func render(f Flag, v any) []string {
	switch x := v.(type) {
	case nil:
		return nil
	case bool:
		if f.Kind == KindEnum {
			return []string{f.Name, Render(x)}
		}
		if x {
			return []string{f.Name}
		}
		if f.Negation != "" {
			return []string{f.Negation}
		}
		return nil
	case []any:
		if f.Kind == KindJSON {
			break
		}
		out := []string{f.Name}
		for _, y := range x {
			out = append(out, Render(y))
		}
		return out
	}
	return []string{f.Name, Render(v)}
}

// offline is the environment that keeps an engine from downloading or reporting anything, and its JIT caches in place.
// The caches are per build, GPU and driver: a cache that another build filled would decide who compiles.
func offline() map[string]string {
	return map[string]string{
		"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
		"TRITON_CACHE_DIR": CachePlaceholder + "/triton", "TORCHINDUCTOR_CACHE_DIR": CachePlaceholder + "/inductor",
		"FLASHINFER_WORKSPACE_BASE": CachePlaceholder + "/flashinfer", "CUDA_CACHE_PATH": CachePlaceholder + "/cuda",
		"DG_JIT_CACHE_DIR": CachePlaceholder + "/deep_gemm", "TVM_FFI_CACHE_DIR": CachePlaceholder + "/tvm_ffi", "PYTHONUNBUFFERED": "1",
	}
}

// set adds a flag and its value where there is one.
func set(argv []string, name, value string) []string {
	if value == "" || value == "auto" {
		return argv
	}
	return append(argv, name, value)
}

// when adds a switch where it is wanted.
func when(wanted bool, argv []string, name string) []string { //nolint:revive // the condition of a switch
	if !wanted {
		return argv
	}
	return append(argv, name)
}

// seedOf is the contract's seed as the engines take one.
func seedOf(seed uint64) string { return strconv.FormatUint(seed%1_000_000, 10) }

// laidOut says whether the candidate's flags decide the parallel layout; a flag that null removes decides nothing.
func laidOut(t *table, s Spec) bool {
	for name, v := range s.Flags {
		switch t.Role(name) {
		case "tp", "pp", "dp":
			if v != nil {
				return true
			}
		}
	}
	return false
}

// gives says whether the candidate decides any of some flags itself: a default of ours gives way to its value, and to the
// null that removes it.
func gives(s Spec, flags ...string) bool {
	for name := range s.Flags {
		if slices.Contains(flags, key(name)) {
			return true
		}
	}
	return false
}

// knows says whether the build has a flag, as far as its help was captured.
func knows(s Spec, flag string) bool {
	if s.Help == nil {
		return true
	}
	_, ok := s.Help.Find(flag)
	return ok
}

// cached says whether servers have to tell how much of a prompt they found in their prefix cache: rows of a dataset share
// prefixes, and what a side saved by them stands beside its verdict.
func cached(s Spec, flag string) bool {
	return s.Contract != nil && len(s.Contract.Datasets) > 0 && knows(s, flag)
}

// contextOf is the contract's context length in tokens, 0 where it names none.
func contextOf(s Spec) int {
	if s.Contract == nil {
		return 0
	}
	return s.Contract.MaxContext
}
