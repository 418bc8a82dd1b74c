package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// kind is what a JSON value is.
type kind int

const (
	null kind = iota
	truth
	digits
	text
	array
	object
)

// node is a JSON value with its bytes.
type node struct {
	kind    kind
	raw     json.RawMessage
	text    string // of a string its value, of a number or truth value its spelling
	items   []node
	members []member
}

type member struct {
	name string
	node
}

// deepest bounds the nesting of arguments.
const deepest = 100

// parse reads one JSON value and refuses duplicate keys.
func parse(raw json.RawMessage) (node, error) {
	p := parser{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	n, err := p.value(0)
	if err != nil {
		return node{}, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, errors.New("there is more behind the JSON value")
	}
	return n, nil
}

type parser struct {
	raw json.RawMessage
	dec *json.Decoder
}

// value reads the next value.
func (p *parser) value(depth int) (node, error) {
	if depth > deepest {
		return node{}, fmt.Errorf("nested deeper than %d levels", deepest)
	}
	tok, err := p.dec.Token()
	if err != nil {
		return node{}, errors.New("not JSON")
	}
	end := int(p.dec.InputOffset())
	switch tok := tok.(type) {
	case nil:
		return node{kind: null, raw: json.RawMessage("null")}, nil
	case bool:
		return node{kind: truth, text: fmt.Sprint(tok), raw: json.RawMessage(fmt.Sprint(tok))}, nil
	case json.Number:
		return node{kind: digits, text: tok.String(), raw: json.RawMessage(tok.String())}, nil
	case string:
		quoted, err := json.Marshal(tok)
		return node{kind: text, text: tok, raw: quoted}, err
	}
	n := node{kind: array}
	if tok == json.Delim('{') {
		n.kind = object
	}
	if err := p.fill(&n, depth); err != nil {
		return node{}, err
	}
	n.raw = p.raw[end-1 : p.dec.InputOffset()]
	return n, nil
}

// fill reads what is inside a list or object, and its closing bracket.
func (p *parser) fill(n *node, depth int) error {
	for p.dec.More() {
		var name string
		if n.kind == object {
			tok, err := p.dec.Token()
			if err != nil {
				return errors.New("not JSON")
			}
			name, _ = tok.(string)
			if slices.ContainsFunc(n.members, func(m member) bool { return m.name == name }) {
				return fmt.Errorf("%q is given twice", name)
			}
		}
		inner, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if n.kind == object {
			n.members = append(n.members, member{name, inner})
		} else {
			n.items = append(n.items, inner)
		}
	}
	if _, err := p.dec.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}

// has says whether an object has a member that is not null.
func (n node) has(name string) bool {
	return slices.ContainsFunc(n.members, func(m member) bool { return m.name == name && m.kind != null })
}

// inside gives the value of kind k that a string spells out.
func (n node) inside(k kind) (node, bool) {
	if n.kind != text || !strings.ContainsAny(n.text[:min(1, len(n.text))], "[{") {
		return node{}, false
	}
	inner, err := parse(json.RawMessage(n.text))
	return inner, err == nil && inner.kind == k
}

// String describes the value for a person.
func (n node) String() string {
	switch n.kind {
	case truth:
		return n.text
	case digits:
		return "the number " + n.text
	case text:
		return fmt.Sprintf("the string %q", shorten(n.text))
	case array:
		return fmt.Sprintf("a list of %d", len(n.items))
	case object:
		return "an object"
	default:
		return "null"
	}
}

// excerpt is the value as it was given, shortened.
func (n node) excerpt() string {
	if n.kind == text {
		return shorten(n.text)
	}
	return shorten(string(n.raw))
}

// shorten cuts s for a message.
func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
