package search

import (
	"maps"
	"slices"
)

// Knob is one flag (or env:NAME) and the values to try, in the order in which they were listed.
type Knob struct {
	Name   string `json:"name"`
	Values []any  `json:"values"`
}

// Space is the knobs of a search. Every knob has one more level where the base's value (or absence) is not listed.
type Space struct {
	Base  map[string]any // flags of the shipped default that a knob overrides; may be empty
	Knobs []Knob
	// Prior is a performance model's expected score of a full assignment, higher is better; nil: no model. ok is
	// false where the model has no opinion.
	Prior func(flags map[string]any) (score float64, ok bool)
}

// NewSpace makes a space of a map; knobs are ordered by name.
func NewSpace(base map[string]any, values map[string][]any) Space {
	s := Space{Base: base}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s.Knobs = append(s.Knobs, Knob{Name: name, Values: values[name]})
	}
	return s
}
