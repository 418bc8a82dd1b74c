package framework

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kinds of flags.
const (
	KindBool   = "bool"
	KindInt    = "int"
	KindFloat  = "float"
	KindEnum   = "enum"
	KindString = "string"
	KindJSON   = "json"
	KindList   = "list"
)

// key is a flag's name as it is compared: without leading dashes, underscores as dashes, lower case.
func key(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-"))
}

// Find gives the flag of a name or alias in either spelling.
func (h *Help) Find(name string) (Flag, bool) {
	want := key(name)
	for _, f := range h.Flags {
		if key(f.Name) == want {
			return f, true
		}
		for _, a := range f.Aliases {
			if key(a) == want {
				return f, true
			}
		}
	}
	return Flag{}, false
}

// Nearest gives up to n flag names that look like name, the most alike first.
func (h *Help) Nearest(name string, n int) []string {
	want := key(name)
	type scored struct {
		name  string
		score float64
	}
	var all []scored
	for _, f := range h.Flags {
		best := alike(want, key(f.Name))
		for _, a := range f.Aliases {
			best = max(best, alike(want, key(a)))
		}
		if best > 0.25 {
			all = append(all, scored{strings.TrimLeft(f.Name, "-"), best})
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	out := []string{}
	for _, s := range all[:min(n, len(all))] {
		out = append(out, s.name)
	}
	return out
}

// alike is Dice's coefficient of two names' pairs of letters: 1 for equal names, 0 where no pair is shared.
func alike(a, b string) float64 {
	if len(a) < 2 || len(b) < 2 {
		return 0
	}
	pairs := map[string]int{}
	for i := range len(a) - 1 {
		pairs[a[i:i+2]]++
	}
	shared := 0
	for i := range len(b) - 1 {
		if p := b[i : i+2]; pairs[p] > 0 {
			pairs[p]--
			shared++
		}
	}
	return 2 * float64(shared) / float64(len(a)+len(b)-2)
}

// Accepts says why a value does not fit the flag; nil removes a flag and fits every one.
func (f Flag) Accepts(v any) error {
	if v == nil {
		return nil
	}
	if list, ok := v.([]any); ok {
		return f.acceptsList(list)
	}
	if _, isObject := v.(map[string]any); isObject && f.Kind != KindJSON {
		return fmt.Errorf("takes one value, not an object")
	}
	text := Render(v)
	if _, isBool := v.(bool); isBool != (f.Kind == KindBool) && (f.Kind == KindBool || f.Kind != KindEnum) {
		if isBool {
			return fmt.Errorf("takes a value, not a switch")
		}
		return fmt.Errorf("is a switch: true or false")
	}
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		return fmt.Errorf("holds a control character")
	}
	if strings.HasPrefix(text, "-") && !isNumber(text) {
		return fmt.Errorf("begins with a dash")
	}
	if err := f.acceptsKind(text); err != nil {
		return err
	}
	if len(f.Choices) > 0 && !slices.Contains(f.Choices, text) {
		return fmt.Errorf("is not one of its choices")
	}
	return nil
}

func (f Flag) acceptsKind(text string) error {
	switch f.Kind {
	case KindInt:
		if !isInt(text) {
			return fmt.Errorf("takes a whole number")
		}
	case KindFloat:
		if !isNumber(text) {
			return fmt.Errorf("takes a number")
		}
	case KindJSON:
		if !json.Valid([]byte(text)) {
			return fmt.Errorf("takes JSON")
		}
		if len(f.Keys) > 0 {
			return fits(f.Keys, text)
		}
	}
	return nil
}

func (f Flag) acceptsList(list []any) error {
	if f.Kind == KindJSON && len(f.Keys) == 0 {
		return nil
	}
	if f.Kind != KindList {
		return fmt.Errorf("takes one value, not a list")
	}
	if len(list) == 0 {
		return fmt.Errorf("takes at least one value")
	}
	for _, x := range list {
		switch x.(type) {
		case nil, bool, []any, map[string]any:
			return fmt.Errorf("takes a list of plain values")
		}
		if err := (Flag{Kind: KindString, Choices: f.Choices}).Accepts(x); err != nil {
			return err
		}
	}
	return nil
}

var (
	decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	whole   = regexp.MustCompile(`^[+-]?[0-9]{1,18}$`)
	human   = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?[kKmMgGtT]$`)
)

// isInt accepts whole numbers and the engines' human ones (1k, 1K, 25.6k).
func isInt(s string) bool { return whole.MatchString(s) || human.MatchString(s) }

func isWhole(s string) bool { return whole.MatchString(s) }

// isNumber accepts decimal notation only: no NaN, infinity, hexadecimal or underscores.
func isNumber(s string) bool { return decimal.MatchString(s) }

// Render writes a flag's value as one argument.
func Render(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case int:
		return strconv.Itoa(x)
	case json.Number:
		return x.String()
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
