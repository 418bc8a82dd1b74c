package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// tolerance is by how much of its size a floating-point figure may differ.
const tolerance = 1e-9

// same compares two values by their JSON and names the first difference: "" where there is none. want is computed, got
// is what the directory says.
func same(want, got any) (string, error) {
	a, err := generic(want)
	if err != nil {
		return "", err
	}
	b, err := generic(got)
	if err != nil {
		return "", err
	}
	return differ("", a, b), nil
}

// generic gives a value as decoded JSON whose numbers keep their digits.
func generic(v any) (any, error) {
	raw, ok := v.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return nil, err
		}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out any
	return out, d.Decode(&out)
}

func differ(path string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return differObject(path, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return differList(path, w, g)
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && equalNumber(w, g) {
			return ""
		}
	default:
		if want == got {
			return ""
		}
	}
	return fmt.Sprintf("%s is %s, computed again it is %s", strings.TrimPrefix(path, "."), short(got), short(want))
}

func differObject(path string, want, got map[string]any) string {
	names := map[string]bool{}
	for name := range want {
		names[name] = true
	}
	for name := range got {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		w, inWant := want[name]
		g, inGot := got[name]
		at := path + "." + name
		switch {
		case !inGot:
			return fmt.Sprintf("%s is missing, computed again it is %s", strings.TrimPrefix(at, "."), short(w))
		case !inWant:
			return fmt.Sprintf("%s is %s, which nothing gives", strings.TrimPrefix(at, "."), short(g))
		}
		if d := differ(at, w, g); d != "" {
			return d
		}
	}
	return ""
}

func differList(path string, want, got []any) string {
	for i := range min(len(want), len(got)) {
		if d := differ(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); d != "" {
			return d
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%s has %d elements, computed again it has %d", strings.TrimPrefix(path, "."), len(got), len(want))
	}
	return ""
}

// equalNumber compares integers by their digits, other numbers within the tolerance.
func equalNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(string(a)+string(b), ".eE") {
		return false
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && near(x, y)
}

func near(x, y float64) bool { return math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y)) }

// short renders a value for a sentence.
func short(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(raw) > 120 {
		return strings.ToValidUTF8(string(raw[:120]), "") + "…"
	}
	return string(raw)
}
