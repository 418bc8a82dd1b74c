package framework

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema names the keys that a JSON knob may hold and what each takes: bool, int, float, ints (a list of whole numbers),
// switches (an object of booleans and numbers) or an enumeration a|b. Other keys of the same flag name files, passes or
// functions, so they are refused.
type schema = map[string]string

// fits says why a JSON text does not fit a schema.
func fits(s schema, text string) error {
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Errorf("takes a JSON object")
	}
	for _, k := range slices.Sorted(maps.Keys(v)) {
		want, ok := s[k]
		if !ok {
			return fmt.Errorf("has no key %q that may be set; it has %s", k, strings.Join(slices.Sorted(maps.Keys(s)), ", "))
		}
		if v[k] != nil && !fitsKind(want, v[k]) {
			return fmt.Errorf("key %q takes %s", k, want)
		}
	}
	return nil
}

func fitsKind(want string, v any) bool {
	n, isNum := v.(float64)
	switch want {
	case KindBool:
		_, ok := v.(bool)
		return ok
	case KindInt:
		return isNum && n == float64(int64(n))
	case KindFloat:
		return isNum
	case "ints":
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(x any) bool { return !fitsKind(KindInt, x) })
	case "switches":
		object, ok := v.(map[string]any)
		for _, x := range object {
			ok = ok && (fitsKind(KindBool, x) || fitsKind(KindFloat, x))
		}
		return ok
	}
	text := fmt.Sprint(v)
	return slices.Contains(strings.Split(want, "|"), text)
}
