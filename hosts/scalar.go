package hosts

import (
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// text reads a string into dst; check says what is wrong with a value, or nothing.
func (w *walker) text(what string, dst *string, check func(string) string) reads {
	return func(_, value ast.Node) {
		s, ok := stringOf(w.resolve(value))
		if !ok {
			w.wrongType(value, what, "text")
			return
		}
		if wrong := check(s); wrong != "" {
			w.fail(value, "%s %q %s", what, s, wrong).got(s)
			return
		}
		*dst = s
	}
}

// choice reads one of the valid words into dst.
func (w *walker) choice(what string, dst *string, valid ...string) reads {
	return func(_, value ast.Node) {
		s, ok := stringOf(w.resolve(value))
		if !ok {
			w.wrongType(value, what, "text")
			return
		}
		if slices.Contains(valid, s) {
			*dst = s
			return
		}
		w.fail(value, "unknown %s %q", what, s).suggest(s, valid)
	}
}

// boolean reads true or false into dst.
func (w *walker) boolean(what string, dst *bool) reads {
	return func(_, value ast.Node) {
		b, ok := w.resolve(value).(*ast.BoolNode)
		if !ok {
			w.wrongType(value, what, "true or false")
			return
		}
		*dst = b.Value
	}
}

// texts reads a list of strings into dst.
func (w *walker) texts(what string, dst *[]string, check func(string) string) reads {
	return func(_, value ast.Node) {
		w.items(value, what, func(item ast.Node) {
			var s string
			w.text(what, &s, check)(nil, item)
			if s != "" {
				*dst = append(*dst, s)
			}
		})
	}
}

// maxTraceMiB bounds trace_mib: a tebibyte.
const maxTraceMiB = 1 << 20

// number reads a number from 0 to last into dst.
func (w *walker) number(what string, dst **int, last int) reads {
	return func(_, value ast.Node) {
		v, ok := w.resolve(value).(*ast.IntegerNode)
		if !ok {
			w.wrongType(value, what, "a number")
			return
		}
		if i, ok := w.upTo(value, what, v, last); ok {
			*dst = &i
		}
	}
}

// upTo reads a number from 0 to last.
func (w *walker) upTo(at ast.Node, what string, v *ast.IntegerNode, last int) (int, bool) {
	text := v.GetToken().Value
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 || i > last {
		w.fail(at, "%s %q is not a number from 0 to %d", what, text, last).got(text)
		return 0, false
	}
	return i, true
}

// indices reads a list of different numbers from 0 to last into dst.
func (w *walker) indices(what string, dst *[]int, last int) reads {
	return func(_, value ast.Node) {
		seen := map[int]bool{}
		w.items(value, what, func(item ast.Node) {
			v, ok := w.resolve(item).(*ast.IntegerNode)
			if !ok {
				w.wrongType(item, what, "a list of numbers")
				return
			}
			i, ok := w.upTo(item, what, v, last)
			if !ok {
				return
			}
			if seen[i] {
				w.fail(item, "%s %d is listed twice", what, i)
				return
			}
			seen[i] = true
			*dst = append(*dst, i)
		})
	}
}

// items visits the items of a list.
func (w *walker) items(n ast.Node, what string, visit func(ast.Node)) {
	list, ok := w.resolve(n).(ast.ArrayNode)
	if !ok {
		w.wrongType(n, what, "a list")
		return
	}
	for it := list.ArrayRange(); it.Next(); {
		visit(it.Value())
	}
}

// table reads a mapping of text to text into dst. A bare number or boolean is taken as it is written: nobody
// quotes the 1 of NCCL_DEBUG: 1, and its text is not in doubt.
func (w *walker) table(what string, dst map[string]string, checkKey, checkValue func(string) string) reads {
	return w.each(what, checkKey, func(name string, _, value ast.Node) {
		v := w.resolve(value)
		s, ok := stringOf(v)
		if !ok && v != nil {
			switch v.Type() {
			case ast.IntegerType, ast.FloatType, ast.BoolType:
				s, ok = v.GetToken().Value, true
			}
		}
		if !ok {
			w.wrongType(value, name, "text")
			return
		}
		if wrong := checkValue(s); wrong != "" {
			w.fail(value, "%s of %s %q %s", name, what, s, wrong).got(s)
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
