package framework

import (
	"maps"
	"path"
	"slices"
	"strings"

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
// knob (or pinned, at one value): what the contract and the worker decide is rendered by the adapter itself.
func flags(t table, s Spec, underscores bool) ([]string, error) {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		v := s.Flags[name]
		f := Flag{Name: "--" + strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")}
		if underscores {
			f.Name = "--" + strings.ReplaceAll(strings.TrimLeft(name, "-"), "-", "_")
		}
		if s.Help != nil {
			known, ok := s.Help.Find(name)
			if !ok {
				return nil, fault.New(fault.RuleViolation, "flag %q is not in the captured help of %s", name, s.Engine.Entry).ByRule("flow.unknown-flag").
					At(name, name, s.Help.Nearest(name, 3)...)
			}
			if err := known.Accepts(v); err != nil {
				return nil, fault.Wrap(fault.InvalidInput, err, "value %q of --%s", Render(v), name).At(name, Render(v), known.Choices...)
			}
			f = known
		}
		switch c := t.class(f); c {
		case ClassContract, ClassHost, ClassForbidden:
			return nil, fault.New(fault.RuleViolation, "--%s is a %s flag", name, c).ByRule("flow.flag-class").At(name, name)
		}
		out = append(out, render(f, v)...)
	}
	return out, nil
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
		out := []string{f.Name}
		for _, y := range x {
			out = append(out, Render(y))
		}
		return out
	}
	return []string{f.Name, Render(v)}
}

// offline is the environment that keeps an engine from downloading or reporting anything, and its JIT caches in place.
func offline() map[string]string {
	return map[string]string{
		"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
		"TRITON_CACHE_DIR": CachePlaceholder + "/triton", "TORCHINDUCTOR_CACHE_DIR": CachePlaceholder + "/inductor",
		"FLASHINFER_WORKSPACE_BASE": CachePlaceholder + "/flashinfer", "PYTHONUNBUFFERED": "1",
	}
}

// set adds a flag and its value where there is one.
func set(argv []string, name, value string) []string {
	if value == "" || value == "auto" {
		return argv
	}
	return append(argv, name, value)
}

// laidOut says whether the candidate's flags decide the parallel layout.
func laidOut(t table, s Spec) bool {
	for name := range s.Flags {
		switch t.role(name) {
		case "tp", "pp", "dp":
			return true
		}
	}
	return false
}
