package server

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// decode reads a call's arguments into a value of the struct type t. It is stricter than encoding/json (no unknown
// field, no duplicate, no other case) and more forgiving where nothing can be lost ("42" for a number, "True" for true, a
// scalar for a list of one and the reverse, JSON in a string, white space around one of a few values, an empty string for an
// optional number): each such slip is said in a warning that begins with "coerced: ". Everything else is a fault that names
// the field and what it takes: nobody guesses what "yes", "a,b" or "latest" stands for.
func decode(raw json.RawMessage, t reflect.Type) (in any, warnings []string, err error) {
	n := node{kind: object}
	if len(raw) > 0 {
		if n, err = parse(raw); err != nil {
			return nil, nil, fault.New(fault.InvalidInput, "the arguments cannot be read: %v", err).Hint("give one JSON object with each field once")
		}
	}
	var d decoder
	out := reflect.New(t).Elem()
	if n.kind != null {
		if err := d.assign(out, n, slot{}); err != nil {
			return nil, nil, err
		}
	}
	return out.Interface(), d.warnings, nil
}

// slot is where a value goes: its path for messages, and the field it belongs to.
type slot struct {
	path  string
	field field
}

// String names the slot.
func (s slot) String() string {
	if s.path == "" {
		return "the arguments"
	}
	return `"` + s.path + `"`
}

// in gives the slot of a member.
func (s slot) in(f field) slot {
	if s.path == "" {
		return slot{f.name, f}
	}
	return slot{s.path + "." + f.name, f}
}

type decoder struct{ warnings []string }

// warn says what was read as something else.
func (d *decoder) warn(at slot, n node, as string) {
	d.warnings = append(d.warnings, fmt.Sprintf("coerced: %s was %s and was read as %s", at, n, as))
}

// only gives the value of a list of one where a single value of one of kinds is due, and any other value as it is.
func (d *decoder) only(n node, at slot, kinds ...kind) node {
	if n.kind != array || len(n.items) != 1 || !slices.Contains(kinds, n.items[0].kind) {
		return n
	}
	d.warn(at, n, "its only item")
	return n.items[0]
}

// unwrapped gives the value of kind k that a string spells out, and any other value as it is.
func (d *decoder) unwrapped(n node, at slot, k kind, as string) node {
	inner, ok := n.inside(k)
	if !ok {
		return n
	}
	d.warn(at, n, as)
	return inner
}

// assign reads n into v.
func (d *decoder) assign(v reflect.Value, n node, at slot) error {
	if n.kind == null {
		return nil // absent; required fields are checked by their struct
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return d.assign(v.Elem(), n, at)
	}
	if raw, ok := v.Addr().Interface().(*json.RawMessage); ok {
		*raw = n.raw
		return nil
	}
	_, spelt := n.inside(object)
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok && n.kind == text && !spelt {
		if err := u.UnmarshalText([]byte(n.text)); err != nil {
			return fault.New(fault.InvalidInput, "%s cannot be read: %v", at, err).At(at.path, n.text)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.structure(v, n, at)
	case reflect.Map:
		return d.mapping(v, n, at)
	case reflect.Slice:
		return d.list(v, n, at)
	case reflect.Interface:
		var any any
		if err := json.Unmarshal(n.raw, &any); err != nil {
			return wrongType(v.Type(), n, at)
		}
		v.Set(reflect.ValueOf(any))
		return nil
	default:
		return d.scalar(v, n, at)
	}
}

// structure reads an object into a struct.
func (d *decoder) structure(v reflect.Value, n node, at slot) error {
	n = d.only(d.unwrapped(n, at, object, "the object in it"), at, object)
	if n.kind != object {
		return wrongType(v.Type(), n, at)
	}
	fields := fieldsOf(v.Type())
	for _, m := range n.members {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == m.name })
		if i < 0 {
			return unknownField(m.name, fields, at)
		}
		if d.isEmpty(fields[i], v.FieldByIndex(fields[i].index), m.node) {
			d.warn(at.in(fields[i]), m.node, "left out")
			continue
		}
		if err := d.assign(v.FieldByIndex(fields[i].index), m.node, at.in(fields[i])); err != nil {
			return err
		}
	}
	for _, f := range fields {
		if f.required && !n.has(f.name) {
			return missingField(f, fields, at)
		}
	}
	return nil
}

// isEmpty says whether n is an empty string where an optional field takes anything but a free text.
func (*decoder) isEmpty(f field, v reflect.Value, n node) bool {
	return n.kind == text && n.text == "" && !f.required && (v.Kind() != reflect.String || len(f.enum) > 0)
}

// mapping reads an object into a map with string keys.
func (d *decoder) mapping(v reflect.Value, n node, at slot) error {
	n = d.only(d.unwrapped(n, at, object, "the object in it"), at, object)
	if n.kind != object {
		return wrongType(v.Type(), n, at)
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.members)))
	for _, m := range n.members {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := d.assign(value, m.node, at.in(field{name: m.name})); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(m.name).Convert(v.Type().Key()), value)
	}
	return nil
}

// list reads a list, or one scalar or object as a list of one.
func (d *decoder) list(v reflect.Value, n node, at slot) error {
	n = d.unwrapped(n, at, array, "the list in it")
	items := n.items
	if n.kind != array {
		d.warn(at, n, "a list of one")
		items = []node{n}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if item.kind == null {
			return wrongType(v.Type().Elem(), item, slot{fmt.Sprintf("%s[%d]", at.path, i), at.field})
		}
		if err := d.assign(v.Index(i), item, slot{fmt.Sprintf("%s[%d]", at.path, i), at.field}); err != nil {
			return err
		}
	}
	return nil
}

// unknownField refuses a name and offers the nearest.
func unknownField(name string, fields []field, at slot) error {
	valid := make([]string, 0, len(fields))
	for _, f := range fields {
		valid = append(valid, f.name)
	}
	where := ""
	if at.path != "" {
		where = " in " + at.String()
	}
	f := fault.New(fault.InvalidInput, "unknown field %q%s", name, where).At(at.in(field{name: name}).path, name, valid...)
	if near := nearest(name, valid); near != "" {
		return f.Hint("did you mean %q?", near)
	}
	if len(valid) == 0 {
		return f.Hint("call it without arguments")
	}
	return f.Hint("give only the fields listed in want")
}

// missingField names a required field.
func missingField(f field, fields []field, at slot) error {
	var required []string
	for _, other := range fields {
		if other.required {
			required = append(required, other.name)
		}
	}
	out := fault.New(fault.InvalidInput, "%q is required", at.in(f).path).At(at.in(f).path, "", required...)
	if f.doc != "" {
		return out.Hint("give %q: %s", at.in(f).path, strings.TrimSuffix(f.doc, "."))
	}
	return out.Hint("give %q", at.in(f).path)
}

// wrongType refuses a value of another type.
func wrongType(t reflect.Type, n node, at slot) error {
	verb := "is"
	if at.path == "" {
		verb = "are"
	}
	return fault.New(fault.InvalidInput, "%s %s %s, expected %s", at, verb, n, describe(t)).At(at.path, n.excerpt(), describe(t)).
		Hint("give %s", describe(t))
}
