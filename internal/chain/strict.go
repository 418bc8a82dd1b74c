package chain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// maxDepth bounds nesting, so that hostile bytes cannot exhaust the stack.
const maxDepth = 200

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
	w := keyWalker{dec: json.NewDecoder(bytes.NewReader(raw))}
	w.dec.UseNumber()
	if err := w.value(t, "", 0); err != nil {
		return err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the JSON value")
	}
	return nil
}

type keyWalker struct{ dec *json.Decoder }

// value walks the next value, which should fit t; path names it in errors.
func (w *keyWalker) value(t reflect.Type, path string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	tok, err := w.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	switch t = bare(t); tok {
	case json.Delim('{'):
		return w.object(t, path, depth)
	case json.Delim('['):
		for w.dec.More() {
			if err := w.value(elemOf(t), path, depth+1); err != nil {
				return err
			}
		}
		return w.closing()
	}
	return nil
}

// object walks the members of an object whose brace is already read.
func (w *keyWalker) object(t reflect.Type, path string, depth int) error {
	fields := fieldsOf(t)
	seen := map[string]bool{}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		name, _ := tok.(string)
		if seen[name] {
			return fmt.Errorf("duplicate key %q", path+name)
		}
		seen[name] = true
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
	for name, f := range fields {
		if !seen[name] && !strings.Contains(f.Tag.Get("json"), ",omit") {
			return fmt.Errorf("missing field %q", path+name)
		}
	}
	return w.closing()
}

// closing reads the bracket that ends an object or a list.
func (w *keyWalker) closing() error {
	if _, err := w.dec.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
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
