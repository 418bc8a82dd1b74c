package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/tools"
)

// success carries raw as the structured content, and as text for clients that show only that.
func success(raw json.RawMessage) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(raw))}, StructuredContent: raw}
}

// failure carries a fault as text only.
func (s *Server) failure(f *fault.Error) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(s.faultJSON(f)))}, IsError: true}
}

// wayOn gives a refusal of the caller's input a hint and a next call where it has none: no refusal is a dead end.
func wayOn(name string, f *fault.Error) *fault.Error {
	if f.Code != fault.InvalidInput && f.Code != fault.NotFound && f.Code != fault.RuleViolation {
		return f
	}
	out := *f
	if len(out.Hints) == 0 && len(out.Want) > 0 {
		out.Hints = []string{"give one of the values listed in want"}
	}
	if len(out.Next) == 0 {
		why := "the same call, corrected"
		if out.Field != "" {
			why = fmt.Sprintf("the same call with %q corrected", out.Field)
		}
		out.Next = []fault.Next{{Tool: name, Why: why}}
	}
	return &out
}

// faultView is a fault as a client reads it.
type faultView struct {
	Code    fault.Code   `json:"code"`
	Rule    string       `json:"rule"`
	Message string       `json:"message"`
	Field   string       `json:"field"`
	Got     string       `json:"got"`
	Want    []string     `json:"want"`
	Hints   []string     `json:"hints"`
	Next    []fault.Next `json:"next"`
}

// clip cuts what a caller sent and is only named: a refusal repeats no megabyte.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + fmt.Sprintf("… (%d bytes)", len(s))
}

// faultJSON renders f without secrets.
func (s *Server) faultJSON(f *fault.Error) json.RawMessage {
	v := faultView{Code: f.Code, Rule: f.Rule, Message: f.Message, Field: f.Field, Got: f.Got, Want: f.Want, Hints: f.Hints, Next: f.Next}
	if f.Cause != nil {
		v.Message += ": " + fault.Foreign(f.Cause.Error(), 600)
	}
	v.Message, v.Got = clip(v.Message, 2000), clip(v.Got, 300)
	v.Want = slices.Clone(v.Want[:min(len(v.Want), 100)])
	for i, want := range v.Want {
		v.Want[i] = clip(want, 200)
	}
	raw, err := compact(reflect.ValueOf(v))
	if err != nil { // strings always encode
		raw = fmt.Appendf(nil, `{"code":%q}`, f.Code)
	}
	return s.opts.Redact.JSON(raw)
}

// encodeOut renders a tool's Out with the decoder's warnings in front of its own.
func encodeOut(out any, warnings []string) (json.RawMessage, error) {
	v := reflect.New(reflect.TypeOf(out)).Elem()
	v.Set(reflect.ValueOf(out))
	if a := answerIn(v); a != nil {
		a.Warnings = slices.Concat(warnings, a.Warnings)
		if a.State == "" {
			a.State = tools.StateDone
		}
	}
	return compact(v)
}

// answerIn finds the embedded Answer of an Out.
func answerIn(v reflect.Value) *tools.Answer {
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		if a, ok := v.Field(i).Addr().Interface().(*tools.Answer); ok {
			return a
		}
	}
	return nil
}

// compact renders v as JSON in which no list is null.
func compact(v reflect.Value) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(withLists(v).Interface()); err != nil {
		return nil, fmt.Errorf("encode %s: %w", v.Type(), err)
	}
	return withoutNulls(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// withoutNulls leaves out the members of the outermost object that are null: a schema has no type for them.
func withoutNulls(raw json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte(":null")) {
		return raw, nil
	}
	n, err := parse(raw)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, m := range n.members {
		if m.kind == null {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.name, m.raw)
	}
	return fmt.Appendf(nil, "{%s}", b.Bytes()), nil
}

// clean makes control and bidirectional characters visible as U+FFFD: what hosts and callers wrote cannot move a
// terminal's cursor or turn a line around. Lines, tabs and carriage returns stay, since a diff is made of them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// withLists gives a copy of v in which every nil slice and map is an empty one and every text is clean, however deep.
// What v points to is shared with the domain and stays as it is.
func withLists(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	if raw, ok := v.Interface().(json.RawMessage); ok && raw == nil {
		out.SetBytes([]byte("{}"))
		return out
	}
	if v.Type().Implements(reflect.TypeFor[json.Marshaler]()) {
		return out // it says itself how it looks
	}
	switch v.Kind() {
	case reflect.String:
		out.SetString(clean(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(withLists(v.Field(i)))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return out
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(withLists(v.Index(i)))
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for key, value := range v.Seq2() {
			out.SetMapIndex(withLists(key), withLists(value))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(withLists(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(withLists(v.Elem()))
		}
	}
	return out
}
