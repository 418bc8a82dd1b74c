package framework

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// longName is a long option as engines spell them.
var longName = regexp.MustCompile(`^--[A-Za-z][A-Za-z0-9_.-]*$`)

// shortName is vLLM's one-dash spelling of a flag, or of a key of a JSON flag.
var shortName = regexp.MustCompile(`^[A-Za-z]+(?:\.[A-Za-z0-9_.-]+)?$`)

// ParseCommand reads a pasted command line into search flags: knobs stay, what the contract and the worker decide is
// left out, and a forbidden flag is refused. Nothing of it is ever run as it stands.
func ParseCommand(t contract.Framework, text string) (map[string]any, error) {
	tab, err := tableOf(t)
	if err != nil {
		return nil, err
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for i := optionsFrom(words); i < len(words); {
		if !strings.HasPrefix(words[i], "-") || words[i] == "-" || isNumber(words[i]) {
			i++ // positional model
			continue
		}
		k, v, next, err := tab.option(words, i)
		if err != nil {
			return nil, err
		}
		i = next
		if err := tab.keep(out, k, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tableOf is the flag table of a framework.
func tableOf(t contract.Framework) (*table, error) {
	switch t {
	case contract.SGLang:
		return &sglangFlags, nil
	case contract.VLLM:
		return &vllmFlags, nil
	case contract.TensorRTLLM:
		return &tensorRTFlags, nil
	case contract.TokenSpeed:
		return &tokenSpeedFlags, nil
	}
	_, err := Of(t)
	return nil, err
}

// optionsFrom is where the server's own arguments begin: behind "serve", or behind the module of "python -m module".
func optionsFrom(words []string) int {
	for i, w := range words {
		switch {
		case w == "serve" && i > 0:
			return i + 1
		case w == "-m" && i+1 < len(words):
			for j := i + 2; j < len(words) && !strings.HasPrefix(words[j], "-"); j++ {
				if words[j] == "serve" {
					return j + 1
				}
			}
			return i + 2
		}
	}
	return 0
}

// option reads one option and its value or values; next is the index behind them.
func (t *table) option(words []string, i int) (k string, v any, next int, err error) {
	name, value, given := strings.Cut(words[i], "=")
	next = i + 1
	if strings.HasPrefix(name, "--") {
		if !longName.MatchString(name) {
			return "", nil, 0, fault.New(fault.InvalidInput, "%q is no flag name", words[i]).At(words[i], words[i])
		}
		k = key(name)
	} else {
		short := strings.TrimPrefix(name, "-")
		if level, ok := strings.CutPrefix(short, "O"); ok && level != "" && !given { // vLLM's -O3
			short, value, given = "O", level, true
		}
		base, rest, dotted := strings.Cut(short, ".")
		long, ok := t.short[base]
		if !ok || !shortName.MatchString(short) {
			return "", nil, 0, fault.New(fault.InvalidInput, "unknown short flag %q in the pasted command", name).At(name, name).Hint("write its long name")
		}
		if k = long; dotted {
			k += "." + key(rest)
		}
	}
	switch {
	case given:
		return k, literal(value), next, nil
	case next >= len(words) || isOption(words[next]):
		if rest, ok := strings.CutPrefix(k, "no-"); ok && rest != "" {
			return rest, false, next, nil
		}
		return k, true, next, nil
	}
	var list []any
	for ; next < len(words) && !isOption(words[next]); next++ {
		if len(list) > 0 && !t.lists[k] && !(isNumber(words[next]) && isNumber(words[next-1])) {
			break
		}
		list = append(list, literal(words[next]))
	}
	if len(list) == 1 && !t.lists[k] {
		return k, list[0], next, nil
	}
	return k, list, next, nil
}

// keep puts a knob into out and leaves out what the contract and the worker decide. A dotted flag is a key of its JSON
// flag.
func (t *table) keep(out map[string]any, k string, v any) error {
	switch t.Class(Flag{Name: "--" + k, Kind: kindOfValue(v)}) {
	case ClassContract, ClassHost:
		return nil
	case ClassForbidden:
		return fault.New(fault.RuleViolation, "--%s loads code or reads and writes named files", k).ByRule("flow.flag-class").At(k, k)
	}
	base, path, dotted := strings.Cut(k, ".")
	if !dotted {
		out[k] = v
		return nil
	}
	if _, ok := t.json[base]; !ok {
		out[k] = v
		return nil
	}
	object, ok := out[base].(map[string]any)
	if !ok {
		object = map[string]any{}
		out[base] = object
	}
	nest(object, strings.Split(path, "."), v)
	return nil
}

// nest sets a key path of a JSON object; names of keys have underscores.
func nest(object map[string]any, path []string, v any) {
	for _, p := range path[:len(path)-1] {
		p = strings.ReplaceAll(p, "-", "_")
		inner, ok := object[p].(map[string]any)
		if !ok {
			inner = map[string]any{}
			object[p] = inner
		}
		object = inner
	}
	object[strings.ReplaceAll(path[len(path)-1], "-", "_")] = v
}

// isOption says whether a word is the next option and not a value.
func isOption(w string) bool { return len(w) > 1 && w[0] == '-' && !isNumber(w) }

// literal reads a value as a number where nothing of it is lost by that.
func literal(s string) any {
	if !isNumber(s) {
		return s
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && Render(n) == s {
		return n
	}
	return s
}
