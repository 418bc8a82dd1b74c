package server

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
)

// field is one field of an In, read from the same tags from which its schema is reflected.
type field struct {
	name     string
	index    []int
	required bool // no omitempty
	doc      string
	enum     []string
	min, max *float64
}

// fieldsOf lists the fields of a struct type in their order, those of embedded structs included.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for _, f := range reflect.VisibleFields(t) {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" || name == "" {
			continue
		}
		out = append(out, withTags(field{
			name: name, index: f.Index, required: !strings.Contains(rest, "omit"), doc: f.Tag.Get("jsonschema_description"),
		}, f.Tag.Get("jsonschema")))
	}
	return out
}

// withTags reads enum, minimum and maximum.
func withTags(f field, tag string) field {
	for part := range strings.SplitSeq(tag, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch x, err := strconv.ParseFloat(value, 64); {
		case key == "enum":
			f.enum = append(f.enum, value)
		case key == "minimum" && err == nil:
			f.min = &x
		case key == "maximum" && err == nil:
			f.max = &x
		}
	}
	return f
}

// describe names a type for a person.
func describe(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return describe(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return "an object or a string"
		}
	}
	return "an object"
}

// nearest gives the candidate that name is most likely a slip of, or nothing.
func nearest(name string, candidates []string) string {
	plain := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	key := plain.Replace(strings.ToLower(name))
	best, least := "", max(1, len(key)/3)+1
	for _, c := range candidates {
		other := plain.Replace(strings.ToLower(c))
		d := distance(key, other)
		if min(len(key), len(other)) >= 4 && (strings.HasPrefix(other, key) || strings.HasPrefix(key, other)) {
			d = min(d, 1) // a shortened or lengthened form
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions and replacements between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
