package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// messageFields are what a message may have.
var messageFields = []string{"content", "name", "role", "tool_call_id", "tool_calls"}

// after says which role may follow which; "" is the beginning. Chat templates differ in what else they take, so
// anything else would be a different prompt on each framework, or an error on some.
var after = map[string][]string{
	"":          {"system", "developer", "user"},
	"system":    {"user"},
	"developer": {"user"},
	"user":      {"assistant"},
	"assistant": {"user", "tool"},
	"tool":      {"tool", "assistant", "user"},
}

// turnsOf reads messages and checks their order.
func turnsOf(v *value) ([]turn, *flaw) {
	if v.kind != '[' {
		return nil, wrong(v, "messages", "an array of {role, content}")
	}
	if len(v.items) == 0 {
		return nil, empty(v.off, "messages")
	}
	turns := make([]turn, 0, len(v.items))
	role := ""
	for i := range v.items {
		field := fmt.Sprintf("messages[%d]", i)
		t, bad := message(&v.items[i], field)
		if bad != nil {
			return nil, bad
		}
		if !slices.Contains(after[role], t.role) {
			return nil, outOfOrder(v.items[i].off, field, t.role, role)
		}
		role, turns = t.role, append(turns, t)
	}
	if role != "user" && role != "tool" {
		return nil, &flaw{off: v.items[len(v.items)-1].off, reason: ReasonRoles, field: fmt.Sprintf("messages[%d].role", len(v.items)-1),
			text: "ends the conversation without a question", hint: "take the final answer out: a prompt never holds what the model is asked for"}
	}
	return turns, nil
}

func outOfOrder(off int, field, role, before string) *flaw {
	f := &flaw{off: off, reason: ReasonRoles, field: field + ".role", hint: "begin with at most one system message, then let user and assistant alternate, tool after assistant"}
	switch {
	case after[role] == nil:
		f.text, f.got = "is unknown (valid: system, developer, user, assistant, tool)", role
	case before == "":
		f.text = "is " + role + ", which cannot begin a conversation"
	default:
		f.text = "is " + role + ", which cannot follow " + before
	}
	return f
}

// message reads one message.
func message(v *value, field string) (turn, *flaw) {
	if v.kind != '{' {
		return turn{}, wrong(v, field, "an object {role, content}")
	}
	for _, m := range v.members {
		if !slices.Contains(messageFields, m.name) {
			return turn{}, &flaw{off: m.value.off, reason: ReasonField, field: field, text: "has an unknown field", got: m.name, hint: "keep only " + strings.Join(messageFields, ", ")}
		}
	}
	role := v.get("role")
	if role == nil || role.kind != '"' {
		return turn{}, &flaw{off: v.off, reason: ReasonField, field: field + ".role", text: "is missing or no string", hint: "name who speaks"}
	}
	text, bad := content(v, field+".content")
	if bad != nil {
		return turn{}, bad
	}
	calls := v.get("tool_calls")
	if calls != nil {
		text += string(appendValue(nil, *calls))
	}
	if strings.TrimSpace(text) == "" {
		return turn{}, empty(v.off, field+".content")
	}
	return turn{role.text, text}, nil
}

// content reads a string, or an array of text parts.
func content(v *value, field string) (string, *flaw) {
	c := v.get("content")
	switch {
	case c == nil || c.kind == 'n':
		return "", nil
	case c.kind == '"':
		return c.text, nil
	case c.kind != '[':
		return "", wrong(c, field, "a string, or an array of {type: text, text}")
	}
	var all strings.Builder
	for i := range c.items {
		part := &c.items[i]
		kind, text := part.get("type"), part.get("text")
		if kind == nil || kind.text != "text" || text == nil || text.kind != '"' {
			return "", &flaw{off: part.off, reason: ReasonField, field: fmt.Sprintf("%s[%d]", field, i), text: "is no text", hint: "keep parts {type: text, text} only: images and sound are not measured"}
		}
		all.WriteString(text.text)
	}
	return all.String(), nil
}
