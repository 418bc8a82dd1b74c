package search

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Knob is one flag (or env:NAME) and the values to try, in the order in which they were listed.
type Knob struct {
	Name   string `json:"name"`
	Values []any  `json:"values"`
}

// Space is the knobs of a search. A knob has one level more where the base's value, or its absence, is not listed.
type Space struct {
	Base  map[string]any // flags of the shipped default that knobs override; may be empty
	Knobs []Knob
	// Prior is a performance model's expected score of a candidate's flags, higher is better; nil: no model. ok is
	// false where the model has no opinion.
	Prior func(flags map[string]any) (score float64, ok bool)
	// Legal says why a candidate's flags cannot run (layout, sequence limit, memory); nil or "": they can.
	Legal func(flags map[string]any) string
}

// NewSpace makes a space of a map; knobs are ordered by name.
func NewSpace(base map[string]any, values map[string][]any) Space {
	s := Space{Base: base}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s.Knobs = append(s.Knobs, Knob{Name: name, Values: values[name]})
	}
	return s
}

// text is a value as canonical JSON, so that 8192 and 8192.0 are one value.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T:%v", v, v)
	}
	return string(raw)
}

// numeric gives a value's number; numbers in strings count.
func numeric(v any) (float64, bool) {
	switch n := v.(type) {
	case string:
		f, err := strconv.ParseFloat(n, 64)
		return f, err == nil
	case bool, nil:
		return 0, false
	}
	var f float64
	err := json.Unmarshal([]byte(text(v)), &f)
	return f, err == nil
}
