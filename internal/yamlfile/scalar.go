package yamlfile

import (
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// Text reads a string into dst; check says what is wrong with a value, or nothing.
func (w *Walker) Text(what string, dst *string, check func(string) string) Reads {
	return func(_, value ast.Node) {
		s, ok := stringOf(w.Resolve(value))
		if !ok {
			w.WrongType(value, what, "text")
			return
		}
		if wrong := check(s); wrong != "" {
			w.Fail(value, "%s %q %s", what, s, wrong).Saw(s)
			return
		}
		*dst = s
	}
}

// Choice reads one of the valid words into dst.
func (w *Walker) Choice(what string, dst *string, valid ...string) Reads {
	return func(_, value ast.Node) {
		s, ok := stringOf(w.Resolve(value))
		if !ok {
			w.WrongType(value, what, "text")
			return
		}
		if slices.Contains(valid, s) {
			*dst = s
			return
		}
		w.Fail(value, "unknown %s %q", what, s).Suggest(s, valid)
	}
}

// Boolean reads true or false into dst.
func (w *Walker) Boolean(what string, dst *bool) Reads {
	return func(_, value ast.Node) {
		b, ok := w.Resolve(value).(*ast.BoolNode)
		if !ok {
			w.WrongType(value, what, "true or false")
			return
		}
		*dst = b.Value
	}
}

// Texts reads a list of strings into dst.
func (w *Walker) Texts(what string, dst *[]string, check func(string) string) Reads {
	return func(_, value ast.Node) {
		w.Items(value, what, func(item ast.Node) {
			var s string
			w.Text(what, &s, check)(nil, item)
			if s != "" {
				*dst = append(*dst, s)
			}
		})
	}
}

// Number reads a number from 0 to last into dst.
func (w *Walker) Number(what string, dst **int, last int) Reads {
	return func(_, value ast.Node) {
		v, ok := w.Resolve(value).(*ast.IntegerNode)
		if !ok {
			w.WrongType(value, what, "a number")
			return
		}
		if i, ok := w.upTo(value, what, v, last); ok {
			*dst = &i
		}
	}
}

// Amount reads a number above 0, whole or not, into dst.
func (w *Walker) Amount(what string, dst *float64) Reads {
	return func(_, value ast.Node) {
		n := w.Resolve(value)
		if n == nil || (n.Type() != ast.IntegerType && n.Type() != ast.FloatType) {
			w.WrongType(value, what, "a number")
			return
		}
		text := n.GetToken().Value
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v > 0) || v > maxAmount {
			w.Fail(value, "%s %q is not a number above 0 and up to %g", what, text, float64(maxAmount)).Saw(text)
			return
		}
		*dst = v
	}
}

// maxAmount is above everything that is spent.
const maxAmount = 1e9

// upTo reads a number from 0 to last.
func (w *Walker) upTo(at ast.Node, what string, v *ast.IntegerNode, last int) (int, bool) {
	text := v.GetToken().Value
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 || i > last {
		w.Fail(at, "%s %q is not a number from 0 to %d", what, text, last).Saw(text)
		return 0, false
	}
	return i, true
}

// Indices reads a list of different numbers from 0 to last into dst.
func (w *Walker) Indices(what string, dst *[]int, last int) Reads {
	return func(_, value ast.Node) {
		seen := map[int]bool{}
		w.Items(value, what, func(item ast.Node) {
			v, ok := w.Resolve(item).(*ast.IntegerNode)
			if !ok {
				w.WrongType(item, what, "a list of numbers")
				return
			}
			i, ok := w.upTo(item, what, v, last)
			if !ok {
				return
			}
			if seen[i] {
				w.Fail(item, "%s %d is listed twice", what, i)
				return
			}
			seen[i] = true
			*dst = append(*dst, i)
		})
	}
}

// Items visits the items of a list.
func (w *Walker) Items(n ast.Node, what string, visit func(ast.Node)) {
	list, ok := w.Resolve(n).(ast.ArrayNode)
	if !ok {
		w.WrongType(n, what, "a list")
		return
	}
	for it := list.ArrayRange(); it.Next(); {
		visit(it.Value())
	}
}

// Table reads a mapping of text to text into dst. A bare number or boolean is taken as it is written: nobody
// quotes the 1 of NCCL_DEBUG: 1, and its text is not in doubt.
func (w *Walker) Table(what string, dst map[string]string, checkKey, checkValue func(string) string) Reads {
	return w.Each(what, checkKey, func(name string, _, value ast.Node) {
		v := w.Resolve(value)
		s, ok := stringOf(v)
		if !ok && v != nil {
			switch v.Type() {
			case ast.IntegerType, ast.FloatType, ast.BoolType:
				s, ok = v.GetToken().Value, true
			}
		}
		if !ok {
			w.WrongType(value, name, "text")
			return
		}
		if wrong := checkValue(s); wrong != "" {
			w.Fail(value, "%s of %s %q %s", name, what, s, wrong).Saw(s)
			return
		}
		dst[name] = s
	})
}

// stringOf gives the text of a string in any of YAML's notations.
func stringOf(n ast.Node) (string, bool) {
	switch t := n.(type) {
	case *ast.StringNode:
		return t.Value, true
	case *ast.LiteralNode:
		return t.Value.Value, true
	}
	return "", false
}
