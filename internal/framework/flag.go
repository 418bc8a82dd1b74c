package framework

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// Nearest gives up to n flag names that look like name.
func (h *Help) Nearest(name string, n int) []string {
	want := key(name)
	type scored struct {
		name  string
		score int
	}
	var all []scored
	for _, f := range h.Flags {
		k := key(f.Name)
		s := 0
		for _, part := range strings.Split(want, "-") {
			if part != "" && strings.Contains(k, part) {
				s += len(part)
			}
		}
		if s > 0 {
			all = append(all, scored{strings.TrimLeft(f.Name, "-"), 2*s - len(k)})
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return b.score - a.score })
	out := []string{}
	for _, s := range all[:min(n, len(all))] {
		out = append(out, s.name)
	}
	return out
}

// Accepts says why a value does not fit the flag; nil removes a flag and fits every one.
func (f Flag) Accepts(v any) error {
	if v == nil {
		return nil
	}
	if list, ok := v.([]any); ok {
		if f.Kind != KindList {
			return fmt.Errorf("takes one value, not a list")
		}
		for _, x := range list {
			if err := (Flag{Kind: KindString, Choices: f.Choices}).Accepts(x); err != nil {
				return err
			}
		}
		return nil
	}
	text := Render(v)
	switch f.Kind {
	case KindBool:
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("is a switch: true or false")
		}
	case KindInt:
		if !isInt(text) {
			return fmt.Errorf("takes a whole number")
		}
	case KindFloat:
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("takes a number")
		}
	case KindJSON:
		if !json.Valid([]byte(text)) {
			return fmt.Errorf("takes JSON")
		}
	}
	if _, isBool := v.(bool); isBool && f.Kind != KindBool && f.Kind != KindEnum {
		return fmt.Errorf("takes a value, not a switch")
	}
	if len(f.Choices) > 0 && !slices.Contains(f.Choices, text) {
		return fmt.Errorf("is not one of its choices")
	}
	if strings.HasPrefix(text, "-") && !isNumber(text) {
		return fmt.Errorf("begins with a dash")
	}
	if strings.ContainsAny(text, "\x00\n\r") {
		return fmt.Errorf("holds a control character")
	}
	return nil
}

// isInt accepts whole numbers and vLLM's human ones (1k, 1K, 25.6k).
func isInt(s string) bool {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return true
	}
	if n := len(s); n > 1 && strings.ContainsRune("kKmMgG", rune(s[n-1])) {
		return isNumber(s[:n-1])
	}
	return s == "auto"
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

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
