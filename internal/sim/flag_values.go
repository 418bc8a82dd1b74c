package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dialect is how a command's parser behaves.
type dialect struct {
	abbreviate  bool // a unique prefix of a long name will do (argparse's default)
	underscores bool // --max_num_seqs is --max-num-seqs (vLLM)
	dotted      bool // --json-flag.key value (vLLM)
	click       bool // click's words
}

// values are parsed options by dest; positional arguments apart.
type values struct {
	set        *flagSet
	given      map[string][]string
	positional []string
	unknown    []string
}

// usageError is a mistake in the arguments, in the words of the parser's family.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// parse reads args. Unknown options are collected, since argparse reports them last and together.
func (s *flagSet) parse(args []string, d dialect) (*values, error) {
	v := &values{set: s, given: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' || isNumber(a) {
			v.positional = append(v.positional, a)
			continue
		}
		name, inline, hasInline := strings.Cut(a, "=")
		f, key, err := s.lookup(name, d)
		if err != nil {
			return nil, err
		}
		if f == nil {
			v.unknown = append(v.unknown, a)
			for !hasInline && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				v.unknown = append(v.unknown, args[i])
			}
			continue
		}
		var took []string
		if hasInline {
			took = []string{inline}
		} else {
			took = following(f, args[i+1:])
			i += len(took)
		}
		if err := v.store(f, name, key, took, d); err != nil {
			return nil, err
		}
	}
	if len(v.unknown) > 0 {
		return v, unknownOptions(v.unknown, d)
	}
	return v, nil
}

func unknownOptions(unknown []string, d dialect) error {
	if d.click {
		name, _, _ := strings.Cut(unknown[0], "=")
		return &usageError{"No such option: " + name}
	}
	return &usageError{"unrecognized arguments: " + strings.Join(unknown, " ")}
}

// following are the arguments that belong to f: as argparse counts them, by kind.
func following(f *flag, rest []string) []string {
	if !f.takesValue() {
		return nil
	}
	n := 0
	for n < len(rest) && (len(rest[n]) < 2 || rest[n][0] != '-' || isNumber(rest[n])) {
		n++
		if f.kind != "list" {
			break
		}
	}
	return rest[:n]
}

func isNumber(s string) bool { _, err := strconv.ParseFloat(s, 64); return err == nil }

// lookup finds the option of a spelling; key is the part after the dot of a dotted one. nil without error: unknown.
func (s *flagSet) lookup(name string, d dialect) (*flag, string, error) {
	key := ""
	if d.dotted {
		name, key, _ = strings.Cut(name, ".")
	}
	if d.underscores && strings.HasPrefix(name, "--") {
		name = "--" + strings.ReplaceAll(name[2:], "_", "-")
	}
	if f := s.byName[name]; f != nil {
		return f, key, nil
	}
	if !d.abbreviate || !strings.HasPrefix(name, "--") {
		return nil, "", nil
	}
	matches := []string{}
	for n := range s.byName {
		if strings.HasPrefix(n, name) {
			matches = append(matches, n)
		}
	}
	switch len(matches) {
	case 0:
		return nil, "", nil
	case 1:
		return s.byName[matches[0]], "", nil
	}
	slices.Sort(matches)
	return nil, "", &usageError{fmt.Sprintf("ambiguous option: %s could match %s", name, strings.Join(matches, ", "))}
}

func (v *values) store(f *flag, name, key string, took []string, d dialect) error {
	label := "argument " + strings.Join(f.names, "/")
	if d.click {
		label = fmt.Sprintf("Option '%s'", name)
	}
	if !f.takesValue() {
		if len(took) > 0 {
			return &usageError{fmt.Sprintf("%s: ignored explicit argument '%s'", label, took[0])}
		}
		v.given[f.dest()] = []string{strconv.FormatBool(!strings.HasPrefix(name, "--no-"))}
		return nil
	}
	if len(took) == 0 {
		if d.click {
			return &usageError{label + " requires an argument."}
		}
		return &usageError{label + ": expected " + map[bool]string{true: "at least one argument", false: "one argument"}[f.kind == "list"]}
	}
	for _, t := range took {
		if err := f.check(t, key, label, d); err != nil {
			return err
		}
	}
	if key != "" {
		v.given[f.dest()] = []string{mergeJSON(v.text(f.dest()), key, took[0])}
		return nil
	}
	v.given[f.dest()] = took
	return nil
}

// check validates one argument against the kind of its option.
func (f *flag) check(text, key, label string, d dialect) error {
	bad := func(kind string) error {
		if d.click {
			return &usageError{fmt.Sprintf("Invalid value for '%s': '%s' is not a valid %s.", strings.Join(f.names, "' / '"), text, map[string]string{"int": "integer", "float": "float"}[kind])}
		}
		return &usageError{fmt.Sprintf("%s: invalid %s value: '%s'", label, kind, text)}
	}
	switch f.kind {
	case "int":
		if _, err := strconv.Atoi(text); err != nil {
			return bad("int")
		}
	case "float":
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return bad("float")
		}
	case "human":
		if _, err := humanInt(text); err != nil {
			return bad("human_readable_int")
		}
	case "json":
		if key == "" && !json.Valid([]byte(text)) {
			return bad("loads")
		}
	case "choice":
		if slices.Contains(f.choices, text) {
			return nil
		}
		if d.click {
			quoted := "'" + strings.Join(f.choices, "', '") + "'"
			return &usageError{fmt.Sprintf("Invalid value for '%s': '%s' is not one of %s.", strings.Join(f.names, "' / '"), text, quoted)}
		}
		return &usageError{fmt.Sprintf("%s: invalid choice: '%s' (choose from '%s')", label, text, strings.Join(f.choices, "', '"))}
	}
	return nil
}

// humanInt reads 1000, 1k (1000), 1K (1024), 25.6k.
func humanInt(s string) (int, error) {
	factors := map[byte]float64{'k': 1e3, 'm': 1e6, 'g': 1e9, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}
	factor := 1.0
	if s != "" && factors[s[len(s)-1]] > 0 {
		factor, s = factors[s[len(s)-1]], s[:len(s)-1]
	} else if _, err := strconv.Atoi(s); err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(s, 64)
	return int(f * factor), err
}

// mergeJSON sets one (dotted) key of an object; a value that is no JSON counts as a string.
func mergeJSON(object, key, value string) string {
	m := map[string]any{}
	_ = json.Unmarshal([]byte(object), &m) // absent or default text: start empty
	var parsed any
	if json.Unmarshal([]byte(value), &parsed) != nil {
		parsed = value
	}
	at := m
	parts := strings.Split(key, ".")
	for _, p := range parts[:len(parts)-1] {
		next, ok := at[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[p] = next
		}
		at = next
	}
	at[parts[len(parts)-1]] = parsed
	b, err := json.Marshal(m)
	if err != nil {
		return object
	}
	return string(b)
}

// has tells whether an option was given.
func (v *values) has(dest string) bool { return len(v.given[dest]) > 0 }

// text is the given value, or an empty string.
func (v *values) text(dest string) string {
	if g := v.given[dest]; len(g) > 0 {
		return g[0]
	}
	return ""
}

// or is the given value, or the fallback.
func (v *values) or(dest, fallback string) string {
	if v.has(dest) {
		return v.text(dest)
	}
	return fallback
}

// integer is the given whole number, or the fallback. Kinds were checked by parse.
func (v *values) integer(dest string, fallback int) int {
	if n, err := humanInt(v.text(dest)); err == nil {
		return n
	}
	return fallback
}

// number is the given number, or the fallback.
func (v *values) number(dest string, fallback float64) float64 {
	if n, err := strconv.ParseFloat(v.text(dest), 64); err == nil {
		return n
	}
	return fallback
}

// boolean is the given switch, or the fallback.
func (v *values) boolean(dest string, fallback bool) bool {
	if !v.has(dest) {
		return fallback
	}
	return v.text(dest) == "true"
}

// integers is a list of whole numbers; nil where not given.
func (v *values) integers(dest string) []int {
	var out []int
	for _, t := range v.given[dest] {
		if n, err := strconv.Atoi(t); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// resolved is every option with its value or default, as an engine's server_info shows it.
func (v *values) resolved() map[string]any {
	out := map[string]any{}
	for _, f := range v.set.flags {
		d := f.dest()
		switch {
		case f.kind == "int" && (v.has(d) || f.def != ""), f.kind == "human" && v.has(d):
			out[d] = v.integer(d, v.integerDefault(f))
		case f.kind == "float" && (v.has(d) || f.def != ""):
			def, _ := strconv.ParseFloat(f.def, 64)
			out[d] = v.number(d, def)
		case f.kind == "switch" || f.kind == "bool":
			out[d] = v.boolean(d, f.def == "True")
		case f.kind == "list" && v.has(d):
			out[d] = v.given[d]
		case v.has(d):
			out[d] = v.text(d)
		case f.def != "" && f.def != "None":
			out[d] = f.def
		default:
			out[d] = nil
		}
	}
	return out
}

func (v *values) integerDefault(f *flag) int { n, _ := strconv.Atoi(f.def); return n }

// withEffect are the given options of one effect, spelled as the help spells them.
func (v *values) withEffect(effect byte) []string {
	out := []string{}
	for _, f := range v.set.flags {
		if f.effect == effect && v.has(f.dest()) && v.text(f.dest()) != f.def && (f.takesValue() || v.text(f.dest()) == "true") {
			out = append(out, f.longest())
		}
	}
	return out
}
