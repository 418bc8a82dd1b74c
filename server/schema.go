package server

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// InputSchema reflects the schema of a tool's In: every field with its description, none besides.
func InputSchema(t reflect.Type) json.RawMessage {
	r := jsonschema.Reflector{DoNotReference: true, ExpandedStruct: true, Anonymous: true}
	s := r.ReflectFromType(t)
	tidy(s)
	return render(s)
}

// OutputSchema reflects the schema of a tool's Out. Only the first level is described: what lies below is data to read,
// and its schema would cost every client more tokens than it is worth.
func OutputSchema(t reflect.Type) json.RawMessage {
	r := jsonschema.Reflector{DoNotReference: true, ExpandedStruct: true, Anonymous: true, AllowAdditionalProperties: true}
	s := r.ReflectFromType(t)
	tidy(s)
	s.Required = nil
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		flatten(p.Value)
	}
	return render(s)
}

// render gives the schema's JSON.
func render(s *jsonschema.Schema) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic("a reflected schema always encodes: " + err.Error())
	}
	return raw
}

// tidy takes out what only costs bytes, and the schema "true", which some clients refuse: a property of any value is
// said to be an object, a list or map of any values says nothing about them.
func tidy(s *jsonschema.Schema) {
	s.Version, s.ID, s.Title = "", "", ""
	if s.Type == "array" && len(s.Enum) > 0 {
		s.Items.Enum, s.Enum = s.Enum, nil
	}
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			if isOpen(p.Value) {
				p.Value = &jsonschema.Schema{Type: "object", Description: p.Value.Description}
			}
			tidy(p.Value)
		}
	}
	for _, inner := range []**jsonschema.Schema{&s.Items, &s.AdditionalProperties} {
		if *inner == nil || (*inner).Type == "" && !isOpen(*inner) {
			continue // nothing, or the schema "false"
		}
		if isOpen(*inner) {
			*inner = nil
			continue
		}
		tidy(*inner)
	}
}

// isOpen says whether s allows any value.
func isOpen(s *jsonschema.Schema) bool {
	bare := *s
	bare.Description = ""
	raw, err := json.Marshal(&bare)
	return err == nil && string(raw) == "true"
}

// flatten keeps the outline of an output's property.
func flatten(s *jsonschema.Schema) {
	s.Properties, s.Required, s.AdditionalProperties, s.Format = nil, nil, nil, ""
	if s.Type == "" && len(s.OneOf)+len(s.AnyOf) == 0 {
		s.Type = "object"
	}
	if s.Items != nil {
		flatten(s.Items)
		if s.Items.Type == "array" {
			s.Items = &jsonschema.Schema{Type: "array"}
		}
		s.Items.Description = ""
	}
}

// narrowing lists the inputs that make an answer shorter.
func narrowing(in reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(in) {
		switch f.name {
		case "cursor", "section", "match", "stage", "table", "scenario", "host":
			out = append(out, `"`+strings.TrimSpace(f.name)+`"`)
		}
	}
	return out
}
