package chain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Bounds against hostile bytes: nesting must not exhaust the stack, nor duplicates be searched for in too many names.
const (
	maxDepth   = 200
	maxMembers = 10_000
)

// Strict decodes one JSON value into the struct v points to, and refuses what encoding/json lets pass: names in
// another case, duplicate keys at any depth, unknown fields, missing fields (those without omitempty), bytes behind
// the value. Types with their own UnmarshalJSON, and json.RawMessage, are only checked for duplicate keys.
func Strict(raw []byte, v any) error {
	if err := checkKeys(raw, reflect.TypeOf(v)); err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// checkObject refuses bytes that are not one JSON object without duplicate keys.
func checkObject(raw []byte) error {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("not a JSON object")
	}
	return checkKeys(raw, nil)
}

// checkKeys walks one value. A nil type allows any keys.
func checkKeys(raw []byte, t reflect.Type) error {
	var any json.RawMessage
	if err := json.Unmarshal(raw, &any); err != nil {
		return fmt.Errorf("not JSON, or more behind it: %w", err)
	}
	w := keyWalker{raw: raw}
	return w.value(t, "", 0)
}

// keyWalker goes through valid JSON; it allocates little, since whole ledgers pass through it.
type keyWalker struct {
	raw []byte
	at  int
}

// space skips white space, commas and colons: in valid JSON they mean nothing to a walk.
func (w *keyWalker) space() byte {
	for w.at < len(w.raw) && strings.IndexByte(" \t\r\n,:", w.raw[w.at]) >= 0 {
		w.at++
	}
	return w.raw[w.at]
}

// text skips a string and gives what is between its quotes.
func (w *keyWalker) text() []byte {
	w.at++
	from := w.at
	for ; w.raw[w.at] != '"'; w.at++ {
		if w.raw[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
	return w.raw[from : w.at-1]
}

// name reads a member's name.
func (w *keyWalker) name() string {
	from := w.at
	inner := w.text()
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var name string
	_ = json.Unmarshal(w.raw[from:w.at], &name) // valid, as checkKeys made sure
	return name
}

// value walks the next value, which should fit t; path names it in errors.
func (w *keyWalker) value(t reflect.Type, path string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	switch w.space() {
	case '{':
		w.at++
		return w.object(bare(t), path, depth)
	case '[':
		w.at++
		elem := elemOf(bare(t))
		for w.space() != ']' {
			if err := w.value(elem, path, depth+1); err != nil {
				return err
			}
		}
		w.at++
	case '"':
		w.text()
	default:
		for w.at < len(w.raw) && strings.IndexByte(" \t\r\n,]}", w.raw[w.at]) < 0 {
			w.at++
		}
	}
	return nil
}

// object walks the members of an object whose brace is already read.
func (w *keyWalker) object(t reflect.Type, path string, depth int) error {
	fields := fieldsOf(t)
	var seen []string
	for w.space() != '}' {
		name := w.name()
		if slices.Contains(seen, name) {
			return fmt.Errorf("duplicate key %q", path+name)
		}
		if seen = append(seen, name); len(seen) > maxMembers {
			return fmt.Errorf("an object has more than %d members", maxMembers)
		}
		member := elemOf(t)
		if fields != nil {
			f, ok := fields[name]
			if !ok {
				return fmt.Errorf("unknown field %q", path+name)
			}
			member = f.Type
		}
		if err := w.value(member, path+name+".", depth+1); err != nil {
			return err
		}
	}
	w.at++
	for name, f := range fields {
		if !slices.Contains(seen, name) && !strings.Contains(f.Tag.Get("json"), ",omit") {
			return fmt.Errorf("missing field %q", path+name)
		}
	}
	return nil
}

// bare strips pointers, and forgets types that decode themselves.
func bare(t reflect.Type) reflect.Type {
	for t != nil {
		if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

// elemOf is the type of a list's or map's values, nil for anything else.
func elemOf(t reflect.Type) reflect.Type {
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map) {
		return t.Elem()
	}
	return nil
}

// fieldsOf maps the JSON names of a struct to its fields, embedded structs included; nil when t is no struct.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	out := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out[name] = f
	}
	return out
}
