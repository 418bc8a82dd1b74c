package dataset

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// fields are what a row of JSON lines may have.
var fields = []string{"conversation", "extra_request_body", "messages", "output_len", "prompt", "timestamp"}

// row reads one line.
func (o Options) row(v value) (Row, *flaw) {
	var row Row
	if v.kind != '{' {
		return row, &flaw{off: v.off, reason: ReasonSyntax, text: "is " + v.is() + ", not an object", hint: "write one JSON object a line"}
	}
	for _, m := range v.members {
		if !slices.Contains(fields, m.name) {
			return row, &flaw{off: m.value.off, reason: ReasonField, text: "has an unknown field", got: m.name,
				hint: "keep only " + strings.Join(fields, ", ") + "; what a request should carry besides belongs into extra_request_body"}
		}
	}
	if bad := row.optional(v); bad != nil {
		return row, bad
	}
	if bad := row.text(v); bad != nil {
		return row, bad
	}
	var bad *flaw
	row.OutputLen, bad = o.outputLen(v)
	return row, bad
}

// optional reads the fields that a row may do without.
func (r *Row) optional(v value) *flaw {
	if c := v.get("conversation"); c != nil {
		if c.kind != '"' || c.text == "" {
			return wrong(c, "conversation", "a string that is not empty")
		}
		r.Conversation = c.text
	}
	if e := v.get("extra_request_body"); e != nil {
		if e.kind != '{' {
			return wrong(e, "extra_request_body", "an object")
		}
		if len(e.members) > 0 {
			r.Extra = appendValue(nil, *e)
		}
	}
	t := v.get("timestamp")
	if t == nil {
		return nil
	}
	if t.kind != 0 {
		return wrong(t, "timestamp", "a number of seconds")
	}
	at, err := strconv.ParseFloat(t.text, 64)
	if err != nil || at < 0 {
		return &flaw{off: t.off, reason: ReasonTimestamp, field: "timestamp", text: "is negative", got: t.text, hint: "count seconds from any instant before the first row"}
	}
	at = math.Abs(at) // -0
	r.At = &at
	return nil
}

// text reads prompt or messages.
func (r *Row) text(v value) *flaw {
	prompt, messages := v.get("prompt"), v.get("messages")
	switch {
	case prompt != nil && messages != nil:
		return &flaw{off: messages.off, reason: ReasonMixed, field: "messages", text: "stands beside prompt", hint: "keep one of the two"}
	case messages != nil:
		var bad *flaw
		r.turns, bad = turnsOf(messages)
		r.Messages = appendValue(nil, *messages)
		return bad
	case prompt == nil:
		return &flaw{off: v.off, reason: ReasonField, field: "prompt", text: "is missing, and so is messages", hint: "give each row one of the two"}
	case prompt.kind != '"':
		return wrong(prompt, "prompt", "a string; conversations go into messages")
	case strings.TrimSpace(prompt.text) == "":
		return empty(prompt.off, "prompt")
	}
	r.Prompt = prompt.text
	return nil
}

func (o Options) outputLen(v value) (int, *flaw) {
	n := v.get("output_len")
	if n == nil {
		if o.OutputLen > 0 {
			return o.OutputLen, nil
		}
		return 0, &flaw{off: v.off, reason: ReasonOutputLen, field: "output_len", text: "is missing", hint: "give each row the tokens to generate, or one output_len for rows without"}
	}
	tokens, err := strconv.Atoi(n.text)
	if n.kind != 0 || err != nil || tokens < 1 || tokens > maxOutputLen {
		bad := &flaw{off: n.off, reason: ReasonOutputLen, field: "output_len", text: "is not a whole number of tokens from 1 to " + strconv.Itoa(maxOutputLen), hint: "give the number of tokens to generate"}
		if n.kind == 0 {
			bad.got = n.text
		}
		return 0, bad
	}
	return tokens, nil
}

func wrong(v *value, field, want string) *flaw {
	return &flaw{off: v.off, reason: ReasonField, field: field, text: "is " + v.is(), hint: "write " + want}
}

func empty(off int, field string) *flaw {
	return &flaw{off: off, reason: ReasonEmpty, field: field, text: "is empty", hint: "give it text, or take the row out"}
}
