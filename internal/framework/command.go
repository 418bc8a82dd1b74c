package framework

import (
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// ParseCommand reads a pasted command line into search flags: knobs stay, what the contract and the worker decide is
// left out, and a forbidden flag is refused. Nothing of it is ever run as it stands.
func ParseCommand(t contract.Framework, text string) (map[string]any, error) {
	fw, err := Of(t)
	if err != nil {
		return nil, err
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for i := 0; i < len(words); i++ {
		name, value, given := strings.Cut(words[i], "=")
		if !strings.HasPrefix(name, "--") {
			continue // program, subcommand, positional model
		}
		var v any = true
		if given {
			v = literal(value)
		} else if i+1 < len(words) && (!strings.HasPrefix(words[i+1], "-") || isNumber(words[i+1])) {
			i++
			v = literal(words[i])
		}
		k := strings.TrimLeft(name, "-")
		if rest, ok := strings.CutPrefix(k, "no-"); ok && v == true {
			k, v = rest, false
		}
		kind := KindString
		if _, ok := v.(bool); ok {
			kind = KindBool
		} else if isNumber(Render(v)) {
			kind = KindFloat
		}
		switch fw.Class(Flag{Name: "--" + k, Kind: kind}) {
		case ClassContract, ClassHost:
		case ClassForbidden:
			return nil, fault.New(fault.RuleViolation, "--%s loads code or reads and writes named files", k).ByRule("flow.flag-class").At(k, k)
		default:
			out[k] = v
		}
	}
	return out, nil
}

// literal reads a value as a number where it is one.
func literal(s string) any {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n
	}
	return s
}

// split cuts a command line into words as a POSIX shell quotes them; expansions are refused, since nothing here runs one.
func split(text string) ([]string, error) {
	var words []string
	var w strings.Builder
	in, quote := false, rune(0)
	runes := []rune(strings.ReplaceAll(text, "\\\n", " "))
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == 0 && (r == '$' || r == '`' || r == ';' || r == '|' || r == '&' || r == '<' || r == '>'):
			return nil, fault.New(fault.InvalidInput, "a pasted command holds %q", string(r)).Hint("paste one plain command without variables, pipes or redirections")
		case quote != 0 && r == quote:
			quote = 0
		case quote == '\'' || quote == '"' && r != '\\':
			w.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == '\\' && i+1 < len(runes):
			i++
			w.WriteRune(runes[i])
			in = true
		case r == ' ' || r == '\t' || r == '\n':
			if in {
				words = append(words, w.String())
				w.Reset()
				in = false
			}
		default:
			w.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, fault.New(fault.InvalidInput, "a quote in the pasted command is not closed")
	}
	if in {
		words = append(words, w.String())
	}
	return words, nil
}
