// Package yamlfile reads YAML that people write, strictly: a fixed table of keys, every defect with its line and column,
// the nearest valid word where one was misspelt. What the keys mean is its callers' business.
package yamlfile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxAliasDepth bounds how far an alias of an alias is followed.
const maxAliasDepth = 16

// maxMergeDepth bounds merge keys in what merge keys name; the work grows with a power of it.
const maxMergeDepth = 3

// Walker reads a YAML tree by a fixed table of fields and notes every defect with its position. A library that
// decodes into structs was tried: it names positions for syntax and types, but not for values that we refuse.
type Walker struct {
	// File names the file in messages, One says what belongs into its only document.
	File, One string

	anchors map[string]ast.Node
	defects []defect
}

// defect is one thing wrong in the file.
type defect struct {
	line, column int
	fault        *fault.Error
}

// Reads is what reads one value; key is the node that named it.
type Reads func(key, value ast.Node)

// Fields says how each known key of a mapping is read.
type Fields map[string]Reads

// Parse gives the root of the only document, nil where the file is empty or broken.
func (w *Walker) Parse(data []byte) ast.Node {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		w.syntax(err)
		return nil
	}
	var roots []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			roots = append(roots, doc.Body)
		}
	}
	if len(roots) == 0 {
		return nil
	}
	if len(roots) > 1 {
		w.Fail(roots[1], "a second document begins here").Hint("%s", w.One)
	}
	w.anchors = map[string]ast.Node{}
	ast.Walk(anchorCollector(w.anchors), roots[0])
	return roots[0]
}

// syntax notes a parser's error at the token it names.
func (w *Walker) syntax(err error) {
	line, column, message := 1, 1, err.Error()
	var e yaml.Error
	if errors.As(err, &e) {
		message = e.GetMessage()
		if tk := e.GetToken(); tk != nil && tk.Position != nil {
			line, column = tk.Position.Line, tk.Position.Column
		}
	}
	w.failAt(line, column, "not YAML: %s", oneLine(message))
}

// oneLine makes a message of the parser's, which quotes the file, fit for one line.
func oneLine(text string) string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(clean), " ")
}

// anchorCollector maps the names of anchors to what they name.
type anchorCollector map[string]ast.Node

// Visit implements ast.Visitor.
func (c anchorCollector) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		c[a.Name.GetToken().Value] = a.Value
	}
	return c
}

// Resolve follows anchors, aliases and tags to the value itself; nil where there is none.
func (w *Walker) Resolve(n ast.Node) ast.Node {
	for range maxAliasDepth {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.TagNode:
			n = t.Value
		case *ast.AliasNode:
			n = w.anchors[t.Value.GetToken().Value]
		default:
			return n
		}
	}
	return nil
}

// pairs gives the entries of a mapping, those of merge keys (<<) after its own.
func (w *Walker) pairs(n ast.Node, depth int) ([]*ast.MappingValueNode, bool) {
	m, ok := w.Resolve(n).(ast.MapNode)
	if !ok || depth > maxMergeDepth {
		return nil, false
	}
	var own, merged []*ast.MappingValueNode
	for it := m.MapRange(); it.Next(); {
		kv := it.KeyValue()
		if kv.Key.Type() != ast.MergeKeyType {
			own = append(own, kv)
			continue
		}
		more, ok := w.pairs(kv.Value, depth+1)
		if !ok {
			w.Fail(kv.Value, "a merge key needs a mapping, and at most %d of them one inside the other", maxMergeDepth)
		}
		merged = append(merged, more...)
	}
	return append(own, merged...), true
}

// Mapping reads n by the table known; what names it in messages.
func (w *Walker) Mapping(n ast.Node, what string, known Fields) {
	w.Entries(n, what, func(key string, kv *ast.MappingValueNode) {
		read, ok := known[key]
		if !ok {
			names := slices.Sorted(maps.Keys(known))
			w.Fail(kv.Key, "unknown key %q in %s", key, what).Suggest(key, names)
			return
		}
		read(kv.Key, kv.Value)
	})
}

// Entries visits the keys of a mapping once each.
func (w *Walker) Entries(n ast.Node, what string, visit func(key string, kv *ast.MappingValueNode)) {
	pairs, ok := w.pairs(n, 0)
	if !ok {
		w.WrongType(n, what, "a mapping")
		return
	}
	seen := map[string]bool{}
	for _, kv := range pairs {
		if key := kv.Key.GetToken().Value; !seen[key] {
			seen[key] = true
			visit(key, kv)
		}
	}
}

// Each reads a mapping of free names; nothing is written after the key is an empty one.
func (w *Walker) Each(what string, check func(string) string, read func(name string, key, value ast.Node)) Reads {
	return func(_, value ast.Node) {
		if v := w.Resolve(value); v != nil && v.Type() == ast.NullType {
			return
		}
		w.Entries(value, what, func(name string, kv *ast.MappingValueNode) {
			if wrong := check(name); wrong != "" {
				w.Fail(kv.Key, "%q in %s %s", name, what, wrong).Saw(name)
				return
			}
			read(name, kv.Key, kv.Value)
		})
	}
}

// Noted is a fault just recorded, to be said more precisely.
type Noted struct{ *fault.Error }

// Saw keeps the offending value.
func (n Noted) Saw(value string) Noted {
	n.Got = value
	return n
}

// Suggest lists the valid values and names the one that was probably meant.
func (n Noted) Suggest(value string, valid []string) {
	n.Got, n.Want = value, valid
	if near := fault.Nearest(value, valid); near != "" {
		n.Hint("did you mean %q?", near)
	}
}

// Fail notes a defect at n.
func (w *Walker) Fail(n ast.Node, format string, args ...any) Noted {
	line, column := Position(n)
	return w.failAt(line, column, format, args...)
}

// Position is where a person sees n begin, line and column from 1.
func Position(n ast.Node) (line, column int) {
	if tk := firstToken(n); tk != nil && tk.Position != nil {
		return tk.Position.Line, tk.Position.Column
	}
	return 1, 1
}

func (w *Walker) failAt(line, column int, format string, args ...any) Noted {
	field := fmt.Sprintf("%s:%d:%d", w.File, line, column)
	f := fault.New(fault.InvalidInput, "%s: %s", field, fmt.Sprintf(format, args...)).At(field, "")
	w.defects = append(w.defects, defect{line, column, f})
	return Noted{f}
}

// WrongType notes that n is not what it has to be.
func (w *Walker) WrongType(n ast.Node, what, want string) {
	found := "nothing"
	if v := w.Resolve(n); v != nil && v.Type() != ast.NullType {
		found = "a " + typeWord(v)
	}
	w.Fail(n, "%s must be %s, not %s", what, want, found)
}

// typeWord says what a person calls n.
func typeWord(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "mapping"
	case ast.SequenceType:
		return "list"
	case ast.StringType, ast.LiteralType:
		return "text"
	case ast.BoolType:
		return "boolean"
	default:
		return "number"
	}
}

// firstToken is where a person sees n begin. The token of an entry is its colon.
func firstToken(n ast.Node) *token.Token {
	switch t := n.(type) {
	case nil:
		return nil
	case *ast.MappingValueNode:
		return firstToken(t.Key)
	case *ast.MappingNode:
		if !t.IsFlowStyle && len(t.Values) > 0 {
			return firstToken(t.Values[0])
		}
	}
	return n.GetToken()
}

// Defects counts what was found wrong so far.
func (w *Walker) Defects() int { return len(w.defects) }

// Err is the defect that stands first in the file, nil where there is none.
func (w *Walker) Err() error {
	if len(w.defects) == 0 {
		return nil
	}
	first := slices.MinFunc(w.defects, func(a, b defect) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	if more := len(w.defects) - 1; more > 0 {
		first.fault.Hint("fix this one first; %d more found", more)
	}
	return first.fault
}
